/**
 * One lane of the protocol at the client: what is applied, what is missing, what is being staged.  Pure.
 *
 * The rule kept here: an event is applied only as the next one after the last.  Anything else is a gap, and a
 * gap is answered by asking again from the last good number; a snapshot is swapped in whole or not at all.
 *
 * @typedef {import("./rows.js").Event} Event
 * @typedef {{n: number, boot: number|null, parts: {kind: string, rows: any[]}[]}} Staging
 * @typedef {{
 *   name: string,
 *   at: [number, number|null]|null,
 *   data: any,
 *   loaded: boolean,
 *   waiting: boolean,
 *   staging: Staging|null,
 *   told: {n: number, since: number}|null,
 *   asked: number|null,
 *   gaps: number,
 *   snapshots: number,
 *   resyncs: number,
 * }} Lane  `at`: number and boot of the last event applied; `waiting`: only a snapshot can help;
 *   `told`: a number a beat named that has not come; `asked`: when a gap was last asked about
 */

import { Unknown, applyJournal, applyStream, emptyJournal, emptyStream, journalOf, streamOf } from "./rows.js";

export const JOURNAL = "j";
export const STREAM = "a:";

/** Seconds for which a number named by a beat may stay unreached. */
export const UNREACHED_SECONDS = 3;

/** Seconds before a lane that stays silent after `sub` is asked for again. */
export const ASK_AGAIN_SECONDS = 10;

/** @param {string} name @returns {Lane} */
export const newLane = (name) => ({
  name, at: null, data: name === JOURNAL ? emptyJournal() : emptyStream(), loaded: false, waiting: true,
  staging: null, told: null, asked: null, gaps: 0, snapshots: 0, resyncs: 0,
});

/** @param {Lane} lane @returns {{op: "sub", lane: string, at?: [number, number|null]}} */
const sub = (lane) => (lane.at ? { op: "sub", lane: lane.name, at: lane.at } : { op: "sub", lane: lane.name });

/** The last number applied. @param {Lane} lane */
export const reached = (lane) => lane.at?.[0] ?? 0;

/**
 * What the welcome said about a lane.  In another log nothing remembered is valid; it is still shown until
 * the snapshot is whole.  Rows of a stream do not tell which boot wrote them, and a power cut may have taken
 * some: a stream is resumed only within the boot it was read in.
 *
 * @param {Lane} lane
 * @param {{log_id: string, boot: number, lanes: Record<string, "resumed"|"snapshot">}} welcome
 * @param {boolean} sameLog
 * @param {number} now
 * @returns {[Lane, object[]]}
 */
export function welcomed(lane, { boot, lanes }, sameLog, now) {
  const resumed = lanes[lane.name] === "resumed";
  const doubtful = resumed && (!sameLog || (lane.name !== JOURNAL && lane.at?.[1] !== boot));
  const waiting = !resumed || doubtful;
  const at = sameLog && !doubtful ? lane.at : null;
  const next = { ...lane, at, waiting, staging: null, told: null, asked: waiting ? now : null };
  return [next, doubtful ? [sub(next)] : []];
}

/**
 * @param {Lane} lane
 * @param {any} frame `snap`
 * @param {number} now
 * @returns {[Lane, object[]]}
 */
export function snap(lane, frame, now) {
  switch (frame.part) {
    case "begin":
      return [{ ...lane, staging: { n: frame.n, boot: frame.boot ?? null, parts: [] } }, []];
    case "rows": {
      if (!lane.staging) return [lane, []];
      const parts = [...lane.staging.parts, { kind: frame.kind, rows: frame.rows }];
      return [{ ...lane, staging: { ...lane.staging, parts } }, []];
    }
    case "end":
      return swap(lane, frame, now);
    default:
      return [lane, []];
  }
}

/** @param {Lane} lane @param {any} frame @param {number} now @returns {[Lane, object[]]} */
function swap(lane, frame, now) {
  const { staging } = lane;
  if (staging?.n !== frame.n) return restart(lane, now);
  const data = lane.name === JOURNAL ? journalOf(staging.parts) : streamOf(staging.parts);
  const swapped = {
    ...lane, data, at: /** @type {[number, number|null]} */ ([staging.n, staging.boot]),
    loaded: true, waiting: false, staging: null, told: null, asked: null, snapshots: lane.snapshots + 1,
  };
  return [swapped, []];
}

/**
 * @param {Lane} lane
 * @param {Event[]} events of one `ev` frame
 * @param {number} now
 * @returns {[Lane, object[]]}
 */
export function events(lane, events, now) {
  if (lane.waiting || lane.staging) return [lane, []];
  const last = reached(lane);
  const news = events.filter(([n]) => n > last);
  if (!news.length) return [lane, []];
  const whole = news.findIndex(([n], index) => n !== last + 1 + index);
  const next = whole < 0 ? news : news.slice(0, whole);
  if (!next.length) return gap(lane, now);
  let data;
  try {
    data = lane.name === JOURNAL ? applyJournal(lane.data, next) : applyStream(lane.data, next);
  } catch (error) {
    if (error instanceof Unknown) return restart(lane, now);
    throw error;
  }
  const [n, , , { boot = lane.at?.[1] ?? null }] = next[next.length - 1];
  const applied = { ...lane, data, at: /** @type {[number, number|null]} */ ([n, boot]), asked: null };
  return whole < 0 ? [applied, []] : gap(applied, now);
}

/** Something between is missing: ask again, once. @param {Lane} lane @param {number} now @returns {[Lane, object[]]} */
function gap(lane, now) {
  if (lane.asked !== null) return [lane, []];
  return [{ ...lane, asked: now, told: null, gaps: lane.gaps + 1 }, [sub(lane)]];
}

/** Only a fresh snapshot can help. @param {Lane} lane @param {number} now @returns {[Lane, object[]]} */
function restart(lane, now) {
  const lost = { ...lane, at: null, waiting: true, staging: null, asked: now, told: null };
  return [lost, [sub(lost)]];
}

/** The server gives this lane up for a snapshot. @param {Lane} lane @param {number} now @returns {Lane} */
export function resync(lane, now) {
  return { ...lane, waiting: true, staging: null, told: null, asked: now, resyncs: lane.resyncs + 1 };
}

/** A beat names the number this lane should have. @param {Lane} lane @param {number} n @param {number} now @returns {Lane} */
export function told(lane, n, now) {
  if (n <= reached(lane)) return lane.told ? { ...lane, told: null } : lane;
  return lane.told ? lane : { ...lane, told: { n, since: now } };
}

/** Time passed. @param {Lane} lane @param {number} now @returns {[Lane, object[]]} */
export function waited(lane, now) {
  if (lane.staging) return [lane, []];
  if (lane.told && reached(lane) >= lane.told.n) return [{ ...lane, told: null }, []];
  if (lane.asked !== null && now - lane.asked >= ASK_AGAIN_SECONDS) {
    return [{ ...lane, asked: now }, [sub(lane)]];
  }
  if (lane.told && !lane.waiting && now - lane.told.since >= UNREACHED_SECONDS) return gap(lane, now);
  return [lane, []];
}
