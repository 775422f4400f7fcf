// The worklist: images by urgency, filters, keys, and files that are dropped anywhere.
import { get, listen, send } from "./api.js";
import { $, $$, element, kindOf, sayProblem, seldom, session } from "./dom.js";
import { Keys } from "./keys.js";
import { Uploads, filesOf, nameOf } from "./upload.js";
import { asWords, counted, day, percent, when } from "./words.js";

const STEP = 200;
const rows = $("#rows");
const filters = $("#filters");
const words = new Map();
let shown = STEP;
let total = 0;
let newest = 0;

/** The filters as the API takes them, without those that are empty. */
function query() {
  const given = [...new FormData(filters)].filter(([, value]) => value !== "");
  return new URLSearchParams([...given, ["limit", Math.min(shown, 500)], ["offset", 0]]);
}

async function refresh() {
  const asked = newest += 1;
  try {
    const found = await get(`images?${query()}`);
    if (asked !== newest) return; // a later question was answered already
    show(found);
    if (!performance.getEntriesByName("list-shown").length) performance.mark("list-shown");
  } catch (problem) {
    if (asked === newest) sayProblem(problem);
  }
}

const soon = seldom(400, refresh);

function show(found) {
  total = found.total;
  reconcile(found.images);
  session.set("order", found.images.map((row) => ({ id: row.id, read: Boolean(row.read) })));
  decisions(found.counts);
  const unread = found.counts.unread ?? 0;
  $("#count").textContent = `${counted(total, "image")} shown, ${counted(found.counts.all ?? total, "image")} in this room, ${unread} not yet read.`;
  $("#empty").hidden = (found.counts.all ?? total) > 0;
  $(".list-frame").hidden = total === 0;
  $("#more").hidden = found.images.length >= total || shown >= 500;
}

/** Changes only the rows that differ: focus, scroll and pictures stay. */
function reconcile(images) {
  const before = new Map($$("tr", rows).map((row) => [row.dataset.id, row]));
  const focused = document.activeElement?.closest?.("tr")?.dataset.id;
  images.forEach((image, index) => {
    const print = JSON.stringify(image);
    let row = before.get(image.id);
    if (!row || row.print !== print) {
      const made = rowOf(image);
      made.print = print;
      if (row) row.replaceWith(made);
      row = made;
    }
    before.delete(image.id);
    if (rows.children[index] !== row) rows.insertBefore(row, rows.children[index] || null);
  });
  for (const gone of before.values()) gone.remove();
  if (focused) $(`tr[data-id="${focused}"] a`, rows)?.focus({ preventScroll: true });
}

function rowOf(image) {
  if (image.decision && image.decision_words) words.set(image.decision, image.decision_words);
  const picture = image.has_picture
    ? element("img", { src: `/v1/images/${image.id}/picture`, alt: "", loading: "lazy", width: 64, height: 64 })
    : element("span", { class: "no-picture" });
  const facts = [image.view && `${image.view}${image.view_from === "model" ? " (by the model)" : ""}`,
    image.age !== null && `${Math.round(image.age)} years`, image.sex, image.study_date && day(image.study_date),
    image.phantom !== null && image.phantom !== undefined && "phantom"].filter(Boolean).join(" · ");
  const name = nameOf(image) || image.id.slice(0, 12);
  return element("tr", { "data-id": image.id, class: image.read ? "was-read" : "unread" },
    element("td", { class: "picture" }, picture),
    element("td", { class: "result" }, resultOf(image)),
    element("td", { class: "why", text: image.blinded ? "Blind reading: the order is that of arrival." : image.reason || "" }),
    element("td", { class: "image" }, element("a", { href: `/images/${image.id}`, text: name }),
      element("span", { class: "small", text: facts }), element("span", { class: "small", text: `received ${when(image.received)}` })),
    element("td", { class: "read-state" }, image.read ? image.read.category : element("span", { class: "dot", text: "unread" })));
}

function resultOf(image) {
  if (image.state === "waiting" || image.state === "running") return element("span", { class: "note", text: image.state === "running" ? "being analysed …" : "waiting …" });
  if (image.blinded) return element("span", { class: "note", text: "shown after your read" });
  const kind = image.status === "error" || image.state === "error" ? "error" : kindOf(image.decision);
  return [element("b", { class: "word", "data-decision": kind, text: image.decision_words || "could not be read" }),
    image.probability === null || image.probability === undefined ? null : element("span", { class: "small", text: `probability ${percent(image.probability)}` })];
}

