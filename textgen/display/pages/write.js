const DATA = JSON.parse($("data").textContent);

/** Suggestions shown, and milliseconds after a key until they are asked for. */
const SUGGESTED = 4, PATIENCE = 90;

/** What the model wrote, the last at the end: the text before it, what it wrote, and whether it ended as a record. */
const history = [];
/** For a model of records: the text up to the record that is being written. */
let before = "";
/** What is done with the messages of the worker's jobs, by their numbers; and the last number. */
const takers = new Map();
let jobs = 0;
let busy = true;
let suggestions = [];

const worker = new Worker(URL.createObjectURL(new Blob([$("worker").textContent], {type: "text/javascript"})));

/** Sends the worker a job, in place of the one that it is at; `take` gets its messages, up to the one with `last`. */
function send(kind, values, take) {
  takers.set(++jobs, take);
  worker.postMessage({kind, id: jobs, ...values});
}

/** The probabilities of the vocabulary's ids after a text. */
function predict(of) {
  return new Promise((resolve) => {
    send("predict", {text: of, label: chosenLabel()}, ({probabilities}) => resolve(probabilities));
  });
}

worker.onmessage = ({data}) => {
  if (data.kind === "ready") {
    busy = false;
    $("write").disabled = false;
    say(data.vectors ? "Ready." : "Ready. This browser lacks WebAssembly with vectors, without which a model is slow.");
    $("weights").remove();
    askSuggestions();
  } else if (data.kind === "failed") {
    fail(data.message);
  } else {
    const take = takers.get(data.id);
    if (data.last) takers.delete(data.id);
    take(data);
  }
};
worker.onerror = ({message}) => fail(message);

function fail(message) {
  busy = false;
  say(`The model cannot be used in this browser: ${message || "it gives no reason"}. Try a newer one.`);
}

function say(message) {
  if ($("status").textContent !== message) $("status").textContent = message;
}

