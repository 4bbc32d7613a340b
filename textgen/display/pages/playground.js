const note = $("note"), status_ = $("status");

// The last text that was written: where it begins and ends, what stood there before, and the request while it runs.
let written = null, running = null, suggesting = null, timer = 0, suggestions = [], models = {};

function headers() {
  const token = $("token").value;
  return { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
}

class Refused extends Error {}

// What the API says is for programs: here there is a field for it.
const advice = (error) => error.code === "unknown_characters"
  ? `${error.message.replace(/\. .*/s, "")}. Remove what is unknown, or choose under Unknown characters what becomes of it.`
  : error.message;

async function ask(path, body, signal) {
  const options = body ? { method: "POST", body: JSON.stringify(body) } : {};
  const response = await fetch(path, { ...options, headers: headers(), signal });
  if (response.ok) return response;
  let message = `The server answered with status ${response.status}.`;
  try {
    message = advice((await response.json()).error);
  } catch { /* It is no error of the API's. */ }
  if (response.status === 401) $("token-field").hidden = false;
  throw new Refused(message);
}

function tell(message) {
  note.textContent = message;
  note.hidden = !message;
}

function draw() {
  const known = written !== null && text.value.length >= written.end;
  drawMirror(known ? [written.start, written.end] : null, suggestions.length && atEnd() ? suggestions[0] : "");
}

const atEnd = () => text.selectionStart === text.value.length && text.selectionEnd === text.value.length;

/** Whether the model turns the text into another, which is shown below it, rather than going on with it. */
const turns = () => Boolean(models[$("model").value]?.pairs);

function settings() {
  const found = { model: $("model").value, temperature: Number($("temperature").value), unknown: $("unknown").value };
  if ($("seed").value) found.seed = Number($("seed").value);
  if (turns()) return found;
  found.top_p = Number($("top-p").value);
  found.max_tokens = Math.max(1, Math.round(Number($("length").value)) || 500);
  if ($("stop").value) found.stop = [unescaped($("stop").value)];
  if ($("label").value) found.label = $("label").value;
  return found;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new Refused(event.error.message);
      yield event;
    }
  }
}

async function write() {
  if (running) return;
  close();
  tell("");
  const begun = performance.now(), prompt = text.value;
  const apart = turns();
  running = new AbortController();
  written = { start: prompt.length, end: prompt.length, before: prompt, apart };
  if (apart) $("made").textContent = "";
  show();
  let reason = "", seed = null, count = 0;
  const arriving = gathering((piece) => {
    if (apart) $("made").textContent += piece;
    else {
      text.value += piece;
      written.end = text.value.length;
      draw();
    }
    const seconds = (performance.now() - begun) / 1000;
    status_.textContent = `${count.toLocaleString("en")} characters in ${seconds.toFixed(1)} s`;
  });
  try {
    const response = await ask("/v1/completions", { prompt, stream: true, ...settings() }, running.signal);
    for await (const event of events(response)) {
      seed = event.seed;
      for (const choice of event.choices) {
        count += [...choice.text].length;
        reason = choice.finish_reason || reason;
        arriving.add(choice.text);
      }
    }
    arriving.flush();
    status_.textContent += reason === "stop" && !apart ? ", ended by itself" : "";
    if (seed !== null) status_.textContent += ` · seed ${seed}`;
  } catch (error) {
    arriving.flush();
    if (error.name === "AbortError") status_.textContent = `Stopped after ${count.toLocaleString("en")} characters`;
    else {
      status_.textContent = "";
      tell(error instanceof Refused ? error.message : "The server cannot be reached. Is it still running?");
      if (!count) written = null;
    }
  }
  running = null;
  text.setSelectionRange(text.value.length, text.value.length);
  show();
}

function restore() {
  if (!written || running) return;
  if (written.apart) $("made").textContent = "";
  else text.value = written.before;
  written = null;
  show();
}

function show() {
  const apart = turns();
  $("write").textContent = running ? "Stop" : "Write";
  $("write").disabled = !$("model").value || (apart && !running && !text.value.trim());
  $("again").disabled = $("undo").disabled = Boolean(running) || !written;
  text.readOnly = Boolean(running);
  draw();
}

