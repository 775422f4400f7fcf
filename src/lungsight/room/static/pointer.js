// Mouse, pen and fingers on an image: one drags by the tool that is chosen, two fingers zoom and move, the wheel zooms.

export class Pointer {
  #held = new Map();
  #start = null;

  /** `tool()` names what dragging does; `acts` has a function for each tool: (phase, from, to, moved). */
  constructor(film, tool, acts, pointed) {
    this.film = film;
    this.tool = tool;
    this.acts = acts;
    const { canvas } = film;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => {
      pointed(this.#at(event));
      this.#move(event);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#up(event));
    canvas.addEventListener("pointerleave", () => pointed(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = this.#at(event);
      film.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), x, y);
    }, { passive: false });
  }

  #at(event) {
    const box = this.film.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down(event) {
    this.film.canvas.setPointerCapture(event.pointerId);
    this.film.canvas.focus({ preventScroll: true });
    this.#held.set(event.pointerId, this.#at(event));
    if (this.#held.size > 1) {
      if (this.#start) this.acts[this.#start.tool]?.("cancel");
      this.#start = null;
      return;
    }
    const tool = event.button > 0 || event.shiftKey ? "pan" : this.tool();
    this.#start = { tool, at: this.#at(event) };
    this.acts[tool]("start", this.#start.at, this.#start.at, { x: 0, y: 0 });
  }

  #move(event) {
    const before = this.#held.get(event.pointerId);
    if (!before) return;
    const at = this.#at(event);
    const moved = { x: at.x - before.x, y: at.y - before.y };
    if (this.#held.size === 2) this.#pinch(event.pointerId, before, at, moved);
    else if (this.#start) this.acts[this.#start.tool]("move", this.#start.at, at, moved);
    this.#held.set(event.pointerId, at);
  }

  #pinch(id, before, at, moved) {
    const [, still] = [...this.#held].find(([other]) => other !== id);
    const apart = (one) => Math.hypot(one.x - still.x, one.y - still.y) || 1;
    this.film.pan(moved.x / 2, moved.y / 2);
    this.film.zoom(apart(at) / apart(before), (at.x + still.x) / 2, (at.y + still.y) / 2);
  }

  #up(event) {
    if (!this.#held.delete(event.pointerId) || !this.#start) return;
    this.acts[this.#start.tool](event.type === "pointerup" ? "end" : "cancel", this.#start.at, this.#at(event), { x: 0, y: 0 });
    this.#start = null;
  }
}
