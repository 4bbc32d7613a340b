/** As `textgen.sampling.suggestions`: most characters of a continuation, before its word, and its least probability. */
const LONGEST = 40, LEAD = 4, LEAST = Math.log(1e-6);

/** Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Chinese characters. */
const UNSPACED = [
  [0x0e00, 0x0eff], [0x1000, 0x109f], [0x1780, 0x17ff], [0x2e80, 0x2fdf], [0x3040, 0x30ff], [0x3400, 0x4dbf],
  [0x4e00, 0x9fff], [0xf900, 0xfaff], [0x20000, 0x3ffff],
];

const isWord = (character) => /^[\p{L}\p{N}\p{M}'\u2019_]$/u.test(character);
const isWholeWord = (character) => {
  const code = character.codePointAt(0);
  return isWord(character) && UNSPACED.some(([low, high]) => low <= code && code <= high);
};

/**
 * The most probable continuations of a text to the end of a word, by beam search.
 *
 * @param {Network} network in the state after the text; its state is lost
 * @param {Tokenizer} tokenizer the vocabulary: its characters, which of them belong to words or are words, its `end`
 * @param {number} wanted the number of continuations
 * @param {() => Promise<boolean>} goesOn asked now and then whether they are still wanted
 * @returns {Promise<{text: string, probability: number}[] | null>} by descending probability; null if no longer wanted
 */
async function suggest(network, {characters, words, wholes, end}, wanted, goesOn) {
  const width = Math.max(16, 4 * wanted);
  let live = [{text: "", log: 0, begun: false, logs: logSoftmax(network.logits), state: network.state()}];
  let found = [], least = LEAST;
  const byLog = (a, b) => b.log - a.log;
  for (let length = 1; length <= LONGEST && live.length; length++) {
    const grown = [];
    for (const beam of live) {
      let ending = end >= 0 ? Math.exp(beam.logs[end]) : 0;
      characters.forEach((character, id) => {
        const log = beam.log + beam.logs[id];
        if (!words[id]) ending += Math.exp(beam.logs[id]);
        if (log <= least) return;
        if (wholes[id] && !beam.begun) {
          found.push({text: beam.text + character, log});
        } else if (words[id] || !beam.begun && length <= LEAD) {
          grown.push({beam, id, log});
        }
      });
      if (beam.begun) found.push({text: beam.text, log: beam.log + Math.log(ending)});
    }
    found = found.sort(byLog).slice(0, wanted);
    if (found.length === wanted) least = Math.max(least, found[wanted - 1].log);
    live = [];
    for (const {beam, id, log} of grown.filter((each) => each.log > least).sort(byLog).slice(0, width)) {
      network.restore(beam.state);
      network.step(id);
      const text = beam.text + characters[id];
      live.push({text, log, begun: beam.begun || words[id], logs: logSoftmax(network.logits), state: network.state()});
      if (!await goesOn()) return null;
    }
  }
  return found.filter((each) => each.log > LEAST).map(({text, log}) => ({text, probability: Math.exp(log)}));
}
