// Conveniences of the operators' pages; every page works without them.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// A new captcha without losing what was typed.
for (const link of all("[data-renews]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const picture = document.getElementById(link.dataset.renews);
    picture.src = picture.src.split("?")[0] + "?" + Date.now();
    one("#captcha").value = "";
    one("#captcha").focus();
  });
}

// The list of keys.
for (const button of all("[data-opens]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
}

// A button that stays off until its box is ticked.
for (const box of all("[data-enables]")) {
  const button = document.getElementById(box.dataset.enables);
  const follow = () => { button.disabled = !box.checked; };
  box.addEventListener("change", follow);
  follow();
}

for (const button of all("[data-copies]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copies);
    button.lastChild.textContent = button.dataset.copied;
  });
}

// Time left, counted down to the second; the server decides, this only shows.
for (const clock of all("[data-left-s]")) {
  const end = performance.now() + Number(clock.dataset.leftS) * 1000;
  const show = () => {
    const left = Math.max(0, Math.round((end - performance.now()) / 1000));
    clock.textContent = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
    if (left === 0 && clock.dataset.then) location.replace(clock.dataset.then);
    else if (left > 0) setTimeout(show, 1000);
  };
  show();
}

// A page that waits for something asks every two seconds whether it came, and shows itself anew.
const waiting = one("[data-waits]");
if (waiting) {
  const ask = async () => {
    try {
      const answer = await fetch(waiting.dataset.waits, { headers: { Accept: "application/json" } });
      if (answer.ok && (await answer.json()).came) return location.reload();
    } catch { /* the network may be back with the next question */ }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
}

// Focus: a drawer or dialog takes it when the page opens, a dangerous one its way out.
one("dialog[open]")?.setAttribute("tabindex", "-1");
(one("dialog[open] [data-first]") ?? one("dialog[open]"))?.focus();

// Keys.
const rows = all("tbody tr[data-href]");
let chosen = rows.findIndex((row) => row.classList.contains("on"));
function choose(step) {
  if (!rows.length) return;
  rows[chosen]?.classList.remove("on");
  chosen = Math.min(rows.length - 1, Math.max(0, chosen + step));
  rows[chosen].classList.add("on");
  rows[chosen].scrollIntoView({ block: "nearest" });
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, select, textarea");
  const drawer = one("dialog.drawer[open], dialog.dlg[open]:not(#keys)");
  if (event.key === "Escape" && drawer) return one("[data-closes]", drawer)?.click();
  if (typing) return;
  if (event.key === "/") { event.preventDefault(); one(".filters .in")?.focus(); }
  else if (event.key === "?") document.getElementById("keys")?.showModal();
  else if (event.key === "j") drawer ? one("[data-next]", drawer)?.click() : choose(1);
  else if (event.key === "k") drawer ? one("[data-previous]", drawer)?.click() : choose(-1);
  else if (event.key === "Enter" && !drawer && rows[chosen] && event.target === document.body) location.assign(rows[chosen].dataset.href);
});
