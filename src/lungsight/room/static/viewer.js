// The viewer: one image, an earlier one beside it, the model's answer and the reader's.
import { get, listen, send } from "./api.js";
import { factsOf, showAnswer, showFacts, showReport } from "./answer.js";
import { $, $$, element, say, sayProblem, session } from "./dom.js";
import { COLOURS, cellAt, sumOf, zoneOf, zonesOf } from "./evidence.js";
import { Film } from "./film.js";
import { Keys } from "./keys.js";
import { Overlay, aboutSpacing, lengthOf } from "./overlay.js";
import { Pointer } from "./pointer.js";
import { ReadForm } from "./read.js";
import { Teaching } from "./teach.js";
import { nameOf } from "./upload.js";
import { day, signed } from "./words.js";

const id = document.body.dataset.image;
const SMALLEST = 0.01; // of the image: a marked region or a measure below it was a click

const state = { image: null, room: null, evidence: null, tool: "window", earlier: null };

/** A pane: the image, what is drawn over it, and its line of text. */
class Pane {
  constructor(box) {
    this.box = box;
    this.film = new Film($(".film", box));
    this.overlay = new Overlay($(".overlay", box), this.film);
    this.pointer = new Pointer(this.film, () => state.tool, this.#acts(), (at) => this.#pointed(at));
    this.film.addEventListener("drawn", () => this.#tell());
    this.film.addEventListener("failed", (event) => sayProblem(event.detail));
    this.film.addEventListener("moved", () => linked(this));
  }

  async open(meta, given) {
    this.overlay.take(given);
    await this.film.load(meta);
  }

  #acts() {
    return {
      window: (phase, from, at, moved) => {
        if (phase === "end" && near(from, at)) this.#clicked(at);
        if (phase !== "move") return;
        this.film.drag(-moved.y / 400, moved.x / 200);
        $("#preset").value = "";
      },
      pan: (phase, from, at, moved) => { if (phase === "move") this.film.pan(moved.x, moved.y); },
      measure: (phase, from, at) => this.#drawn(phase, from, at, "line", (line) => this.#measured(line)),
      region: (phase, from, at) => this.#drawn(phase, from, at, "region", (region) => { this.overlay.regions.push(region); reading.count(); }),
    };
  }

  /** A line in pixels of the image, or a box in fractions of it, while it is drawn and when it is finished. */
  #drawn(phase, from, at, kind, finished) {
    const { film, overlay } = this;
    const [start, end] = [film.toImage(from.x, from.y), film.toImage(at.x, at.y)];
    const made = kind === "line" ? { from: start, to: end } : boxOf(start, end, film);
    const size = Math.max(Math.abs(end.x - start.x) / film.width, Math.abs(end.y - start.y) / film.height);
    overlay.drawing = phase === "move" ? { [kind]: made } : null;
    if (phase === "end" && size >= SMALLEST) finished(made);
    else if (phase === "end") this.#clicked(at);
    overlay.draw();
  }

  #measured(line) {
    this.overlay.measures.push(line);
    $("#under").textContent = `${lengthOf(line, this.film.meta).text}. ${aboutSpacing(this.film.meta)}`;
  }

  #clicked(at) {
    const place = this.#fraction(at);
    if (place) teaching.plant(place.x, place.y);
  }

  #fraction(at) {
    const { x, y } = this.film.toImage(at.x, at.y);
    const place = { x: x / this.film.width, y: y / this.film.height };
    return place.x >= 0 && place.y >= 0 && place.x < 1 && place.y < 1 ? place : null;
  }

  #pointed(at) {
    if (!this.film.open) return;
    const { overlay } = this;
    const place = at && this.#fraction(at);
    const before = overlay.cell;
    overlay.cell = place && overlay.shown && overlay.evidence ? cellAt(overlay.evidence, place.x, place.y) : null;
    if (before?.x !== overlay.cell?.x || before?.y !== overlay.cell?.y) overlay.draw();
    under(this, at, place);
  }

  #tell() {
    const { film } = this;
    const { at_zero: zero = 0, per_level: step = 1 } = film.meta;
    const [center, width] = [zero + step * film.window.center, Math.abs(step) * film.window.width];
    const number = (value) => (Math.abs(value) < 10 ? value.toFixed(2) : Math.round(value).toLocaleString("en"));
    $(".status", this.box).textContent = `W ${number(width)}  L ${number(center)} · ${Math.round(100 * film.view.scale)} %${film.inverted ? " · inverted" : ""}`;
    $(".mark", this.box).hidden = !film.view.flipped;
  }
}

const near = (one, other) => Math.hypot(one.x - other.x, one.y - other.y) < 4;

