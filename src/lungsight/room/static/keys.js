// Keys of a page, and the help that lists them on `?`.
import { $, element } from "./dom.js";

const FIELDS = "input:not([type=checkbox], [type=radio], [type=range], [type=file]), textarea, select, [contenteditable]";
const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

export class Keys {
  #entries = [];
  #taken = new Map();

  constructor(title) {
    this.title = title;
    this.on("?", "this list of keys", () => this.help());
  }

  /** `keys` is one key or several, as KeyboardEvent.key names them. */
  on(keys, what, act) {
    const all = [keys].flat();
    this.#entries.push([all, what]);
    for (const key of all) this.#taken.set(key, act);
    return this;
  }

  start() {
    document.addEventListener("keydown", (event) => this.#pressed(event));
    return this;
  }

  help() {
    const rows = this.#entries.map(([keys, what]) => element("tr", {},
      element("th", { scope: "row" }, keys.map((key) => element("kbd", { text: NAMES[key] || key }))),
      element("td", { text: what })));
    const dialog = element("dialog", { class: "help", "aria-label": `Keys: ${this.title}` },
      element("h2", { text: `Keys: ${this.title}` }),
      element("table", { class: "keys" }, element("tbody", {}, rows)),
      element("form", { method: "dialog" }, element("button", { class: "button primary", text: "Close" })));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  #pressed(event) {
    const within = event.target instanceof Element ? event.target : document.body;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $("dialog[open]")) return;
    if (event.key === "Escape" && within.matches(FIELDS)) return within.blur();
    if (within.matches(FIELDS)) return undefined;
    if ((event.key === " " || event.key === "Enter") && within.closest("button, a, summary, input, label")) return undefined;
    if (event.key.startsWith("Arrow") && within.matches("input")) return undefined; // sliders and radio buttons
    const act = this.#taken.get(event.key);
    if (act && act(event) !== false) event.preventDefault();
    return undefined;
  }
}
