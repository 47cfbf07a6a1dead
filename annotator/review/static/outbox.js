// Acts on their way to the server: in order, each once, kept in the browser until stored.
//
// An entry is {key, path, body, at}. It is written to localStorage before it is sent, so that
// a closed tab or a dead server loses nothing; the server knows a key that it has seen, so
// that an act whose answer was lost is not done twice. Each entry has a place of its own, so
// that tabs cannot write over each other; what a tab left behind, another sends.
// Nothing that the answer needs lives in the tab alone: a reloaded page goes on the same.

import { Fault, post, randomKey } from "./api.js";

const WAIT_FIRST = 500;
const WAIT_MOST = 4000;
const LEFT_BEHIND = 5000;

export class Outbox {
  /**
   * `hooks`: stored(entry, answer), refused(entry, fault), trouble(fault | null, waiting).
   */
  constructor(name, hooks) {
    this.name = `trephine-outbox:${name}:`;
    this.hooks = hooks;
    this.busy = false;
    this.timer = 0;
    this.wait = WAIT_FIRST;
    this.tab = tabName();
    this.memory = new Map();
    window.addEventListener("online", () => this.now());
  }

  /** Entries that this tab has to send, oldest first: its own, and those left behind. */
  list() {
    const now = Date.now();
    const entries = [...this.memory.values()];
    for (const place of Object.keys(localStorage)) {
      if (!place.startsWith(this.name) || this.memory.has(place)) continue;
      const entry = parsed(localStorage.getItem(place));
      if (entry && (entry.tab === this.tab || now - entry.at > LEFT_BEHIND)) entries.push(entry);
    }
    return entries.sort((one, other) => one.at - other.at);
  }

  /** Keep an act and send it. */
  add(path, body) {
    // Two acts in one millisecond must keep their order.
    this.last = Math.max(Date.now(), (this.last ?? 0) + 0.001);
    const entry = { key: randomKey(), path, body, at: this.last, tab: this.tab };
    this.memory.set(this.name + entry.key, entry);
    try {
      localStorage.setItem(this.name + entry.key, JSON.stringify(entry));
    } catch {
      // A full or forbidden storage: the entry lives as long as the tab.
    }
    if (!this.timer) this.now();
    return entry.key;
  }

  /** Give up the first act: a server that always fails at it must not hold up the rest. */
  drop(fault) {
    const [entry] = this.list();
    if (entry) this.finish(entry, () => this.hooks.refused(entry, fault));
    this.now();
  }

  now() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.busy) this.run();
  }

  async run() {
    this.busy = true;
    try {
      for (let [entry] = this.list(); entry; [entry] = this.list()) {
        if (!(await this.one(entry))) break;
      }
    } finally {
      this.busy = false;
    }
  }

  async one(entry) {
    try {
      const answer = await post(entry.path, { ...entry.body, key: entry.key });
      this.finish(entry, () => this.hooks.stored(entry, answer));
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      if (fault.passing) return this.later(fault);
      this.finish(entry, () => this.hooks.refused(entry, fault));
    }
    this.wait = WAIT_FIRST;
    this.hooks.trouble(null, this.list().length);
    return true;
  }

  finish(entry, tell) {
    this.memory.delete(this.name + entry.key);
    localStorage.removeItem(this.name + entry.key);
    tell();
  }

  later(fault) {
    this.timer = setTimeout(() => this.now(), this.wait);
    this.wait = Math.min(this.wait * 2, WAIT_MOST);
    this.hooks.trouble(fault, this.list().length);
    return false;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function tabName() {
  const kept = sessionStorage.getItem("trephine-tab") ?? randomKey();
  sessionStorage.setItem("trephine-tab", kept);
  return kept;
}
