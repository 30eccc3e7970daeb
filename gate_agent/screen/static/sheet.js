// The sheets over the staff's face: one at a time, closed by a tap beside it, its key, Escape, or half a minute of nothing.
const IDLE_MS = 30000;
const DOUBLE_TAP_MS = 600;

const scrim = document.getElementById("sheet");
const app = document.querySelector(".app");
let opener = null;       // where the focus returns to
let opened = -Infinity;
let idle = 0;

// Opens the sheet at `url`. A gate that does not answer opens nothing: the veil says so.
export async function open(url) {
  const from = document.activeElement;
  const answer = await fetch(url).catch(() => null);
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
  scrim.querySelector("[autofocus], [data-close]")?.focus();
  stir();
}

export function close() {
  clearTimeout(idle);
  scrim.hidden = true;
  scrim.replaceChildren();
  app.inert = false;
  opener?.focus();
}

function stir() {
  clearTimeout(idle);
  idle = setTimeout(close, IDLE_MS);
}

document.addEventListener("click", (event) => {
  const key = event.target.closest("[data-sheet]");
  if (key) open(key.dataset.sheet);
});
scrim.addEventListener("click", (event) => {
  const again = performance.now() - opened < DOUBLE_TAP_MS;   // the second tap of a double one
  if (event.target.closest("[data-close]") || (event.target === scrim && !again)) close();
});
for (const kind of ["pointerdown", "keydown"]) scrim.addEventListener(kind, stir);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !scrim.hidden) close();
});