function boxOf(start, end, film) {
  const [left, right] = [Math.min(start.x, end.x), Math.max(start.x, end.x)].map((x) => Math.min(Math.max(x / film.width, 0), 1));
  const [top, bottom] = [Math.min(start.y, end.y), Math.max(start.y, end.y)].map((y) => Math.min(Math.max(y / film.height, 0), 1));
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** The line under the image: the share of the region under the mouse, or what a length means. */
function under(pane, at, place) {
  const line = $("#under");
  if (pane.overlay.cell) {
    const { margin } = sumOf(pane.overlay.evidence);
    const box = state.image.finding?.lungs?.box || undefined;
    const name = zoneOf(pane.overlay.cell, box);
    const zone = zonesOf(pane.overlay.evidence, box).find((one) => one.name === name);
    line.textContent = `This region adds ${signed(pane.overlay.cell.share, 3)}, its zone (${name}) ${signed(zone.share)}, to the score of ${signed(margin)}.`;
  } else if (place) {
    const { x, y } = pane.film.toImage(at.x, at.y);
    const level = pane.film.levelAt(x, y);
    const { at_zero: zero = 0, per_level: step = 1 } = pane.film.meta;
    line.textContent = `Value ${(zero + step * level).toLocaleString("en", { maximumFractionDigits: 1 })}. ${aboutSpacing(pane.film.meta)}`;
  } else line.textContent = aboutSpacing(pane.film.meta);
}

const panes = $$(".pane").map((box) => new Pane(box));
const [main, beside] = panes;
const reading = new ReadForm($("#read-form"), main.overlay, (image) => {
  take(image).catch(sayProblem);
  $("#answer").focus({ preventScroll: true });
  $(".side").scrollTo?.({ top: 0 });
});
const teaching = new Teaching($("#teach"), main.film, main.overlay);
const both = (act) => panes.forEach((pane) => { if (pane.film.open) act(pane); });

function linked(from) {
  if (!state.earlier || !$("#linked").checked) return;
  const to = from === main ? beside : main;
  if (to.film.open) to.film.follow(from.film);
}

function choose(tool) {
  state.tool = tool;
  for (const button of $$("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  for (const pane of panes) pane.box.dataset.tool = tool;
}

function invert() {
  const on = !main.film.inverted;
  both((pane) => pane.film.invert(on));
  $("#invert").setAttribute("aria-pressed", String(on));
}

function flip() {
  const on = !main.film.view.flipped;
  both((pane) => pane.film.flip(on));
  $("#flip").setAttribute("aria-pressed", String(on));
}

function heat(on = !main.overlay.shown) {
  if (!state.evidence && !main.overlay.outline.length) {
    if (on) say(state.image?.blinded ? "Blind reading: evidence is shown after your read." : "There is no evidence for this image: it wasn't analysed.");
    return;
  }
  both((pane) => pane.overlay.show(on));
  $("#heat-tools").hidden = !on;
  $("#evidence").setAttribute("aria-pressed", String(on));
}

function presets(meta) {
  const select = $("#preset");
  select.replaceChildren(element("option", { value: "", text: "by hand" }),
    ...meta.windows.map((window, n) => element("option", { value: n, text: n ? window.name : `${window.name} (what the model sees)` })));
  select.value = "0";
  select.onchange = () => { if (select.value) main.film.setWindow(meta.windows[select.value]); };
}

function nextPreset() {
  const { windows } = main.film.meta;
  const now = $("#preset").value;
  const next = now === "" ? 0 : (Number(now) + 1) % windows.length;
  $("#preset").value = String(next);
  main.film.setWindow(windows[next]);
}

function legend() {
  const { colours, against } = main.overlay.options;
  const map = COLOURS[colours];
  const bar = element("canvas", { width: 120, height: 10, class: "ramp", "aria-hidden": "true" });
  const context = bar.getContext("2d");
  const both_ = map.both && against;
  for (let n = 0; n < 120; n += 1) {
    const at = both_ ? n / 60 - 1 : n / 120;
    const [red, green, blue, opacity] = map.of(Math.abs(at), at < 0);
    context.fillStyle = `rgba(${red}, ${green}, ${blue}, ${opacity})`;
    context.fillRect(n, 0, 1, 10);
  }
  const full = state.evidence ? state.evidence.full.toFixed(1) : "–";
  $("#legend").replaceChildren(both_ ? `−${full} ` : "0 ", bar, ` ${full} logits or more for ${state.room.model.target_words}; the yellow line is the outline of the lungs`);
}

function heatOptions() {
  const options = {
    opacity: Number($("#opacity").value), threshold: Number($("#threshold").value), colours: $("#colours").value, against: $("#against").checked,
  };
  $("#threshold-value").textContent = `${Math.round(100 * options.threshold)} %`;
  $("#against").disabled = !COLOURS[options.colours].both;
  session.set("heat", options);
  both((pane) => pane.overlay.set(options));
  if (state.room) legend();
  preparePrint();
}

/** Marks a region on the image; opens the evidence if asked. */
function pointed(cell, open = false) {
  if (open) heat(true);
  main.overlay.cell = cell;
  main.overlay.draw();
}

async function evidenceOf(image) {
  if (image.blinded || image.status !== "read") return null;
  const evidence = await get(`images/${image.id}/evidence`).catch(() => null);
  if (!evidence) return null;
  const largest = Math.max(...evidence.values.flat().map(Math.abs));
  return { ...evidence, full: evidence.full || largest || 1 };
}

/** Shows what is known of the image now: after loading, after the analysis, after a read. */
async function take(image) {
  state.image = image;
  state.evidence = await evidenceOf(image);
  main.overlay.take({ evidence: state.evidence, outline: image.outline });
  showAnswer($("#answer"), image, state.room, state.evidence, pointed);
  showFacts($("#facts"), factsOf(image, main.film.meta, nameOf(image)));
  reading.show(image);
  teaching.show(image, state.room, state.evidence);
  earlierOnes(image.priors || []);
  legend();
  preparePrint();
}

function earlierOnes(priors) {
  $("#earlier-label").hidden = !priors.length;
  const select = $("#earlier");
  if (select.options.length === priors.length + 1) return;
  select.replaceChildren(element("option", { value: "", text: "nothing" }),
    ...priors.map((one) => element("option", { value: one.id, text: `${day(one.study_date)}${one.view ? `, ${one.view}` : ""}` })));
}

async function compare(other) {
  state.earlier = other || null;
  $("#earlier").value = other || "";
  beside.box.hidden = !other;
  $("#linked-label").hidden = !other;
  $("#panes").classList.toggle("two", Boolean(other));
  if (!other) return;
  const [image, meta] = await Promise.all([get(`images/${other}`), get(`images/${other}/pixels`)]);
  beside.overlay.options = { ...main.overlay.options };
  await beside.open(meta, { evidence: await evidenceOf(image), outline: image.outline });
  beside.overlay.show(main.overlay.shown);
  beside.film.invert(main.film.inverted);
  beside.film.flip(main.film.view.flipped);
  linked(main);
}

/** Ids in the worklist's order. */
async function order() {
  const kept = session.get("order", []);
  if (kept.some((one) => one.id === id)) return kept;
  const found = await get("images?limit=500");
  return found.images.map((row) => ({ id: row.id, read: Boolean(row.read) }));
}

async function go(by, unreadOnly = false) {
  const all = await order();
  const at = all.findIndex((one) => one.id === id);
  const rest = by > 0 ? all.slice(at + 1) : all.slice(0, Math.max(at, 0)).reverse();
  const next = rest.find((one) => !unreadOnly || !one.read);
  if (next) location.href = `/images/${next.id}`;
  else say(unreadOnly ? "Every image after this one is read." : by > 0 ? "This is the last image of the list." : "This is the first image of the list.");
}

/** Keeps the pictures and the text of the printed report up to date. */
function preparePrint() {
  if (!state.image || !state.room) return;
  showReport($("#report-text"), state.image, state.room, state.evidence, factsOf(state.image, main.film.meta, ""), $("#answer").dataset.prevalence);
  if (!main.film.open || !main.film.levels.some(Boolean)) return;
  const [plain, heated] = [$("#print-plain"), $("#print-heat")];
  main.film.drawOn(plain, 900);
  main.overlay.drawOn(plain, { evidence: false });
  const shown = Boolean(state.evidence) || main.overlay.outline.length > 0;
  $("#print-heat-figure").hidden = !shown;
  if (shown) {
    main.film.drawOn(heated, 900);
    main.overlay.drawOn(heated);
  }
  const notes = [shown && `evidence for ${state.room.model.target_words} and the outline of the lungs`, main.film.view.flipped && "FLIPPED: left and right are exchanged", main.film.inverted && "black and white inverted"];
  $("#print-legend").textContent = notes.filter(Boolean).join("; ");
}

async function remove() {
  const dialog = $("#confirm");
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => { dialog.addEventListener("close", resolve, { once: true }); });
  if (dialog.returnValue !== "yes") return;
  await send("DELETE", `images/${id}`);
  session.set("order", session.get("order", []).filter((one) => one.id !== id));
  location.href = "/";
}

function wire() {
  for (const button of $$("[data-tool]")) button.addEventListener("click", () => choose(button.dataset.tool));
  const clicks = { invert, flip, fit, one, evidence: () => heat(), print: () => { preparePrint(); print(); }, previous: () => go(-1), next: () => go(1), delete: () => remove().catch(sayProblem) };
  for (const [name, act] of Object.entries(clicks)) $(`#${name}`).addEventListener("click", () => act());
  $("#earlier").addEventListener("change", (event) => compare(event.target.value).catch(sayProblem));
  $("#linked").addEventListener("change", () => linked(main));
  $("#colours").replaceChildren(...Object.entries(COLOURS).map(([key, { name }]) => element("option", { value: key, text: name })));
  const kept = session.get("heat", main.overlay.options);
  for (const name of ["opacity", "threshold", "colours"]) $(`#${name}`).value = kept[name];
  $("#against").checked = kept.against;
  for (const name of ["opacity", "threshold", "colours", "against"]) $(`#${name}`).addEventListener("input", heatOptions);
  addEventListener("beforeprint", preparePrint);
}

const fit = () => both((pane) => pane.film.fit());
const one = () => { main.film.zoom(1 / (main.film.view.scale * (globalThis.devicePixelRatio || 1))); };
const pan = (x, y) => () => main.film.pan(x, y);
const change = (level, contrast) => () => { main.film.drag(level, contrast); $("#preset").value = ""; };

function keys() {
  const film = (act) => () => (main.film.open ? act() : undefined);
  return new Keys("Viewer")
    .on("h", "lungs and evidence", () => heat())
    .on("w", "dragging sets window and level", () => choose("window"))
    .on("d", "dragging moves the image", () => choose("pan"))
    .on("m", "dragging measures", () => choose("measure"))
    .on("r", "dragging marks a region for your read", () => choose("region"))
    .on("[", "narrower window: more contrast", film(change(0, -0.1)))
    .on("]", "wider window: less contrast", film(change(0, 0.1)))
    .on(",", "darker", film(change(0.02, 0)))
    .on(".", "brighter", film(change(-0.02, 0)))
    .on("n", "next preset", film(nextPreset))
    .on("i", "black for white", film(invert))
    .on("f", "flip left and right (marked on the image)", film(flip))
    .on(["+", "="], "zoom in", film(() => main.film.zoom(1.25)))
    .on("-", "zoom out", film(() => main.film.zoom(0.8)))
    .on("0", "the whole image", film(fit))
    .on("1", "one pixel of the image on one of the screen", film(one))
    .on("ArrowLeft", "move the image", film(pan(60, 0)))
    .on("ArrowRight", "move the image", film(pan(-60, 0)))
    .on("ArrowUp", "move the image", film(pan(0, 60)))
    .on("ArrowDown", "move the image", film(pan(0, -60)))
    .on("x", "remove measures", () => { both((pane) => { pane.overlay.measures = []; pane.overlay.draw(); }); })
    .on("e", "beside the latest earlier image of the patient, and back", () => {
      const [, first] = $("#earlier").options;
      if (first) compare(state.earlier ? "" : first.value).catch(sayProblem);
      else say("There is no earlier image of this patient here.");
    })
    .on("c", "your read: then arrow keys and Enter", () => $("#read-form").elements.category[0].focus())
    .on("s", "save the read", () => reading.save())
    .on("j", "next image", () => go(1))
    .on("k", "previous image", () => go(-1))
    .on(" ", "next image that isn't read yet", () => go(1, true))
    .on("/", "search the worklist", () => { location.href = "/?search"; })
    .on("p", "print the report", () => { preparePrint(); print(); })
    .on("Escape", "back to the worklist", () => { location.href = "/"; })
    .start();
}

/** The image itself, before anything is known of the answer. */
async function showFilm() {
  try {
    const meta = await get(`images/${id}/pixels`);
    presets(meta);
    await main.film.load(meta);
    $("#under").textContent = aboutSpacing(meta);
  } catch (problem) {
    $("#under").textContent = `${problem.message} ${problem.hint || ""}`;
  }
  if (!state.image) return;
  showFacts($("#facts"), factsOf(state.image, main.film.meta, nameOf(state.image)));
  preparePrint();
}

async function start() {
  wire();
  choose("window");
  keys();
  const film = showFilm();
  const [room, image] = await Promise.all([get("room"), get(`images/${id}`)]);
  state.room = room;
  await take(image);
  heatOptions();
  await film;
  preparePrint();
  document.body.dataset.shown = "yes";
}

/** What happened to this image meanwhile: analysed, read elsewhere, deleted. */
async function happened(kind, event) {
  if (event.id && event.id !== id) return;
  if (kind === "deleted") { location.href = "/"; return; }
  if (state.image && (state.image.state === "waiting" || state.image.state === "running")) {
    const before = state.image;
    await take(await get(`images/${id}`));
    if (before.state !== state.image.state) await showFilm(); // it may have been turned, or be a negative
  }
}

start().catch((problem) => {
  $("#answer").replaceChildren(element("h2", { text: problem.message }), element("p", { text: problem.hint || "" }));
  $("#answer").setAttribute("aria-busy", "false");
});
listen((kind, event) => { happened(kind, event).catch(sayProblem); });
