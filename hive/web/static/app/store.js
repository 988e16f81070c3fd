/**
 * Everything the page knows, and the one function that changes it.  No framework, no clock, no socket.
 *
 * The rule kept here: `step` is pure.  Time, randomness and ids come in with the input; what is to be done in
 * the world goes out as effects.  A command is sent only to a hive that is there, under an id that makes
 * repeating it harmless; nothing is kept for later.
 *
 * @typedef {import("./lane.js").Lane} Lane
 * @typedef {{phase: "idle"|"opening"|"greeting"|"live"|"away"|"signed_out"|"outdated", since: number,
 *   heard: number, lost: number|null, retry: number|null, tries: number, why: string}} Link
 *   `lost`: when the connection was first lost; `retry`: when the next try is due
 * @typedef {{log_id: string, boot: number, who: string, role: string, version: string, operator: string,
 *   health: Health}} Hive
 * @typedef {{violations: {invariant: number, agent: string|null, text: string}[], refusing: string|null,
 *   counts: Record<string, number>, audit?: {looks: number, full_at: number|null, full_seconds: number},
 *   chaos?: {rate: number, total: number, until: number, seed: number}|null}} Health
 * @typedef {{id: string, name: string, args: any, expect: any, status: "sending"|"arriving"|"done"|"failed",
 *   n: number, result: any, error: {code: string, text: string}|null, tries: number, again: number|null}} Command
 * @typedef {{id: string, key: string, what: string, args: any, status: "asking"|"known"|"failed", data: any,
 *   error: {code: string, text: string}|null}} Answer
 * @typedef {{link: Link, hive: Hive|null, offset: number, lanes: Record<string, Lane>,
 *   commands: Map<string, Command>, answers: Map<string, Answer>, beaten: number, strange: number}} State
 * @typedef {{do: string, now: number, [field: string]: any}} Input
 * @typedef {{do: "open"|"close"|"reload"|"verify"} | {do: "send", frame: object}} Effect
 */

import { JOURNAL, events, newLane, reached, resync, snap, told, waited, welcomed } from "./lane.js";

export const VERSION = 1;
export const BEAT_SECONDS = 10;
export const SILENCE_SECONDS = 25;
export const HANDSHAKE_SECONDS = 10;
export const FIRST_RETRY_SECONDS = 0.25;
export const LONGEST_RETRY_SECONDS = 10;
const JITTER = 0.3;
const KEPT_COMMANDS = 50;
const KEPT_ANSWERS = 50;
const COMMAND_TRIES = 5;

/** Longest body that goes in one frame, and the size of a part, in characters; escaped it is at most six times that. */
const INLINE_CHARACTERS = 30_000;

/** Close codes after which trying again is pointless. @type {Record<number, "signed_out"|"outdated">} */
const FINAL = { 4401: "signed_out", 4403: "signed_out", 4406: "outdated" };

const OFFLINE = { code: "offline", text: "Not connected: nothing was sent. Try again when the page is live." };
const RESTORED = { code: "restored", text: "hive was restored from a backup meanwhile. Look again before repeating this." };

/** @returns {State} */
export function initial() {
  return {
    link: { phase: "idle", since: 0, heard: 0, lost: null, retry: null, tries: 0, why: "" },
    hive: null, offset: 0, lanes: { [JOURNAL]: newLane(JOURNAL) },
    commands: new Map(), answers: new Map(), beaten: 0, strange: 0,
  };
}

/** @param {object} frame @returns {Effect} */
const send = (frame) => ({ do: "send", frame });

/**
 * @param {State} state
 * @param {Input} input
 * @returns {[State, Effect[]]}
 */
export function step(state, input) {
  const act = INPUTS[input.do];
  if (!act) throw new Error(`no such input: ${input.do}`);
  return act(state, input);
}

/** @type {Record<string, (state: State, input: Input) => [State, Effect[]]>} */
const INPUTS = { connect, opened, frame, closed, tick, want, drop, command, ask };

