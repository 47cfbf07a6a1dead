// Every request to the server passes here.

export class Fault extends Error {
  /** `status` is 0 where no answer came. */
  constructor(message, status) {
    super(message);
    this.status = status;
  }

  /** Whether the same request may succeed later: no answer, a busy or broken or new server. */
  get passing() {
    return this.status === 0 || this.status >= 500 || [401, 403, 408, 425, 429].includes(this.status);
  }
}

const meta = document.querySelector('meta[name="csrf"]');

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    throw new Fault("No answer from the server.", 0);
  }
  const body = await answer.json().catch(() => undefined);
  if (answer.ok && body !== undefined) return body;
  const said = body?.error ?? body?.detail;
  throw new Fault(typeof said === "string" ? said : `The server answered ${answer.status}.`, answer.status);
}

export function get(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return request(text ? `${path}?${text}` : path, {});
}

export async function post(path, body = {}) {
  try {
    return await send(path, body);
  } catch (fault) {
    // A server that was started again knows another secret: take it from its page, once.
    if (!(fault instanceof Fault) || ![401, 403].includes(fault.status)) throw fault;
    if (!(await renew())) throw fault;
    return send(path, body);
  }
}

function send(path, body) {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Trephine": meta.content },
    body: JSON.stringify(body),
  });
}

async function renew() {
  const answer = await fetch("/", { credentials: "same-origin", cache: "no-store" }).catch(() => null);
  if (!answer?.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const value = page.querySelector('meta[name="csrf"]')?.content;
  const changed = Boolean(value) && value !== meta.content;
  if (changed) meta.content = value;
  return changed;
}

export function tileAddress(id, code) {
  return `/tile/${encodeURIComponent(id)}?as=${encodeURIComponent(code ?? "")}`;
}

export function zoomAddress(id, code) {
  return `/zoom/${encodeURIComponent(id)}?as=${encodeURIComponent(code ?? "")}`;
}

export function pictureAddress(imageId) {
  return `/picture/${encodeURIComponent(imageId)}`;
}

export function randomKey() {
  // crypto.randomUUID is missing where the page came over plain http from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
