// Draws an image of 16 bits on a canvas: first resampled to the screen, then through a table of greys.
// Moving the window only repeats the second step, for as many pixels as the screen shows.
import { call } from "./api.js";

const OPAQUE = 0xff000000;
/** Canvases with more pixels are drawn at half their size while something moves. */
const MANY = 2_500_000;
const SETTLED = 160; // milliseconds after the last movement

/** The grey 0…1 of a level, by a window of the header or one that was dragged. */
export function greyOf(window, level) {
  const at = Math.min(Math.max((level - window.center) / window.width + 0.5, 0), 1);
  if (!window.curve) return at;
  const place = at * (window.curve.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, window.curve.length - 1);
  return window.curve[below] + (window.curve[above] - window.curve[below]) * (place - below);
}

/** A pixel's colour for each level. Padding stays black. */
export function tableOf(window, highest, { inverted = false, padded = false } = {}) {
  const table = new Uint32Array(highest + 1);
  for (let level = 0; level <= highest; level += 1) {
    const shown = Math.round(255 * greyOf(window, level));
    table[level] = OPAQUE | ((inverted ? 255 - shown : shown) * 0x010101);
  }
  if (padded) table[0] = OPAQUE;
  return table;
}

/** The places of `count` screen pixels on a row of `size` pixels: the first of two neighbours, and the second's weight. */
function places(count, size, start, step) {
  const first = new Int32Array(count);
  const weight = new Float32Array(count);
  for (let n = 0; n < count; n += 1) {
    const at = Math.min(Math.max(start + (n + 0.5) * step - 0.5, 0), size - 1);
    first[n] = Math.min(Math.floor(at), Math.max(size - 2, 0));
    weight[n] = size > 1 ? at - first[n] : 0;
  }
  return { first, weight };
}

/** Bilinear samples of a level on a grid of the screen. */
export function resampled(level, across, down) {
  const { width, height, values } = level;
  const columns = across.first.length;
  const out = new Uint16Array(columns * down.first.length);
  const right = width > 1 ? 1 : 0;
  const below = height > 1 ? width : 0;
  let at = 0;
  for (let row = 0; row < down.first.length; row += 1) {
    const start = down.first[row] * width;
    const share = down.weight[row];
    for (let column = 0; column < columns; column += 1) {
      const place = start + across.first[column];
      const weight = across.weight[column];
      const upper = values[place] + (values[place + right] - values[place]) * weight;
      const lower = values[place + below] + (values[place + below + right] - values[place + below]) * weight;
      out[at] = upper + (lower - upper) * share + 0.5;
      at += 1;
    }
  }
  return out;
}

export class Film extends EventTarget {
  #samples = null;
  #rectangle = null;
  #image = null;
  #table = null;
  #frame = 0;
  #stale = { samples: true, table: true };
  #coarse = false;
  #settling = 0;
  #loading = new Map();