// --- the connection --------------------------------------------------------------------------------

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function connect(state, { now }) {
  const { link } = state;
  if (link.phase !== "idle" && link.phase !== "away") return [state, []];
  return [{ ...state, link: { ...link, phase: "opening", since: now, heard: now, retry: null } }, [{ do: "open" }]];
}

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function opened(state, { now }) {
  const at = Object.fromEntries(
    Object.values(state.lanes).flatMap((lane) => (lane.at ? [[lane.name, lane.at]] : [])),
  );
  const hello = { op: "hello", v: VERSION, at, want: Object.keys(state.lanes) };
  const greeting = state.hive ? { ...hello, log_id: state.hive.log_id } : hello;
  return [{ ...state, link: { ...state.link, phase: "greeting", heard: now }, beaten: now }, [send(greeting)]];
}

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function closed(state, { now, code, why = "", retry_ms: retryMs = 0, roll = 0.5 }) {
  const { link } = state;
  const lanes = eachLane(state, (lane) => ({ ...lane, staging: null, told: null, asked: null }));
  const ended = FINAL[code];
  if (ended) {
    const effects = /** @type {Effect[]} */ (ended === "outdated" ? [{ do: "reload" }] : []);
    return [{ ...state, lanes, link: { ...link, phase: ended, since: now, retry: null, why } }, effects];
  }
  if (link.phase === "signed_out" || link.phase === "outdated" || link.phase === "away") return [state, []];
  const lost = link.lost ?? now;
  const retry = now + Math.max(retryMs / 1000, pause(link.tries, roll));
  /** @type {Effect[]} */
  const effects = link.phase === "live" ? [] : [{ do: "verify" }];
  return [{ ...state, lanes, link: { ...link, phase: "away", since: now, lost, retry, tries: link.tries + 1, why } }, effects];
}

/**
 * Seconds before try number `tries`: at once, then doubling, each spread by 30 %.
 *
 * @param {number} tries
 * @param {number} roll in [0, 1)
 */
export function pause(tries, roll) {
  if (tries === 0) return 0;
  const length = Math.min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (tries - 1));
  return length * (1 + JITTER * (2 * roll - 1));
}

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function tick(state, { now }) {
  const { link } = state;
  switch (link.phase) {
    case "away":
      return link.retry !== null && now >= link.retry ? connect(state, { do: "connect", now }) : [state, []];
    case "opening":
    case "greeting":
      return now - link.since >= HANDSHAKE_SECONDS ? hungUp(state, now, "no answer within 10 s") : [state, []];
    case "live":
      return now - link.heard >= SILENCE_SECONDS ? hungUp(state, now, "nothing heard for 25 s") : upkeep(state, now);
    default:
      return [state, []];
  }
}

/** The other side is silent: leave, and come back. @param {State} state @param {number} now @param {string} why @returns {[State, Effect[]]} */
function hungUp(state, now, why) {
  const [next, effects] = closed(state, { do: "closed", now, code: 4408, why });
  return [next, [{ do: "close" }, ...effects]];
}

/** What a live connection needs now and then. @param {State} state @param {number} now @returns {[State, Effect[]]} */
function upkeep(state, now) {
  /** @type {object[]} */
  const frames = [];
  const lanes = eachLane(state, (lane) => {
    const [next, more] = waited(lane, now);
    frames.push(...more);
    return next;
  });
  let { beaten } = state;
  if (now - beaten >= BEAT_SECONDS) {
    beaten = now;
    const at = Object.fromEntries(Object.values(lanes).map((lane) => [lane.name, reached(lane)]));
    frames.push({ op: "beat", at });
  }
  const commands = new Map(state.commands);
  for (const one of commands.values()) {
    if (one.status !== "sending" || one.again === null || now < one.again) continue;
    commands.set(one.id, { ...one, again: null, tries: one.tries + 1 });
    frames.push(...commandFrames(one));
  }
  return [settle({ ...state, lanes, beaten, commands }), frames.map(send)];
}

