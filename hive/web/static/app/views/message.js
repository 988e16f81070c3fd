/** A message's life story: what it says, what happened to it and why, and what came of it. */

import { html } from "../../vendor/htm-preact.js";
import { useEffect } from "../../vendor/hooks.js";
import { agentAddress, client, journal, live, loaded, messageAddress, state } from "../page.js";
import { JOURNAL } from "../lane.js";
import { unread } from "../rows.js";
import { KINDS, STATES, bytes, stepWords } from "../words.js";
import { Act } from "./act.js";
import { TurnRow } from "./agent.js";
import { Composer } from "./composer.js";
import { MessageRow } from "./overview.js";
import { Between, Empty, Panel, Time } from "./parts.js";

/** @param {{id: string}} props an id or a number */
export function MessagePage({ id }) {
  const key = `message:${id}`;
  const whole = state.value.lanes[JOURNAL].snapshots;
  useEffect(() => {
    // After a snapshot the events between are not known, so the story is asked for again.
    if (loaded.value) client.ask(key, "message", { message: id });
  }, [key, whole]);
  const answer = state.value.answers.get(key);
  const known = answer?.data?.mail.id ?? id;
  const row = journal.value.messages.get(known);
  if (answer?.status === "failed") return html`<${Failed} id=${id} answer=${answer} />`;
  const mail = row ?? (answer?.data ? headOf(answer.data.mail) : null);
  if (!mail) return html`<main id="main" class="main" tabindex="-1"><p class="skeleton" role="status">Reading the message.</p></main>`;
  return html`
    <main id="main" class="main letter" tabindex="-1">
      <${Heading} mail=${mail} />
      <div class="cols">
        <div class="col">
          <${Text} mail=${mail} answer=${answer} />
          <${Replies} mail=${mail} answer=${answer} />
        </div>
        <div class="col"><${Story} mail=${mail} answer=${answer} /><${Facts} mail=${mail} /></div>
      </div>
    </main>
  `;
}

/** The message as the lists have it. @param {any} mail as `get message` has it */
const headOf = (mail) => ({ ...mail, from: mail.sender, to: mail.recipient, at: mail.created_at, head: mail.body, read: mail.read_at !== null });

/** @param {{id: string, answer: any}} props */
const Failed = ({ id, answer }) => html`
  <main id="main" class="main" tabindex="-1">
    <h1>Message ${id} cannot be shown</h1>
    <p class="refusal" role="alert">${answer.error.text} <small class="mono">${answer.error.code}</small></p>
  </main>
`;

/** @param {{mail: any}} props */
const Heading = ({ mail }) => html`
  <section class="lead">
    <div>
      <h1>Message #${mail.number} <span class=${`chip st-${mail.state}`}>${STATES[mail.state] ?? mail.state}</span></h1>
      <p class="sub"><${Between} message=${mail} /> ${mail.kind === "message" ? null : html`<span class="mute">${KINDS[mail.kind] ?? mail.kind}</span>`}</p>
    </div>
    <div class="acts"><${Acts} mail=${mail} /></div>
  </section>
`;

