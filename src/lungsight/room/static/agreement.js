// How far readers, model and reference agree, from this room's reads.
import { get } from "./api.js";
import { $, element } from "./dom.js";
import { Keys } from "./keys.js";
import { asWords, counted } from "./words.js";

const number = (value) => (typeof value === "number" ? value.toFixed(2) : "–");

function figures(found) {
  const rows = found.figures.map((one) => element("tr", {},
    element("th", { scope: "row", text: one.title || asWords(one.name) }),
    element("td", { text: { reader: "readers", model: "model", both: "readers and model" }[one.whose] || one.whose || "" }),
    one.withheld
      ? element("td", { class: "withheld", colspan: 2, text: one.withheld })
      : [element("td", { class: "number value", text: number(one.value) }), element("td", { class: "interval", text: `${number(one.low)} to ${number(one.high)}` })],
    element("td", { class: "number", text: one.n ?? "–" })));
  return element("div", { class: "scroll" }, element("table", {},
    element("caption", { text: "Figures with their 95 % confidence intervals" }),
    element("thead", {}, element("tr", {}, ...["Figure", "Of", "Value", "Interval", "Images"].map((text) => element("th", { scope: "col", text })))),
    element("tbody", {}, rows)));
}

function crossed(table) {
  const decisions = [...new Set(table.map((cell) => cell.decision))];
  const categories = [...new Set(table.map((cell) => cell.category))];
  const n = (category, decision) => table.find((cell) => cell.category === category && cell.decision === decision)?.n ?? 0;
  return element("div", { class: "scroll" }, element("table", {},
    element("caption", { text: "What readers said against what the model said (images)" }),
    element("thead", {}, element("tr", {}, element("th", { scope: "col", text: "Read" }), decisions.map((one) => element("th", { scope: "col", class: "number", text: asWords(one) })))),
    element("tbody", {}, categories.map((category) => element("tr", {}, element("th", { scope: "row", text: category }),
      decisions.map((decision) => element("td", { class: "number", text: n(category, decision) })))))));
}

async function show() {
  try {
    const found = await get("agreement");
    $("#summary").textContent = [found.sentence, `${counted(found.reads, "read")}, ${found.blind} of them blind.`, found.lacking].filter(Boolean).join(" ");
    $("#figures").replaceChildren(...[found.figures?.length ? figures(found) : null, found.table?.length ? crossed(found.table) : null].filter(Boolean));
  } catch (problem) {
    $("#summary").textContent = `${problem.message} ${problem.hint || ""}`;
  }
}

new Keys("This room's reads").start();
show();
