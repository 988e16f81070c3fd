/**
 * The page's store against a hive that is cut off, frozen, repeated, restarted and restored at random.
 *
 * `hive` below is a model of the server over recorded histories: it resumes where it knows the row and its
 * boot, gives a snapshot where not, and never runs a command twice.
 */

import { initial, step } from "/static/{{hash}}/app/store.js";
import { journalOf, streamOf } from "/static/{{hash}}/app/rows.js";
import { inForce } from "/static/{{hash}}/app/words.js";

const JOURNAL = "j";

/** A seeded source of numbers in [0, 1). */
function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// --- a model of the server -------------------------------------------------------------------------

class Hive {
  constructor(histories, roll) {
    this.histories = histories;
    this.roll = roll;
    this.answers = new Map();
    this.runs = 0;
    this.branch(0, 0);
  }

  /** Go on with another history from a moment. */
  branch(index, moment) {
    this.index = index;
    this.history = this.histories[index];
    this.at = moment;
    this.events = {};
    for (const one of this.history.moments.slice(0, moment + 1)) this.learn(one);
    this.hangUp();
  }

  learn({ events }) {
    for (const [lane, some] of Object.entries(events)) (this.events[lane] ??= []).push(...some);
  }

  get now() {
    return this.history.moments[this.at];
  }

  get last() {
    return this.at === this.history.moments.length - 1;
  }

  head(lane) {
    return this.now.n[lane] ?? 0;
  }

  hangUp() {
    this.line = null;
  }

  /** A client has connected; what it is sent gathers in `out`. */
  accept() {
    this.line = { out: [], lanes: new Map() };
  }

  commit() {
    if (this.last) return;
    this.at += 1;
    this.learn(this.now);
    for (const lane of this.line?.lanes.keys() ?? []) this.tell(lane);
  }

  /** Everything a lane has not been told, in frames of random length. */
  tell(lane) {
    const sent = this.line.lanes.get(lane);
    let news = this.events[lane].filter(([n]) => n > sent);
    while (news.length) {
      const some = 1 + Math.floor(this.roll() * 6);
      this.line.out.push({ op: "ev", lane, e: news.slice(0, some) });
      news = news.slice(some);
    }
    this.line.lanes.set(lane, this.head(lane));
  }

  snapshot(lane) {
    this.line.out.push(...this.now.snapshots[lane]);
    this.line.lanes.set(lane, this.head(lane));
  }

  subscribe(lane, at) {
    const [n, boot] = at ?? [-1, null];
    const row = this.events[lane]?.[n - 1];
    const known = at && n <= this.head(lane) && (n === 0 || lane !== JOURNAL || row?.[3].boot === boot);
    if (known) this.line.lanes.set(lane, n);
    else this.snapshot(lane);
    if (known) this.tell(lane);
    return known ? "resumed" : "snapshot";
  }

  receive(frame) {
    switch (frame.op) {
      case "hello": {
        const at = frame.log_id === this.history.log_id ? frame.at : {};
        const before = this.line.out.length;
        const lanes = Object.fromEntries(frame.want.map((lane) => [lane, this.subscribe(lane, at[lane])]));
        const boot = this.events[JOURNAL].at(-1)[3].boot;
        const health = { violations: [], refusing: null, counts: {} };
        const welcome = { op: "welcome", v: 1, log_id: this.history.log_id, boot, now: 0, who: "operator", role: "owner", lanes, health };
        this.line.out.splice(before, 0, welcome);
        return;
      }
      case "sub":
        this.subscribe(frame.lane, frame.at);
        return;
      case "cmd":
        this.run(frame);
    }
  }

  /** An id is answered once and repeated word for word. */
  run({ id }) {
    const key = this.history.log_id + id;
    if (!this.answers.has(key)) {
      this.answers.set(key, { op: "ack", id, ok: true, n: this.head(JOURNAL), result: { id } });
      this.runs += 1;
    }
    this.line.out.push(this.answers.get(key));
  }

  beat() {
    const at = Object.fromEntries([...this.line.lanes.keys()].map((lane) => [lane, this.head(lane)]));
    this.line.out.push({ op: "beat", at, now: 0 });
  }

  resync(lane) {
    this.line.out.push({ op: "resync", lane, why: "slow" });
    this.snapshot(lane);
  }
}

// --- the client under trial ------------------------------------------------------------------------

class Page {
  constructor(hive, roll) {
    this.hive = hive;
    this.roll = roll;
    this.now = 0;
    this.state = initial();
    this.connected = null;
  }