function close() {
  clearTimeout(timer);
  if (suggesting) suggesting.abort();
  suggesting = null;
  suggestions = [];
  offer([]);
  draw();
}

async function suggest() {
  if (running || !text.value || !atEnd() || turns()) return;
  suggesting = new AbortController();
  const { model, unknown, label } = settings();
  const body = { model, label, prompt: text.value.slice(-2000), n: 8, max_tokens: 26, seed: 1, temperature: 0.8,
    logprobs: 0, match: "\\s?[^\\s]{1,24}", unknown: unknown === "auto" ? "skip" : unknown };
  let found;
  try {
    found = await (await ask("/v1/completions", body, suggesting.signal)).json();
  } catch {
    return;
  }
  const likely = new Map();
  for (const choice of found.choices) {
    const sum = choice.logprobs.token_logprobs.reduce((total, each) => total + each, 0);
    if (choice.text.trim()) likely.set(choice.text, sum);
  }
  suggestions = [...likely.keys()].sort((a, b) => likely.get(b) - likely.get(a)).slice(0, 4);
  offer(suggestions.map((each) => ({text: each})), take);
  draw();
}

function take(n) {
  text.setSelectionRange(text.value.length, text.value.length);
  insert(suggestions[n], typed);
}

function typed() {
  close();
  if (written && !text.value.startsWith(written.before)) written = null;
  else if (written) written.end = Math.min(written.end, text.value.length);
  show();
  if ($("suggest").checked) timer = setTimeout(suggest, 350);
}

/** Shows the fields that the model has a use for, and what to type. */
function arrange() {
  const apart = turns();
  if ($("result").hidden === apart) {
    // The most probable text is what one wants of such a model, and a draw of the others.
    $("temperature").value = apart ? 0 : 0.8;
    $("temperature").dispatchEvent(new Event("input"));
    $("made").textContent = "";
    written = null;
  }
  $("result").hidden = !apart;
  $("continuing").hidden = $("suggest-field").hidden = apart;
  $("most-probable").textContent = apart ? "text" : "character";
  text.placeholder = apart
    ? "Type a text here, as those that the model learned to read: it turns it into another, which is shown below."
    : "Begin a text here, or leave it to the model.";
  text.setAttribute("aria-label", apart ? "The text to turn into another" : "The text to continue");
}

async function describe() {
  const model = $("model").value;
  $("title").textContent = model;
  try {
    models[model] ??= await (await ask(`/v1/models/${encodeURIComponent(model)}`)).json();
    const labels = models[model].labels;
    const option = (name, value) => Object.assign(document.createElement("option"), { textContent: name, value });
    $("label").replaceChildren(option("any", ""), ...labels.map((each) => option(each, each)));
    $("label-field").hidden = !labels.length;
    arrange();
    status_.textContent = "Ready";
    tell("");
  } catch (error) {
    status_.textContent = "";
    tell(error.message);
  }
  show();
}

async function begin() {
  try {
    const found = await (await ask("/v1/models")).json();
    $("model").replaceChildren(...found.data.map((each) =>
      Object.assign(document.createElement("option"), { textContent: each.id, value: each.id })));
    await describe();
  } catch (error) {
    status_.textContent = "";
    tell(error instanceof Refused ? error.message : "The server cannot be reached. Is it still running?");
  }
}

$("write").addEventListener("click", () => (running ? running.abort() : write()));
$("undo").addEventListener("click", restore);
$("again").addEventListener("click", () => { restore(); write(); });
$("copy").addEventListener("click", async () => {
  if (turns()) await navigator.clipboard.writeText($("made").textContent);
  else await copyText();
  status_.textContent = "Copied";
});
$("model").addEventListener("change", describe);
$("token").addEventListener("change", begin);
$("settings").addEventListener("submit", (event) => event.preventDefault());
$("suggest").addEventListener("change", close);
text.addEventListener("input", typed);
watchKeys({
  write, close, take, stop: () => running.abort(), isBusy: () => running !== null,
  canTake: () => suggestions.length > 0 && atEnd(),
});
watchSliders();
show();
begin();
