/** The box to send from.  A draft outlives the view, and a lost connection. */

import { html } from "../../vendor/htm-preact.js";
import { signal, useSignalEffect } from "../../vendor/signals.js";
import { journal, live, mayAct, state } from "../page.js";
import { Refusal, busy, useCommand } from "./act.js";
import { Icon } from "./parts.js";

/** Texts not sent yet, by recipient. @type {Map<string, import("../../vendor/signals.js").Signal<string>>} */
const drafts = new Map();

/** @param {string} key */
function draft(key) {
  const known = drafts.get(key) ?? signal("");
  drafts.set(key, known);
  return known;
}

const chosen = signal("");

/** @param {{to?: string, reply?: string, label?: string}} props without `to`, the person chooses */
export function Composer({ to, reply, label = "Message" }) {
  const names = [...journal.value.agents.keys()].sort();
  const manager = [...journal.value.agents.values()].find((agent) => agent.settings.role === "manager");
  const recipient = to ?? (chosen.value || (manager ? "manager" : names[0]) || "");
  const text = draft(reply ?? to ?? "");
  const { id, command, run } = useCommand();
  const sending = busy(command);

  useSignalEffect(() => {
    // What was sent leaves the box when the page shows it, unless it was changed meanwhile.
    const sent = state.value.commands.get(id.value);
    if (sent?.status === "done" && text.peek() === sent.args.body) text.value = "";
  });

  const send = () => {
    if (sending || !mayAct.value || !text.value.trim() || !recipient) return;
    const args = { to: recipient, body: text.value };
    run("message.send", reply ? { ...args, in_reply_to: reply } : args);
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    send();
  };

  return html`
    <form class="composer" aria-label="Send a message" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); send(); }}>
      ${to ? null : html`
        <label class="to">
          <span>To</span>
          <select value=${recipient} onChange=${(/** @type {any} */ event) => { chosen.value = event.currentTarget.value; }}>
            ${manager ? html`<option value="manager">manager (${manager.name})</option>` : null}
            <option value="*">everyone</option>
            ${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
          </select>
        </label>
      `}
      <textarea
        aria-label=${label} placeholder=${to ? `Message ${to}` : "Write a message"} rows="2" value=${text.value}
        onInput=${(/** @type {any} */ event) => { text.value = event.currentTarget.value; }} onKeyDown=${keys}
      ></textarea>
      <div class="foot">
        <${Outcome} command=${command} />
        <span class="hint"><kbd>Ctrl</kbd> <kbd>Enter</kbd> sends</span>
        <button class="btn" type="submit" disabled=${sending || !mayAct.value || !recipient}>
          <${Icon} name="i-arrow" size="sm" />${sending ? "Sending" : "Send"}
        </button>
      </div>
    </form>
  `;
}

/** What became of the message that was sent. @param {{command: import("../store.js").Command|null}} props */
function Outcome({ command }) {
  if (!live.value) return html`<p class="outcome" role="status">Not connected; what you write is kept here.</p>`;
  if (!command) return html`<p class="outcome" role="status"></p>`;
  if (command.status === "failed") return html`<${Refusal} command=${command} />`;
  if (busy(command)) return html`<p class="outcome" role="status">Sending</p>`;
  const { accepted = [], refused = [] } = command.result ?? {};
  return html`<p class="outcome" role="status">${[...accepted.map(taken), ...refused.map(declined)].join(" ")}</p>`;
}

/** @param {any} one */
function taken({ recipient, number, ahead, standing, blocked }) {
  if (blocked) return `#${number} is held until you release it: ${blocked}.`;
  return `Accepted as #${number} for ${recipient}${ahead ? `, ${ahead} ahead` : ""}; ${recipient} is ${standing}.`;
}

/** @param {any} one */
const declined = ({ recipient, why }) => `Not accepted for ${recipient}: ${why}.`;