/** @param {State} state @param {(lane: Lane) => Lane} change @returns {Record<string, Lane>} */
function eachLane(state, change) {
  return Object.fromEntries(Object.entries(state.lanes).map(([name, lane]) => [name, change(lane)]));
}

// --- frames of the server --------------------------------------------------------------------------

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function frame(state, { frame: received, now }) {
  const heard = { ...state, link: { ...state.link, heard: now } };
  const read = FRAMES[received.op];
  if (!read) return [{ ...heard, strange: state.strange + 1 }, []];
  const [next, frames] = read(heard, received, now);
  return [settle(next), frames.map(send)];
}

/** @type {Record<string, (state: State, received: any, now: number) => [State, object[]]>} */
const FRAMES = {
  welcome,
  snap: (state, received, now) => inLane(state, received.lane, (lane) => snap(lane, received, now)),
  ev: (state, received, now) => inLane(state, received.lane, (lane) => events(lane, received.e, now)),
  resync: (state, received, now) => inLane(state, received.lane, (lane) => [resync(lane, now), []]),
  beat,
  ack,
  got,
  bye: (state) => [state, []], // the socket's close follows, with the code and what this frame said
};

/** @param {State} state @param {string} name @param {(lane: Lane) => [Lane, object[]]} change @returns {[State, object[]]} */
function inLane(state, name, change) {
  const lane = state.lanes[name];
  if (!lane) return [state, []];
  const [next, frames] = change(lane);
  return [next === lane ? state : { ...state, lanes: { ...state.lanes, [name]: next } }, frames];
}

/** @param {State} state @param {any} received @param {number} now @returns {[State, object[]]} */
function welcome(state, received, now) {
  const sameLog = state.hive === null || state.hive.log_id === received.log_id;
  /** @type {object[]} */
  const frames = [];
  const lanes = eachLane(state, (lane) => {
    const [next, more] = welcomed(lane, received, sameLog, now);
    frames.push(...more);
    return next;
  });
  const { log_id, boot, who, role, version, operator, health } = received;
  const hive = { log_id, boot, who, role, version, operator, health };
  const link = { ...state.link, phase: /** @type {const} */ ("live"), since: now, lost: null, retry: null, tries: 0, why: "" };
  const commands = new Map(state.commands);
  for (const one of commands.values()) {
    if (one.status !== "sending" && one.status !== "arriving") continue;
    if (!sameLog) commands.set(one.id, { ...one, status: "failed", error: RESTORED });
    else if (one.status === "sending") frames.push(...commandFrames(one));
  }
  const answers = sameLog ? state.answers : new Map();
  for (const one of answers.values()) if (one.status === "asking") frames.push(askFrame(one));
  return [{ ...state, link, hive, lanes, commands, answers, offset: received.now - now }, frames];
}

/** @param {State} state @param {any} received @param {number} now @returns {[State, object[]]} */
function beat(state, received, now) {
  const lanes = { ...state.lanes };
  for (const [name, n] of Object.entries(received.at)) {
    if (lanes[name]) lanes[name] = told(lanes[name], n, now);
  }
  const hive = state.hive && received.health ? { ...state.hive, health: received.health } : state.hive;
  return [{ ...state, lanes, hive, offset: received.now - now }, []];
}

/** Outcomes that say "repeat this under the same id". */
const REPEATED = new Set(["unknown", "unavailable"]);

/** @param {State} state @param {any} received @param {number} now @returns {[State, object[]]} */
function ack(state, received, now) {
  const known = state.commands.get(received.id);
  if (!known || known.status !== "sending") return [state, []];
  const { ok, n = 0, result = null, error = null } = received;
  /** @type {Command} */
  let answered = { ...known, status: ok ? "arriving" : "failed", n, result, error };
  if (!ok && REPEATED.has(error?.code) && known.tries < COMMAND_TRIES) answered = { ...known, again: now + 1 };
  return [{ ...state, commands: new Map(state.commands).set(known.id, answered) }, []];
}

