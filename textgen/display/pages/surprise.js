const TEXT = Array.from(DATA.text);
const VOCABULARY = Array.from(DATA.vocabulary);
/** What each side of the text says: one, or of a proof perhaps two; the first one colours the text. */
const SIDES = (DATA.sides ?? [{...DATA, title: "most likely here"}]).map((side) => ({
  title: side.title, bits: unpack(side.bits), ids: unpack(side.alternatives), idBits: unpack(side.alternativeBits),
}));
/** The findings of a proof, by each of their positions; what is missing is found before the character behind it. */
const FINDINGS = new Map();
for (const found of DATA.findings ?? []) {
  const length = Array.from(found.stands).length;
  for (let n = 0; n < Math.max(length, 1); n++) FINDINGS.set(Math.min(found.start + n, TEXT.length - 1), found);
}

const bitsAt = (place) => SIDES[0].bits[place] / DATA.steps;

function percent(bits) {
  const value = 100 * 2 ** -bits;
  if (value < 0.001) return "< 0.001 %";
  return `${value >= 99.95 ? value.toFixed(2) : value >= 10 ? value.toFixed(1) : value.toPrecision(2)} %`;
}

/** A side's alternatives at a position: whether each is the actual character, its label, its name, its surprisal. */
function alternatives(side, place) {
  const count = side.ids.length / TEXT.length;
  return Array.from({length: count}, (_, n) => {
    const id = side.ids[place * count + n];
    const bits = side.idBits[place * count + n] / DATA.steps;
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
  const tables = SIDES.flatMap((side) => {
    const rows = alternatives(side, place).map((each) => {
      const bar = element("span", "bar");
      bar.style.width = `${100 * 2 ** -each.bits}%`;
      return element("tr", each.own ? "own" : "", element("td", "", each.sign),
        element("td", "probability", percent(each.bits)), element("td", "", bar));
    });
    return [element("h2", "", side.title), element("table", "", ...rows)];
  });
  const found = FINDINGS.get(place);
  return [
    ...(found ? [element("p", "verdict", verdict(found))] : []),
    element("div", "head", sign(TEXT[place]), element("strong", "probability", percent(bits)),
      element("span", "quiet", `${bits.toFixed(2)} bits`)),
    ...tables,
  ];
}

/** A finding in words. */
function verdict(found) {
  const named = (text) => Array.from(text).map((each) => characterName(each) ?? each).join("");
  const sure = `${(100 * found.probability).toFixed(0)} %`;
  if (found.kind === "deletion") return `${named(found.expected)} missing before this, ${sure}`;
  if (found.kind === "insertion") return `${named(found.stands)} too many, ${sure}`;
  return `${named(found.stands)} should be ${named(found.expected)}, ${sure}`;
}

function speak(place) {
  const likeliest = alternatives(SIDES[0], place).map((each) => `${each.name} ${percent(each.bits)}`);
  const name = characterName(TEXT[place]) ?? TEXT[place];
  const found = FINDINGS.has(place) ? `${verdict(FINDINGS.get(place))}. ` : "";
  return `${found}${name}, ${percent(bitsAt(place))}, ${bitsAt(place).toFixed(1)} bits. Most likely: ${likeliest.join(", ")}`;
}

/** The next position of high surprisal, or of a proof the next finding, in a direction; else the current one. */
function highSurprisal(place, step) {
  const stops = (n) => DATA.findings ? FINDINGS.has(n) && FINDINGS.get(n) !== FINDINGS.get(place) : bitsAt(n) >= DATA.high;
  for (let n = place + step; n >= 0 && n < TEXT.length; n += step) if (stops(n)) return n;
  return place;
}

const reader = new Reader(TEXT, {
  describe, speak, keys: {n: (place) => highSurprisal(place, 1), p: (place) => highSurprisal(place, -1)},
});
reader.paint((place) => {
  const shade = `s${DATA.thresholds.filter((threshold) => bitsAt(place) >= threshold).length}`;
  return FINDINGS.has(place) ? `${shade} found` : shade;
});
$("legend").append("Surprisal in bits:", ...DATA.legend.map((text, n) => element("span", `s${n}`, text)));
if (DATA.findings) {
  $("help").textContent = "Underlined is what should be something else. Hover over a character, or tap it, to see what was expected. "
    + "With the text focused: arrow keys move, n and p jump to the next and previous finding, Esc closes the tooltip.";
}
