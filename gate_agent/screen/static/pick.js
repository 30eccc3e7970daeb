// The lane acted on: always in sight, picked at the bar or by its chip; keys that make no sense for it are away.
let picked = null;

export function pickedLane() {
  return picked;
}

// A tap on a lane picks it; on the small bar, which shows one alone, a tap on that one picks the next.
export function pick(key) {
  const lanes = [...document.querySelectorAll(".pick [data-pick]")];
  if (!lanes.length) return;
  const alone = lanes.filter((lane) => lane.offsetWidth).length < lanes.length;
  const at = lanes.findIndex((lane) => lane.dataset.pick === key.dataset.pick);
  const next = alone && key.closest(".pick") ? (at + 1) % lanes.length : at;
  picked = lanes[next].dataset.pick;
  mark();
}

// After the strip was swapped too: its chips say how each lane stands.
export function mark() {
  picked ??= document.querySelector(".pick [data-pick]")?.dataset.pick;
  for (const lane of document.querySelectorAll(".pick [data-pick]")) {
    lane.classList.toggle("on", lane.dataset.pick === picked);
    lane.setAttribute("aria-checked", lane.dataset.pick === picked);
  }
  const stands = document.querySelector(`.lanechip[data-pick="${picked}"]`)?.dataset.stands;
  for (const key of document.querySelectorAll("[data-when]")) key.hidden = !key.dataset.when.split(" ").includes(stands);
  for (const filter of document.querySelectorAll("button[data-show=lane]")) {
    filter.hidden = !picked; // a page without acts picks no lane
    filter.textContent = filter.dataset.words.replace("{lane}", picked);
  }
}