/** @param {State} state @param {any} received @returns {[State, object[]]} */
function got(state, received) {
  const known = [...state.answers.values()].find((one) => one.id === received.id);
  if (!known) return [state, []];
  /** @type {Answer} */
  const answered = received.ok
    ? { ...known, status: "known", data: received.data, error: null }
    : { ...known, status: "failed", error: received.error };
  return [{ ...state, answers: new Map(state.answers).set(known.key, answered) }, []];
}

/** A command is done when the page shows what it did. @param {State} state @returns {State} */
function settle(state) {
  const n = reached(state.lanes[JOURNAL]);
  const arrived = [...state.commands.values()].filter((one) => one.status === "arriving" && one.n <= n);
  if (!arrived.length) return state;
  const commands = new Map(state.commands);
  for (const one of arrived) commands.set(one.id, { ...one, status: "done" });
  return { ...state, commands };
}

// --- what the person wants -------------------------------------------------------------------------

/** Whether our hello is on its way: lanes may come and go from then on. @param {State} state */
const greeted = ({ link }) => link.phase === "greeting" || link.phase === "live";

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function want(state, { lane: name }) {
  if (state.lanes[name]) return [state, []];
  const next = { ...state, lanes: { ...state.lanes, [name]: newLane(name) } };
  return [next, greeted(state) ? [send({ op: "sub", lane: name })] : []];
}

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function drop(state, { lane: name }) {
  if (name === JOURNAL || !state.lanes[name]) return [state, []];
  const { [name]: _gone, ...lanes } = state.lanes;
  return [{ ...state, lanes }, greeted(state) ? [send({ op: "unsub", lane: name })] : []];
}

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function command(state, { id, name, args, expect = {} }) {
  const live = state.link.phase === "live";
  /** @type {Command} */
  const fresh = {
    id, name, args, expect, status: live ? "sending" : "failed", n: 0, result: null,
    error: live ? null : OFFLINE, tries: 1, again: null,
  };
  const commands = bounded(new Map(state.commands).set(id, fresh), KEPT_COMMANDS, (one) => one.status === "sending");
  return [{ ...state, commands }, live ? commandFrames(fresh).map(send) : []];
}

/** @param {State} state @param {Input} input @returns {[State, Effect[]]} */
function ask(state, { id, key, what, args }) {
  /** @type {Answer} */
  const known = state.answers.get(key) ?? { id, key, what, args, status: "asking", data: null, error: null };
  const fresh = { ...known, id, status: /** @type {const} */ ("asking") };
  const answers = new Map(state.answers);
  answers.delete(key);
  bounded(answers.set(key, fresh), KEPT_ANSWERS, () => false);
  return [{ ...state, answers }, state.link.phase === "live" ? [send(askFrame(fresh))] : []];
}

/** @param {Answer} one */
const askFrame = ({ id, what, args }) => ({ op: "get", id, what, args });

/** A command as frames: a long body goes ahead in parts. @param {Command} one @returns {object[]} */
function commandFrames({ id, name, args, expect }) {
  const { body, ...rest } = args;
  if (typeof body !== "string" || body.length <= INLINE_CHARACTERS) return [{ op: "cmd", id, name, args, expect }];
  const pieces = cut(body);
  const parts = pieces.map((text, n) => ({ op: "part", id, n, text, last: n === pieces.length - 1 }));
  return [...parts, { op: "cmd", id, name, args: { ...rest, body_parts: id }, expect }];
}

/** A text in pieces, none of which ends within a character. @param {string} text @returns {string[]} */
function cut(text) {
  const pieces = [];
  for (let start = 0; start < text.length; ) {
    const code = text.charCodeAt(start + INLINE_CHARACTERS - 1);
    const end = start + INLINE_CHARACTERS - (code >= 0xd800 && code < 0xdc00 ? 1 : 0);
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}

/**
 * @template T
 * @param {Map<string, T>} table
 * @param {number} most
 * @param {(row: T) => boolean} keep
 */
function bounded(table, most, keep) {
  for (const [key, row] of table) {
    if (table.size <= most) break;
    if (!keep(row)) table.delete(key);
  }
  return table;
}
