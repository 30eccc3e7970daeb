// One sound per family: whoever does not see the screen hears whether to go.
const TONES = {   // Hz and ms; 0 Hz is a gap
  go: [[880, 90], [1319, 140]],
  retry: [[660, 80], [0, 80], [660, 80]],
  later: [[660, 120], [440, 200]],
  stop: [[220, 450]],
  staff: [[523, 100], [0, 100], [523, 100], [0, 100], [523, 100]],
  lane: [[330, 200]],
  fault: [[330, 200]],
  alarm: [[880, 150], [660, 150], [880, 150], [660, 150]],   // the staff's face alone
};
const VOLUME = 0.5;
const EDGE_S = 0.005;   // fades in and out: a tone cut off clicks

let context = null;

// Plays the family's sound. A browser that wants a touch first stays silent; the picture says the same.
export function play(family) {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume();
  let at = context.currentTime;
  for (const [frequency, ms] of TONES[family] ?? []) {
    const end = at + ms / 1000;
    if (frequency) tone(frequency, at, end);
    at = end;
  }
}

function tone(frequency, start, end) {
  const oscillator = new OscillatorNode(context, { frequency });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(VOLUME, start + EDGE_S);
  gain.gain.setValueAtTime(VOLUME, end - EDGE_S);
  gain.gain.linearRampToValueAtTime(0, end);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start);
  oscillator.stop(end);
}
