/** Milliseconds between two looks at the messages that have come, and steps between two looks at the clock. */
const TURN = 16, STEPS = 4;

/** Ids between two states that are kept of the text. */
const KEPT = 64;

/** Text to ids and back, with the text read as the training text was. */
class Tokenizer {
  constructor({characters, unknown, end, normalization, keepNewlines}) {
    this.characters = characters.map((code) => String.fromCodePoint(code));
    this.ids = new Map(this.characters.map((character, id) => [character, id]));
    this.words = this.characters.map(isWord);
    this.wholes = this.characters.map(isWholeWord);
    this.unknown = unknown;
    this.end = end;
    this.normalization = normalization;
    this.keepNewlines = keepNewlines;
    const context = ["\n", " "].find((character) => this.ids.has(character));
    this.start = end >= 0 ? [end] : [this.ids.get(context) ?? 0];
  }

  asTrained(text) {
    if (!this.keepNewlines) text = text.replace(/\r\n?/g, "\n");
    return this.normalization ? text.normalize(this.normalization) : text;
  }

  /** The ids of a text and its characters outside the vocabulary, which are read as the unknown id, or as spaces. */
  encode(text) {
    const ids = [], outside = new Set(), other = this.unknown >= 0 ? this.unknown : this.ids.get(" ");
    for (const character of this.asTrained(text)) {
      const id = this.ids.get(character);
      if (id === undefined) outside.add(character);
      if ((id ?? other) !== undefined) ids.push(id ?? other);
    }
    return {ids, outside: [...outside]};
  }

  /** What the network reads for some ids: of a record its beginning, too; a line break for an empty text. */
  context(ids) {
    return this.end >= 0 || !ids.length ? [...this.start, ...ids] : ids;
  }
}

/** The network's place in a text: reading another text goes on from the longest beginning that both have. */
class Context {
  constructor(network) {
    this.network = network;
    this.ids = [];
    this.label = -1;
    this.states = [];
    this.forget(-1);
  }

  forget(label) {
    this.label = label;
    this.ids = [];
    this.network.setLabel(label);
    this.network.clear();
    this.states = [this.network.state()];
  }

  /** Advances by an id. */
  push(id) {
    this.network.step(id);
    this.ids.push(id);
    if (this.ids.length % KEPT === 0) this.states.push(this.network.state());
  }

  /** Puts the network behind some ids, at least one; false if it is no longer wanted. */
  async read(ids, label, goesOn) {
    if (label !== this.label) this.forget(label);
    let same = 0;
    while (same < ids.length && ids[same] === this.ids[same]) same++;
    const kept = Math.floor(Math.min(same, ids.length - 1) / KEPT);
    if (same < this.ids.length) {
      this.states.length = kept + 1;
      this.ids.length = kept * KEPT;
      this.network.restore(this.states[kept]);
    }
    while (this.ids.length < ids.length) {
      this.push(ids[this.ids.length]);
      if (!await goesOn()) return false;
    }
    return true;
  }
}

const channel = new MessageChannel();
let resume = () => {};
channel.port1.onmessage = () => resume();

/** Lets the messages that have come be handled. */
function pause() {
  return new Promise((resolve) => {
    resume = resolve;
    channel.port2.postMessage(0);
  });
}

let tokenizer, network, context;
let turn = 0;

/** A function that lets messages be handled now and then, and tells whether none has taken this turn's place. */
function whileWanted(own, tell = () => {}) {
  let until = performance.now() + TURN, steps = 0;
  return async () => {
    if (++steps % STEPS || performance.now() < until) return true;
    tell();
    await pause();
    until = performance.now() + TURN;
    return turn === own;
  };
}

function load({model, packed, weights, compiled}) {
  tokenizer = new Tokenizer(model);
  network = new Network(model, unpackMatrices(packed, bytesOf(weights)), compiled ? bytesOf(compiled) : null);
  context = new Context(network);
  postMessage({kind: "ready", vectors: network.vectors});
}

/** Writes on from a text, in pieces; a piece with `reason` is the last. */
async function write({id, text, label, temperature, topP, length, seed, stop}, own) {
  let piece = "", written = 0, reason = "length";
  const {ids, outside} = tokenizer.encode(text), random = randomNumbers(seed), prompt = tokenizer.context(ids);
  const tell = () => {
    if (piece) postMessage({kind: "piece", id, text: piece, written});
    else if (!written) postMessage({kind: "reading", id, outside, left: prompt.length - context.ids.length});
    piece = "";
  };
  const goesOn = whileWanted(own, tell);
  postMessage({kind: "reading", id, outside, left: 0});
  const ending = new Ending(tokenizer.asTrained(stop));
  const {characters, unknown, end} = tokenizer;
  const read = await context.read(prompt, label, goesOn);
  const begun = performance.now();
  if (!read) reason = "interrupted";
  while (read && written < length) {
    const logits = new Float64Array(network.logits);
    if (unknown >= 0) logits[unknown] = -Infinity;
    if (end >= 0 && !written && !ids.length) logits[end] = -Infinity;
    const drawn = draw(logits, temperature, topP, random);
    if (drawn === end) {
      reason = "record";
      break;
    }
    written++;
    piece += ending.add(characters[drawn]);
    if (ending.stopped) {
      reason = "stop";
      break;
    }
    context.push(drawn);
    if (!await goesOn()) {
      reason = "interrupted";
      break;
    }
  }
  piece += reason === "interrupted" ? "" : ending.rest();
  const seconds = (performance.now() - begun) / 1000;
  postMessage({kind: "piece", id, text: piece, written, reason, seed, seconds, last: true});
}

/** Suggests continuations, none where another job has taken the place of this one. */
async function complete({id, text, label, wanted}, own) {
  if (turn !== own) return postMessage({kind: "suggestions", id, outside: [], found: null, last: true});
  const goesOn = whileWanted(own);
  const {ids, outside} = tokenizer.encode(text);
  let found = null;
  if (await context.read(tokenizer.context(ids), label, goesOn)) {
    const here = network.state(), logits = network.logits.slice();
    found = await suggest(network, tokenizer, wanted, goesOn);
    network.restore(here);
    network.logits.set(logits);
  }
  postMessage({kind: "suggestions", id, outside, found, last: true});
}

async function predict({id, text, label}) {
  const {ids} = tokenizer.encode(text);
  await context.read(tokenizer.context(ids), label, async () => true);
  const probabilities = logSoftmax(network.logits).map(Math.exp);
  postMessage({kind: "probabilities", id, probabilities, last: true});
}

const jobs = {load, write, suggest: complete, predict, stop() {}};
let running = Promise.resolve();

onmessage = ({data}) => {
  const own = ++turn;
  running = running.then(() => jobs[data.kind](data, own)).catch((error) => {
    postMessage({kind: "failed", message: String(error)});
  });
};