  feed(input) {
    const [state, effects] = step(this.state, { roll: this.roll(), ...input, now: this.now });
    this.state = state;
    for (const effect of effects) this.perform(effect);
  }

  perform(effect) {
    if (effect.do === "open") {
      this.hive.accept();
      this.connected = this.hive.line;
    } else if (effect.do === "close") {
      this.connected = null;
      this.hive.hangUp();
    } else if (effect.do === "send" && this.connected && this.connected === this.hive.line) {
      this.hive.receive(JSON.parse(JSON.stringify(effect.frame)));
    }
  }

  /** The network's turn: whatever the state of the line. */
  pass(seconds) {
    this.now += seconds;
    if (this.connected && this.connected !== this.hive.line) {
      this.connected = null;
      this.feed({ do: "closed", code: 1006 });
    }
    if (this.connected && this.state.link.phase === "opening") this.feed({ do: "opened" });
    this.feed({ do: "tick" });
  }

  take() {
    const frame = this.connected?.out.shift();
    if (frame) this.feed({ do: "frame", frame });
    return frame;
  }
}

// --- comparing -------------------------------------------------------------------------------------

const sorted = (rows, key) => [...rows].sort((a, b) => (a[key] < b[key] ? -1 : 1));

/** A lane's data as text that does not depend on the order in which things were learnt. */
function canonical(lane, data, now) {
  if (lane !== JOURNAL) return JSON.stringify(data.rows, keys);
  // A snapshot leaves out a timed reason whose time has come, and the page does not show it.
  const parked = (agent) => sorted(inForce(agent, now), "reason");
  const agents = sorted(data.agents.values(), "name").map((agent) => ({ ...agent, parked: parked(agent) }));
  const tables = { agents, turns: sorted(data.turns.values(), "number"), messages: sorted(data.messages.values(), "number") };
  return JSON.stringify(tables, keys, 1);
}

function keys(_key, value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, value[key]]));
}

function fresh(lane, frames) {
  const parts = frames.filter((frame) => frame.part === "rows");
  return lane === JOURNAL ? journalOf(parts) : streamOf(parts);
}

/** The first line in which two texts differ. */
function difference(ours, theirs) {
  const [a, b] = [ours.split("\n"), theirs.split("\n")];
  const at = a.findIndex((line, index) => line !== b[index]);
  const around = (/** @type {string[]} */ lines) => lines.slice(Math.max(0, at - 8), at + 24).join("\n");
  return `\nours:\n${around(a)}\ntheirs:\n${around(b)}`;
}

/** Whether a lane at rest says what a snapshot of the same number says. */
function check(page, hive, lane, where) {
  const { now, snapshots } = hive.now;
  const [ours, theirs] = [page.state.lanes[lane].data, fresh(lane, snapshots[lane])].map((data) => canonical(lane, data, now));
  if (ours !== theirs) throw new Error(`${where}, lane ${lane}: ${difference(ours, theirs)}`);
}

/** At rest: greeted by this hive, nothing waits, and the last number is the hive's. */
const rests = (page, hive, lane) => {
  const { loaded, waiting, staging, at } = page.state.lanes[lane];
  const greeted = page.connected && page.connected === hive.line && page.state.link.phase === "live";
  return greeted && loaded && !waiting && !staging && at?.[0] === hive.head(lane);
};

// --- one life --------------------------------------------------------------------------------------

const FAULTS = {
  commit: (_page, hive) => hive.commit(),
  deliver: (page) => { for (let n = Math.floor(page.roll() * 6); n >= 0; n -= 1) page.take(); },
  pass: (page) => page.pass(page.roll() * 2),
  beat: (_page, hive) => hive.line && hive.beat(),
  cut: (_page, hive) => hive.hangUp(),
  freeze: (page) => page.pass(30),
  resync: (page, hive, lanes) => {
    const lane = lanes[Math.floor(page.roll() * lanes.length)];
    if (hive.line?.lanes.has(lane)) hive.resync(lane);
  },
  duplicate: (page, hive) => {
    const frame = hive.line?.out.find(({ op }) => op === "ev");
    if (frame) hive.line.out.splice(Math.floor(page.roll() * hive.line.out.length), 0, frame);
  },
  drop: (_page, hive) => {
    const at = hive.line?.out.findIndex(({ op }) => op === "ev") ?? -1;
    if (at >= 0) hive.line.out.splice(at, 1);
  },
  swap: (_page, hive) => {
    const at = hive.line?.out.findIndex(({ op }, index) => op === "ev" && hive.line.out[index + 1]?.op === "ev") ?? -1;
    if (at >= 0) hive.line.out.splice(at, 2, hive.line.out[at + 1], hive.line.out[at]);
  },
  command: (page) => page.feed({ do: "command", id: String(page.roll()), name: "message.send", args: { to: "iris", body: "x" } }),
};

