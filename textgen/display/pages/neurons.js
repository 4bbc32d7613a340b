const TEXT = Array.from(DATA.text);
const UNITS = unpack(DATA.units);
const STATES = unpack(DATA.states);
const CORRELATIONS = unpack(DATA.correlations);
const MARKS = DATA.features.map((feature) => (feature.marks ? unpack(feature.marks) : null));

/** The number of units listed at a time; the status line shows which part of the whole they are. */
const WINDOW = 200;

/** Colour steps on either side of zero. */
const STEPS = 10;

const SHADES = Array.from({length: 2 * STEPS + 1}, (_, n) => n - STEPS);

const correlation = (feature, index) => CORRELATIONS[feature * UNITS.length + index];
const stateAt = (place) => STATES[current * TEXT.length + place] / 127;
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);

/** A unit's layer and number, both from 1, from its index in the arrays. */
const layerOf = (index) => Math.floor(UNITS[index] / DATA.unitsInLayer) + 1;
const unitOf = (index) => (UNITS[index] % DATA.unitsInLayer) + 1;

/** The feature with which each unit is most correlated. */
const BEST = Array.from(UNITS, (_, index) => {
  let best = -1;
  DATA.features.forEach((_, n) => {
    if (best < 0 || Math.abs(correlation(n, index)) > Math.abs(correlation(best, index))) best = n;
  });
  return best;
});

let by = -1;
let order = [];
let current = -1;

const featureOf = (index) => (by < 0 ? BEST[index] : by);
const correlationOf = (index) => (DATA.features.length ? correlation(featureOf(index), index) : 0);

/** Finds the units that match the search, highest correlation first. */
function rank() {
  const wanted = $("filter").value.toLowerCase().trim();
  const [, layer, unit] = wanted.match(/^(?:layer\s*)?(\d+)?\s*(?:\/|,|unit|\s)*\s*(\d+)?$/) ?? [];
  const matches = (index) => {
    if (!wanted) return true;
    if (layer || unit) return (!layer || layerOf(index) === +layer) && (!unit || unitOf(index) === +unit);
    return DATA.features.length > 0 && DATA.features[featureOf(index)].name.toLowerCase().includes(wanted);
  };
  order = Array.from(UNITS, (_, index) => index).filter(matches);
  order.sort((a, b) => Math.abs(correlationOf(b)) - Math.abs(correlationOf(a)) || a - b);
}

function list() {
  const at = Math.max(0, order.indexOf(current));
  const start = Math.floor(at / WINDOW) * WINDOW;
  const part = order.slice(start, start + WINDOW);
  const few = order.length > WINDOW ? ` ${start + 1} to ${start + part.length} of` : "";
  $("found").textContent = order.length ? `Units:${few} ${order.length.toLocaleString("en")}` : "No unit matches.";
  $("list").replaceChildren(...part.map(option));
  mark();
}

function option(index) {
  const name = DATA.features.length ? DATA.features[featureOf(index)].name : "";
  const made = element("div", "option", element("span", "", `${layerOf(index)}/${unitOf(index)}`),
    element("span", "", name), element("span", "", signed(correlationOf(index))));
  made.setAttribute("role", "option");
  made.id = `unit-${index}`;
  made.addEventListener("click", () => select(index));
  return made;
}

/** Marks the current unit in the list and scrolls it into view. */
function mark() {
  $("list").removeAttribute("aria-activedescendant");
  for (const each of $("list").children) {
    const chosen = each.id === `unit-${current}`;
    each.setAttribute("aria-selected", chosen);
    if (!chosen) continue;
    $("list").setAttribute("aria-activedescendant", each.id);
    const top = each.offsetTop - $("list").offsetTop;
    if (top < $("list").scrollTop) $("list").scrollTop = top;
    const below = top + each.offsetHeight - $("list").clientHeight;
    if (below > $("list").scrollTop) $("list").scrollTop = below;
  }
}

function select(index) {
  current = index;
  if ($(`unit-${index}`)) mark();
  else list();
  $("unit").textContent = `Layer ${layerOf(index)}, unit ${unitOf(index)}`;
  const ranked = DATA.features.map((_, n) => n);
  ranked.sort((a, b) => Math.abs(correlation(b, index)) - Math.abs(correlation(a, index)));
  const best = ranked.slice(0, 5);
  if (by >= 0 && !best.includes(by)) best.push(by);
  $("follows").tBodies[0]?.remove();
  $("follows").append(element("tbody", "", ...best.map((n) => correlationRow(n, correlation(n, index)))));
  paint();
}

