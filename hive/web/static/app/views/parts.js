/** Small pieces that every view uses.  Text is text: nothing here ever parses markup. */

import { html } from "../../vendor/htm-preact.js";
import { now } from "../page.js";
import { GLYPHS, when } from "../words.js";

const ICONS = new URL("../../icons.svg", import.meta.url).href;

/** @param {{name: string, size?: string}} props */
export const Icon = ({ name, size = "" }) => html`
  <svg class=${`i ${size}`} aria-hidden="true"><use href=${`${ICONS}#${name}`} /></svg>
`;

const HEXAGON = "M8 1 14.1 4.5v7L8 15 1.9 11.5v-7z";

/** What stands within the hexagon. @type {Record<string, () => any>} */
const MARKS = {
  waiting: () => html`<path class="m" d="M8 4.8v3.7M8 11.1v.1" />`,
  error: () => html`<path class="m" d="m6 6 4 4M10 6l-4 4" />`,
  working: () => html`<circle class="m breathe" cx="8" cy="8" r="2.2" />`,
  tool: () => html`<path class="m" d="M8 4.6 11 6.3v3.4L8 11.4 5 9.7V6.3z" />`,
  blocked: () => html`<path class="m" d="M6.4 5.9v4.2M9.6 5.9v4.2" />`,
};

/** A state as shape, fill and colour. @param {{glyph: string, label?: string}} props */
export const Glyph = ({ glyph, label }) => html`
  <svg
    class=${`g g-${glyph}`} viewBox="0 0 16 16" role=${label === "" ? undefined : "img"}
    aria-label=${label === "" ? undefined : (label ?? GLYPHS[glyph])} aria-hidden=${label === "" ? "true" : undefined}
  >
    <path class="h" d=${HEXAGON} />${MARKS[glyph]?.()}
  </svg>
`;

/** The three cells of hive. */
export const Mark = () => html`
  <svg class="mark" viewBox="0 0 26 26" aria-hidden="true">
    <path d="M13 1.8 17.8 4.6v5.6L13 13 8.2 10.2V4.6Z" class="mk" />
    <path d="m7.6 11.7 4.8 2.8v5.6l-4.8 2.8-4.8-2.8v-5.6Z" />
    <path d="m18.4 11.7 4.8 2.8v5.6l-4.8 2.8-4.8-2.8v-5.6Z" />
  </svg>
`;

/** A moment, with the whole of it in the title. @param {{at: number}} props */
export const Time = ({ at }) => {
  const iso = new Date(at * 1000).toISOString();
  return html`<time datetime=${iso} title=${iso}>${when(at, now.value)}</time>`;
};

/** @param {{id: string, title: any, count?: number|string, end?: any, children: any, class?: string}} props */
export const Panel = ({ id, title, count, end, children, class: more = "" }) => html`
  <section class=${`panel ${more}`} aria-labelledby=${id}>
    <header>
      <h2 id=${id}>${title}</h2>
      ${count === undefined ? null : html`<span class="count">${count}</span>`}
      ${end ? html`<div class="end">${end}</div>` : null}
    </header>
    ${children}
  </section>
`;

/** Nothing is here, and what to type for there to be something. @param {{text: string, type?: string}} props */
export const Empty = ({ text, type }) => html`
  <p class="empty">
    ${text} ${type ? html`<code class="mono">${type}</code>` : null}
  </p>
`;

/** Who to whom. @param {{message: {from: string, to: string, label?: string|null}}} props */
export const Between = ({ message }) => html`
  <span class="who">
    <b>${message.from}</b>${message.label ? html`<span class="mute">“${message.label}”</span>` : null}
    <${Icon} name="i-arrow" size="xs" /><span class="vh">to</span><b>${message.to}</b>
  </span>
`;
