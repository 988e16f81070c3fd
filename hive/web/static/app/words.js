/**
 * How the page says things.  Pure; the tables mirror hive's own words for park reasons and outcomes.
 *
 * @typedef {import("./rows.js").Agent} Agent
 * @typedef {import("./rows.js").Turn} Turn
 * @typedef {import("./rows.js").Message} Message
 * @typedef {import("./rows.js").Journal} Journal
 * @typedef {"waiting"|"error"|"working"|"tool"|"blocked"|"starting"|"idle"|"stopped"} Glyph
 * @typedef {{glyph: Glyph, word: string}} Standing
 */

/** Standings in the order in which a person should look at them. @type {Record<Glyph, string>} */
export const GLYPHS = {
  waiting: "needs you",
  error: "crashed",
  working: "working",
  tool: "running a tool",
  blocked: "held up",
  starting: "starting",
  idle: "idle",
  stopped: "stopped",
};

/**
 * Park reasons: how they look, what they are called, and what ends them.  `by` names the command that does,
 * `act` the button that gives it.
 *
 * @type {Record<string, {glyph: Glyph, word: string, words: string, way: string, by?: "resume"|"start"|"kick", act?: string, timed?: boolean}>}
 */
export const PARKED = {
  paused: { glyph: "stopped", word: "paused", words: "paused by the operator", way: "resume it", by: "resume", act: "Resume" },
  backoff: {
    glyph: "blocked", word: "backing off", words: "backing off after a failure", way: "wait, or kick it", by: "kick", act: "Wake now",
    timed: true,
  },
  login: { glyph: "waiting", word: "needs a login", words: "its CLI is not logged in", way: "give it a key (hive secret set)", by: "resume", act: "It is logged in" },
  limit: { glyph: "blocked", word: "rate limited", words: "its model's rate limit is reached", way: "wait for the limit to reset", timed: true },
  budget: { glyph: "waiting", word: "out of budget", words: "its budget is spent", way: "raise the budget, then tell hive", by: "resume", act: "The budget is raised" },
  restarts: { glyph: "error", word: "crashed", words: "its harness crashed too often", way: "start it again", by: "resume", act: "Start it again" },
  failing: { glyph: "waiting", word: "failing", words: "two dead letters without a success between", way: "let it try again", by: "resume", act: "Let it try again" },
  box_down: { glyph: "starting", word: "starting", words: "its box is down", way: "hive starts it again by itself" },
  stopped: { glyph: "stopped", word: "stopped", words: "stopped by the operator", way: "start it", by: "start", act: "Start" },
  slot: { glyph: "blocked", word: "waiting for a slot", words: "waiting for a free slot", way: "a running turn ends" },
  client: { glyph: "idle", word: "waits for its client", words: "waiting for its own client", way: "its MCP client connects and calls recv" },
  interrupted: { glyph: "waiting", word: "interrupted", words: "interrupted too often on the same mail", way: "let it try again", by: "resume", act: "Let it try again" },
  unreachable: { glyph: "blocked", word: "tools unreachable", words: "its tools endpoint is down", way: "hive tries again by itself", timed: true },
};

/** A reason this version of the page does not know stands for itself. @param {string} reason */
export const parkedWords = (reason) =>
  PARKED[reason] ?? { glyph: /** @type {Glyph} */ ("blocked"), word: reason, words: reason, way: "hive why tells more" };

/** Reasons in force: the end of a timed one needs no event. @param {Agent} agent @param {number} now */
export function inForce(agent, now) {
  return agent.parked.filter(({ reason, until }) => until === null || !parkedWords(reason).timed || now < until);
}

const ORDER = Object.keys(GLYPHS);

/**
 * What an agent is doing, in one word and one glyph.
 *
 * @param {Agent} agent
 * @param {number} now server time, seconds
 * @returns {Standing}
 */
export function standing(agent, now) {
  const reasons = inForce(agent, now).map((parked) => parkedWords(parked.reason));
  const worst = reasons.sort((a, b) => ORDER.indexOf(a.glyph) - ORDER.indexOf(b.glyph))[0];
  const needsPerson = worst && (worst.glyph === "waiting" || worst.glyph === "error");
  if (agent.turn !== null && !needsPerson) return { glyph: "working", word: "working" };
  return worst ? { glyph: worst.glyph, word: worst.word } : { glyph: "idle", word: "idle" };
}

/** Whether only a person can help. @param {Standing} standing */
export const needsYou = ({ glyph }) => glyph === "waiting" || glyph === "error";

/** What a message's state is called. @type {Record<string, string>} */
export const STATES = { ready: "waiting", claimed: "in hand", blocked: "held", done: "done", dead: "dead" };

/** What a message is for, where it is not simply a message. @type {Record<string, string>} */
export const KINDS = {
  message: "message", notify: "notice", next_turn: "note to self", wake: "wake-up", kick: "kick",
  restarted: "restart note", undelivered: "undelivered", cancelled: "cancelled",
};

/** How each step of a message's life is told. @type {Record<string, (data: any) => string>} */
export const STEPS = {
  "msg.sent": ({ from, to }) => `Accepted from ${from} for ${to}`,
  "msg.claimed": ({ turn, to, holder }) => (turn === null ? `Leased to ${holder ?? `${to}'s client`}` : `Taken by turn ${turn} of ${to}`),
  "msg.seen": ({ turn }) => (turn === null ? "Shown to the model" : `Shown to the model in turn ${turn}`),
  "msg.released": () => "Given back to the front of the queue, uncharged",
  "msg.retried": ({ attempts }) => `Its turn failed; attempt ${attempts} was charged`,
  "msg.done": () => "Done",
  "msg.dead": () => "Became a dead letter",
  "msg.unblocked": () => "Released from the loop guard",
  "msg.read": () => "Read by the operator",
  "msg.unread": () => "Marked as unread",
  "msg.redriven": (data) => `Brought back as ${data.as}`,
};

/** @param {any} event its type and data */
export const stepWords = ({ type, data }) => STEPS[type]?.(data) ?? type;

// --- numbers and times -----------------------------------------------------------------------------

/** `1 message`, `3 messages`. @param {number} number @param {string} noun @param {string} [plural] */
export const count = (number, noun, plural = `${noun}s`) => `${number} ${number === 1 ? noun : plural}`;

/** A stopwatch: `0:12`, `2:41`, `1:02:41`. @param {number} seconds */
export function stopwatch(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A length of time in its largest fitting unit. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [unit, size] of /** @type {[string, number][]} */ ([["d", 86_400], ["h", 3_600], ["min", 60]])) {
    if (whole >= size) return `${Math.floor(whole / size)} ${unit}`;
  }
  return `${whole} s`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** How long something took, to a tenth of a second while that says something. @param {number} seconds */
export const took = (seconds) => (seconds < 10 ? `${Math.max(0, seconds).toFixed(1)} s` : duration(seconds));

/** `14:04:52`. @param {number} at seconds */
export const clock = (at) => CLOCK.format(at * 1000);

/** The time of day, with the date when it is another day's. @param {number} at @param {number} now */
export function when(at, now) {
  const [then, today] = [new Date(at * 1000), new Date(now * 1000)];
  return then.toDateString() === today.toDateString() ? clock(at) : `${DAY.format(then)} ${clock(at)}`;
}

/** Bytes as people say them. @param {number} size */
export function bytes(size) {
  if (size < 1024) return `${size} B`;
  return size < 1024 * 1024 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1024 / 1024).toFixed(1)} MiB`;
}

/** A text in one line. @param {string} text */
export const oneLine = (text) => text.replace(/\s+/g, " ").trim();