const ODDS = { commit: 4, deliver: 8, pass: 4, beat: 1, cut: 0.4, freeze: 0.2, resync: 0.3, duplicate: 0.6, drop: 0.5, swap: 0.4, command: 0.5 };

function chosen(roll) {
  let left = roll() * Object.values(ODDS).reduce((sum, odd) => sum + odd, 0);
  return Object.keys(ODDS).find((name) => (left -= ODDS[name]) < 0);
}

/** Let everything arrive: no more faults, and time enough. */
function rest(page, hive, lanes) {
  for (let round = 0; round < 60; round += 1) {
    page.pass(1);
    if (hive.line) hive.beat();
    while (page.take());
  }
  for (const lane of lanes) if (!rests(page, hive, lane)) throw new Error(`lane ${lane} never came to rest: ${JSON.stringify({ ...page.state.lanes[lane], data: 0 })}`);
}

function life(histories, seed, counts) {
  const roll = chance(seed);
  const hive = new Hive(histories, roll);
  const page = new Page(hive, roll);
  const lanes = Object.keys(histories[0].moments[0].n);
  page.feed({ do: "connect" });
  for (const lane of lanes.slice(1)) page.feed({ do: "want", lane });
  for (const index of [0, 1, 2]) {
    // The power fails at the moment the second history was copied at; what came later is lost with it.
    if (index) hive.branch(index, shared(histories[index - 1], histories[index]));
    while (!hive.last) {
      const fault = chosen(roll);
      counts[fault] = (counts[fault] ?? 0) + 1;
      FAULTS[fault](page, hive, lanes);
      for (const lane of lanes) if (rests(page, hive, lane) && roll() < 0.05) check(page, hive, lane, `seed ${seed}, within`);
    }
    if (index < 2 && roll() < 0.5) continue; // go on without a rest: the next hive finds it in disorder
    rest(page, hive, lanes);
    for (const lane of lanes) check(page, hive, lane, `seed ${seed}, history ${index}`);
  }
  const { commands, lanes: ended } = page.state;
  for (const { id, status, error } of commands.values()) {
    if (status === "sending" || status === "arriving") throw new Error(`seed ${seed}: command ${id} still ${status}`);
    if (status === "failed" && !["offline", "restored"].includes(error.code)) throw new Error(`seed ${seed}: ${error.code}`);
  }
  counts.ran = (counts.ran ?? 0) + hive.runs;
  for (const { gaps, snapshots, resyncs } of Object.values(ended)) {
    counts.gaps = (counts.gaps ?? 0) + gaps;
    counts.snapshots = (counts.snapshots ?? 0) + snapshots;
    counts.resyncs = (counts.resyncs ?? 0) + resyncs;
  }
}

/** The last moment two histories have in common. */
function shared(before, after) {
  let at = 0;
  const same = (index) => JSON.stringify(before.moments[index]?.events) === JSON.stringify(after.moments[index]?.events);
  while (same(at + 1)) at += 1;
  return at;
}

/** Live so many lives, one for each seed; returns how often each fault struck. */
function live(histories, seeds) {
  const counts = {};
  for (const seed of seeds) life(histories, seed, counts);
  return counts;
}

/** Apply a whole history's events to its first snapshot and compare with its last. */
function straight(histories) {
  const [history] = histories;
  const hive = new Hive(histories, () => 0.5);
  const page = new Page(hive, () => 0.5);
  const lanes = Object.keys(history.moments[0].n);
  page.feed({ do: "connect" });
  for (const lane of lanes.slice(1)) page.feed({ do: "want", lane });
  while (!hive.last) {
    page.pass(0.1);
    while (page.take());
    hive.commit();
  }
  while (page.take());
  for (const lane of lanes) {
    if (!rests(page, hive, lane)) throw new Error(`lane ${lane} is not at rest`);
    check(page, hive, lane, "straight");
  }
  return lanes.map((lane) => page.state.lanes[lane].snapshots);
}

window.trial = { live, straight, step, initial };