/** What can be done with it, by where it is. @param {{mail: any}} props */
function Acts({ mail }) {
  const args = { message: mail.id };
  const expect = { state: mail.state };
  const own = mail.to === "operator";
  return html`
    ${own && unread(mail) ? html`<${Act} key="read" name="message.read" args=${args}>Mark as read<//>` : null}
    ${own && !unread(mail) ? html`<${Act} key="unread" name="message.read" args=${{ ...args, unread: true }} class="quiet">Mark as unread<//>` : null}
    ${own && mail.state === "ready" ? html`<${Act} key="done" name="message.done" args=${args} expect=${expect}>Done<//>` : null}
    ${mail.state === "blocked" ? html`<${Act} key="release" name="message.release" args=${args} expect=${expect} class="honey">Release<//>` : null}
    ${mail.state === "blocked" || (mail.state === "ready" && !own) ? html`<${Act} key="bury" name="message.bury" args=${args} expect=${expect} class="danger">Bury<//>` : null}
    ${mail.state === "dead" ? html`<${Act} key="redrive" name="message.redrive" args=${args} expect=${expect}>Bring back<//>` : null}
  `;
}

/** @param {{mail: any, answer: any}} props */
const Text = ({ mail, answer }) => html`
  <${Panel} id="body" title="Text" count=${bytes(mail.size)}>
    <div class="body">${answer?.data?.body ?? mail.head}</div>
    ${answer?.data?.cut ? html`<${Empty} text="The rest is not shown here. To see all of it, type" type=${`hive message ${mail.id}`} />` : null}
  <//>
`;

/** @param {{mail: any, answer: any}} props */
function Story({ mail, answer }) {
  const asked = (answer?.data?.story ?? []).map((/** @type {any} */ { seq, at, type, data }) => ({ seq, at, type, data }));
  const last = asked.at(-1)?.seq ?? 0;
  const since = journal.value.recent
    .filter(([n, , , data]) => n > last && data.subject === mail.id)
    .map(([seq, at, type, data]) => ({ seq, at, type, data }));
  const steps = [...asked, ...since].filter(({ type }) => type.startsWith("msg."));
  const numbers = [...new Set(steps.map(({ data }) => data.turn).filter((turn) => turn !== null))];
  const older = new Map((answer?.data?.turns ?? []).map((/** @type {any} */ turn) => [turn.number, turn]));
  const turns = numbers.map((number) => journal.value.turns.get(number) ?? older.get(number)).filter(Boolean);
  return html`
    <${Panel} id="story" title="Life story">
      ${steps.length ? html`<ol class="story">${steps.map((step) => html`
        <li key=${step.seq} class=${step.type.replace(".", "-")}>
          <${Time} at=${step.at} />
          <span><b>${stepWords(step)}</b>${step.data.why ? html`<span class="why">${step.data.why}</span>` : null}${step.data.error ? html`<span class="why del">${step.data.error}</span>` : null}</span>
        </li>`)}</ol>` : html`<p class="empty">${live.value ? "Asking for its story." : "Its story is read when the page is connected."}</p>`}
      ${turns.length ? html`<div class="held"><h3>Turns that held it</h3><ul class="turns">${turns.map((turn) => html`<${TurnRow} key=${turn.number} turn=${turn} />`)}</ul></div>` : null}
    <//>
  `;
}

/** @param {{mail: any}} props */
function Facts({ mail }) {
  const known = journal.value.agents;
  const person = (/** @type {string} */ name) => (known.has(name) ? html`<a href=${agentAddress(name)}>${name}</a>` : name);
  /** @type {[string, any][]} */
  const facts = [
    ["From", person(mail.from)], ["To", person(mail.to)], ["Stands behind it", mail.provenance], ["Label", mail.label],
    ["Came from", mail.cause], ["Answers", mail.in_reply_to && html`<a href=${messageAddress(mail.in_reply_to)}>${mail.in_reply_to}</a>`],
    ["Priority", mail.priority === "urgent" ? "urgent" : null], ["Broadcast", mail.broadcast ? "yes" : null],
    ["Not before", mail.not_before && html`<${Time} at=${mail.not_before} />`], ["Hops", mail.hops], ["Attempts", mail.attempts], ["Id", mail.id],
  ];
  return html`
    <${Panel} id="facts" title="Details">
      <dl class="facts">${facts.filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <//>
  `;
}

/** @param {{mail: any, answer: any}} props */
function Replies({ mail, answer }) {
  const kept = [...journal.value.messages.values()].filter((message) => message.in_reply_to === mail.id);
  const older = (answer?.data?.replies ?? []).filter((/** @type {any} */ reply) => !journal.value.messages.has(reply.id));
  const replies = [...older, ...kept];
  const mayAnswer = journal.value.agents.has(mail.from);
  return html`
    <${Panel} id="replies" title="Replies" count=${replies.length}>
      ${replies.length ? html`<ul class="feed">${replies.map((message) => html`<${MessageRow} key=${message.id} message=${message} />`)}</ul>` : html`<${Empty} text="No replies yet." />`}
      ${mayAnswer ? html`<${Composer} key=${mail.id} to=${mail.from} reply=${mail.id} label=${`Answer ${mail.from}`} />` : null}
    <//>
  `;
}
