// The sheets over the staff's face: one at a time, closed by a tap beside it, its key, Escape, or half a minute of nothing.
import { pickedLane } from "./pick.js";

const IDLE_MS = 30000;
const BRIEF_MS = 4000;          // how long what was done stays
const LONG_MS = 300000;         // how long a code stays that is typed elsewhere
export const DOUBLE_TAP_MS = 600;

export const scrim = document.getElementById("sheet");
const app = document.querySelector(".app");
let opener = null;       // where the focus returns to
let opened = -Infinity;
let tapped = {};         // the key tapped last, and when
let idle = 0;

// Opens the sheet at `url`. A gate that does not answer opens nothing: the veil says so.
export async function open(url) {
  const from = document.activeElement;
  const answer = await fetch(url).catch(() => null);
  if (answer?.status === 403) location.reload();   // a tablet that is not paired any more
  if (!answer?.ok) return;
  if (scrim.hidden) opener = from;
  show(await answer.text());
}

// Puts a sheet's HTML on the screen.
export function show(html) {
  scrim.innerHTML = html;
  scrim.hidden = false;
  app.inert = true;
  opened = performance.now();
  scrim.querySelector("[data-close]")?.focus({ focusVisible: false });
  scrim.dispatchEvent(new Event("shown"));
  stir();
}

export function close() {
  clearTimeout(idle);
  scrim.hidden = true;
  scrim.replaceChildren();
  app.inert = false;
  opener?.focus();
}

// With the lane acted on, for the keys that act on one.
function address(key) {
  const url = new URL(key.dataset.sheet, location.href);
  if ("lane" in key.dataset) url.searchParams.set("lane", key.dataset.lane || pickedLane());
  return url;
}

function stir() {
  clearTimeout(idle);
  const over = () => (scrim.querySelector("[data-sending]") ? stir() : close());   // what is under way is waited for
  const stays = scrim.querySelector("[data-brief]") ? BRIEF_MS : scrim.querySelector("[data-stays]") ? LONG_MS : IDLE_MS;
  idle = setTimeout(over, stays);
}

document.addEventListener("click", (event) => {
  const key = event.target.closest("[data-sheet]");
  if (!key || (key === tapped.key && performance.now() - tapped.ms < DOUBLE_TAP_MS)) return;
  tapped = { key, ms: performance.now() };
  open(address(key));
});
scrim.addEventListener("click", (event) => {
  const again = performance.now() - opened < DOUBLE_TAP_MS;   // the second tap of a double one
  if (event.target.closest("[data-close]") || (event.target === scrim && !again)) close();
});
for (const kind of ["pointerdown", "keydown"]) {
  document.addEventListener(kind, (event) => {
    if (scrim.hidden) return;
    if (event.key === "Escape") close();
    else stir();
  });
}
