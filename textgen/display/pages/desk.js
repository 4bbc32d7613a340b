/** What the page that writes and the playground share: the text with its marks, suggestions, keys and sliders. */

const $ = (id) => document.getElementById(id);
const text = $("text");

/** Draws what is behind the text: `[from, to]` of it marked, or null for nothing, and a suggestion at its end. */
function drawMirror(marked, ghost = "") {
  const value = text.value, [from, to] = marked ?? [0, 0];
  const mark = document.createElement("mark"), grey = document.createElement("span");
  mark.textContent = value.slice(from, to);
  grey.className = "ghost";
  grey.textContent = ghost;
  // A last line break has no height of its own.
  $("mirror").replaceChildren(value.slice(0, from), ...(marked ? [mark] : []), value.slice(to), grey, "\u200b");
}

/** Changes the text, and keeps its end in view where it was. */
function follow(change) {
  const paper = text.closest(".paper");
  const atEnd = paper.scrollTop + paper.clientHeight > paper.scrollHeight - 40;
  change();
  if (atEnd) paper.scrollTop = paper.scrollHeight;
}

/** Shows pieces of a text as they come, many at once where that takes long: what is typed and clicked must not wait. */
function gathering(show) {
  let waiting = "", timer = 0, took = 0;
  const flush = () => {
    const begun = performance.now(), piece = waiting;
    clearTimeout(timer);
    [waiting, timer] = ["", 0];
    follow(() => show(piece));
    took = performance.now() - begun;
  };
  const add = (piece) => {
    waiting += piece;
    timer ||= setTimeout(flush, 4 * took);
  };
  return {add, flush};
}

/** A continuation with its line breaks made visible. */
const shown = (continuation) => continuation.replace(/\n/g, "\u21b5").replace(/\t/g, "\u21e5");

/** Shows continuations, `{text, probability}`, as buttons, in place of those before; `take` gets the number of one. */
function offer(found, take) {
  $("suggestions").replaceChildren(...found.map(({text: continuation, probability}, n) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(shown(continuation));
    if (probability !== undefined) {
      const share = document.createElement("small");
      share.textContent = `${(100 * probability).toFixed(probability < 0.0995 ? 1 : 0)} %`;
      button.append(share);
    }
    if (n === 0) {
      const key = document.createElement("kbd");
      key.textContent = "Tab";
      button.append(key);
    }
    button.onclick = () => take(n);
    return button;
  }));
  $("spoken").textContent = found.length && document.activeElement === text ? `Tab: ${shown(found[0].text)}` : "";
}

/** Inserts a text at the cursor, as if typed, so that the browser's own undo knows it; `changed` is told otherwise. */
function insert(chosen, changed) {
  text.focus();
  if (!document.execCommand("insertText", false, chosen)) {
    text.setRangeText(chosen, text.selectionStart, text.selectionEnd, "end");
    changed();
  }
}

async function copyText() {
  try {
    await navigator.clipboard.writeText(text.value);
  } catch {
    text.select();
    document.execCommand("copy");
  }
}

/** The text that a field stands for, in which \n is a line break and \t a tab. */
function unescaped(value) {
  const escapes = {n: "\n", t: "\t"};
  return value.replace(/\\(.)/gu, (_, letter) => escapes[letter] ?? letter);
}

/** Shows the values of the sliders beside their names. */
function watchSliders() {
  for (const id of ["temperature", "top-p"]) {
    const show = () => $(`${id}-value`).textContent = Number($(id).value).toFixed(2);
    $(id).addEventListener("input", show);
    show();
  }
}

/** Ctrl Enter writes, Escape stops or closes the suggestions, and Tab takes the first one. */
function watchKeys({write, stop, close, take, isBusy, canTake}) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      write();
    } else if (event.key === "Escape") {
      if (isBusy()) stop();
      else close();
    } else if (event.key === "Tab" && event.target === text && !event.shiftKey && canTake()) {
      event.preventDefault();
      take(0);
    }
  });
}
