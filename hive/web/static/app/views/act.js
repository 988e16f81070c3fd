/** Buttons that change something: they say "sending" until the page shows what they did, or why not. */

import { html } from "../../vendor/htm-preact.js";
import { useSignal } from "../../vendor/signals.js";
import { client, mayAct, state } from "../page.js";
import { parkedWords } from "../words.js";

const BUSY = new Set(["sending", "arriving"]);

/**
 * The state of the command this component sent last, under the signal `id`.
 *
 * @returns {{id: import("../../vendor/signals.js").Signal<string>, command: import("../store.js").Command|null, run: Function}}
 */
export function useCommand() {
  const id = useSignal("");
  return {
    id,
    command: state.value.commands.get(id.value) ?? null,
    run: (/** @type {string} */ name, /** @type {object} */ args, /** @type {object} */ expect) => {
      id.value = client.command(name, args, expect);
    },
  };
}

/** @param {import("../store.js").Command|null} command */
export const busy = (command) => command !== null && BUSY.has(command.status);

/** Why a command did not hold, where it was given. @param {{command: import("../store.js").Command|null}} props */
export const Refusal = ({ command }) =>
  command?.status === "failed"
    ? html`<p class="refusal" role="alert">${command.error?.text} <small class="mono">${command.error?.code}</small></p>`
    : null;

/**
 * The button that lifts one park reason, and no other; none where only time or hive itself does.
 *
 * @param {{agent: string, reason: string, class?: string}} props
 */
export function Unpark({ agent, reason, class: more }) {
  const { by, act } = parkedWords(reason);
  const args = by === "resume" ? { agent, reasons: [reason] } : { agent };
  return by ? html`<${Act} name=${`agent.${by}`} args=${args} class=${more}>${act}<//>` : null;
}

/**
 * @param {{name: string, args: object, expect?: object, children: any, class?: string}} props
 */
export function Act({ name, args, expect, children, class: more = "" }) {
  const { command, run } = useCommand();
  const waiting = busy(command);
  return html`
    <span class="act">
      <button class=${`btn ${more}`} disabled=${waiting || !mayAct.value} onClick=${() => run(name, args, expect)}>
        ${waiting ? "Sending" : children}
      </button>
      <${Refusal} command=${command} />
    </span>
  `;
}
