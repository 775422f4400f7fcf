// Small helpers for the page. Styles are set by classes: the page's security policy allows no style attributes.

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

/** An element with properties (`class`, `text`, or any other attribute) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Says a sentence at the foot of the page. An error stays until it is closed. */
export function say(sentence, { hint = "", error = false } = {}) {
  const close = element("button", { type: "button", class: "linklike", text: "Close", onclick: () => box.remove() });
  const box = element("p", { class: error ? "message alarm" : "message" }, sentence, hint ? ` ${hint}` : "", " ", close);
  $("#messages").append(box);
  if (!error) setTimeout(() => box.remove(), 6000);
  return box;
}

export const sayProblem = (problem) => say(problem.message, { hint: problem.hint, error: true });

/** How a decision is coloured: the model's target, inconclusive, refused or error, or as text. */
export const kindOf = (decision) => (decision === document.body.dataset.target ? "target" : decision || "error");

/** At most one call in `wait` milliseconds; the last one always happens. */
export function seldom(wait, act) {
  let timer = 0;
  let last = 0;
  return () => {
    if (timer) return;
    const rest = Math.max(0, wait - (performance.now() - last));
    timer = setTimeout(() => { timer = 0; last = performance.now(); act(); }, rest);
  };
}

/** What this browser session remembers; nothing where storage is switched off. */
export const session = {
  get(key, otherwise) {
    try { return JSON.parse(sessionStorage.getItem(key)) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) {
    try { sessionStorage.setItem(key, JSON.stringify(value)); } catch { /* a private window without storage */ }
  },
};
