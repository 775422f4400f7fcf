// Sends files to the room: a request each, four at a time, with a bar each.
import { Problem, problemOf } from "./api.js";
import { $, element, session } from "./dom.js";

const AT_ONCE = 4;
const NAMES = "names"; // id → name, in this browser session only: the room doesn't keep names

export const nameOf = (row) => row.name || session.get(NAMES, {})[row.id] || "";

function remember(images) {
  const names = session.get(NAMES, {});
  for (const image of images) if (image.name) names[image.id] = image.name;
  session.set(NAMES, names);
}

/** Every file of a drop, also those in its folders. */
export async function filesOf(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() || item.getAsFile());
  const found = await Promise.all(entries.filter(Boolean).map(within));
  return found.flat();
}

async function within(entry) {
  if (entry instanceof File) return [entry];
  if (entry.isFile) return [await new Promise((resolve, reject) => { entry.file(resolve, reject); }).catch(() => null)].filter(Boolean);
  const reader = entry.createReader();
  const all = [];
  for (;;) { // a reader gives a hundred at a time
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); }).catch(() => []);
    if (!some.length) break;
    for (const one of some) all.push(...await within(one));
  }
  return all;
}

/** One file by XMLHttpRequest: fetch doesn't say how much is sent. */
function sent(file, progressed) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/images?name=${encodeURIComponent(file.name)}`);
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => progressed(event.lengthComputable ? event.loaded / event.total : null));
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) resolve(request.response);
      else reject(problemOf(request.status, request.response));
    });
    request.addEventListener("error", () => reject(new Problem("The room doesn't answer.", "Check that lungsight serve still runs.")));
    request.send(file);
  });
}

export class Uploads {
  #waiting = [];
  #flying = 0;
  #counts = { files: 0, done: 0, images: 0, already: 0, passed: 0, failed: 0 };

  constructor(box, line, arrived) {
    this.box = box;
    this.list = $("ul", box);
    this.line = line;
    this.arrived = arrived;
    this.limit = Infinity;
    $("#clear-uploads").addEventListener("click", () => {
      for (const row of [...this.list.children]) if (row.dataset.done) row.remove();
      this.box.hidden = !this.list.children.length;
    });
    addEventListener("beforeunload", (event) => { if (this.#flying) event.preventDefault(); });
  }

  add(files) {
    for (const file of files) {
      const bar = element("progress", { max: 1, value: 0, "aria-label": `Sending ${file.name}` });
      const note = element("span", { class: "small", text: "waiting" });
      const row = element("li", {}, element("span", { class: "file", text: file.name }), bar, note);
      this.list.append(row);
      this.#waiting.push({ file, bar, note, row });
      this.#counts.files += 1;
    }
    this.box.hidden = !this.list.children.length;
    this.#next();
  }

  #next() {
    while (this.#flying < AT_ONCE && this.#waiting.length) this.#send(this.#waiting.shift());
    this.#say();
  }

  async #send({ file, bar, note, row }) {
    this.#flying += 1;
    note.textContent = "sending";
    try {
      if (file.size > this.limit) throw new Problem("The file is larger than this room takes.", "Leave it out, or send it in parts.");
      const answer = await sent(file, (share) => { if (share === null) bar.removeAttribute("value"); else bar.value = share; });
      bar.value = 1;
      this.#took(answer, note, row);
    } catch (problem) {
      this.#counts.failed += 1;
      row.className = "failed";
      note.textContent = `${problem.message} ${problem.hint || ""}`.trim();
    }
    row.dataset.done = "yes";
    this.#counts.done += 1;
    this.#flying -= 1;
    this.#next();
  }

  #took(answer, note, row) {
    const { images = [], already = [], passed_over: passed = [] } = answer;
    remember([...images, ...already]);
    this.#counts.images += images.length;
    this.#counts.already += already.length;
    this.#counts.passed += passed.length;
    const said = [];
    if (images.length) said.push(images.length === 1 ? "taken" : `${images.length} images taken`);
    if (already.length) said.push(already.length === 1 ? "already here" : `${already.length} already here`);
    for (const one of passed) said.push(one.name === undefined || one.name === row.firstChild.textContent ? one.why : `${one.name}: ${one.why}`);
    note.textContent = said.join(" · ") || "nothing to take";
    this.arrived();
  }

  #say() {
    const { files, done, images, already, passed, failed } = this.#counts;
    if (!files) return;
    const parts = [`${done} of ${files} files sent`, `${images} new images`];
    if (already) parts.push(`${already} already here`);
    if (passed) parts.push(`${passed} passed over`);
    if (failed) parts.push(`${failed} failed`);
    this.line.textContent = `${parts.join(", ")}.`;
  }
}
