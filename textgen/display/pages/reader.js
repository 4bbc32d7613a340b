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

/** What to call a character that cannot be seen by itself, or null. */
function characterName(character) {
  const known = {
    " ": "space", "\n": "line break", "\t": "tab", "\r": "carriage return", "\u00a0": "no-break space",
    "\u3000": "wide space",
  };
  if (character in known) return known[character];
  if (/^[\p{C}\p{Z}]$/u.test(character)) {
    return "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  }
  return null;
}

/** A character as a label: itself, on a dotted circle if it only combines, or its name. */
function sign(character) {
  const name = characterName(character);
  if (name !== null) return element("span", "sign named", name);
  return element("span", "sign", /^\p{M}$/u.test(character) ? "\u25cc" + character : character);
}

/** What stands for a character in the text: itself, or for a control character its picture. */
function visible(character) {
  const code = character.codePointAt(0);
  if (character === "\n" || character === "\t") return character;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code >= 0x7f && code < 0xa0 ? "\ufffd" : character;
}

/**
 * The text, a span for each character, to be pointed at with a mouse, a finger or the arrow keys.
 *
 * A click or a key settles at a place; the mouse shows others on its way and lets that one come back. `describe(place)`
 * gives the nodes of the tip, `speak(place)` the same for a screen reader, and `keys` further keys: functions of the
 * current place (-1 for none) that return where to go.
 */
class Reader {
  constructor(characters, {describe, speak, keys = {}}) {
    this.root = $("text");
    this.tip = $("tip");
    this.describe = describe;
    this.speak = speak;
    this.keys = keys;
    this.place = -1;
    this.settled = -1;
    this.spans = characters.map((character, place) => {
      const span = document.createElement("span");
      span.textContent = visible(character);
      if (character === "\n") span.className = "break";
      span.place = place;
      return span;
    });
    this.root.append(...this.blocks(characters));
    this.root.addEventListener("pointermove", (event) => this.hover(event));
    this.root.addEventListener("pointerleave", () => this.show(this.settled));
    this.root.addEventListener("click", (event) => this.click(event));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("focus", () => {
      if (this.place < 0 && this.root.matches(":focus-visible")) this.go(0);
    });
    addEventListener("resize", () => this.show(this.place));
  }

  /** The spans in blocks of whole lines, which a browser need not lay out before they come into view. */
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

  /** Gives each character the class `shade(place)`. */
  paint(shade) {
    this.spans.forEach((span, place) => {
      const kept = (span.textContent === "\n" ? " break" : "") + (place === this.place ? " at" : "");
      span.className = shade(place) + kept;
    });
  }

  hover(event) {
    const place = event.target.place;
    if (place !== undefined && place !== this.place && event.pointerType !== "touch") this.show(place);
  }

  click(event) {
    const place = event.target.place;
    if (place === undefined || place === this.settled) this.leave();
    else this.settle(place);
  }

  /** Stays at a place: shows it and brings it into view. */
  settle(place) {
    this.settled = place;
    this.spans[place].scrollIntoView({block: "nearest"});
    this.show(place);
  }

  leave() {
    this.settled = -1;
    this.show(-1);
  }

  /** Moves to a place by key, and says what is there. */
  go(place) {
    if (place < 0 || place >= this.spans.length) return;
    this.settle(place);
    $("spoken").textContent = this.speak(place);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.spans.length - 1;
    const moves = {
      ArrowRight: () => Math.min(this.place + 1, last),
      ArrowLeft: () => Math.max(this.place - 1, 0),
      ArrowDown: () => this.beside(1),
      ArrowUp: () => this.beside(-1),
      Home: () => 0,
      End: () => last,
      ...this.keys,
    };
    if (event.key === "Escape") {
      this.leave();
    } else if (Object.hasOwn(moves, event.key)) {
      event.preventDefault();
      this.go(moves[event.key](this.place));
    }
  }

  /** The place above or below the current one, as the text is laid out. */
  beside(step) {
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

  /** Shows the tip of a place; -1 hides it. */
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
