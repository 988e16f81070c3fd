/** The promise as a light: green while every accepted message is accounted for, red naming what is not. */

import { html } from "../../vendor/htm-preact.js";
import { live, now, state } from "../page.js";
import { clock, count, duration } from "../words.js";
import { Icon } from "./parts.js";

/** Whether the promise is known to hold, known to be broken, or not known. */
function verdict() {
  const health = state.value.hive?.health;
  if (!health) return "unknown";
  return health.violations.length || health.refusing ? "broken" : "kept";
}

/** The light of the top bar. */
export function Light() {
  const how = verdict();
  const words = { kept: "All mail accounted for", broken: "Mail not accounted for", unknown: "Not known yet" };
  return html`
    <a class=${`light ${how} ${live.value ? "" : "old"}`} href="#/" title=${[words[how], checked()].filter(Boolean).join(". ")}>
      <${Icon} name=${how === "broken" ? "i-x" : "i-check"} size="sm" /><span class="txt">${words[how]}</span>
    </a>
  `;
}

/** When all history was last looked through. */
function checked() {
  const audit = state.value.hive?.health?.audit;
  if (!audit) return "";
  return audit.full_at === null ? "First full check under way" : `Last full check ${duration(now.value - audit.full_at)} ago`;
}

/** The whole sentence, with the figures behind it. */
export function Health() {
  const health = state.value.hive?.health;
  if (!health) return html`<div class="promise unknown"><p>Asking whether every message is accounted for.</p></div>`;
  return verdict() === "kept" ? html`<${Kept} counts=${health.counts} />` : html`<${Broken} health=${health} />`;
}

/** @param {{counts: Record<string, number>}} props */
const Kept = ({ counts }) => html`
  <div class="promise kept">
    <${Icon} name="i-check" />
    <p><b>Every accepted message is accounted for</b>${live.value ? null : ` as of ${clock(now.value)}`}</p>
    <p class="checked num">${checked()}</p>
    <${Figures} counts=${counts} />
  </div>
`;

/** @param {{health: import("../store.js").Health}} props */
const Broken = ({ health }) => html`
  <div class="promise broken" role="alert">
    <${Icon} name="i-x" />
    <div>
      <p><b>${health.violations.length ? `hive's promise is broken in ${count(health.violations.length, "place")}` : "hive accepts no mail"}</b></p>
      <ul>
        ${health.refusing ? html`<li>Mail is refused: ${health.refusing}</li>` : null}
        ${health.violations.map((one) => html`<li key=${one.text}>Invariant ${one.invariant}: ${one.text}</li>`)}
      </ul>
      <p class="checked num">${checked()}</p>
      <p class="soft">Keep a copy with <code class="mono">hive backup FILE</code>, then look at <code class="mono">hive doctor</code>.</p>
    </div>
    <${Figures} counts=${health.counts} />
  </div>
`;

/** Accepted is the sum of the rest. @param {{counts: Record<string, number>}} props */
function Figures({ counts }) {
  const { accepted, ready, claimed, blocked, done, dead, removed } = counts;
  const sum = { waiting: ready, "in hand": claimed, held: blocked, done, dead, "kept no longer": removed };
  const terms = Object.entries(sum).filter(([name, value]) => value || name === "done");
  return html`
    <p class="figures num">
      <b>${accepted}</b> accepted ${terms.map(([name, value], index) => html`<span key=${name}>${index ? "+" : "="} <b>${value}</b> ${name}</span> `)}
    </p>
  `;
}