function correlationRow(n, value) {
  const feature = DATA.features[n];
  const bar = element("span", value < 0 ? "minus" : "plus");
  bar.style.width = `${50 * Math.abs(value)}%`;
  bar.style[value < 0 ? "right" : "left"] = "50%";
  const name = element("th", "", feature.name);
  name.scope = "row";
  const holds = feature.binary ? `; true at ${(100 * feature.share).toPrecision(2)} % of the characters` : "";
  const row = element("tr", "", name, element("td", "", signed(value)), element("td", "scalebar", bar));
  row.title = feature.meaning + holds;
  return row;
}

function paint() {
  const n = DATA.features.length ? featureOf(current) : -1;
  const marks = n >= 0 ? MARKS[n] : null;
  document.querySelector(".mark").hidden = marks === null;
  $("marked").textContent = marks ? `underlined: ${DATA.features[n].name}` : "";
  const underline = marks !== null && $("mark").checked;
  reader.paint((place) => {
    const step = Math.round(stateAt(place) * STEPS);
    const on = underline && marks[place >> 3] & (128 >> (place & 7));
    return `v${step + STEPS}${on ? " on" : ""}`;
  });
  if (reader.place >= 0) reader.show(reader.place);
}

/** Moves the selection by a number of units in the list. */
function move(steps) {
  if (!order.length) return;
  const at = order.indexOf(current);
  select(order[at < 0 ? 0 : Math.max(0, Math.min(order.length - 1, at + steps))]);
}

function update() {
  rank();
  if (order.length && !order.includes(current)) current = order[0];
  list();
  if (current >= 0) select(current);
}

const reader = new Reader(TEXT, {
  describe: (place) => [element("div", "head", sign(TEXT[place]), element("strong", "", signed(stateAt(place))))],
  speak: (place) => `${characterName(TEXT[place]) ?? TEXT[place]}, ${signed(stateAt(place))}`,
});

document.head.append(element("style", "", ...SHADES.map((step, n) => {
  const colour = step < 0 ? "negative" : "positive";
  const share = (100 * Math.abs(step)) / STEPS;
  return step ? `.v${n}{background:color-mix(in srgb,var(--${colour}) ${share}%,transparent)}` : "";
})));

DATA.features.forEach((feature, n) => {
  const made = element("option", "", feature.name);
  made.value = n;
  $("by").append(made);
});
$("by").addEventListener("change", () => {
  by = +$("by").value;
  current = -1;
  update();
});
$("filter").addEventListener("input", update);
$("mark").addEventListener("change", paint);
$("list").addEventListener("keydown", (event) => {
  const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity}[event.key];
  if (steps === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  move(steps);
});
addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select");
  if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "n") move(1);
  if (event.key === "p") move(-1);
  if (event.key === "/") {
    event.preventDefault();
    $("filter").focus();
  }
});

/** A gate's plot: a dot for each unit, x the share of time open, y the share closed. */
function plot({layer, gate, above, below}) {
  const open = unpack(above), closed = unpack(below);
  const dots = Array.from(open, (x, n) => `M${(10 + 100 * x).toFixed(1)} ${(110 - 100 * closed[n]).toFixed(1)}h0`);
  const mean = (values) => `${((100 * values.reduce((sum, value) => sum + value, 0)) / values.length).toFixed(1)} %`;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 120 124");
  svg.setAttribute("aria-hidden", "true");
  for (const [classes, path] of [["frame", "M10 10V110H110Z"], ["dots", dots.join("")]]) {
    const drawn = document.createElementNS(space, "path");
    drawn.setAttribute("class", classes);
    drawn.setAttribute("d", path);
    svg.append(drawn);
  }
  for (const [x, y, anchor, words] of [[110, 121, "end", "open"], [14, 12, "start", "closed"]]) {
    const label = document.createElementNS(space, "text");
    label.setAttribute("x", x);
    label.setAttribute("y", y);
    label.setAttribute("text-anchor", anchor);
    label.append(words);
    svg.append(label);
  }
  const caption = element("figcaption", "", element("strong", "", `Layer ${layer}, ${gate} gate`),
    `above 0.9: ${mean(open)}`, element("br"), `below 0.1: ${mean(closed)}`);
  return element("figure", "", svg, caption);
}

$("gates").hidden = DATA.gates.length === 0;
for (let layer = 1; layer <= DATA.layers; layer++) {
  const gates = DATA.gates.filter((gate) => gate.layer === layer);
  document.querySelector(".gates").append(element("div", "layer", ...gates.map(plot)));
}
update();
