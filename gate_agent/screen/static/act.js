// What is typed into a sheet that acts: reason, number, PIN. The PIN's digits stay here and go with the form, never on the screen.
import { DOUBLE_TAP_MS, scrim, show } from "./sheet.js";

let pin = "";
let slot = null;         // where the pad types
let sentMs = -Infinity;
let waitUntilMs = 0;     // after too many wrong PINs, on the browser's own clock
let counting = 0;

// A sheet has come on the screen: nothing is typed yet.
scrim.addEventListener("shown", () => {
  pin = "";
  slot = scrim.querySelector(".slot");
  wait(scrim.querySelector("form.act")?.dataset.waitS ?? 0);
});

scrim.addEventListener("click", (event) => {
  const key = event.target.closest("[data-key]")?.dataset.key;
  const other = event.target.closest(".slot");
  if (key) type(key);
  else if (other) slot = other;
  draw();
});
scrim.addEventListener("input", draw);
document.addEventListener("keydown", (event) => {
  if (scrim.hidden || event.target.closest(".text") || !/^(.|Backspace)$/.test(event.key)) return;
  if (scrim.querySelector(`[data-key="${event.key.toUpperCase()}"]`)) type(event.key.toUpperCase());
  draw();
});
scrim.addEventListener("submit", (event) => {
  event.preventDefault();
  sentMs = performance.now();
  send(event.target);
});

function type(key) {
  if (!slot || waiting()) return;
  const before = value(slot);
  const after = key === "BACKSPACE" ? before.slice(0, -1) : before + key;
  if (after.length > Number(slot.dataset.most)) return;
  if (slot.matches(".pin")) pin = after;
  else slot.nextElementSibling.value = after;
}

function value(of) {
  return of.matches(".pin") ? pin : of.nextElementSibling.value;
}

async function send(form) {
  const told = form.querySelector(".told span");
  told.dataset.first ??= told.textContent;
  const body = new FormData(form);
  body.set("pin", pin);
  pin = "";
  told.textContent = form.dataset.busy;
  form.toggleAttribute("data-sending", true);
  draw();
  const answer = await fetch(form.action, { method: "POST", body }).catch(() => null);
  const said = await answer?.text();
  if (!form.isConnected) return;
  if (answer?.ok) { show(said); return; }
  form.toggleAttribute("data-sending", false);
  const plain = answer?.headers.get("Content-Type").startsWith("text/plain");   // a page would be an error's
  const seconds = Number(answer?.headers.get("Retry-After") ?? 0);
  told.textContent = seconds ? told.dataset.first : plain ? said : form.dataset.failed;
  wait(seconds);
}

function wait(seconds) {
  waitUntilMs = performance.now() + 1000 * seconds;
  draw();
}

function waiting() {
  return Math.max(0, Math.ceil((waitUntilMs - performance.now()) / 1000));
}

// The slots, the dots, the keys and whether the action key may be used.
function draw() {
  const form = scrim.querySelector("form.act");
  if (!form) return;
  for (const one of form.querySelectorAll(".slot")) {
    one.classList.toggle("on", one === slot);
    if (one.matches(".pin")) dots(one.firstElementChild);
    else one.querySelector("b").textContent = value(one) || "–";
  }
  const left = waiting();
  const rest = sentMs + DOUBLE_TAP_MS - performance.now();   // the second tap of a double one finds the key grey
  const typed = [...form.querySelectorAll(".slot")].every((one) => value(one).length >= Number(one.dataset.least ?? 1));
  for (const key of form.querySelectorAll("[data-key]")) key.disabled = left > 0;
  form.querySelector(".go-btn").disabled = left > 0 || rest > 0 || !typed || !form.checkValidity()
    || "sending" in form.dataset;
  clearTimeout(counting);
  if (left || rest > 0) counting = setTimeout(draw, left ? 200 : rest);
  form.querySelector(".wait").textContent = left ? form.dataset.wait.replace("{s}", left) : "";
}

function dots(row) {
  while (row.children.length < pin.length) row.append(document.createElement("i"));
  [...row.children].forEach((dot, at) => dot.classList.toggle("on", at < pin.length));
}
