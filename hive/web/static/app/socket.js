/**
 * The store's way to the world: a websocket, a clock, ids.  It decides nothing.
 *
 * The rule kept here: there is one socket at a time, and what an older one still says is not heard.
 *
 * @typedef {import("./store.js").State} State
 * @typedef {import("./store.js").Input} Input
 * @typedef {import("./store.js").Effect} Effect
 */

import { initial, step } from "./store.js";

const TICK_MS = 250;
const SUBPROTOCOL = "hive.1";

/** 128 random bits in hexadecimal. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Holds the state, feeds it, and does what it asks for. */
export class Client {
  /** @param {string} url @param {(state: State) => void} changed called after every change */
  constructor(url, changed) {
    this.state = initial();
    /** @private */ this.url = url;
    /** @private */ this.changed = changed;
    /** @private @type {WebSocket|null} */ this.socket = null;
    /** @private @type {{why: string, retry_ms: number}|null} */ this.goodbye = null;
  }

  /** Connect, and keep being connected. */
  start() {
    setInterval(() => this.feed({ do: "tick" }), TICK_MS);
    addEventListener("online", () => this.feed({ do: "connect" }));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.feed({ do: "connect" });
    });
    this.feed({ do: "connect" });
  }

  /** @param {Omit<Input, "now">} input */
  feed(input) {
    const now = performance.now() / 1000;
    const [state, effects] = step(this.state, /** @type {Input} */ ({ roll: Math.random(), ...input, now }));
    const before = this.state;
    this.state = state;
    for (const effect of effects) this.perform(effect);
    if (this.state !== before) this.changed(this.state);
  }

  /** Send a command. @param {string} name @param {object} args @param {object} [expect] @returns {string} its id */
  command(name, args, expect) {
    const id = newId();
    this.feed({ do: "command", id, name, args, expect });
    return id;
  }

  /** Ask for detail; the answer appears in the state under `key`. @param {string} key @param {string} what @param {object} args */
  ask(key, what, args) {
    this.feed({ do: "ask", id: newId(), key, what, args });
  }

  /** @private @param {Effect} effect */
  perform(effect) {
    switch (effect.do) {
      case "open":
        return this.open();
      case "send":
        return this.socket?.send(JSON.stringify(effect.frame));
      case "close":
        return this.leave();
      case "reload":
        return reloadOnce();
      case "verify":
        return void this.verify();
    }
  }

  /** @private */
  open() {
    this.leave();
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.socket = socket;
    this.goodbye = null;
    const current = (/** @type {(event: any) => void} */ handle) => (/** @type {any} */ event) => {
      if (this.socket === socket) handle(event);
    };
    socket.onopen = current(() => this.feed({ do: "opened" }));
    socket.onmessage = current(({ data }) => this.hear(JSON.parse(data)));
    socket.onclose = current(({ code }) => {
      this.socket = null;
      this.feed({ do: "closed", code, ...this.goodbye });
    });
  }

  /** @private @param {any} frame */
  hear(frame) {
    if (frame.op === "bye") this.goodbye = { why: frame.why, retry_ms: frame.retry_ms };
    this.feed({ do: "frame", frame });
  }

  /** @private */
  leave() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  /** A browser does not tell why a handshake was refused; the page's own address does. @private */
  async verify() {
    const answer = await fetch("/", { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) this.feed({ do: "closed", code: 4401, why: "your login has ended" });
  }
}

/** The protocol has moved on: load the page again, but not for ever. */
function reloadOnce() {
  const key = "hive.reloaded";
  if (sessionStorage.getItem(key)) return;
  sessionStorage.setItem(key, "yes");
  location.reload();
}
