// The model's answer, word first, and the same on the printed report.
import { around, sumOf, zonesOf } from "./evidence.js";
import { element, kindOf, session } from "./dom.js";
import { asWords, atPrevalence, inPeople, percent, percentBeside, rate, signed, when } from "./words.js";

const RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

const sentences = (value) => [value].flat().filter(Boolean);
/** Sentences in a frame; those after the second can be opened. */
function list(items, label) {
  if (!items.length) return null;
  const [first, more] = [items.slice(0, 2), items.slice(2)].map((some) => some.map((text) => element("li", { text })));
  return element("div", { class: "callout alarm" }, element("ul", { "aria-label": label }, first),
    more.length ? element("details", {}, element("summary", { text: `${more.length} more` }), element("ul", { "aria-label": `${label}, further` }, more)) : null);
}

/** What the probability of the target means among people with this prevalence: one line. */
export function meaningAt(probability, room, prevalence) {
  const stated = room.model.prevalence;
  const share = atPrevalence(probability, stated, prevalence);
  return `Where ${rate(prevalence)} of the people examined have ${room.model.target_words}, it means ${percent(share)}: ${inPeople(share)} with this result.`;
}

function prevalenceOf(room) {
  const kept = session.get("prevalence", null);
  return typeof kept === "number" ? kept : room.model.prevalence;
}

/** The slider by which a reader sets the prevalence, and the line that follows it. */
function prevalence(probability, room, changed) {
  const stated = room.model.prevalence;
  if (!(stated > 0 && stated < 1)) {
    return element("p", { class: "small", text: "The package doesn't state the prevalence that its probability holds at, so it can't be moved to another." });
  }
  const line = element("p", { class: "meaning", role: "status" });
  const nearest = (value) => RATES.reduce((best, one, n) => (Math.abs(Math.log(one / value)) < Math.abs(Math.log(RATES[best] / value)) ? n : best), 0);
  const slider = element("input", { type: "range", min: 0, max: RATES.length - 1, step: 1, "aria-label": `How common ${room.model.target_words} is among the people you examine`, id: "prevalence" });
  const chosen = prevalenceOf(room);
  slider.value = nearest(chosen);
  const tell = (value) => {
    line.textContent = meaningAt(probability, room, value);
    slider.setAttribute("aria-valuetext", rate(value));
    changed(value);
  };
  slider.addEventListener("input", () => { session.set("prevalence", RATES[slider.value]); tell(RATES[slider.value]); });
  tell(chosen);
  return element("div", { class: "prevalence" }, line, element("label", { class: "inline" }, "Prevalence ", slider),
    element("p", { class: "small", text: `The probability itself holds at ${rate(stated)}, as on the images of its calibration.` }));
}

/** The scale of the probability with both thresholds, drawn with an element for each part. */
function scale(probability, thresholds) {
  const drawn = element("div", { class: "scale", role: "img", "aria-label": `Probability ${percent(probability)}${thresholds ? `; no sign below ${percent(thresholds.low)}, signs from ${percent(thresholds.high)} on` : ""}` });
  const part = (kind, from, to) => {
    const made = element("i", { class: kind });
    made.style.left = `${100 * from}%`;
    made.style.width = `${100 * (to - from)}%`;
    drawn.append(made);
  };
  if (thresholds) {
    part("ruled-out", 0, thresholds.low);
    part("open", thresholds.low, thresholds.high);
    part("called", thresholds.high, 1);
  }
  const needle = element("b");
  needle.style.left = `${100 * Math.min(Math.max(probability, 0.004), 0.996)}%`;
  drawn.append(needle);
  return drawn;
}

/** The probability and the thresholds in words, so that they can be told apart. */
function figuresOf(p, room) {
  const { thresholds } = room.model;
  if (!thresholds) return { probability: percent(p), rule: "" };
  const [probability, low, high] = percentBeside(p, thresholds.low, thresholds.high);
  return { probability, rule: `No sign below ${low}, signs from ${high} on, inconclusive between.` };
}

export function sumSentence(evidence) {
  const { regions, bias, margin } = sumOf(evidence);
  return `Regions ${signed(regions)} + bias ${signed(bias)} = score ${signed(margin)}.`;
}

/** What to look at: the zones that speak for the target, as a whole. */
function toLookAt(image, evidence, pointed) {
  if (!evidence) return null;
  const zones = zonesOf(evidence, image.finding?.lungs?.box || undefined).filter((zone) => zone.share >= 0.005);
  const items = zones.slice(0, 4).map((zone) => {
    const box = around(zone.cells);
    return element("li", {}, element("button", {
      type: "button", class: "linklike", text: zone.name, onmouseenter: () => pointed(box), onmouseleave: () => pointed(null),
      onfocus: () => pointed(box), onblur: () => pointed(null), onclick: () => pointed(box, true),
    }), ` ${signed(zone.share)}`);
  });
  const inside = image.finding?.lungs?.percent_of_evidence;
  return element("div", {}, element("h3", { text: "What to look at" }),
    items.length ? element("ul", { class: "look" }, items) : element("p", { text: `No zone as a whole speaks for ${evidence.target_words || asWords(evidence.target)}.` }),
    typeof inside === "number" ? element("p", { class: "small", text: `${Math.round(inside)} % of what speaks for it is in the lungs.` }) : null,
    element("p", { class: "small sum", id: "sum", text: sumSentence(evidence) }));
}