/** Names characters outside the vocabulary, and says how the model reads them. */
function warn(outside) {
  const code = (each) => `U+${each.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  const named = outside.slice(0, 8).map((each) => `${each} (${code(each)})`).join(", ");
  const read = DATA.model.unknown >= 0 ? "rare characters" : DATA.model.characters.includes(32) ? "spaces" : "nothing";
  $("note").hidden = !outside.length;
  const more = outside.length > 8 ? " and others" : "";
  $("note").textContent = `The model never saw ${named}${more}, and reads ${read} instead.`;
}

const number = (id, fallback) => $(id).value === "" || !$(id).validity.valid ? fallback : Number($(id).value);
const chosenLabel = () => $("label-field").hidden ? -1 : Number($("label").value);

/** The settings as the worker takes them. */
function settings() {
  return {
    label: chosenLabel(),
    temperature: number("temperature", 0.8),
    topP: number("top-p", 1),
    length: number("length", 500),
    stop: unescaped($("stop").value),
    seed: number("seed", crypto.getRandomValues(new Uint32Array(1))[0]),
  };
}

/** What the model reads: of records the one that is being written. */
function context() {
  if (!text.value.startsWith(before)) before = "";
  return text.value.slice(before.length);
}

/** Writes on from the text; after a whole record, another one with the same beginning. */
function write() {
  if (busy) return;
  const last = history.at(-1), after = {text: text.value, before};
  if (last?.record && text.value === last.whole) {
    before = text.value + (last.whole.slice(last.before.length).includes("\n") ? "\n\n" : "\n");
    text.value = before + last.prompt;
  }
  const prompt = context();
  history.push({after, before, prompt, start: text.value.length, whole: text.value, record: false});
  busy = true;
  text.readOnly = true;
  clearSuggestions();
  $("write").textContent = "Stop";
  $("again").disabled = $("undo").disabled = true;
  say("Writing …");
  send("write", {text: prompt, ...settings()}, takePiece);
}

const ENDS = {
  length: "", stop: "It ended before the stop text.", record: "The record ends here.", interrupted: "Stopped.",
};

const arriving = gathering((piece) => {
  text.value += piece;
  history.at(-1).whole = text.value;
  mirror();
});

/** How many characters were written last, and in how many seconds. */
let pace = {written: 0, seconds: 0};

function takePiece({kind, outside, left, text: piece, written, reason, seconds, seed}) {
  if (kind === "reading") {
    warn(outside);
    // In thousands, so that it is not read aloud all the time.
    const thousands = Math.round(left / 1000).toLocaleString("en");
    say(left > 2000 ? `Reading the text: ${thousands} thousand characters to go …` : "Writing …");
    return;
  }
  arriving.add(piece);
  if (reason === undefined) return;
  arriving.flush();
  busy = false;
  text.readOnly = false;
  history.at(-1).record = reason === "record";
  $("write").textContent = "Write";
  $("again").disabled = $("undo").disabled = false;
  pace = {written, seconds};
  const fast = seconds > 0.2 ? `, ${Math.round(written / seconds).toLocaleString("en")} a second` : "";
  say(`${written.toLocaleString("en")} characters${fast}, seed ${seed}. ${ENDS[reason]}`.trim());
  if (document.activeElement === text) text.setSelectionRange(text.value.length, text.value.length);
  askSuggestions();
}

function stop() {
  worker.postMessage({kind: "stop"});
}

/** Takes back what the model wrote last, and what was typed since. */
function undo() {
  if (busy || !history.length) return;
  ({text: text.value, before} = history.pop().after);
  $("again").disabled = $("undo").disabled = !history.length;
  say("Taken back.");
  changed();
}

/** Takes it back and writes anew. */
function again() {
  if (busy || !history.length) return;
  undo();
  write();
}

/** Draws what is behind the text: the part that was written last, and the suggestion at its end. */
function mirror(ghost = "") {
  const last = history.at(-1), known = last !== undefined && text.value.startsWith(last.whole);
  drawMirror(known ? [last.start, last.whole.length] : null, ghost);
}

let timer = 0;

function askSuggestions() {
  clearTimeout(timer);
  clearSuggestions();
  const last = history.at(-1);
  if (busy || !$("suggest").checked || last?.record && text.value === last.whole) return;
  timer = setTimeout(() => {
    if (busy || text.selectionStart !== text.selectionEnd) return;
    const place = text.selectionEnd, value = text.value;
    context();
    const begin = place >= before.length ? before.length : 0;
    send("suggest", {text: value.slice(begin, place), label: chosenLabel(), wanted: SUGGESTED}, ({found, outside}) => {
      if (found === null) return;
      warn(outside);
      if (!busy && text.value === value && text.selectionEnd === place) showSuggestions(found);
    });
  }, PATIENCE);
}

function clearSuggestions() {
  suggestions = [];
  offer([]);
  mirror();
}

function showSuggestions(found) {
  suggestions = found.map((each) => each.text);
  offer(found, takeSuggestion);
  if (found.length && text.selectionEnd === text.value.length) mirror(suggestions[0]);
}

function takeSuggestion(n) {
  insert(suggestions[n], changed);
}

function changed() {
  mirror();
  askSuggestions();
}

text.addEventListener("input", changed);
text.addEventListener("click", askSuggestions);
text.addEventListener("keyup", ({key}) => {
  if (/^(Arrow|Home$|End$|Page)/.test(key)) askSuggestions();
});
watchKeys({
  write, stop, close: clearSuggestions, take: takeSuggestion, isBusy: () => busy,
  canTake: () => suggestions.length > 0 && !busy,
});
watchSliders();

$("write").onclick = () => busy ? stop() : write();
$("undo").onclick = undo;
$("again").onclick = again;
$("suggest").onchange = askSuggestions;
$("label").onchange = askSuggestions;
$("settings").onsubmit = (event) => event.preventDefault();
$("copy").onclick = async () => {
  await copyText();
  say("Copied.");
};

$("download").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text.value], {type: "text/plain;charset=utf-8"}));
  link.download = `${DATA.name.replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^\.+/, "") || "text"}.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};

const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

function showTheme() {
  $("theme").textContent = isDark() ? "Light" : "Dark";
  $("theme").setAttribute("aria-label", `${$("theme").textContent} colours`);
}

$("theme").onclick = () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
};
system.addEventListener("change", showTheme);
showTheme();

if (DATA.labels.length) {
  $("label-field").hidden = false;
  $("label").append(new Option("any", "-1"), ...DATA.labels.map((label, n) => new Option(label, String(n))));
}
mirror();
worker.postMessage({
  kind: "load", model: DATA.model, packed: DATA.packed, compiled: DATA.compiled, weights: $("weights").textContent,
});
