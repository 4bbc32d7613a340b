// Draws the tunes as notation by abcjs, and plays them through oscillators: abcjs's own sounds need a network.
const book = JSON.parse(document.getElementById("data").textContent);
const MOST = 0.15, ATTACK = 0.012, RELEASE = 0.06, AHEAD = 0.08;
/** The width in pixels from which on a line of the tune is a line of notation. */
const WIDE = 600;
const spoken = document.getElementById("spoken");

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Plays one tune at a time. `scheduled` is what the oscillators were told: seconds of the audio clock, hertz. */
const player = {
  context: null, card: null, scheduled: [], voices: [], from: 0, begun: 0, timer: 0,

  play(card, from = 0) {
    this.stop();
    this.context ??= new AudioContext();
    this.context.resume();
    this.card = card;
    this.from = from;
    this.begun = this.context.currentTime + AHEAD;
    const whole = card.secondsOfWhole();
    for (const note of card.notes) {
      const end = note.start + note.duration;
      if (end <= from) continue;
      const start = Math.max(note.start, from);
      this.sound(this.begun + (start - from) * whole, (end - start) * whole, 440 * 2 ** ((note.pitch - 69) / 12));
    }
    const last = Math.max(...card.notes.map((note) => note.start + note.duration));
    card.playing(true);
    const follow = () => {
      const at = this.from + Math.max(0, this.context.currentTime - this.begun) / whole;
      if (at >= last) return this.stop();
      card.mark(at);
      this.timer = requestAnimationFrame(follow);
    };
    this.timer = requestAnimationFrame(follow);
  },

  sound(start, duration, frequency) {
    const { context } = this;
    const volume = context.createGain(), voice = context.createOscillator();
    const held = start + Math.max(duration - RELEASE, ATTACK);
    voice.type = "triangle";
    voice.frequency.value = frequency;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(MOST, start + ATTACK);
    volume.gain.setTargetAtTime(MOST * 0.6, start + ATTACK, 0.15);
    volume.gain.setTargetAtTime(0, held, RELEASE / 3);
    voice.connect(volume).connect(context.destination);
    voice.start(start);
    voice.stop(start + duration + RELEASE);
    this.voices.push({ voice, volume });
    this.scheduled.push({ start, duration, frequency });
  },

  stop() {
    cancelAnimationFrame(this.timer);
    for (const { voice, volume } of this.voices) {
      voice.stop();
      volume.disconnect();
    }
    this.voices = [];
    this.scheduled = [];
    this.card?.playing(false);
    this.card = null;
  },

  /** Goes on from where it is at another tempo, given how long a whole note took until now. */
  retime(card, whole) {
    if (this.card !== card) return;
    this.play(card, this.from + Math.max(0, this.context.currentTime - this.begun) / whole);
  },
};

class Card {
  constructor(tune, number) {
    this.tune = tune;
    this.name = `${number}-${tune.title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60)}`
      .replace(/-$/, "");
    this.root = element("article", { className: "tune" });
    this.root.append(element("h2", { textContent: tune.title || `Tune ${number}` }));
    this.root.append(element("p", { className: "quiet", textContent: tune.about }));
  }

  /** As text, with what is wrong with it. */
  refuse(complaints) {
    const list = element("ul", { className: "complaints" });
    list.append(...complaints.map((textContent) => element("li", { textContent })));
    this.root.append(element("pre", { textContent: this.tune.text }), list);
  }

  /** As notation, with its controls. It has to be in the document, since its width is asked for. */
  draw() {
    const { tune } = this;
    const staff = element("div", { className: "staff" });
    this.root.append(staff);
    const width = staff.clientWidth;
    try {
      [this.score] = ABCJS.renderAbc(staff, tune.music, {
        add_classes: true, foregroundColor: "currentColor", paddingleft: 0, paddingright: 0, paddingtop: 0,
        paddingbottom: 0, responsive: "resize", staffwidth: Math.max(280, Math.min(width, 880)),
        ariaLabel: `The notes of ${tune.title}`,
        ...(width < WIDE && { wrap: { minSpacing: 1.6, maxSpacing: 2.8, preferredMeasuresPerLine: 2 } }),
      });
      this.notes = this.score.setUpAudio({}).tracks.flat().filter((event) => event.cmd === "note");
    } catch {
      this.notes = [];
    }
    if (!this.notes.length) {
      staff.remove();
      this.refuse(["abcjs cannot draw it."]);
      return;
    }
    this.playButton = element("button", { type: "button", textContent: "Play", onclick: () => player.play(this) });
    this.stopButton = element("button", {
      type: "button", textContent: "Stop", disabled: true, onclick: () => player.stop(),
    });
    this.shown = element("output", { textContent: tune.tempo });
    this.tempo = element("input", { type: "range", min: 40, max: 260, step: 2, value: tune.tempo });
    this.tempo.oninput = () => {
      const whole = this.whole;
      this.shown.textContent = this.tempo.value;
      player.retime(this, whole);
    };
    const beats = element("span", { textContent: "beats a minute" });
    this.root.append(
      element(
        "div", { className: "bar" }, this.playButton, this.stopButton,
        element("label", {}, "Tempo", this.tempo, this.shown, beats),
        element("button", { type: "button", textContent: "Save ABC", onclick: () => this.saveText() }),
        element("button", { type: "button", textContent: "Save MIDI", onclick: () => this.saveMidi() }),
      ),
    );
    const details = element("details", {}, element("summary", { textContent: "ABC notation" }));
    details.append(element("pre", { textContent: tune.text }));
    this.root.append(details);
  }

  /** How many seconds a whole note takes at the tempo that is set. */
  secondsOfWhole() {
    this.whole = 60 / Number(this.tempo.value) / this.tune.beat;
    return this.whole;
  }

  playing(does) {
    this.stopButton.disabled = !does;
    if (!does) this.unmark();
    spoken.textContent = does ? `Playing ${this.tune.title}` : "Stopped";
  }

  /** Colours the notes that sound at a time, in whole notes from the start. */
  mark(at) {
    const found = this.notes.filter((note) => note.start <= at && at < note.start + note.duration);
    const key = found.map((note) => note.startChar).join();
    if (key === this.marked) return;
    this.unmark();
    this.marked = key;
    for (const note of found) {
      for (const each of this.score.getElementFromChar(note.startChar)?.abselem?.elemset ?? []) {
        each.classList.add("sounding");
      }
    }
  }

  unmark() {
    this.marked = null;
    for (const each of this.root.querySelectorAll(".sounding")) each.classList.remove("sounding");
  }

  saveText() {
    save(`${this.name}.abc`, "text/vnd.abc", `${this.tune.text}\n`);
  }

  saveMidi() {
    const tempo = `Q:${this.tune.beatName}=${this.tempo.value}\n`;
    const music = this.tune.music.replace(/^K:/m, `${tempo}K:`);
    save(`${this.name}.mid`, "audio/midi", ABCJS.synth.getMidiFile(music, { midiOutputType: "binary" })[0]);
  }
}

function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const cards = book.tunes.map((tune, place) => {
  const card = new Card(tune, place + 1);
  document.getElementById("tunes").append(card.root);
  if (tune.complaints.length) card.refuse(tune.complaints);
  else card.draw();
  return card;
});
