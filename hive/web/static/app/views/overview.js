/** The first page: what needs a person, who does what, and what they say to each other. */

import { html } from "../../vendor/htm-preact.js";
import { useSignal } from "../../vendor/signals.js";
import { agentAddress, journal, loaded, messageAddress, now } from "../page.js";
import { unfinished, unread } from "../rows.js";
import { GLYPHS, KINDS, STATES, count, duration, inForce, needsYou, oneLine, parkedWords, standing, stopwatch } from "../words.js";
import { Act, Unpark } from "./act.js";
import { Composer } from "./composer.js";
import { Health } from "./health.js";
import { Between, Empty, Glyph, Icon, Panel, Time } from "./parts.js";

const SHOWN_MESSAGES = 100;

export function Overview() {
  if (!loaded.value) return html`<main id="main" class="main" tabindex="-1"><p class="skeleton" role="status">Reading the hive.</p></main>`;
  return html`
    <main id="main" class="main" tabindex="-1">
      <${Statement} />
      <div class="cols">
        <div class="col"><${NeedsYou} /><${Agents} /></div>
        <div class="col"><${Send} /><${Traffic} /></div>
      </div>
    </main>
  `;
}

// --- the statement ---------------------------------------------------------------------------------

/** Agents by what they are doing, most pressing first. @returns {[string, number][]} */
function tally() {
  const found = new Map(Object.keys(GLYPHS).map((glyph) => [glyph, 0]));
  for (const agent of journal.value.agents.values()) {
    const { glyph } = standing(agent, now.value);
    found.set(glyph, (found.get(glyph) ?? 0) + 1);
  }
  return [...found].filter(([, number]) => number);
}

function sentence() {
  const { agents } = journal.value;
  const counts = Object.fromEntries(tally());
  const held = blockedMail().length;
  const needs = [
    counts.waiting ? `${count(counts.waiting, "agent")} ${counts.waiting === 1 ? "needs" : "need"} you` : "",
    counts.error ? `${counts.error} crashed` : "",
    held ? `${count(held, "message")} held for you` : "",
  ].filter(Boolean);
  if (needs.length) return needs.join(", ");
  return agents.size ? "Nothing needs you" : "No agents yet";
}

function Statement() {
  const { agents, messages } = journal.value;
  const working = [...agents.values()].filter((agent) => agent.turn !== null).length;
  const waiting = [...messages.values()].filter((message) => unfinished(message) && message.to !== "operator").length;
  return html`
    <section class="state" aria-labelledby="st">
      <div>
        <h1 id="st">${sentence()}</h1>
        <p class="sub">
          ${agents.size ? `${working} of ${count(agents.size, "agent")} ${working === 1 ? "is" : "are"} in a turn, ${count(waiting, "message")} unfinished.` : "A hive begins with one."}
        </p>
      </div>
      <${Bar} />
      <${Health} />
    </section>
  `;
}

const GAP = 4;

function Bar() {
  const parts = tally();
  if (!parts.length) return null;
  const total = parts.reduce((sum, [, number]) => sum + number, 0);
  const room = 1_000 - GAP * (parts.length - 1);
  let x = 0;
  const drawn = parts.map(([glyph, number]) => {
    const width = (room * number) / total;
    const part = html`<rect key=${glyph} class=${glyph} x=${x} width=${width} height="8" rx="2" />`;
    x += width + GAP;
    return part;
  });
  return html`
    <svg class="bar" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">${drawn}</svg>
    <ul class="legend" aria-label="Agents by state">
      ${parts.map(([glyph, number]) => html`<li key=${glyph}><${Glyph} glyph=${glyph} label="" /><span><b>${number}</b> ${GLYPHS[glyph]}</span></li>`)}
    </ul>
  `;
}

// --- what needs a person ---------------------------------------------------------------------------

const blockedMail = () => [...journal.value.messages.values()].filter((message) => message.state === "blocked");

function NeedsYou() {
  const held = blockedMail();
  const parked = [...journal.value.agents.values()].flatMap((agent) =>
    inForce(agent, now.value)
      .filter((one) => needsYou(parkedWords(one.reason)))
      .map((one) => ({ agent, one })),
  );
  const total = held.length + parked.length;
  if (!total) return null; // the first sentence of the page has said so
  return html`
    <${Panel} id="needs" title="Needs you" count=${total}>
      ${parked.map(({ agent, one }) => html`<${ParkedCard} key=${agent.name + one.reason} agent=${agent} one=${one} />`)}
      ${held.map((message) => html`<${HeldCard} key=${message.id} message=${message} />`)}
    <//>
  `;
}

/** @param {{agent: import("../rows.js").Agent, one: import("../rows.js").Parked}} props */
function ParkedCard({ agent, one }) {
  const { glyph, words, way } = parkedWords(one.reason);
  return html`
    <article class=${`need ${glyph}`}>
      <${Glyph} glyph=${glyph} />
      <h3><a href=${agentAddress(agent.name)}>${agent.name}</a>: ${words}</h3>
      <p class="meta">${one.detail ? html`<span>${one.detail}</span>` : null}<span>for ${duration(now.value - one.since)}</span><span>way out: ${way}</span></p>
      <div class="acts"><${Unpark} agent=${agent.name} reason=${one.reason} class="honey" /></div>
    </article>
  `;
}

/** @param {{message: import("../rows.js").Message}} props */
const HeldCard = ({ message }) => html`
  <article class="need waiting">
    <${Glyph} glyph="waiting" />
    <h3><a href=${messageAddress(message.id)}>Message #${message.number}</a> is held by the loop guard</h3>
    <p class="meta"><span>${message.from} to ${message.to}</span><span>${message.why}</span></p>
    <div class="acts">
      <${Act} name="message.release" args=${{ message: message.id }} expect=${{ state: "blocked" }} class="honey">Release<//>
      <${Act} name="message.bury" args=${{ message: message.id }} expect=${{ state: "blocked" }}>Bury<//>
    </div>
  </article>
`;

