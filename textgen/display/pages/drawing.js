/**
 * Random numbers in [0, 1), the same for the same seed in every browser: xoshiro128** (Blackman and Vigna 2018).
 *
 * @param {number} seed a whole number of at least 0
 */
function randomNumbers(seed) {
  let mixed = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0;
  const state = Uint32Array.from({length: 4}, () => {
    // splitmix32, so that close seeds begin far apart.
    mixed = mixed + 0x9e3779b9 | 0;
    let word = Math.imul(mixed ^ mixed >>> 16, 0x21f0aaad);
    word = Math.imul(word ^ word >>> 15, 0x735a2d97);
    return word ^ word >>> 15;
  });
  const rotated = (word, bits) => word << bits | word >>> 32 - bits;
  const next = () => {
    const [, second] = state, result = Math.imul(rotated(Math.imul(second, 5), 7), 9) >>> 0;
    state[2] ^= state[0];
    state[3] ^= second;
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= second << 9;
    state[3] = rotated(state[3], 11);
    return result;
  };
  return () => (next() >>> 5) * 2 ** -27 + (next() >>> 6) * 2 ** -53;
}

/** The log-probabilities of logits. */
function logSoftmax(logits) {
  const logs = new Float64Array(logits), most = logs[highest(logs)];
  let sum = 0;
  for (let n = 0; n < logs.length; n++) sum += Math.exp(logs[n] - most);
  const all = most + Math.log(sum);
  for (let n = 0; n < logs.length; n++) logs[n] -= all;
  return logs;
}

/** The index of the highest of some numbers, the first of equal ones. */
function highest(numbers) {
  let best = 0;
  for (let n = 1; n < numbers.length; n++) if (numbers[n] > numbers[best]) best = n;
  return best;
}

/**
 * Draws an id.
 *
 * @param {Float64Array} logits -Infinity for what is never drawn; they are overwritten
 * @param {number} temperature 0 takes the most probable id
 * @param {number} topP draws from the most probable ids whose probabilities add up to it
 * @param {() => number} random
 */
function draw(logits, temperature, topP, random) {
  if (temperature === 0) return highest(logits);
  const most = logits[highest(logits)];
  let sum = 0;
  for (let n = 0; n < logits.length; n++) sum += logits[n] = Math.exp((logits[n] - most) / temperature);
  if (topP < 1) sum = keepTopP(logits, topP * sum);
  let left = random() * sum, last = 0;
  for (let n = 0; n < logits.length; n++) {
    if (logits[n] === 0) continue;
    last = n;
    left -= logits[n];
    if (left < 0) break;
  }
  return last;
}

/** Sets all weights to 0 but the highest ones that add up to `mass`, the first of equal ones; returns their sum. */
function keepTopP(weights, mass) {
  const rising = weights.slice().sort();
  let place = rising.length, sum = 0;
  while (sum < mass && place > 0) sum += rising[--place];
  const least = rising[place];
  let equal = 0;
  for (let n = place; n < rising.length && rising[n] === least; n++) equal++;
  for (let n = 0; n < weights.length; n++) {
    if (weights[n] < least || weights[n] === least && equal-- <= 0) weights[n] = 0;
  }
  return sum;
}

/** What of a text may be shown while a stop text may still come: see `textgen.sampling.ending`. */
class Ending {
  constructor(stop) {
    this.stop = stop;
    this.held = "";
    this.stopped = false;
  }

  /** Takes the next character; returns what may be shown of the text, and sets `stopped` after the stop text. */
  add(character) {
    if (!this.stop) return character;
    this.held += character;
    this.stopped = this.held.endsWith(this.stop);
    if (this.stopped) return this.held.slice(0, -this.stop.length);
    let certain = Math.max(0, this.held.length - this.stop.length + 1);
    while (!this.stop.startsWith(this.held.slice(certain))) certain++;
    const shown = this.held.slice(0, certain);
    this.held = this.held.slice(certain);
    return shown;
  }

  /** What was held back, where the text ends otherwise. */
  rest() {
    return this.stopped ? "" : this.held;
  }
}
