// What is drawn over an image: evidence, the lungs' outline, measures, and regions that a reader marked.
import { OUTLINE, heatOf } from "./evidence.js";

const MEASURE = "rgb(110, 231, 255)";
const MARKED = "rgb(255, 255, 255)";

/** How long a line is: millimetres where the file states a spacing, else pixels. */
export function lengthOf(line, meta) {
  const [across, down] = [line.to.x - line.from.x, line.to.y - line.from.y];
  if (!meta.spacing_mm) return { text: `${Math.round(Math.hypot(across, down))} px`, known: false };
  const [row, column] = meta.spacing_mm; // of a row (down), of a column (across)
  return { text: `${Math.hypot(across * column, down * row).toFixed(1)} mm`, known: true };
}

/** What a millimetre means on this image. */
export function aboutSpacing(meta) {
  if (!meta.spacing_mm) return "Lengths are in pixels: the file states no spacing of the image.";
  return {
    patient: "Millimetres in the patient, by the file's calibration.",
    detector: "Millimetres at the detector: in the patient, who is magnified, it is less.",
    film: "Millimetres on the film that was scanned.",
  }[meta.spacing_plane] || "Millimetres by the file's pixel spacing.";
}

export class Overlay {
  #heat = null;

  constructor(canvas, film) {
    this.canvas = canvas;
    this.film = film;
    this.evidence = null;
    this.outline = [];
    this.shown = false;
    this.options = { opacity: 0.7, threshold: 0.1, colours: "diverging", against: false };
    this.measures = [];
    this.regions = [];
    this.drawing = null;
    this.cell = null;
    film.addEventListener("drawn", () => this.draw());
  }

  set(options) {
    Object.assign(this.options, options);
    this.#heat = null;
    this.draw();
  }

  show(on) {
    this.shown = on;
    this.cell = null;
    this.draw();
  }

  take({ evidence = null, outline = [] }) {
    Object.assign(this, { evidence, outline: outline || [] });
    this.#heat = null;
    this.draw();
  }

  draw() {
    if (!this.film.open) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const { width, height } = this.film.size;
    const size = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
    if (this.canvas.width !== size.width || this.canvas.height !== size.height) Object.assign(this.canvas, size);
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (this.shown) this.#drawEvidence(context, (x, y) => this.#place(x, y));
    if (this.cell) this.#box(context, this.cell, "white", [4, 3]);
    for (const region of this.regions) this.#box(context, region, MARKED, []);
    if (this.drawing?.region) this.#box(context, this.drawing.region, MARKED, [6, 4]);
    for (const line of [...this.measures, this.drawing?.line].filter(Boolean)) this.#measure(context, line);
  }

  /** The same evidence and marks on a canvas that shows the whole image. */
  drawOn(canvas, { evidence = true } = {}) {
    const context = canvas.getContext("2d");
    const flipped = this.film.view.flipped;
    const place = (x, y) => ({ x: (flipped ? 1 - x : x) * canvas.width, y: y * canvas.height });
    if (evidence) this.#drawEvidence(context, place);
    for (const region of this.regions) this.#box(context, region, MARKED, [], place);
  }

  #drawEvidence(context, place) {
    if (this.evidence) {
      this.#heat ||= heatOf(this.evidence, this.options);
      const [left, top, right, bottom] = this.evidence.box;
      const [from, to] = [place(left, top), place(right, bottom)];
      context.save();
      context.globalAlpha = this.options.opacity;
      context.imageSmoothingQuality = "high";
      context.translate(from.x, from.y);
      context.scale(Math.sign(to.x - from.x) || 1, 1);
      context.drawImage(this.#heat, 0, 0, Math.abs(to.x - from.x), to.y - from.y);
      context.restore();
    }
    context.lineWidth = 1.5;
    context.strokeStyle = OUTLINE;
    context.setLineDash([]);
    for (const polygon of this.outline) {
      const points = polygon.map(([x, y]) => place(x, y));
      const middle = (n) => {
        const [one, next] = [points[n % points.length], points[(n + 1) % points.length]];
        return [(one.x + next.x) / 2, (one.y + next.y) / 2];
      };
      context.beginPath();
      context.moveTo(...middle(points.length - 1));
      points.forEach((point, n) => context.quadraticCurveTo(point.x, point.y, ...middle(n))); // smooths the mask's steps
      context.closePath();
      context.stroke();
    }
  }

  #place(x, y) {
    return this.film.toScreen(x * this.film.width, y * this.film.height);
  }

  #box(context, box, colour, dash, place = (x, y) => this.#place(x, y)) {
    const [from, to] = [place(box.x, box.y), place(box.x + box.width, box.y + box.height)];
    for (const [style, width] of [["rgba(0, 0, 0, 0.7)", 4], [colour, 2]]) {
      context.setLineDash(style === colour ? dash : []);
      context.strokeStyle = style;
      context.lineWidth = width;
      context.strokeRect(Math.min(from.x, to.x), from.y, Math.abs(to.x - from.x), to.y - from.y);
    }
    context.setLineDash([]);
  }

  #measure(context, line) {
    const [from, to] = [line.from, line.to].map((at) => this.film.toScreen(at.x, at.y));
    for (const [style, width] of [["rgba(0, 0, 0, 0.7)", 4], [MEASURE, 2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
    }
    context.font = "600 14px system-ui, sans-serif";
    context.lineWidth = 4;
    context.strokeStyle = "rgba(0, 0, 0, 0.8)";
    context.fillStyle = MEASURE;
    const { text } = lengthOf(line, this.film.meta);
    context.strokeText(text, to.x + 8, to.y - 6);
    context.fillText(text, to.x + 8, to.y - 6);
  }
}
