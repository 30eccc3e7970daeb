// The staff's alarm: heard when it comes and again while it lasts, silent for ten minutes after 静音. The banner stays.
import { play } from "./sound.js";

const MUTED_MS = 600000;
const AGAIN_BEATS = 30;   // counted in the gate's beats: a picture that stopped makes no sound

const muted = new Map();   // alarm → until when, on the browser's own clock
let before = new Set();
let beats = 0;

// After the banner was swapped: a new alarm is heard at once.
export function shown() {
  const fresh = audible().filter((key) => !before.has(key));
  before = new Set(keys());
  if (fresh.length) sound();
  label();
}

export function beat() {
  beats += 1;
  if (beats >= AGAIN_BEATS && audible().length) sound();
  label();
}

export function mute() {
  for (const key of keys()) muted.set(key, performance.now() + MUTED_MS);
  label();
}

function keys() {
  return document.querySelector(".alarm")?.dataset.keys.split(" ") ?? [];
}

function audible() {
  return keys().filter((key) => !(muted.get(key) > performance.now()));
}

function sound() {
  beats = 0;
  play("alarm");
}

function label() {
  const word = document.querySelector(".alarm [data-muted]");
  if (!word) return;
  word.dataset.sounding ??= word.textContent;
  word.textContent = audible().length ? word.dataset.sounding : word.dataset.muted;
}
