const TEXT = Array.from(DATA.text);
const VOCABULARY = Array.from(DATA.vocabulary);
const BITS = unpack(DATA.bits);
const ALTERNATIVES = unpack(DATA.alternatives);
const ALTERNATIVE_BITS = unpack(DATA.alternativeBits);
const COUNT = ALTERNATIVES.length / TEXT.length;

const bitsAt = (place) => BITS[place] / DATA.steps;

function percent(bits) {
  const value = 100 * 2 ** -bits;
  if (value < 0.001) return "< 0.001 %";
  return `${value >= 99.95 ? value.toFixed(2) : value >= 10 ? value.toFixed(1) : value.toPrecision(2)} %`;
}

/** The alternatives at a position: whether each is the actual character, its label, its name, its surprisal in bits. */
function alternatives(place) {
  return Array.from({length: COUNT}, (_, n) => {
    const id = ALTERNATIVES[place * COUNT + n];
    const bits = ALTERNATIVE_BITS[place * COUNT + n] / DATA.steps;
    if (id === DATA.unknown) {
      const own = !VOCABULARY.includes(TEXT[place]);
      return {own, sign: element("span", "sign named", "any other character"), name: "any other character", bits};
    }
    const character = VOCABULARY[id];
    return {own: character === TEXT[place], sign: sign(character), name: characterName(character) ?? character, bits};
  });
}

function describe(place) {
  const bits = bitsAt(place);
  const rows = alternatives(place).map((each) => {
    const bar = element("span", "bar");
    bar.style.width = `${100 * 2 ** -each.bits}%`;
    return element("tr", each.own ? "own" : "", element("td", "", each.sign),
      element("td", "probability", percent(each.bits)), element("td", "", bar));
  });
  return [
    element("div", "head", sign(TEXT[place]), element("strong", "probability", percent(bits)),
      element("span", "quiet", `${bits.toFixed(2)} bits`)),
    element("h2", "", "most likely here"),
    element("table", "", ...rows),
  ];
}

function speak(place) {
  const likeliest = alternatives(place).map((each) => `${each.name} ${percent(each.bits)}`);
  const name = characterName(TEXT[place]) ?? TEXT[place];
  return `${name}, ${percent(bitsAt(place))}, ${bitsAt(place).toFixed(1)} bits. Most likely: ${likeliest.join(", ")}`;
}

/** The next position of high surprisal in a direction; the current one if there is none. */
function highSurprisal(place, step) {
  for (let n = place + step; n >= 0 && n < TEXT.length; n += step) if (bitsAt(n) >= DATA.high) return n;
  return place;
}

const reader = new Reader(TEXT, {
  describe, speak, keys: {n: (place) => highSurprisal(place, 1), p: (place) => highSurprisal(place, -1)},
});
reader.paint((place) => `s${DATA.thresholds.filter((threshold) => bitsAt(place) >= threshold).length}`);
$("legend").append("Surprisal in bits:", ...DATA.legend.map((text, n) => element("span", `s${n}`, text)));
