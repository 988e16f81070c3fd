/** Puts the page together and starts it. */

import { html, render } from "../vendor/htm-preact.js";
import { effect } from "../vendor/signals.js";
import { client, freshness, journal, live, now, route, settled, state } from "./page.js";
import { needsYou, standing } from "./words.js";
import { AgentPage } from "./views/agent.js";
import { Chaos, Notice, Rail, Top } from "./views/frame.js";
import { MessagePage } from "./views/message.js";
import { Overview } from "./views/overview.js";

function Page() {
  const at = route.value;
  switch (at.page) {
    case "overview":
      return html`<${Overview} />`;
    case "agent":
      return html`<${AgentPage} key=${at.name} name=${at.name} />`;
    case "message":
      return html`<${MessagePage} key=${at.id} id=${at.id} />`;
    default:
      return html`<main id="main" class="main" tabindex="-1"><h1>There is nothing at this address</h1><p class="sub"><a class="path" href="#/">Go to the overview</a></p></main>`;
  }
}

const App = () => html`
  <div class=${`app ${freshness.value === "offline" ? "stale" : ""}`}>
    <a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <${Rail} />
    <div class="column"><${Top} /><${Chaos} /><${Notice} /><${Page} /></div>
  </div>
`;

/** The address is the route, so the jump is made by hand. @param {MouseEvent} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

effect(() => {
  const at = route.value;
  const needs = [...journal.value.agents.values()].filter((agent) => needsYou(standing(agent, now.value))).length;
  const where = at.page === "agent" ? `${at.name} · hive` : at.page === "message" ? `message ${at.id} · hive` : "hive";
  document.title = needs ? `(${needs}) ${where}` : where;
});

effect(() => {
  if (live.value) sessionStorage.removeItem("hive.reloaded");
});

Object.assign(window, { hive: Object.freeze({ settled, state: () => state.value }) });
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
client.start();
