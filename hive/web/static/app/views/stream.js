/**
 * An agent's stream: a long log in chunks that the browser need not lay out while they are out of sight.
 *
 * The rule kept here: rows are appended and never rebuilt.  The log follows its end only while the person is
 * there.
 *
 * @typedef {import("../rows.js").Event} Row
 */

import { Component, html } from "../../vendor/htm-preact.js";
import { messageAddress } from "../page.js";
import { clock, count } from "../words.js";
import { Icon } from "./parts.js";

const CHUNK_ROWS = 200;
const SLACK_PIXELS = 48;
const FOLDED_LINES = 8;

/** @param {{rows: Row[]}} props rows with rising, contiguous numbers */
function chunks({ rows }) {
  /** @type {{key: number, rows: Row[]}[]} */
  const found = [];
  for (let start = 0; start < rows.length; ) {
    const key = Math.floor(rows[start][0] / CHUNK_ROWS);
    const end = Math.min(rows.length, start + CHUNK_ROWS - (rows[start][0] % CHUNK_ROWS));
    found.push({ key, rows: rows.slice(start, end) });
    start = end;
  }
  return found;
}

/** Draws its rows again only when there are others. */
class Chunk extends Component {
  /** @param {any} next */
  shouldComponentUpdate(next) {
    const rows = /** @type {any} */ (this.props).rows;
    return next.rows.length !== rows.length || next.rows[0] !== rows[0];
  }

  /** @param {any} props */
  render({ rows }) {
    let said = "";
    const lines = rows.map((/** @type {Row} */ [n, at, kind, data]) => {
      // A turn's result is as a rule what the model said last.
      const shown = kind === "result" ? { ...data, repeated: data.text === said } : data;
      if (kind === "say") said = data.text;
      return html`<${Line} key=${n} row=${[n, at, kind, shown]} />`;
    });
    return html`<div class="chunk">${lines}</div>`;
  }
}

/** The log itself, which knows where the person has scrolled to. */
export class Stream extends Component {
  constructor() {
    super();
    /** @type {HTMLElement|null} */ this.log = null;
    this.following = true;
    this.state = { unseen: 0 };
  }

  componentDidMount() {
    this.toEnd();
  }

  /** @param {any} before */
  componentDidUpdate(before) {
    const { rows } = /** @type {any} */ (this.props);
    if (rows === before.rows) return;
    if (this.following) this.toEnd();
    else this.setState({ unseen: this.state.unseen + (rows.at(-1)?.[0] ?? 0) - (before.rows.at(-1)?.[0] ?? 0) });
  }

  toEnd() {
    if (this.log) this.log.scrollTop = this.log.scrollHeight;
  }

  scrolled() {
    const { log } = this;
    if (!log) return;
    this.following = log.scrollHeight - log.scrollTop - log.clientHeight <= SLACK_PIXELS;
    if (this.following && this.state.unseen) this.setState({ unseen: 0 });
  }

  /** @param {any} props */
  render({ rows, dropped, label }) {
    const { unseen } = /** @type {any} */ (this.state);
    return html`
      <div
        class="log" role="log" aria-live="off" aria-label=${label} tabindex="0"
        ref=${(/** @type {HTMLElement|null} */ log) => { this.log = log; }} onScroll=${() => this.scrolled()}
      >
        ${dropped ? html`<p class="empty">Older rows are not kept in the page.</p>` : null}
        ${chunks({ rows }).map((chunk) => html`<${Chunk} key=${chunk.key} rows=${chunk.rows} />`)}
      </div>
      ${unseen > 0 ? html`<button class="newpill" onClick=${() => { this.following = true; this.toEnd(); }}><${Icon} name="i-down" size="xs" />${count(unseen, "new row")}</button>` : null}
    `;
  }
}

/** How each kind of row looks: its icon, its class, its content. @type {Record<string, (data: any) => [string, string, any]>} */
const LINES = {
  mail: ({ id, from, head }) => ["i-msg", "in", html`<a href=${messageAddress(id)}>${from}</a>: ${head}`],
  say: ({ text }) => ["i-say", "say", text],
  think: ({ text }) => ["i-think", "think", text],
  tool: ({ tool, arguments: args }) => ["i-tool", "tool", html`<b>${tool}</b> ${sketch(args)}`],
  output: ({ ok, text }) => ["i-spark", ok ? "out" : "err", folded(text || (ok ? "done" : "failed"))],
  note: ({ what, text }) => ["i-spark", "note", text ? `${what}: ${text}` : what],
  opened: ({ model, tools }) => ["i-bolt", "note", `session opened${model ? `, ${model}` : ""}${tools ? "" : ", without its tools"}`],
  shown: ({ messages }) => ["i-check", "note", `${count(messages.length, "message")} shown to the model`],
  usage: ({ input_tokens: input, output_tokens: output, cost_usd: cost }) => [
    "i-cost", "think", `${input} tokens in, ${output} out${cost ? `, $${cost.toFixed(4)}` : ""}`,
  ],
  result: ({ text, error, detail, repeated }) => {
    if (error) return ["i-x", "err", `${error}: ${detail || text}`];
    return text && !repeated ? ["i-check", "say", text] : ["i-check", "note", "The turn ended well."];
  },
};

/** @param {{row: Row}} props */
function Line({ row: [, at, kind, data] }) {
  const iso = new Date(at * 1000).toISOString();
  const time = html`<time datetime=${iso} title=${iso}>${clock(at)}</time>`;
  if (kind === "turn") {
    return html`<div class="turn"><b>Turn ${data.turn}</b> ${count(data.messages.length, "message")}<span class="end">${time}</span></div>`;
  }
  const [icon, look, content] = LINES[kind]?.(data) ?? ["i-spark", "note", `${kind} ${JSON.stringify(data)}`];
  return html`<div class=${`ln ${look}`}>${time}<${Icon} name=${icon} /><div class="x"><span class="vh">${kind}: </span>${content}</div></div>`;
}

/** The arguments of a call, short. @param {Record<string, unknown>} args */
function sketch(args) {
  const values = Object.entries(args ?? {}).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return values.join(" ");
}

/** A long output behind its first lines. @param {string} text */
function folded(text) {
  const lines = text.trimEnd().split("\n");
  if (lines.length <= FOLDED_LINES) return html`<div class="ob">${lines.join("\n")}</div>`;
  const rest = lines.slice(FOLDED_LINES);
  return html`
    <div class="ob">${lines.slice(0, FOLDED_LINES).join("\n")}
      <details><summary>${count(rest.length, "more line")}</summary>${rest.join("\n")}</details>
    </div>
  `;
}