function decisions(counts) {
  const select = filters.elements.decision;
  const options = Object.entries(counts.by_decision || {}).map(([decision, n]) => [decision, `${words.get(decision) || asWords(decision)} (${n})`]);
  const print = JSON.stringify(options);
  if (select.print === print) return;
  select.print = print;
  const chosen = select.value;
  if (chosen && !options.some(([decision]) => decision === chosen)) options.push([chosen, `${words.get(chosen) || asWords(chosen)} (0)`]);
  select.replaceChildren(element("option", { value: "", text: "all" }), ...options.map(([value, text]) => element("option", { value, text })));
  select.value = chosen;
}

const links = () => $$(".image a", rows);

function step(by) {
  const all = links();
  const at = all.indexOf(document.activeElement?.closest?.("tr") ? $("a", document.activeElement.closest("tr")) : null);
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  next?.focus();
  next?.closest("tr").scrollIntoView({ block: "nearest" });
}

function drop() {
  const target = $("#drop");
  let depth = 0;
  const carries = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  addEventListener("dragenter", (event) => { if (carries(event)) { depth += 1; target.hidden = false; event.preventDefault(); } });
  addEventListener("dragover", (event) => { if (carries(event)) { event.preventDefault(); event.dataTransfer.dropEffect = "copy"; } });
  addEventListener("dragleave", (event) => { if (carries(event)) { depth = Math.max(0, depth - 1); target.hidden = depth === 0; } });
  addEventListener("drop", async (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    target.hidden = true;
    uploads.add(await filesOf(event.dataTransfer));
  });
}

function remembered() {
  const kept = new URLSearchParams(session.get("filters", ""));
  for (const [name, value] of kept) {
    if (name === "decision" && value) filters.elements.decision.append(element("option", { value, text: asWords(value) }));
    if (filters.elements[name]) filters.elements[name].value = value;
  }
}

function changed() {
  shown = STEP;
  session.set("filters", new URLSearchParams([...new FormData(filters)]).toString());
  refresh();
}

const uploads = new Uploads($("#uploads"), $("#sending"), soon);
for (const input of [$("#files"), $("#folder")]) {
  input.addEventListener("change", () => { uploads.add([...input.files]); input.value = ""; });
}
$("#phantoms").addEventListener("click", (event) => {
  const button = event.currentTarget;
  button.disabled = true;
  send("POST", "phantoms", { count: 4 }).then(soon).catch(sayProblem).finally(() => { button.disabled = false; });
});
filters.addEventListener("input", seldom(250, changed));
filters.addEventListener("reset", () => setTimeout(changed));
filters.addEventListener("submit", (event) => event.preventDefault());
$("#more").addEventListener("click", () => { shown += STEP; refresh(); });
rows.addEventListener("click", (event) => { if (!event.target.closest("a")) $("a", event.target.closest("tr"))?.click(); });

function pictures(on) {
  document.body.classList.toggle("no-pictures", !on);
  session.set("pictures", on);
}

new Keys("Worklist")
  .on(["j", "ArrowDown"], "next image", () => step(1))
  .on(["k", "ArrowUp"], "previous image", () => step(-1))
  .on("Enter", "open it", () => document.activeElement?.closest?.("tr") && $("a", document.activeElement.closest("tr")).click())
  .on(" ", "open the first image that isn't read yet", () => $("tr.unread .image a", rows)?.click())
  .on("/", "search", () => filters.elements.q.focus())
  .on("h", "show or hide the small pictures", () => pictures(document.body.classList.contains("no-pictures")))
  .on("o", "choose files", () => $("#files").click())
  .start();

drop();
remembered();
pictures(session.get("pictures", true));
listen(soon);
refresh();
get("room").then((room) => {
  uploads.limit = room.limits?.upload_bytes ?? Infinity;
  if (room.lacks?.phantoms) { $("#phantoms").disabled = true; $("#phantoms").title = room.lacks.phantoms; }
}).catch(sayProblem);
if (location.search === "?search") filters.elements.q.focus();