  constructor(canvas) {
    super();
    this.canvas = canvas;
    canvas.film = this; // for tests and benchmarks
    this.context = canvas.getContext("2d");
    this.view = { scale: 1, x: 0, y: 0, flipped: false };
    this.inverted = false;
    this.fitted = true;
    this.levels = [];
    new ResizeObserver(() => this.#resized()).observe(canvas);
  }

  get open() { return Boolean(this.meta); }
  get width() { return this.meta.levels[0].width; }
  get height() { return this.meta.levels[0].height; }
  get size() { return { width: this.canvas.clientWidth, height: this.canvas.clientHeight }; }
  get ratio() { return (globalThis.devicePixelRatio || 1) / (this.#coarse ? 2 : 1); }

  /** Shows the smallest level first, then the one that the screen needs. */
  async load(meta) {
    this.meta = meta;
    this.levels = meta.levels.map(() => null);
    this.#loading.clear();
    this.setWindow(meta.windows[0]);
    this.fit();
    await this.#show(meta.levels.length - 1, "first-picture");
    await this.#show(this.#wanted(), "sharp-picture");
  }

  async #show(index, mark) {
    await this.#fetch(index);
    this.draw();
    performance.mark(mark);
  }

  /** Takes levels whose values are here already. */
  take(meta) {
    this.meta = meta;
    this.levels = meta.levels;
    this.setWindow(meta.windows[0]);
  }

  setWindow(window) {
    this.window = { ...window };
    this.#change("table");
  }

  /** Moves the window by shares of the range that the image has. */
  drag(level, contrast) {
    const range = this.meta.highest;
    this.window.center += level * range;
    this.window.width = Math.min(Math.max(this.window.width * Math.exp(contrast), range / 4096), 8 * range);
    this.#moving();
    this.#change("table");
  }

  invert(on = !this.inverted) {
    this.inverted = on;
    this.#change("table");
  }

  flip(on = !this.view.flipped) {
    this.view.flipped = on;
    this.#change("samples");
  }

  fit() {
    const { width, height } = this.size;
    this.fitted = true;
    const scale = Math.min(width / this.width, height / this.height) || 1;
    Object.assign(this.view, { scale, x: this.width / 2, y: this.height / 2 });
    this.#change("samples");
  }

  /** Zooms by a factor and keeps the point under (x, y) of the screen where it is. */
  zoom(factor, x = this.size.width / 2, y = this.size.height / 2) {
    const before = this.toImage(x, y);
    const least = Math.min(this.size.width / this.width, this.size.height / this.height) / 4;
    this.view.scale = Math.min(Math.max(this.view.scale * factor, least), 16);
    const after = this.toImage(x, y);
    this.view.x += before.x - after.x;
    this.view.y += before.y - after.y;
    this.#moved();
  }

  pan(x, y) {
    this.view.x -= (x / this.view.scale) * (this.view.flipped ? -1 : 1);
    this.view.y -= y / this.view.scale;
    this.#moved();
  }

  /** Takes zoom and place of another film, in shares of either image. */
  follow(other) {
    const fits = (film) => Math.min(film.size.width / film.width, film.size.height / film.height);
    this.view.scale = (other.view.scale / fits(other)) * fits(this);
    this.view.x = (other.view.x / other.width) * this.width;
    this.view.y = (other.view.y / other.height) * this.height;
    this.fitted = other.fitted;
    this.#moving();
    this.#change("samples");
  }

  /** From pixels of the screen to pixels of the image. */
  toImage(x, y) {
    const { width, height } = this.size;
    const across = ((x - width / 2) / this.view.scale) * (this.view.flipped ? -1 : 1);
    return { x: this.view.x + across, y: this.view.y + (y - height / 2) / this.view.scale };
  }

  /** From pixels of the image to pixels of the screen. */
  toScreen(x, y) {
    const { width, height } = this.size;
    const across = (x - this.view.x) * this.view.scale * (this.view.flipped ? -1 : 1);
    return { x: width / 2 + across, y: height / 2 + (y - this.view.y) * this.view.scale };
  }

  /** The level of the image under a place of it, from the finest level that is here; null outside. */
  levelAt(x, y) {
    const level = this.levels.find(Boolean);
    if (!level || x < 0 || y < 0 || x >= this.width || y >= this.height) return null;
    const column = Math.min(Math.floor((x * level.width) / this.width), level.width - 1);
    const row = Math.min(Math.floor((y * level.height) / this.height), level.height - 1);
    return level.values[row * level.width + column];
  }

  /** Draws it on another canvas, whole, at most `side` pixels a side, through the window of now. */
  drawOn(canvas, side) {
    const level = [...this.levels].reverse().find((one) => one && Math.max(one.width, one.height) >= side) || this.levels.find(Boolean);
    const scale = Math.min(1, side / Math.max(this.width, this.height));
    const [width, height] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    Object.assign(canvas, { width, height });
    const flipped = this.view.flipped;
    const across = places(width, level.width, flipped ? level.width : 0, ((flipped ? -1 : 1) * level.width) / width);
    const samples = resampled(level, across, places(height, level.height, 0, level.height / height));
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const table = tableOf(this.window, this.meta.highest, { inverted: this.inverted, padded: this.meta.padded });
    const pixels = new Uint32Array(image.data.buffer);
    for (let n = 0; n < samples.length; n += 1) pixels[n] = table[samples[n]];
    context.putImageData(image, 0, 0);
  }

  /** Draws what changed at once; otherwise the next frame does. */
  draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (!this.meta || !this.levels.some(Boolean) || !this.canvas.clientWidth) return;
    if (this.#stale.samples) this.#sample();
    if (this.#stale.table) {
      this.#table = tableOf(this.window, this.meta.highest, { inverted: this.inverted, padded: this.meta.padded });
    }
    this.#stale = { samples: false, table: false };
    this.#paint();
    this.dispatchEvent(new Event("drawn"));
  }

  #paint() {
    if (!this.#image) return;
    const pixels = new Uint32Array(this.#image.data.buffer);
    const [samples, table] = [this.#samples, this.#table];
    for (let n = 0; n < samples.length; n += 1) pixels[n] = table[samples[n]];
    this.context.putImageData(this.#image, this.#rectangle.left, this.#rectangle.top);
  }

  /** Resamples the part of the image that is on the screen. */
  #sample() {
    const { width, height } = this.size;
    const ratio = this.ratio;
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== columns || this.canvas.height !== rows) Object.assign(this.canvas, { width: columns, height: rows });
    this.context.clearRect(0, 0, columns, rows);
    const [corner, other] = [this.toScreen(0, 0), this.toScreen(this.width, this.height)];
    const bound = (value, most) => Math.min(Math.max(Math.round(value * ratio), 0), most);
    const [left, right] = [bound(Math.min(corner.x, other.x), columns), bound(Math.max(corner.x, other.x), columns)];
    const [top, bottom] = [bound(corner.y, rows), bound(other.y, rows)];
    this.#rectangle = { left, top };
    this.#image = null;
    if (right <= left || bottom <= top) return;
    const level = this.levels[this.#best()];
    const [across, down] = [level.width / this.width, level.height / this.height];
    const step = across / (this.view.scale * ratio);
    const first = this.toImage(left / ratio, top / ratio);
    const turned = this.view.flipped ? -1 : 1;
    this.#samples = resampled(level, places(right - left, level.width, first.x * across, turned * step),
      places(bottom - top, level.height, first.y * down, down / (this.view.scale * ratio)));
    this.#image = this.context.createImageData(right - left, bottom - top);
  }

  /** The index of the level whose pixels are about as large as those of the screen. */
  #wanted() {
    const fine = Math.floor(Math.log2(1 / Math.max(this.view.scale * this.ratio, 1e-6)));
    return Math.min(Math.max(fine, 0), this.levels.length - 1);
  }

  #best() {
    const wanted = this.#wanted();
    const here = this.levels.map((level, index) => (level ? index : -1)).filter((index) => index >= 0);
    return here.reduce((best, index) => (Math.abs(index - wanted) < Math.abs(best - wanted) ? index : best), here[0]);
  }

  async #fetch(index) {
    if (this.levels[index]) return;
    const { meta } = this;
    if (!this.#loading.has(index)) {
      this.#loading.set(index, call(meta.levels[index].url).then((reply) => reply.arrayBuffer()));
    }
    const buffer = await this.#loading.get(index);
    if (this.meta !== meta) return;
    this.levels[index] = { ...meta.levels[index], values: new Uint16Array(buffer) };
    this.#change("samples");
  }

  #resized() {
    if (!this.meta) return;
    if (this.fitted) this.fit();
    this.#change("samples");
  }

  #moved() {
    this.fitted = false;
    this.#moving();
    this.#change("samples");
    this.dispatchEvent(new Event("moved"));
  }

  /** While something moves on a large screen, every second pixel is enough. */
  #moving() {
    const { width, height } = this.size;
    const full = width * height * (globalThis.devicePixelRatio || 1) ** 2;
    if (full > MANY && !this.#coarse) { this.#coarse = true; this.#stale.samples = true; }
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      if (this.#coarse) { this.#coarse = false; this.#change("samples"); }
      this.#fetch(this.#wanted()).catch((problem) => this.dispatchEvent(new CustomEvent("failed", { detail: problem })));
    }, SETTLED);
  }

  #change(what) {
    this.#stale[what] = true;
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.draw());
  }
}
