// The simulator's page: asks for the lanes' state and history again and again, and sends what the buttons say.
const POLL_MS = 400;

const lanes = Object.fromEntries([...document.querySelectorAll(".lane")].map((lane) => [lane.dataset.lane, lane]));
const lost = document.getElementById("lost");

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const said = form.closest(".lane").querySelector(".said");
  const body = JSON.stringify(Object.fromEntries(new FormData(form, event.submitter)));
  const answer = await fetch(`/sim/lane/${form.closest(".lane").dataset.lane}/${form.dataset.verb}`, { method: "POST", body });
  said.textContent = answer.ok ? "" : (await answer.json().catch(() => answer)).error ?? answer.statusText;
  await look();
});

async function look() {
  const answer = await fetch(document.body.dataset.history);
  for (const lane of (await answer.json()).lanes) draw(lanes[lane.lane], lane);
}

function draw(section, lane) {
  section.querySelector(".arm").dataset.arm = lane.arm;
  for (const value of section.querySelectorAll("[data-of]")) value.textContent = words(lane[value.dataset.of]);
  const lines = lane.moments.reverse().map((moment) => {
    const line = document.createElement("li");
    const note = Object.entries(moment.note).filter(([, value]) => value !== null).map(([name, value]) => ` ${name} ${value}`);
    line.append(
      tag("time", `${(moment.monotonic_ns / 1e9).toFixed(3)} s`),
      tag("b", moment.device),
      tag("span", moment.event + note.join(",")),
    );
    return line;
  });
  section.querySelector(".moments").replaceChildren(...lines);
}

function tag(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

function words(value) {
  if (value !== null && typeof value === "object") {
    const broken = Object.entries(value).filter(([, fault]) => fault !== null).map(([name]) => name);
    return broken.length ? `✗ ${broken.join(", ")}` : "✓";
  }
  return value === true ? "✓" : value === false ? "–" : value;
}

async function poll() {
  try {
    await look();
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
  setTimeout(poll, POLL_MS);
}
poll();