// --- agents ----------------------------------------------------------------------------------------

function Agents() {
  const agents = [...journal.value.agents.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  /** @type {Map<string, number>} */
  const mail = new Map();
  for (const message of journal.value.messages.values()) {
    if (unfinished(message)) mail.set(message.to, (mail.get(message.to) ?? 0) + 1);
  }
  return html`
    <${Panel} id="agents" title="Agents" count=${agents.length}>
      ${agents.length ? html`
        <table class="t">
          <thead><tr><th scope="col">Agent</th><th scope="col">Doing</th><th scope="col">Turn</th><th scope="col">Mail</th></tr></thead>
          <tbody>${agents.map((agent) => html`<${AgentRow} key=${agent.name} agent=${agent} mail=${mail.get(agent.name) ?? 0} />`)}</tbody>
        </table>
      ` : html`<${Empty} text="No agents yet. Type" type="hive spawn boss --backend scripted --manager" />`}
    <//>
  `;
}

/** @param {{agent: import("../rows.js").Agent, mail: number}} props */
function AgentRow({ agent, mail }) {
  const { glyph, word } = standing(agent, now.value);
  const turn = agent.turn === null ? undefined : journal.value.turns.get(agent.turn);
  return html`
    <tr>
      <th scope="row"><a class="who" href=${agentAddress(agent.name)}><${Glyph} glyph=${glyph} label=${word} />${agent.name}</a></th>
      <td class=${turn || !agent.parked.length ? "doing" : "doing whole"}><div><span class="word">${word}</span> ${doing(agent, turn)}</div></td>
      <td class="num mono">${turn ? stopwatch(now.value - turn.started_at) : html`<span class="mute" aria-label="no turn">–</span>`}</td>
      <td class="num mono">${mail || html`<span class="mute">0</span>`}</td>
    </tr>
  `;
}

/**
 * What an agent is at, in words: why it does not wake, what it works on, or what it last said of itself.
 *
 * @param {import("../rows.js").Agent} agent
 * @param {import("../rows.js").Turn|undefined} turn
 */
function doing(agent, turn) {
  const [parked] = inForce(agent, now.value);
  if (parked && !turn) {
    const { words, way } = parkedWords(parked.reason);
    const left = parked.until === null ? "" : `, ${duration(parked.until - now.value)} left`;
    return `${words}${parked.detail ? ` (${parked.detail})` : ""}${left}. Way out: ${way}.`;
  }
  if (agent.status) return html`${agent.status} ${agent.status_at === null ? null : html`<span class="mute">${duration(now.value - agent.status_at)} ago</span>`}`;
  const first = turn && journal.value.messages.get(turn.messages[0]);
  return first ? `on ${first.from}'s “${oneLine(first.head)}”` : agent.settings.purpose;
}

// --- mail ------------------------------------------------------------------------------------------

const Send = () => html`
  <${Panel} id="send" title="Send">
    ${journal.value.agents.size ? html`<${Composer} />` : html`<${Empty} text="There is nobody to write to yet." />`}
  <//>
`;

function Traffic() {
  const mine = useSignal(false);
  const all = [...journal.value.messages.values()].reverse();
  const toMe = all.filter((message) => message.to === "operator");
  const fresh = toMe.filter(unread).length;
  const shown = (mine.value ? toMe : all).slice(0, SHOWN_MESSAGES);
  const choose = (/** @type {boolean} */ value) => () => { mine.value = value; };
  const end = html`
    <div class="seg" role="group" aria-label="Which messages">
      <button aria-pressed=${!mine.value} onClick=${choose(false)}>All</button>
      <button aria-pressed=${mine.value} onClick=${choose(true)}>To you${fresh ? html` <b class="num">${fresh}</b>` : null}</button>
    </div>
  `;
  return html`
    <${Panel} id="traffic" title="Traffic" end=${end}>
      ${shown.length ? html`<ul class="feed">${shown.map((message) => html`<${MessageRow} key=${message.id} message=${message} />`)}</ul>`
        : html`<${Empty} text=${mine.value ? "Nobody has written to you." : "No messages yet. Type"} type=${mine.value ? undefined : "hive send manager 'hello' --wait"} />`}
    <//>
  `;
}

/** @type {Record<string, string>} */
const KIND_ICONS = { notify: "i-bell", restarted: "i-bolt", undelivered: "i-x", cancelled: "i-stop", kick: "i-bolt", wake: "i-bolt", next_turn: "i-clock" };

/** One message in one or two lines. @param {{message: import("../rows.js").Message}} props */
export const MessageRow = ({ message }) => html`
  <li class=${`${message.state} ${unread(message) ? "unread" : ""} ${message.provenance === "system" ? "sys" : ""}`}>
    <a href=${messageAddress(message.id)}>
      <${Time} at=${message.at} />
      <${Icon} name=${KIND_ICONS[message.kind] ?? (message.broadcast ? "i-cast" : "i-msg")} size="sm" />
      <${Between} message=${message} />
      <span class="tags">
        ${message.kind === "message" ? null : html`<span class="mute">${KINDS[message.kind] ?? message.kind}</span>`}
        ${unread(message) ? html`<span class="chip">unread</span>` : null}
        <span class=${`chip st-${message.state}`}>${STATES[message.state] ?? message.state}</span>
      </span>
      <span class="head">${oneLine(message.head)}</span>
    </a>
  </li>
`;
