// Talks to the room. Every failure is one sentence and a hint.

export class Problem extends Error {
  constructor(title, hint = "", status = 0) {
    super(title);
    this.hint = hint;
    this.status = status;
  }
}

/** A problem from a reply's JSON (RFC 9457), or from its status alone. */
export function problemOf(status, body) {
  const known = body && typeof body === "object" ? body : {};
  return new Problem(known.title || `The room answered with status ${status}.`, known.detail || "", status);
}

export async function call(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path.startsWith("/") ? path : `/v1/${path}`, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The room doesn't answer.", "Check that lungsight serve still runs.");
  }
  if (!reply.ok) throw problemOf(reply.status, await reply.json().catch(() => null));
  return reply;
}

export const get = async (path, options) => (await call(path, options)).json();

export async function send(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const reply = await call(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return reply.status === 204 ? null : reply.json();
}

/** Calls `changed(kind, data)` for each event of the room, and `changed("again")` after a lost connection. */
export function listen(changed) {
  const source = new EventSource("/v1/events");
  let lost = false;
  for (const kind of ["image", "read", "deleted"]) {
    source.addEventListener(kind, (event) => changed(kind, JSON.parse(event.data)));
  }
  source.addEventListener("error", () => { lost = true; });
  source.addEventListener("open", () => {
    if (lost) changed("again", {});
    lost = false;
  });
  addEventListener("pagehide", () => source.close());
  return source;
}
