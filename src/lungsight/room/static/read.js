// The reader's own words: the form, marked regions, and how long it took.
import { send } from "./api.js";
import { $, element, sayProblem } from "./dom.js";
import { when } from "./words.js";

export class ReadForm {
  #opened = performance.now();

  constructor(form, overlay, saved) {
    this.form = form;
    this.overlay = overlay;
    this.saved = saved;
    form.addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
    form.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
    $("#drop-regions").addEventListener("click", () => { overlay.regions = []; overlay.draw(); this.count(); });
  }

  show(image) {
    this.image = image;
    $("#agreement").hidden = image.blinded || image.status !== "read";
    const read = image.reads?.[0];
    if (!read) return;
    this.form.elements.category.value = read.category;
    this.form.elements.agrees.value = read.agrees === null || read.agrees === undefined ? "" : String(read.agrees);
    this.form.elements.comment.value = read.comment || "";
    this.overlay.regions = [...(read.regions || [])];
    this.overlay.draw();
    this.count();
    $("#saved").textContent = `Saved ${when(read.at)}${read.blind ? ", blind" : ""}.`;
  }

  count() {
    const n = this.overlay.regions.length;
    $("#regions-count").textContent = n ? `${n} region${n === 1 ? "" : "s"} marked.` : "No region marked.";
    $("#drop-regions").hidden = n === 0;
  }

  async save() {
    if (!this.form.reportValidity()) return;
    const { category, agrees, comment } = Object.fromEntries(new FormData(this.form));
    const read = {
      category,
      agrees: $("#agreement").hidden || !agrees ? null : agrees === "true",
      regions: this.overlay.regions.map(({ x, y, width, height }) => ({ x, y, width, height })),
      comment: comment.trim(),
      seconds: Math.round((performance.now() - this.#opened) / 100) / 10,
    };
    const button = $("button.primary", this.form);
    button.disabled = true;
    try {
      const image = await send("PUT", `images/${this.image.id}/read`, read);
      this.#opened = performance.now();
      $("#saved").replaceChildren(element("b", { text: "Saved." }));
      this.saved(image);
    } catch (problem) {
      sayProblem(problem);
    } finally {
      button.disabled = false;
    }
  }
}
