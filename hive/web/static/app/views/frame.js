/** What surrounds every page: who is here, how fresh it is, and where the person is. */

import { html } from "../../vendor/htm-preact.js";
import { agentAddress, client, freshness, journal, loaded, nextTry, now, route, state } from "../page.js";
import { theme, toggleTheme } from "../theme.js";
import { clock, count, needsYou, standing, stopwatch } from "../words.js";
import { Light } from "./health.js";
import { Glyph, Icon, Mark } from "./parts.js";

const MINUTE = 60;

// --- top -------------------------------------------------------------------------------------------

/** @type {Record<string, string>} */
const FRESH_WORDS = {
  live: "Live", connecting: "Connecting", catching_up: "Catching up", offline: "Not connected",
  signed_out: "Signed out", outdated: "Out of date",
};

export function Top() {
  const role = state.value.hive?.role;
  return html`
    <header class="top">
      <a class="brand only-m" href="#/" aria-label="hive, overview"><${Mark} /></a>
      <${Crumb} />
      <div class="right">
        ${role === "viewer" ? html`<span class="chip">read only</span>` : null}
        <${Light} />
        <${Freshness} />
        <button class="iconbtn" aria-label=${theme.value === "dark" ? "Use the light theme" : "Use the dark theme"} onClick=${toggleTheme}>
          <${Icon} name=${theme.value === "dark" ? "i-sun" : "i-moon"} />
        </button>
      </div>
    </header>
  `;
}

function Crumb() {
  const at = route.value;
  if (at.page === "overview") return html`<div class="crumb"><b>Overview</b></div>`;
  const [kind, what] = at.page === "agent" ? ["Agent", at.name] : at.page === "message" ? ["Message", at.id] : ["", "Nothing here"];
  return html`
    <nav class="crumb" aria-label="Where you are">
      <a href="#/">Overview</a><${Icon} name="i-right" size="xs" />
      ${kind ? html`<span class="hide-m">${kind}</span>` : null}<b class="trunc">${what}</b>
    </nav>
  `;
}

/** How fresh the page is, and how busy the hive. */
function Freshness() {
  const how = freshness.value;
  const rate = journal.value.recent.filter(([, at]) => at > now.value - MINUTE).length;
  return html`
    <div class=${`conn ${how}`}>
      <span class="dot" aria-hidden="true"></span><span role="status">${FRESH_WORDS[how]}</span>
      ${how === "live" ? html`<span class="mute num hide-m">${count(rate, "event")}/min</span>` : null}
    </div>
  `;
}

/** Chaos is on: a plain mark at the top, so that nobody takes its doing for anything else. */
export function Chaos() {
  const chaos = state.value.hive?.health?.chaos;
  if (!chaos) return null;
  const said = `${count(chaos.rate, "strike")} a minute until ${clock(chaos.until)}, ${chaos.total} so far`;
  return html`
    <p class="chaos" role="note" aria-label="Chaos is on">
      <b>Chaos is on</b>
      <span class="num">${said}</span>
      <span class="hide-m">End it: <code class="mono">hive chaos off</code></span>
    </p>
  `;
}

/** A bar for what a person must know about the connection. */
export function Notice() {
  const how = freshness.value;
  if (how === "signed_out") return html`<p class="notice" role="alert">Your login has ended. Type <code class="mono">hive open</code> in a terminal for a link that logs in again.</p>`;
  if (how === "outdated") return html`<p class="notice" role="alert">hive was updated. <button class="btn" onClick=${() => location.reload()}>Load the page again</button></p>`;
  if (how !== "offline") return null;
  const { why } = state.value.link;
  const tries = nextTry.value > 0 ? `Trying again in ${nextTry.value} s.` : "Trying again now.";
  return html`
    <p class="notice" role="status">
      <span>Not connected${why ? ` (${why})` : ""}. ${loaded.value ? `Showing ${clock(now.value)}. ` : ""}${tries}</span>
      <button class="btn" onClick=${() => client.feed({ do: "connect" })}>Try now</button>
    </p>
  `;
}

// --- rail ------------------------------------------------------------------------------------------

export function Rail() {
  const groups = { "Needs you": [], Working: [], Resting: [] };
  for (const agent of [...journal.value.agents.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const found = standing(agent, now.value);
    const group = needsYou(found) ? "Needs you" : agent.turn !== null ? "Working" : "Resting";
    /** @type {any[]} */ (groups[group]).push({ agent, ...found });
  }
  return html`
    <nav class="rail" aria-label="Agents">
      <a class="brand" href="#/"><${Mark} /><b>hive</b></a>
      <a class="home" href="#/" aria-current=${route.value.page === "overview" ? "page" : undefined}><${Icon} name="i-comb" />Overview</a>
      <div class="roster">
        ${Object.entries(groups).map(([title, members]) => (members.length ? html`
          <section key=${title} aria-label=${title}>
            <h2>${title}<span>${members.length}</span></h2>
            <ul>${members.map((member) => html`<${Member} key=${member.agent.name} ...${member} />`)}</ul>
          </section>
        ` : null))}
      </div>
      <${About} />
    </nav>
  `;
}

/** @param {{agent: import("../rows.js").Agent, glyph: string, word: string}} props */
function Member({ agent, glyph, word }) {
  const here = route.value.page === "agent" && route.value.name === agent.name;
  const turn = agent.turn === null ? undefined : journal.value.turns.get(agent.turn);
  return html`
    <li><a href=${agentAddress(agent.name)} aria-current=${here ? "page" : undefined}>
      <${Glyph} glyph=${glyph} label=${word} /><span class="trunc">${agent.name}</span>
      ${turn ? html`<span class="ago">${stopwatch(now.value - turn.started_at)}</span>` : null}
    </a></li>
  `;
}

function About() {
  const { hive } = state.value;
  return hive ? html`<p class="about">hive ${hive.version}, boot ${hive.boot}<br />signed in as ${hive.who}, ${hive.role}</p>` : null;
}