function grade(room, image) {
  const words = image.finding?.model_grade || room.model.grade;
  return element("p", { class: "small" }, "How far to trust it: ",
    element("a", { href: "/help#model", text: words || "this model has no evidence report" }), ".");
}

/** Fills the panel. `pointed(cell, open)` marks a region on the image. */
export function showAnswer(panel, image, room, evidence, pointed) {
  panel.setAttribute("aria-busy", "false");
  const word = (text, kind = "") => element("h2", { class: "verdict", "data-decision": kind, text });
  if (image.state === "waiting" || image.state === "running") return panel.replaceChildren(word("Being analysed …"));
  if (image.blinded) {
    return panel.replaceChildren(word("Read it first"), element("p", { text: "This is a blind reading: the model's answer appears once your read is saved." }));
  }
  const finding = image.finding || { reasons: [], warnings: [], probabilities: {} };
  const p = image.probability;
  const analysed = image.status === "read" && typeof p === "number";
  const figures = analysed ? figuresOf(p, room) : null;
  return panel.replaceChildren(...[
    word(image.decision_words || "Could not be read", kindOf(image.decision)),
    analysed && element("p", { class: "probability" }, `Probability of ${room.model.target_words} `, element("b", { text: figures.probability })),
    analysed && scale(p, room.model.thresholds),
    analysed && figures.rule && element("p", { class: "small", text: figures.rule }),
    analysed && prevalence(p, room, (value) => { panel.dataset.prevalence = value; }),
    ...sentences(finding.reasons).map((text) => element("p", { class: "reason", text })),
    ...(finding.reasons?.length ? [] : sentences(image.meaning).map((text) => element("p", { text }))),
    toLookAt(image, evidence, pointed),
    list(sentences(finding.warnings), "Warnings"),
    grade(room, image),
    element("p", { class: "small research-line", text: room.research_only }),
  ].filter(Boolean));
}

const fact = (name, value) => (value === null || value === undefined || value === "" ? [] : [element("dt", { text: name }), element("dd", { text: String(value) })]);

/** Name and value of what is known about the image. */
export function factsOf(image, meta, name) {
  const view = image.view && `${image.view}, ${image.view_from === "model" ? "by the view classifier" : "as the header states"}`;
  const placed = meta && [meta.mirrored && "mirrored", meta.turned && `turned by ${meta.turned}°`, meta.inverted && "a negative, shown as a positive"].filter(Boolean).join(", ");
  return [
    ["File", name], ["Number", image.id.slice(0, 12)], ["Study date", image.study_date], ["View", view],
    ["Age", image.age === null ? null : `${Math.round(image.age)} years`], ["Sex", image.sex],
    ["Size", meta && `${meta.levels[0].width} × ${meta.levels[0].height} pixels, ${meta.bits} bits`],
    ["Corrected", placed], ["Phantom", image.phantom], ["Received", when(image.received)],
  ];
}

export const showFacts = (list_, facts) => list_.replaceChildren(...facts.flatMap(([name, value]) => fact(name, value)));

/** The text of the printed report. */
export function showReport(box, image, room, evidence, facts, prevalenceChosen) {
  const finding = image.finding || { reasons: [], warnings: [] };
  const p = image.probability;
  const analysed = image.status === "read" && typeof p === "number" && !image.blinded;
  const figures = analysed ? figuresOf(p, room) : null;
  const read = image.reads?.[0] || image.read;
  const lines = image.blinded ? [element("p", { text: "Blind reading: the model's answer is not shown before the read is saved." })] : [
    element("p", { class: "verdict", text: image.decision_words || "could not be read" }),
    analysed && element("p", { text: `Probability of ${room.model.target_words} ${figures.probability}. ${figures.rule}` }),
    analysed && room.model.prevalence && element("p", { text: meaningAt(p, room, Number(prevalenceChosen) || room.model.prevalence) }),
    ...sentences(finding.reasons).map((text) => element("p", { class: "reason", text })),
    evidence && element("p", { text: sumSentence(evidence) }),
    list(sentences(finding.warnings).slice(0, 8), "Warnings"),
  ];
  box.replaceChildren(...[
    ...lines,
    read && element("p", {}, element("b", { text: `Read: ${read.category}` }), read.agrees === null || read.agrees === undefined ? "" : read.agrees ? ", agrees with the model" : ", disagrees with the model",
      `${read.blind ? ", read blind" : ""}, ${when(read.at)}.`, read.comment ? ` ${read.comment}` : ""),
    element("dl", { class: "facts" }, facts.filter(([name]) => name !== "File").flatMap(([name, value]) => fact(name, value))),
    element("p", { class: "small", text: `Model ${room.model.id}. ${room.model.grade ? `Grade: ${room.model.grade}.` : "No evidence report."} lungsight ${room.version}, printed ${when(new Date().toISOString())}.` }),
    element("p", { class: "small", text: room.research_only }),
  ].filter(Boolean));
}

