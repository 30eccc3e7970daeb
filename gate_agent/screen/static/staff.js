// The staff's face: swaps its parts as the gate sends them, but never under a finger, and follows the newest scan
// until a row is tapped.
import * as alarm from "./alarm.js";
import "./act.js";
import * as lanes from "./pick.js";
import * as sheet from "./sheet.js";
import { listen, swap } from "./stream.js";
import "./trial.js";

const FOLLOW_AGAIN_MS = 20000;

const list = document.getElementById("list");
const detail = document.getElementById("detail");
const newer = document.querySelector(".newer");
const waiting = new Map();   // part → its newest HTML, while it may not be swapped
let touched = false;
let chosen = null;           // the tapped scan's number
let release = 0;
let shown = "all";           // which rows: all, refused, lane

const parts = Object.fromEntries(["strip", "alarm", "trial", "counters", "list", "detail"].map((part) => [part, (html) => {
  waiting.set(part, html);
  show();
}]));
listen(document.body.dataset.stream, { ...parts, beat: alarm.beat });

if (localStorage.getItem("theme") === "night") document.documentElement.dataset.theme = "night";
lanes.mark();
mark();

document.addEventListener("pointerdown", () => { touched = true; });
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => setTimeout(() => { touched = false; show(); }));   // after the click it makes
}
document.addEventListener("click", (event) => {
  const row = event.target.closest("#list .scan");
  const filter = event.target.closest("button[data-show]");
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (row) choose(row.dataset.number);
  else if (filter) only(filter);
  else if (event.target === newer) toTop();
  else if (act === "back") follow();
  else if (act === "night") night();
  else if (act === "mute") alarm.mute();
  else if (act === "more") more();
  else if (event.target.closest("[data-pick]")) {
    lanes.pick(event.target.closest("[data-pick]"));
    mark();
  }
});
list.addEventListener("scroll", () => { if (!list.scrollTop) show(); });

// Swaps what is waiting, except under a finger, a scrolled list, and the detail of a tapped row.
function show() {
  if (touched) return;
  for (const [part, html] of waiting) {
    if (part === "list" && list.scrollTop > 0) { offer(html); continue; }
    if (part === "detail" && chosen !== null) continue;
    swap(document.getElementById(part), html);
    waiting.delete(part);
    if (part === "alarm") alarm.shown();
    if (part === "strip") lanes.mark();
  }
  if (!waiting.has("list")) newer.hidden = true;
  mark();
}

function offer(html) {
  const first = Number(list.querySelector(".scan")?.dataset.number ?? 0);
  const numbers = [...html.matchAll(/data-number="(\d+)"/g)].map((found) => Number(found[1]));
  newer.textContent = newer.dataset.words.replace("{n}", numbers.filter((number) => number > first).length);
  newer.hidden = false;
}

async function choose(number) {
  chosen = number;
  mark();
  clearTimeout(release);
  release = setTimeout(follow, FOLLOW_AGAIN_MS);
  await load(number);
  if (chosen === number) document.body.classList.add("show-detail");
}

// The detail follows the newest scan again.
async function follow() {
  clearTimeout(release);
  chosen = null;
  document.body.classList.remove("show-detail");
  const newest = list.querySelector(".scan")?.dataset.number;
  if (!waiting.has("detail") && newest) await load(newest);
  show();
}

async function load(number) {
  const asked = chosen;
  try {
    const answer = await fetch(document.body.dataset.detail.replace("/0", `/${number}`));
    if (answer.ok && chosen === asked) swap(detail, await answer.text());
  } catch {
    // The gate does not answer: the veil says so.
  }
}

function mark() {
  const number = chosen ?? list.querySelector(".scan")?.dataset.number;
  for (const row of list.querySelectorAll(".scan")) {
    row.classList.toggle("sel", row.dataset.number === number);
    row.hidden = shown === "lane" && row.dataset.at !== lanes.pickedLane();
  }
}

function only(filter) {
  shown = filter.dataset.show;
  document.querySelector(".list").dataset.show = shown;
  for (const other of document.querySelectorAll("button[data-show]")) other.classList.toggle("on", other.dataset.show === shown);
  mark();
}

function more() {
  sheet.show(document.getElementById("more").innerHTML);
  lanes.mark();
}

function toTop() {
  list.scrollTop = 0;
  show();
}

function night() {
  const root = document.documentElement.dataset;
  if (root.theme) delete root.theme;
  else root.theme = "night";
  localStorage.setItem("theme", root.theme ?? "");
}
