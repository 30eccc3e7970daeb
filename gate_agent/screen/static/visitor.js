// The visitor face of one lane: shows what the gate sends, at once, and plays each verdict's sound once.
import { listen, swap } from "./stream.js";
import { play } from "./sound.js";

const face = document.getElementById("face");
let heard = shown().number;   // a page opened (or reloaded) on a verdict does not repeat its sound

listen(document.body.dataset.stream, {
  face(html) {
    swap(face, html);
    const { family, number, silent } = shown();
    if (number === "0" || number === heard) return;
    heard = number;
    if (silent === undefined) play(family);
  },
});

function shown() {
  return face.querySelector(".face").dataset;
}
