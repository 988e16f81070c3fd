/** One agent: what it does, what keeps it from waking, its stream, its mail, and a box to write to it. */

import { html } from "../../vendor/htm-preact.js";
import { useEffect } from "../../vendor/hooks.js";
import { client, journal, loaded, now, state } from "../page.js";
import { STREAM } from "../lane.js";
import { unfinished } from "../rows.js";
import { count, duration, inForce, needsYou, parkedWords, standing, stopwatch, took } from "../words.js";
import { Act, Unpark } from "./act.js";
import { Composer } from "./composer.js";
import { MessageRow } from "./overview.js";
import { Empty, Glyph, Icon, Time } from "./parts.js";
import { Stream } from "./stream.js";

const SHOWN_MESSAGES = 40;

/** @param {{name: string}} props */
export function AgentPage({ name }) {
  useEffect(() => {
    client.feed({ do: "want", lane: STREAM + name });
    return () => client.feed({ do: "drop", lane: STREAM + name });
  }, [name]);
  const agent = journal.value.agents.get(name);
  if (!agent) return html`<${Missing} name=${name} />`;
  return html`
    <main id="main" class="main agent" tabindex="-1">
      <${Head} agent=${agent} />
      <div class="stream"><${Log} name=${name} /><${Composer} key=${name} to=${name} label=${`Message to ${name}`} /></div>
      <${Side} name=${name} />
    </main>
  `;
}

/** @param {{name: string}} props */
const Missing = ({ name }) => html`
  <main id="main" class="main" tabindex="-1">
    ${loaded.value
      ? html`<h1>There is no agent called ${name}</h1><${Empty} text="It may have been removed. To add it, type" type=${`hive spawn ${name} --backend scripted`} />`
      : html`<p class="skeleton" role="status">Reading the hive.</p>`}
  </main>
`;

/** @param {{agent: import("../rows.js").Agent}} props */
function Head({ agent }) {
  const { glyph, word } = standing(agent, now.value);
  const turn = agent.turn === null ? undefined : journal.value.turns.get(agent.turn);
  const parked = inForce(agent, now.value);
  const halted = parked.some((one) => one.reason === "paused" || one.reason === "stopped");
  const who = { agent: agent.name };
  return html`
    <div class="ahead">
      <div class="r1">
        <${Glyph} glyph=${glyph} label="" />
        <h1>${agent.name}</h1>
        <span class=${`chip st-${glyph}`}>${turn ? `${word}, ${stopwatch(now.value - turn.started_at)}` : word}</span>
        ${agent.settings.role === "manager" ? html`<span class="chip">manager</span>` : null}
        <span class="chip hide-m">${agent.settings.backend}</span>
        <div class="acts">
          ${turn ? html`<${Act} name="turn.cancel" args=${{ ...who, turn: turn.number }} class="danger"><${Icon} name="i-stop" size="sm" />${turn.stop ? "Stopping" : "Cancel turn"}<//>` : null}
          ${parked.map((one) => html`<${Unpark} key=${one.reason} agent=${agent.name} reason=${one.reason} class=${needsYou(parkedWords(one.reason)) ? "honey" : ""} />`)}
          ${halted ? null : html`<${Act} key="pause" name="agent.pause" args=${who}><${Icon} name="i-pause" size="sm" />Pause<//>`}
        </div>
      </div>
      ${agent.status || agent.settings.purpose ? html`<p class="soft">${agent.status || agent.settings.purpose}</p>` : null}
      ${parked.map((one) => html`<${ParkedLine} key=${one.reason} one=${one} />`)}
    </div>
  `;
}

/** @param {{one: import("../rows.js").Parked}} props */
function ParkedLine({ one }) {
  const { glyph, words, way } = parkedWords(one.reason);
  return html`
    <p class="parked">
      <${Glyph} glyph=${glyph} label="" />
      <span>Does not wake: ${words}${one.detail ? ` (${one.detail})` : ""}, for ${duration(now.value - one.since)}${one.until === null ? "" : `, ${duration(one.until - now.value)} left`}. Way out: ${way}.</span>
    </p>
  `;
}

/** @param {{name: string}} props */
function Log({ name }) {
  const lane = state.value.lanes[STREAM + name];
  if (!lane?.loaded) return html`<div class="log"><p class="skeleton" role="status">Reading the stream.</p></div>`;
  const { rows, dropped } = lane.data;
  if (!rows.length) return html`<div class="log"><${Empty} text="No turns yet. Send a message to wake it." /></div>`;
  return html`<${Stream} key=${name} rows=${rows} dropped=${dropped} label=${`Stream of ${name}`} />`;
}

/** @param {{name: string}} props */
function Side({ name }) {
  const its = [...journal.value.messages.values()].filter(({ from, to }) => from === name || to === name).reverse();
  const open = its.filter((message) => message.to === name && unfinished(message));
  const rest = its.filter((message) => !open.includes(message)).slice(0, SHOWN_MESSAGES);
  const turns = [...journal.value.turns.values()].filter((turn) => turn.agent === name && turn.ended_at !== null).slice(-5).reverse();
  return html`
    <aside class="side" aria-label=${`Mail and turns of ${name}`}>
      <section>
        <h2>In its mailbox <span>${open.length}</span></h2>
        ${open.length ? html`<ul class="feed">${open.map((message) => html`<${MessageRow} key=${message.id} message=${message} />`)}</ul>` : html`<p class="mute">No mail waits.</p>`}
      </section>
      <section>
        <h2>Last turns</h2>
        ${turns.length ? html`<ul class="turns">${turns.map((turn) => html`<${TurnRow} key=${turn.number} turn=${turn} />`)}</ul>` : html`<p class="mute">None yet.</p>`}
      </section>
      <section>
        <h2>Earlier mail <span>${rest.length}</span></h2>
        ${rest.length ? html`<ul class="feed">${rest.map((message) => html`<${MessageRow} key=${message.id} message=${message} />`)}</ul>` : html`<p class="mute">None yet.</p>`}
      </section>
    </aside>
  `;
}

/** @param {{turn: import("../rows.js").Turn}} props */
export const TurnRow = ({ turn }) => html`
  <li>
    <span><b>Turn ${turn.number}</b> <span class=${turn.outcome === "ok" ? "add" : turn.outcome ? "del" : ""}>${turn.outcome ?? "running"}</span></span>
    <span class="mute num">${count(turn.messages.length, "message")}, ${turn.ended_at === null ? html`since <${Time} at=${turn.started_at} />` : took(turn.ended_at - turn.started_at)}</span>
    ${turn.error || turn.text || turn.final_text ? html`<p>${turn.error || turn.text || turn.final_text}</p>` : null}
  </li>
`;
