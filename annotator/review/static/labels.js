// What people say of objects: shown at once, sent in order, and what others say meanwhile.

import { Fault, get } from "./api.js";
import { Outbox } from "./outbox.js";
import { ask, banner, say, troubleText } from "./say.js";
import { isSaid, plural, shown, title } from "./words.js";

const find = (id) => document.getElementById(id);
const POLL = 2000;
const MANY = 50;

export class Labels {
  /** `page` holds items, grid, viewer, selection, queue, codes and author. */
  constructor(page, study, author) {
    this.page = page;
    this.author = author;
    this.since = null;
    this.outbox = new Outbox(`${study}:${author}`, {
      stored: (entry, answer) => this.stored(entry, answer),
      refused: (entry, fault) => this.refused(entry, fault),
      trouble: (fault) => this.trouble(fault),
    });
    find("banner-retry").onclick = () => this.again();
    find("banner-drop").onclick = () => this.outbox.drop(this.fault);
    document.addEventListener("visibilitychange", () => document.hidden || this.poll());
  }

  /** Changes are asked for from here on; a later beginning would miss some. */
  beginAt(seq) {
    this.since ??= seq;
  }

  waiting() {
    return this.outbox.list();
  }

  // What is said here

  /** Say of items that they are of a class: one act. */
  label(items, code) {
    if (!items.length) return;
    const ids = items.map((item) => item.id);
    this.show((list) => list.mark(ids, code, this.author));
    this.outbox.add("/api/labels", { ids, code, queue: this.page.queue.name });
    say(`${plural(ids.length, "object")} ${ids.length === 1 ? "is" : "are"} ${title(code)} now`);
  }

  /** All tiles in sight are what the machine proposes: one act for each class. */
  async confirm() {
    const { items, grid } = this.page;
    // What is not loaded yet nobody has seen.
    const seen = grid.inSight().map((index) => items.at(index));
    const open = seen.filter((item) => item).filter((item) => !isSaid(item) && shown(item));
    if (!open.length) {
      say("All shown are labelled already, or nothing is proposed for them. Page Down shows more.");
      return;
    }
    const groups = grouped(open);
    const parts = [...groups].map(([code, those]) => `${those.length} as ${title(code)}`).join(", ");
    if (open.length > MANY && !(await sure(open.length, parts))) return;
    for (const [code, those] of groups) this.label(those, code);
    const acts = groups.size > 1 ? `; ${groups.size} acts, one a class` : "";
    say(`${plural(open.length, "object")} confirmed: ${parts}${acts}`);
  }

  async nameGroup(block) {
    // To skip a whole group means to leave it.
    const codes = this.page.codes.filter((code) => code.name !== "skip");
    const answers = codes.map((code) => ({ text: code.title, value: code.name, key: String(code.key) }));
    const code = await ask(
      `Name all of ${block.group.title || block.group.name}`,
      `${plural(block.count, "object")}. Those that no person has labelled become:`,
      [...answers, { text: "Cancel", value: null }]);
    this.page.grid.root.focus({ preventScroll: true });
    if (code) this.outbox.add("/api/clusters", { cluster: String(block.group.name), code });
  }

  /** `which` is undo or redo. */
  turn(which) {
    this.outbox.add(`/api/${which}`, {});
  }

  // What came of it

  /** Change every list the same way, and draw what changed. */
  show(change) {
    const { grid, items, viewer } = this.page;
    grid.redraw(change(items));
    viewer.update(change(viewer.items));
  }

  stored(entry, answer) {
    if (entry.body.ids) this.show((list) => list.settle(entry.body.ids));
    const items = answer?.items ?? [];
    this.show((list) => list.apply(items));
    const does = entry.path.split("/").pop();
    if (does === "undo" || does === "redo") this.sayTurned(does, answer, items);
    if (does === "clusters") say(`${plural(items.length, "object")} named ${title(entry.body.code)}`);
    this.page.soonSummary();
  }

  sayTurned(does, answer, items) {
    if (!answer) {
      say(`Nothing to ${does}.`);
      return;
    }
    const { page } = this;
    const places = items.map((item) => page.items.places.get(item.id));
    const place = places.find((index) => index !== undefined);
    if (place !== undefined && !page.viewer.isOpen) page.goTo(place);
    const done = does === "undo" ? "Undone" : "Done again";
    say([`${done}: ${plural(items.length, "object")}`, ...(answer.notes ?? [])].join("; "));
  }

  refused(entry, fault) {
    if (entry.body.ids) this.show((list) => list.settle(entry.body.ids));
    say(`Not stored: ${fault.message}`, { bad: true });
  }

  trouble(fault) {
    const waiting = this.waiting().length;
    if (fault) {
      this.fault = fault;
      banner(troubleText(fault, waiting), { canDrop: fault.status >= 500 && waiting > 0 });
    } else if (this.fault && !waiting) {
      this.fault = null;
      banner(null);
      say("The server is back, and everything is stored.");
      this.page.panel.follow();
    }
  }

  again() {
    this.outbox.now();
    this.poll();
  }

  // What others do

  async poll() {
    clearTimeout(this.timer);
    try {
      if (this.since !== null && !document.hidden) await this.takeChanges();
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      this.trouble(fault);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), POLL);
  }

  async takeChanges() {
    const { seq, items, version } = await get("/api/changes", { since: this.since });
    this.since = seq;
    // The server answers: what waits for it can go.
    if (this.waiting().length) this.outbox.now();
    else this.trouble(null);
    this.noteVersion(version);
    if (!items.length) return;
    this.show((list) => list.apply(items));
    this.page.soonSummary();
  }

  noteVersion(version) {
    const before = this.version ?? version;
    this.version = version;
    if (before === version) return;
    say("Objects or predictions are new. What you see stays as it is; Refresh shows the new ones.");
    this.page.soonSummary();
  }
}

function sure(count, parts) {
  return ask("All shown are right?", `This labels ${plural(count, "object")}: ${parts}.`,
    [{ text: "Label them", value: true, key: "a" }, { text: "Cancel", value: false }]);
}

function grouped(items) {
  const groups = new Map();
  for (const item of items) groups.set(shown(item), [...(groups.get(shown(item)) ?? []), item]);
  return groups;
}
