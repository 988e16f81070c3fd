/**
 * What the views read: signals over the client's state, the address and a clock.
 *
 * The rule kept here: the page is drawn at most once a frame, or every 250 ms where frames are rare, and no
 * clock runs while the page shows something that is not live.
 *
 * @typedef {import("./store.js").State} State
 */

import { computed, signal } from "../vendor/signals.js";
import { Client } from "./socket.js";
import { JOURNAL, reached } from "./lane.js";

const SLOWEST_FLUSH_MS = 250;
const WOBBLE_SECONDS = 2;

export const client = new Client(`${location.origin.replace(/^http/, "ws")}/ws`, flushSoon);

/** The state as drawn. @type {import("../vendor/signals.js").Signal<State>} */
export const state = signal(client.state);

/** Seconds since the page was opened, once a second while it is visible. */
const ticks = signal(0);

export const journal = computed(() => state.value.lanes[JOURNAL].data);
export const loaded = computed(() => state.value.lanes[JOURNAL].loaded);
export const live = computed(() => state.value.link.phase === "live");
export const mayAct = computed(() => live.value && state.value.hive?.role !== "viewer");

/** When what is shown was last known to be true, in the server's time; it stands still while not connected. */
export const now = computed(() => {
  const { link, offset } = state.value;
  return (link.phase === "live" ? ticks.value : link.heard) + offset;
});

/** How fresh the page is. */
export const freshness = computed(() => {
  const { link, lanes } = state.value;
  const away = link.lost === null ? 0 : ticks.value - link.lost;
  if (link.phase === "signed_out" || link.phase === "outdated") return link.phase;
  if (link.phase === "live") return lanes[JOURNAL].waiting ? "catching_up" : "live";
  if (!lanes[JOURNAL].loaded && link.lost === null) return "connecting";
  return away < WOBBLE_SECONDS && lanes[JOURNAL].loaded ? "live" : "offline";
});

/** Seconds until the next try to connect. */
export const nextTry = computed(() => {
  const { retry } = state.value.link;
  return retry === null ? 0 : Math.max(0, Math.ceil(retry - ticks.value));
});

// --- drawing ---------------------------------------------------------------------------------------

let due = 0;
let late = 0;

function flushSoon() {
  if (late) return;
  due = requestAnimationFrame(flush);
  late = setTimeout(flush, SLOWEST_FLUSH_MS);
}

function flush() {
  cancelAnimationFrame(due);
  clearTimeout(late);
  late = 0;
  ticks.value = performance.now() / 1000;
  state.value = client.state;
  // Preact draws in a microtask or two after the signal; a turn of the loop later it has.
  setTimeout(settle);
}

function tick() {
  if (!document.hidden) ticks.value = performance.now() / 1000;
}
setInterval(tick, 1_000);

// --- for tests -------------------------------------------------------------------------------------

/** @type {{n: number, resolve: (n: number) => void}[]} */
let waiting = [];

function settle() {
  const n = reached(state.value.lanes[JOURNAL]);
  const ripe = waiting.filter((one) => loaded.value && n >= one.n);
  waiting = waiting.filter((one) => !ripe.includes(one));
  for (const one of ripe) one.resolve(n);
}

/** Resolves when the page shows event `n` of the journal. @param {number} n @returns {Promise<number>} */
export function settled(n) {
  return new Promise((resolve) => {
    waiting.push({ n, resolve });
    setTimeout(settle);
  });
}

// --- the address -----------------------------------------------------------------------------------

/**
 * @typedef {{page: "overview"} | {page: "agent", name: string} | {page: "message", id: string}
 *   | {page: "nothing"}} Route
 * @param {string} hash
 * @returns {Route}
 */
export function routeOf(hash) {
  const [page = "", ...rest] = hash.replace(/^#?\/?/, "").split("/").map(decoded);
  const what = rest.join("/");
  if (page === "" && !what) return { page: "overview" };
  if (page === "agent" && what) return { page, name: what };
  if (page === "message" && what) return { page, id: what };
  return { page: "nothing" };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal(routeOf(location.hash));
addEventListener("hashchange", () => {
  route.value = routeOf(location.hash);
});

/** @param {string} name */
export const agentAddress = (name) => `#/agent/${encodeURIComponent(name)}`;

/** @param {string} id */
export const messageAddress = (id) => `#/message/${encodeURIComponent(id)}`;
