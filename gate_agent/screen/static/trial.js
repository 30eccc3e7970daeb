// The keys of a lane that is commissioned: each tells its word once; what comes of it the stream draws.
const banner = document.getElementById("trial");

banner.addEventListener("click", async (event) => {
  const key = event.target.closest("[data-word]");
  if (!key) return;
  const told = key.closest(".trial");
  const keys = told.querySelectorAll("[data-word]");
  for (const one of keys) one.disabled = true;
  const body = new FormData();
  for (const [name, value] of Object.entries({ ...told.dataset, word: key.dataset.word, arm: key.dataset.arm })) body.set(name, value);
  body.set("lang", document.documentElement.lang);
  const answer = await fetch(key.dataset.post, { method: "POST", body }).catch(() => null);
  if (answer?.ok || !told.isConnected) return;
  for (const one of keys) one.disabled = false;
  if (answer?.headers.get("Content-Type").startsWith("text/plain")) told.querySelector("span").textContent = await answer.text();
});
