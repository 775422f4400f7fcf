// What moves the answer: the opened image, altered, and what the model says before and after.
import { send } from "./api.js";
import { $, $$, element, sayProblem } from "./dom.js";
import { Overlay } from "./overlay.js";
import { Film } from "./film.js";
import { asWords, percent } from "./words.js";

/** Levels that came within the JSON, as a film takes them. */
export function metaOf(picture) {
  const bytes = Uint8Array.from(atob(picture.data), (letter) => letter.charCodeAt(0));
  const { width, height } = picture;
  return { ...picture, levels: [{ width, height, values: new Uint16Array(bytes.buffer) }] };
}

export class Teaching {
  #asked = 0;

  constructor(box, film, overlay) {
    this.box = box;
    this.film = film;
    this.overlay = overlay;
    this.planting = false;
    for (const button of $$("[data-alter]", box)) button.addEventListener("click", () => this.#chosen(button.dataset.alter));
    $("#strength").addEventListener("change", () => {
      this.moved = true; // until then each alteration has its own default
      if (this.last) this.ask(this.last);
    });
  }

  show(image, room, evidence) {
    Object.assign(this, { image, room, evidence });
    this.box.hidden = image.blinded || image.status !== "read" || Boolean(room.lacks?.altered);
    for (const { kind, words } of room.kinds_of_alteration || []) {
      const button = $(`[data-alter="${kind}"]`, this.box);
      if (button && words) button.title = words;
    }
  }

  #chosen(kind) {
    this.planting = kind === "letter";
    if (this.planting) $("#teach-note").textContent = "Click on the image where the letter should be.";
    else this.ask({ kind });
  }

  /** A click on the image while a letter waits to be planted; false if none does. */
  plant(x, y) {
    if (!this.planting) return false;
    this.planting = false;
    this.ask({ kind: "letter", x, y, text: "L" });
    return true;
  }

  async ask(alteration) {
    this.last = alteration;
    const asked = this.#asked += 1;
    const note = $("#teach-note");
    note.textContent = "The model looks at it …";
    try {
      const strength = this.#strength(alteration.kind);
      const answer = await send("POST", `images/${this.image.id}/altered`, strength === undefined ? alteration : { ...alteration, strength });
      if (asked !== this.#asked) return;
      this.#show(answer);
      note.textContent += this.#amount(alteration.kind, strength);
    } catch (problem) {
      note.textContent = "";
      sayProblem(problem);
    }
  }

  /** The strength that the slider chooses among those that the room offers for this kind. */
  #strength(kind) {
    const offered = (this.room.kinds_of_alteration || []).find((one) => one.kind === kind);
    if (!offered?.strengths?.length) return undefined;
    const { strengths } = offered;
    return this.moved ? strengths[Math.round(Number($("#strength").value) * (strengths.length - 1))] : offered.default ?? strengths[0];
  }

  /** What a strength means, such as its pixels; nothing where an alteration has none. */
  #amount(kind, strength) {
    const unit = (this.room.kinds_of_alteration || []).find((one) => one.kind === kind)?.unit;
    return unit && strength !== undefined ? ` Altered: ${unit.replace("{}", String(strength))}.` : "";
  }

  #show(answer) {
    const target = this.room.model.target;
    const [before, after] = [this.image.probability, answer.finding.probabilities?.[target]];
    const change = typeof after === "number" && typeof before === "number" ? Math.round(100 * (after - before)) : null;
    $("#teach-note").textContent = change === null ? "" : `The probability of ${this.room.model.target_words} moves from ${percent(before)} to ${percent(after)}.`;
    const box = $("#before-after");
    const sides = ["before", "after"].map((title) => {
      const canvas = element("canvas", { class: "small-film", role: "img", "aria-label": `The image ${title} it was altered` });
      return { title, canvas };
    });
    const words = [this.image.decision_words, answer.decision_words || asWords(answer.finding.verdict)];
    box.replaceChildren(...sides.map(({ title, canvas }, n) => element("figure", {}, canvas, element("figcaption", {},
      `${title}: `, element("b", { text: words[n] || "–" }), ` ${percent([before, after][n])}`))));
    for (const reason of answer.would_refuse || []) box.append(element("p", { class: "reason", text: `A scan would refuse it: ${reason}` }));
    box.hidden = false;
    this.#draw(sides[0].canvas, this.film, this.evidence, this.overlay.outline);
    const altered = new Film(element("canvas"));
    altered.take(metaOf(answer.picture));
    altered.inverted = this.film.inverted;
    altered.view.flipped = this.film.view.flipped;
    this.#draw(sides[1].canvas, altered, answer.evidence, answer.outline);
  }

  #draw(canvas, film, evidence, outline) {
    film.drawOn(canvas, 480);
    const overlay = new Overlay(element("canvas"), film);
    Object.assign(overlay.options, this.overlay.options);
    overlay.take({ evidence, outline });
    overlay.drawOn(canvas);
  }
}
