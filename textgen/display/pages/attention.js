/** One pair: its source, what was written, and the weight of each character of the source for each written one. */
class Pair {
  constructor({source, text, target, note, weights}) {
    this.weights = unpack(weights);
    this.rows = {};
    this.element = element("section", "pair", element("p", "quiet", note),
      this.row("source", "source", source), this.row("text", "written", text));
    if (target !== text) this.element.append(line("target", element("span", "characters", target)));
  }

  /** A line of characters and an end, one of which can be pointed at. */
  row(kind, name, text) {
    const spans = [...Array.from(text, (each) => element("span", "", visible(each))), element("span", "end", " end")];
    const shown = element("span", "characters", ...spans);
    shown.tabIndex = 0;
    shown.dir = "auto";
    shown.setAttribute("role", "application");
    shown.setAttribute("aria-label", `${name}: ${text}`);
    shown.setAttribute("aria-describedby", "help");
    shown.addEventListener("pointermove", (event) => {
      const place = spans.indexOf(event.target);
      if (place >= 0) this.point(kind, place);
    });
    shown.addEventListener("pointerleave", () => this.clear());
    shown.addEventListener("blur", () => this.clear());
    shown.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (event.key === "Escape") this.clear();
      if (!step) return;
      event.preventDefault();
      const at = spans.findIndex((each) => each.classList.contains("at"));
      this.point(kind, at < 0 ? 0 : Math.min(Math.max(at + step, 0), spans.length - 1));
      $("spoken").textContent = this.told(kind, spans[at < 0 ? 0 : Math.min(Math.max(at + step, 0), spans.length - 1)]);
    });
    this.rows[kind] = spans;
    return line(name, shown);
  }

  /** The weight, from 0 to 1, between a written character and one of the source. */
  weight(written, read) {
    return this.weights[written * this.rows.source.length + read] / 255;
  }

  point(kind, place) {
    this.clear();
    const other = kind === "text" ? "source" : "text";
    this.rows[kind][place].classList.add("at");
    this.rows[other].forEach((span, n) => {
      const share = kind === "text" ? this.weight(place, n) : this.weight(n, place);
      if (share > 0.01) {
        span.style.background = `color-mix(in srgb, var(--positive) ${Math.round(100 * share)}%, transparent)`;
        span.dataset.share = share.toFixed(2);
      }
    });
  }

  /** The other line's character with the greatest weight, in words. */
  told(kind, span) {
    const all = this.rows[kind === "text" ? "source" : "text"].filter((each) => each.dataset.share);
    all.sort((one, two) => two.dataset.share - one.dataset.share);
    const name = (each) => characterName(each.textContent) ?? each.textContent.trim();
    return `${name(span)}: ` + (all.length ? `${name(all[0])}, ${Math.round(100 * all[0].dataset.share)} %` : "nowhere");
  }

  clear() {
    for (const span of [...this.rows.source, ...this.rows.text]) {
      span.classList.remove("at");
      span.style.background = "";
      delete span.dataset.share;
    }
  }
}

function line(name, shown) {
  return element("div", "row", element("span", "name", name), shown);
}

$("pairs").append(...DATA.pairs.map((each) => new Pair(each).element));
