const $ = (id) => document.getElementById(id);

const DATA = JSON.parse($("data").textContent);

const ARRAYS = {
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i1: Int8Array, f4: Float32Array,
};

/** The array that `packed` in packing.py wrote. */
function unpack({type, data}) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
  return new ARRAYS[type](bytes.buffer);
}

/** An element with classes and children; text becomes text, never markup. */
function element(tag, classes, ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

/** The name of a character that is not visible by itself, or null. */
function characterName(character) {
  const known = {
    " ": "space", "\n": "line break", "\t": "tab", "\r": "carriage return", "\u00a0": "no-break space",
    "\u3000": "ideographic space",
  };
  if (character in known) return known[character];
  if (/^[\p{C}\p{Z}]$/u.test(character)) {
    return "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  }
  return null;
}

/** A character as a label: itself, on a dotted circle if it is a combining mark, or its name. */
function sign(character) {
  const name = characterName(character);
  if (name !== null) return element("span", "sign named", name);
  return element("span", "sign", /^\p{M}$/u.test(character) ? "\u25cc" + character : character);
}

/** A character as shown in the text: itself, or the control picture of a control character. */
function visible(character) {
  const code = character.codePointAt(0);
  if (character === "\n" || character === "\t") return character;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code >= 0x7f && code < 0xa0 ? "\ufffd" : character;
}

/**
 * The text, a span for each character, with a tooltip by mouse, touch or the arrow keys.
 *
 * A click or a key pins a position; hovering shows others until the mouse leaves. `describe(place)` returns the tooltip's
 * nodes, `speak(place)` the same for a screen reader, and `keys` maps further keys to functions from the current position
 * (-1 for none) to the next.
 */
class Reader {
  constructor(characters, {describe, speak, keys = {}}) {
    this.root = $("text");
    this.tip = $("tip");
    this.describe = describe;
    this.speak = speak;
    this.keys = keys;
    this.place = -1;
    this.pinned = -1;
    this.spans = characters.map((character, place) => {
      const span = document.createElement("span");
      span.textContent = visible(character);
      if (character === "\n") span.className = "break";
      span.place = place;
      return span;
    });
    this.root.append(...this.blocks(characters));
    this.root.addEventListener("pointermove", (event) => this.hover(event));
    this.root.addEventListener("pointerleave", () => this.show(this.pinned));
    this.root.addEventListener("click", (event) => this.click(event));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("focus", () => {
      if (this.place < 0 && this.root.matches(":focus-visible")) this.go(0);
    });
    addEventListener("resize", () => this.show(this.place));
  }

  /** The spans in blocks of whole lines, so that a browser can skip the layout of those out of view. */
  blocks(characters) {
    const blocks = [];
    let block = element("div", "block");
    for (const span of this.spans) {
      block.append(span);
      if (characters[span.place] === "\n" && block.childElementCount >= 1500) {
        blocks.push(block);
        block = element("div", "block");
      }
    }
    return [...blocks, block];
  }

  /** Sets each character's class to `classOf(place)`. */
  paint(classOf) {
    this.spans.forEach((span, place) => {
      const kept = (span.textContent === "\n" ? " break" : "") + (place === this.place ? " at" : "");
      span.className = classOf(place) + kept;
    });
  }

  hover(event) {
    const place = event.target.place;
    if (place !== undefined && place !== this.place && event.pointerType !== "touch") this.show(place);
  }

  click(event) {
    const place = event.target.place;
    if (place === undefined || place === this.pinned) this.unpin();
    else this.pin(place);
  }

  /** Pins a position: shows its tooltip and scrolls it into view. */
  pin(place) {
    this.pinned = place;
    this.spans[place].scrollIntoView({block: "nearest"});
    this.show(place);
  }

  unpin() {
    this.pinned = -1;
    this.show(-1);
  }

  /** Moves to a position by key, and announces it. */
  go(place) {
    if (place < 0 || place >= this.spans.length) return;
    this.pin(place);
    $("spoken").textContent = this.speak(place);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.spans.length - 1;
    const moves = {
      ArrowRight: () => Math.min(this.place + 1, last),
      ArrowLeft: () => Math.max(this.place - 1, 0),
      ArrowDown: () => this.vertical(1),
      ArrowUp: () => this.vertical(-1),
      Home: () => 0,
      End: () => last,
      ...this.keys,
    };
    if (event.key === "Escape") {
      this.unpin();
    } else if (Object.hasOwn(moves, event.key)) {
      event.preventDefault();
      this.go(moves[event.key](this.place));
    }
  }

  /** The position above or below the current one in the layout. */
  vertical(step) {
    if (this.place < 0) return 0;
    const from = this.spans[this.place].getBoundingClientRect();
    let best = this.place, distance = Infinity, row = null;
    for (let place = this.place + step; place >= 0 && place < this.spans.length; place += step) {
      const box = this.spans[place].getBoundingClientRect();
      if (Math.abs(box.top - from.top) < from.height / 2) continue;
      if (row === null) row = box.top;
      if (Math.abs(box.top - row) >= from.height / 2) break;
      const away = Math.abs(box.left - from.left);
      if (away < distance) [best, distance] = [place, away];
    }
    return best;
  }

  /** Shows the tooltip of a position; -1 hides it. */
  show(place) {
    if (this.place >= 0) this.spans[this.place].classList.remove("at");
    this.place = place;
    this.tip.hidden = place < 0;
    if (place < 0) return;
    const span = this.spans[place];
    span.classList.add("at");
    this.tip.replaceChildren(...this.describe(place));
    const box = span.getBoundingClientRect(), size = this.tip.getBoundingClientRect();
    const room = document.documentElement.clientWidth - size.width - 12;
    const above = box.bottom + size.height + 12 > innerHeight && box.top > size.height + 12;
    const top = above ? box.top - size.height - 8 : box.bottom + 8;
    this.tip.style.left = `${Math.max(12, Math.min(box.left, room)) + scrollX}px`;
    this.tip.style.top = `${top + scrollY}px`;
  }
}
