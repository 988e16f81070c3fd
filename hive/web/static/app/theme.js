/** Light or dark: the system's choice until the person makes another, which the browser keeps. */

import { signal } from "../vendor/signals.js";

const KEY = "hive.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"light"|"dark"|null} */
function kept() {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : null;
}

export const theme = signal(kept() ?? (system.matches ? "dark" : "light"));

function show() {
  const chosen = kept();
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  theme.value = chosen ?? (system.matches ? "dark" : "light");
}

export function toggleTheme() {
  const other = theme.value === "dark" ? "light" : "dark";
  const natural = system.matches ? "dark" : "light";
  // Back on the system's own choice there is nothing to remember.
  if (other === natural) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, other);
  show();
}

system.addEventListener("change", show);
show();
