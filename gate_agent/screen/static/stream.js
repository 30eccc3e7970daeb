// The event stream of a screen: swaps the parts the gate sends and moves the beat. Nothing here runs on a timer of its own
// but the reopening of a refused stream: a picture that moved by itself would look healthy while it is frozen.
const REOPEN_MS = 5000;

let last = null;   // the last beat: {dot, clock, run}

// Opens `url`; `parts` maps an event's name to what is done with its HTML.
export function listen(url, parts) {
  const source = new EventSource(url);
  source.addEventListener("beat", (event) => beat(JSON.parse(event.data)));
  for (const [name, show] of Object.entries(parts)) {
    source.addEventListener(name, (event) => show(event.data));
  }
  // A refused stream (503: all are taken) is not tried again by the browser itself.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => reopen(url, parts), REOPEN_MS);
  });
}

// Opens it again, unless this page itself leads elsewhere by now: on a tablet that is not paired any more.
async function reopen(url, parts) {
  const answer = await fetch(location.href, { method: "HEAD" }).catch(() => null);
  if (answer?.redirected) location.reload();
  else listen(url, parts);
}

// Puts `html` into `element`, with the beat as it stands.
export function swap(element, html) {
  element.innerHTML = html;
  if (last) draw();
}

function beat(now) {
  if (last && last.run !== now.run) location.reload();   // the gate was started anew, perhaps with other pages
  last = now;
  draw();
  const root = document.documentElement.classList;
  const other = root.contains("beat-a") ? ["beat-a", "beat-b"] : ["beat-b", "beat-a"];
  root.remove(other[0]);
  root.add(other[1]);   // restarts the veil's three seconds
}

function draw() {
  for (const dots of document.querySelectorAll(".dots")) {
    [...dots.children].forEach((dot, index) => dot.classList.toggle("on", index === last.dot));
  }
  for (const time of document.querySelectorAll(".beat time, .now time")) time.textContent = last.clock;
  for (const text of document.querySelectorAll(".last")) text.textContent = last.clock && `${text.dataset.label} ${last.clock}`;
}
