/**
 * What one event means for what the page knows.  Pure: tables in, tables out.
 *
 * The rule kept here: events applied to a snapshot lead to what a later snapshot would have said.  A row
 * that does not change keeps its identity, so a view may compare rows with `===`.
 *
 * @typedef {[number, number, string, Record<string, any>, string?]} Event  number, time, type, data, command
 * @typedef {{number: number, id: string, state: string, from: string, to: string, [field: string]: any}} Message
 * @typedef {{number: number, agent: string, messages: string[], ended_at: number|null, [field: string]: any}} Turn
 * @typedef {{reason: string, since: number, until: number|null, detail: string}} Parked
 * @typedef {{name: string, parked: Parked[], turn: number|null, [field: string]: any}} Agent
 * @typedef {{agents: Map<string, Agent>, turns: Map<number, Turn>, messages: Map<string, Message>,
 *   recent: Event[]}} Journal
 * @typedef {{rows: Event[], dropped: boolean}} Stream
 */

/** As many finished messages, turns, stream rows and journal events as the page keeps. */
export const KEPT = Object.freeze({ messages: 500, turns: 100, rows: 5_000, recent: 2_000 });

const HEAD = 160;
const MESSAGE_FIELDS = ["number", "from", "to", "state", "attempts", "turn", "why"];
const SENT_FIELDS = [
  "kind", "thread", "head", "size", "hops", "in_reply_to", "priority", "provenance", "label", "broadcast",
  "wakes", "not_before", "cause",
];
const UNFINISHED = new Set(["ready", "claimed", "blocked"]);

/** @param {Message} message */
export const unfinished = (message) => UNFINISHED.has(message.state);

/** @param {Message} message */
export const unread = (message) => message.to === "operator" && message.state === "ready" && !message.read;

/** @returns {Journal} */
export const emptyJournal = () => ({ agents: new Map(), turns: new Map(), messages: new Map(), recent: [] });

/** @returns {Stream} */
export const emptyStream = () => ({ rows: [], dropped: false });

/** An event concerns a message that the window lacks and a fresh snapshot would show. */
export class Unknown extends Error {}

// --- snapshots -------------------------------------------------------------------------------------

/**
 * @param {{kind: string, rows: any[]}[]} parts the rows of a snapshot of lane `j`, as they came
 * @returns {Journal}
 */
export function journalOf(parts) {
  const rows = (/** @type {string} */ kind) => parts.filter((part) => part.kind === kind).flatMap((part) => part.rows);
  const turns = rows("turns").map((turn) => ({ ...turn, error: turn.error.slice(0, HEAD) }));
  return trimmed({
    // An agent's epoch outlives its removal, which no event tells; the page has no use for it.
    agents: new Map(rows("agents").map(({ epoch: _epoch, ...agent }) => [agent.name, agent])),
    turns: new Map(turns.map((turn) => [turn.number, turn])),
    messages: new Map(rows("messages").map((message) => [message.id, message])),
    recent: [],
  });
}

/**
 * @param {{kind: string, rows: any[]}[]} parts the rows of a snapshot of an agent's stream
 * @returns {Stream}
 */
export function streamOf(parts) {
  return { rows: parts.flatMap((part) => part.rows), dropped: false };
}

// --- events ----------------------------------------------------------------------------------------

/**
 * Apply contiguous events of lane `j`.
 *
 * @param {Journal} journal
 * @param {Event[]} events
 * @returns {Journal}
 * @throws {Unknown} when only a fresh snapshot can tell
 */
export function applyJournal(journal, events) {
  const next = {
    agents: new Map(journal.agents),
    turns: new Map(journal.turns),
    messages: new Map(journal.messages),
    recent: [...journal.recent, ...events].slice(-KEPT.recent),
  };
  for (const event of events) {
    const [family] = event[2].split(".", 1);
    APPLY[family]?.(next, event);
  }
  return trimmed(next);
}

/**
 * Apply contiguous events of a lane `a:<agent>`.
 *
 * @param {Stream} stream
 * @param {Event[]} events
 * @returns {Stream}
 */
export function applyStream(stream, events) {
  const rows = [...stream.rows, ...events];
  const spare = rows.length - KEPT.rows;
  // Old rows leave in strides of a chunk, so that the page removes chunks and never moves rows.
  return spare > 500 ? { rows: rows.slice(500), dropped: true } : { rows, dropped: stream.dropped };
}

/** @type {Record<string, (journal: Journal, event: Event) => void>} */
const APPLY = { agent: applyAgent, park: applyPark, turn: applyTurn, msg: applyMessage };

/** @param {Journal} journal @param {string} name @param {Partial<Agent>} change */
function changeAgent({ agents }, name, change) {
  const agent = agents.get(name);
  if (agent) agents.set(name, { ...agent, ...change });
}

/** @param {Journal} journal @param {Event} event */
function applyAgent(journal, [, at, type, data]) {
  const name = data.subject;
  if (type === "agent.added") {
    journal.agents.set(name, {
      name, settings: data.settings, added_at: at, status: "", status_at: null, parked: [], turn: null,
    });
  } else if (type === "agent.changed") {
    changeAgent(journal, name, { settings: data.settings });
  } else if (type === "agent.removed") {
    journal.agents.delete(name);
  } else if (type === "agent.status") {
    changeAgent(journal, name, { status: data.text, status_at: at });
  }
}

/** @param {Journal} journal @param {Event} event */
function applyPark(journal, [, at, type, data]) {
  const agent = journal.agents.get(data.agent);
  if (!agent) return;
  const others = agent.parked.filter((parked) => parked.reason !== data.subject);
  if (type === "park.lifted") return changeAgent(journal, agent.name, { parked: others });
  const before = agent.parked.find((parked) => parked.reason === data.subject);
  const parked = { reason: data.subject, since: before?.since ?? at, until: data.until, detail: data.detail };
  changeAgent(journal, agent.name, { parked: [...others, parked] });
}

/** @param {Journal} journal @param {Event} event */
function applyTurn(journal, [, at, type, data]) {
  const number = Number(data.subject);
  if (type === "turn.started") {
    journal.turns.set(number, {
      number, agent: data.agent, started_at: at, ended_at: null, outcome: null, error: "", text: "", stop: null,
      messages: byNumber(journal, data.messages),
    });
    return changeAgent(journal, data.agent, { turn: number });
  }
  const turn = journal.turns.get(number);
  if (type === "turn.stop" && turn) {
    journal.turns.set(number, { ...turn, stop: data.how });
  } else if (type === "turn.ended") {
    if (turn) {
      const { outcome, error, text } = data;
      journal.turns.set(number, { ...turn, ended_at: at, outcome, error, text });
    }
    if (journal.agents.get(data.agent)?.turn === number) changeAgent(journal, data.agent, { turn: null });
  }
}

/** @param {Journal} journal @param {Event} event */
function applyMessage(journal, [, at, type, data]) {
  const id = data.subject;
  const known = journal.messages.get(id);
  const change = Object.fromEntries(MESSAGE_FIELDS.map((field) => [field, data[field]]));
  if (type === "msg.sent") {
    const rest = Object.fromEntries(SENT_FIELDS.map((field) => [field, data[field]]));
    // Sent again under the same id: a note that nobody has taken yet was renewed, and keeps its age.
    const { at: since, read } = known ?? { at, read: false };
    journal.messages.set(id, /** @type {Message} */ ({ id, ...change, ...rest, at: since, read }));
    return;
  }
  if (!known) {
    if (UNFINISHED.has(data.state)) throw new Unknown(id);
    return;
  }
  const extra = MESSAGE_EXTRA[type]?.(known) ?? {};
  journal.messages.set(id, { ...known, ...change, ...extra });
  if (type === "msg.claimed" && data.turn !== null) hold(journal, data.turn, id);
}

/** What an event changes besides the fields it carries. @type {Record<string, (message: Message) => object>} */
const MESSAGE_EXTRA = {
  "msg.read": () => ({ read: true }),
  "msg.unread": () => ({ read: false }),
  "msg.done": ({ to, read }) => ({ read: read || to === "operator" }),
  "msg.unblocked": () => ({ hops: 0 }),
};

/** A turn holds one message more. @param {Journal} journal @param {number} number @param {string} id */
function hold(journal, number, id) {
  const turn = journal.turns.get(number);
  if (!turn || turn.messages.includes(id)) return;
  journal.turns.set(number, { ...turn, messages: byNumber(journal, [...turn.messages, id]) });
}

/** A turn takes urgent mail first; a snapshot lists it as it was numbered. @param {Journal} journal @param {string[]} ids */
function byNumber({ messages }, ids) {
  const number = (/** @type {string} */ id) => messages.get(id)?.number ?? 0;
  return [...ids].sort((a, b) => number(a) - number(b));
}

// --- the window ------------------------------------------------------------------------------------

/**
 * Keep what a snapshot would have: everything open, and the newest of the rest.
 *
 * @param {Journal} journal
 * @returns {Journal}
 */
function trimmed(journal) {
  newest(journal.messages, KEPT.messages, unfinished);
  newest(journal.turns, KEPT.turns, (turn) => turn.ended_at === null);
  return journal;
}

/**
 * @template K
 * @template {{number: number}} T
 * @param {Map<K, T>} table in the order of insertion, which is that of the numbers
 * @param {number} most
 * @param {(row: T) => boolean} keep
 */
function newest(table, most, keep) {
  let old = table.size - most;
  for (const [key, row] of table) {
    if (old-- <= 0) break;
    if (!keep(row)) table.delete(key);
  }
}
