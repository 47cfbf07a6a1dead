// The page: what people do, sent on its way, and what everybody did, shown.

import { Fault, get } from "./api.js";
import { element, Grid } from "./grid.js";
import { QueueItems } from "./items.js";
import { actionOf, helpRows, isTaken } from "./keys.js";
import { watchLasso } from "./lasso.js";
import { blockOf, vertical } from "./layout.js";
import { Outbox } from "./outbox.js";
import { Panel } from "./panel.js";
import { ask, banner, say, showHelp, troubleText } from "./say.js";
import { Selection } from "./selection.js";
import { Viewer } from "./viewer.js";
import { allCodes, ink, isSaid, plural, shown, title } from "./words.js";
import { Zoom } from "./zoom.js";

const POLL = 2000;
const SUMMARY_WAIT = 1500;
const MANY = 50;
const NOTHING = { letter: "·", colour: "#808080", title: "no class" };
const find = (id) => document.getElementById(id);
const { study, author, queue: askedQueue } = document.body.dataset;

class Page {
  constructor(summary) {
    this.summary = summary;
    this.codes = allCodes(summary.classes);
    this.looks = new Map(this.codes.map((code) => [code.name, code]));
    this.names = new Map(summary.images.map((image) => [image.id, image.name]));
    this.since = summary.seq ?? null;
    this.severalOn = false;
    this.outbox = new Outbox(`${study}:${author}`, {
      stored: (entry, answer) => this.stored(entry, answer),
      refused: (entry, fault) => this.refused(entry, fault),
      trouble: (fault, waiting) => this.trouble(fault, waiting),
    });
    this.makeParts();
    this.listen();
  }

  makeParts() {
    const look = (code) => this.looks.get(code) ?? NOTHING;
    const imageName = (id) => this.names.get(id) ?? id;
    const waiting = () => this.outbox.list();
    this.items = new QueueItems({ waiting, author, reordered: () => this.reopen() });
    this.selection = new Selection();
    this.grid = new Grid(find("grid"), find("space"), this.items, this.selection, {
      look, imageName,
      groupButtons: (block) => this.groupButtons(block),
      need: (from, to) => this.need(from, to),
      moved: () => this.showPosition(),
    });
    this.viewer = new Viewer({
      look, imageName, waiting, author,
      several: () => this.severalOn,
      closed: () => this.viewerClosed(),
    });
    this.zoom = new Zoom(find("grid"), { imageName, item: (tile) => this.items.at(Number(tile.dataset.index)) });
    this.panel = new Panel({
      look, say,
      trained: () => this.refreshSummary(),
      openNext: () => this.openNext(),
    });
    for (const { name, colour } of this.codes) {
      document.documentElement.style.setProperty(`--${name}`, colour);
      document.documentElement.style.setProperty(`--${name}-ink`, ink(colour));
    }
  }

  listen() {
    this.makeToolbar(find("actions"), true);
    this.makeToolbar(find("viewer-actions"), false);
    document.addEventListener("keydown", (event) => this.key(event));
    find("grid").addEventListener("click", (event) => this.click(event));
    find("grid").addEventListener("dblclick", (event) => event.target.closest(".tile") && this.open());
    find("queue").onchange = () => this.openQueue(find("queue").value, null);
    find("image").onchange = () => this.openQueue(find("queue").value, find("image").value);
    find("jump").onchange = () => this.jump(Number(find("jump").value));
    find("help-close").onclick = () => find("help").close();
    find("banner-retry").onclick = () => this.outbox.now();
    find("banner-drop").onclick = () => this.outbox.drop(this.lastFault);
    document.addEventListener("visibilitychange", () => document.hidden || this.poll());
    watchLasso(find("grid"), find("space"), {
      begin: (event) => {
        this.base = event.ctrlKey || event.shiftKey ? new Set(this.selection.chosen) : new Set();
        this.zoom.pin(false);
      },
      over: (box) => {
        this.selection.set(this.grid.touched(box), { add: true, base: this.base });
        this.grid.redraw();
      },
      end: () => say(`${plural(this.selection.list().length, "object")} selected`),
    });
  }

  makeToolbar(bar, whole) {
    const labels = this.codes.map((code) =>
      element("button", { type: "button", className: "label-button", data: { code: code.name },
        aria: { keyshortcuts: String(code.key) }, onclick: () => this.act({ name: "label", code: code.name }) },
        element("kbd", { textContent: code.key }),
        element("span", { className: "badge", textContent: code.letter, data: { code: code.name }, aria: { hidden: "true" } }),
        element("span", { textContent: code.title })));
    const button = (text, key, name) =>
      element("button", { type: "button", aria: { keyshortcuts: key }, onclick: () => this.act({ name }) },
        element("kbd", { textContent: key }), element("span", { textContent: text }));
    const rest = [button("All shown are right", "a", "confirm"), button("Undo", "u", "undo"), button("Redo", "r", "redo")];
    const several = element("button", { type: "button", className: "several", textContent: "Several",
      aria: { pressed: "false" }, onclick: () => this.toggleSeveral() });
    bar.append(...labels, ...(whole ? rest : rest.slice(1)), several, ...(whole ? [button("Help", "?", "help")] : []));
  }

  toggleSeveral() {
    this.severalOn = !this.severalOn;
    for (const one of document.querySelectorAll(".several")) one.setAttribute("aria-pressed", String(this.severalOn));
  }

  // Queues

  async openQueue(name, image, index = 0) {
    if (name === "image" && !image) image = this.summary.images[0]?.id ?? null;
    this.showQueues(name, image);
    try {
      const page = await this.items.open(name, name === "image" ? image : null);
      this.since ??= Math.max(0, ...page.items.map((item) => item.label_seq ?? 0));
    } catch (fault) {
      this.failedQueue(fault);
      return;
    }
    this.selection.clear(Math.min(index, Math.max(0, this.items.length - 1)));
    find("empty").hidden = this.items.length > 0;
    find("empty").textContent = "Nothing to show in this queue. Choose another one.";
    this.showGroups();
    this.grid.root.scrollTop = 0;
    this.grid.rebuild();
    if (index) this.grid.reveal(this.selection.cursor, "top");
    const { total } = { total: this.items.length };
    find("grid").setAttribute("aria-label", `${this.items.title}, ${plural(total, "object")}`);
    say(`${this.items.title}: ${plural(total, "object")}`);
  }

  failedQueue(fault) {
    if (!(fault instanceof Fault)) throw fault;
    this.items.reset(0);
    this.items.groups = [];
    this.grid.rebuild();
    find("empty").hidden = false;
    find("empty").textContent = fault.message;
    say(fault.message, { bad: true });
  }

  showQueues(name, image) {
    const choices = this.summary.queues.map((queue) =>
      new Option(queue.count == null ? queue.title : `${queue.title} (${queue.count.toLocaleString("en")})`, queue.name, false, queue.name === name));
    find("queue").replaceChildren(...choices);
    const images = this.summary.images.map((one) => new Option(one.name, one.id, false, one.id === image));
    find("image").replaceChildren(...images);
    find("image-label").hidden = name !== "image";
    const address = new URLSearchParams({ queue: name, ...(name === "image" && image && { image }) });
    history.replaceState(null, "", `?${address}`);
  }

  showGroups() {
    const { groups } = this.items;
    find("jump-label").hidden = groups.length < 2;
    find("jump").replaceChildren(...groups.map((group, at) => new Option(group.title || group.name, at)));
  }

  jump(at) {
    const block = this.grid.layout.blocks[at];
    this.selection.clear(block.first);
    this.grid.redraw();
    this.grid.reveal(block.first, "top");
    this.grid.root.focus();
  }

  /** The order on the server is another: begin again near where we are. */
  reopen() {
    if (this.reopening) return;
    this.reopening = true;
    const { name, image } = this.items.query;
    this.openQueue(name, image, this.selection.cursor).finally(() => {
      this.reopening = false;
    });
  }

  async openNext() {
    await this.refreshSummary();
    const uncertain = this.summary.queues.some((queue) => queue.name === "uncertain");
    await this.openQueue(uncertain ? "uncertain" : this.items.query.name, null);
    this.grid.root.focus();
  }

  need(from, to) {
    const around = this.items.size / 4;
    this.items.ensure(from - around, to + around).then(
      (came) => came && this.grid.filled(),
      (fault) => {
        if (!(fault instanceof Fault)) throw fault;
        this.trouble(fault, this.outbox.list().length);
      });
  }

  showPosition() {
    const total = this.items.length;
    if (!total) {
      find("position").textContent = "";
      return;
    }
    const first = this.grid.firstInSight();
    find("position").textContent = `${(first + 1).toLocaleString("en")} of ${total.toLocaleString("en")}`;
    if (this.items.groups.length > 1) find("jump").value = String(blockOf(this.grid.layout, first).at);
    sessionStorage.setItem("trephine-place", JSON.stringify([location.search, first]));
  }

  groupButtons(block) {
    const all = element("button", { type: "button", textContent: "Select all", onclick: () => this.selectBlock(block) });
    const naming = this.items.query.name === "clusters" && block.group.name;
    const name = element("button", { type: "button", textContent: "Name all…", onclick: () => this.nameGroup(block) });
    const label = block.group.title || block.group.name;
    all.setAttribute("aria-label", `Select all of ${label}`);
    name.setAttribute("aria-label", `Name all of ${label}`);
    return naming ? [all, name] : [all];
  }

  selectBlock(block) {
    this.selection.set(Array.from({ length: block.count }, (_, at) => block.first + at));
    this.selection.cursor = block.first;
    this.grid.redraw();
    this.grid.root.focus({ preventScroll: true });
    say(`${plural(block.count, "object")} selected`);
  }

  async nameGroup(block) {
    const answers = this.codes.map((code) => ({ text: code.title, value: code.name, key: String(code.key) }));
    const code = await ask(
      `Name all of ${block.group.title || block.group.name}`,
      `${plural(block.count, "object")}. Those that no person has labelled become:`,
      [...answers, { text: "Cancel", value: null }]);
    this.grid.root.focus({ preventScroll: true });
    if (code) this.outbox.add("/api/clusters", { cluster: String(block.group.name), code });
  }

  // Keys and pointers

  key(event) {
    if (find("ask").open || find("help").open || isTaken(event)) return;
    const action = actionOf(event, this.codes);
    if (!action) return;
    event.preventDefault();
    this.act(action);
  }

  act(action) {
    const own = this.viewer.isOpen ? `viewer_${action.name}` : action.name;
    const does = this[`do_${own}`] ?? this[`do_${action.name}`];
    if (this.viewer.isOpen && !this[`do_viewer_${action.name}`] && !EVERYWHERE.has(action.name)) return;
    does?.call(this, action);
  }

  click(event) {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    const index = Number(tile.dataset.index);
    if (event.shiftKey) this.selection.move(index, { extend: true });
    else if (event.ctrlKey || event.metaKey || this.severalOn) this.selection.toggle(index);
    else this.selection.clear(index);
    this.grid.redraw();
    this.grid.root.focus({ preventScroll: true });
  }

  do_move({ where, extend, keep }) {
    if (!this.items.length) return;
    this.selection.move(this.target(where), { extend, keep });
    this.grid.redraw();
    this.grid.reveal(this.selection.cursor);
    this.showPinned();
    if (extend) say(`${plural(this.selection.list().length, "object")} selected`);
  }

  target(where) {
    const { cursor } = this.selection;
    const last = this.items.length - 1;
    const steps = { up: -1, down: 1, pageUp: -this.grid.pageRows(), pageDown: this.grid.pageRows() };
    if (where === "first") return 0;
    if (where === "last") return last;
    if (where === "left") return Math.max(0, cursor - 1);
    if (where === "right") return Math.min(last, cursor + 1);
    return manyRows(this.grid.layout, cursor, steps[where]);
  }

  do_viewer_move(action) {
    this.viewer.move(action);
  }

  do_toggle() {
    this.selection.toggle(this.selection.cursor);
    this.grid.redraw();
    say(`${plural(this.selection.list().length, "object")} selected`);
  }

  do_viewer_toggle() {
    this.viewer.selection.toggle(this.viewer.selection.cursor);
    this.viewer.draw();
  }

  do_escape() {
    if (this.zoom.pinned) this.zoom.pin(false);
    else this.selection.clear(this.selection.cursor);
    this.grid.redraw();
    this.grid.root.focus({ preventScroll: true });
  }

  do_viewer_escape() {
    find("viewer").close();
  }

  do_all() {
    if (this.items.length) this.selectBlock(blockOf(this.grid.layout, this.selection.cursor));
  }

  do_viewer_all() {
    this.viewer.selection.set([...this.viewer.items.items.keys()]);
    this.viewer.draw();
  }

  do_group() {
    if (this.items.query.name !== "clusters" || !this.items.length) return;
    this.nameGroup(blockOf(this.grid.layout, this.selection.cursor));
  }

  do_zoom() {
    const index = this.selection.cursor;
    this.zoom.pin(!this.zoom.pinned, this.items.at(index), find(`tile-${index}`));
  }

  showPinned() {
    const index = this.selection.cursor;
    if (this.zoom.pinned) this.zoom.pin(true, this.items.at(index), find(`tile-${index}`));
    else this.zoom.leave();
  }

  do_help() {
    showHelp(helpRows(this.codes));
  }

  do_queues() {
    find("queue").focus();
  }

  do_next() {
    const total = this.items.length;
    for (let step = 1; step <= total; step += 1) {
      const index = (this.selection.cursor + step) % total;
      const item = this.items.at(index);
      if (!item || !isSaid(item)) return this.goTo(index);
    }
    return say("Every object of this queue is labelled.");
  }

  do_viewer_next() {
    if (!this.viewer.next()) say("Every object of this image is labelled.");
  }

  do_viewer_larger() {
    this.viewer.larger();
  }

  do_viewer_smaller() {
    this.viewer.smaller();
  }

  do_viewer_fit() {
    this.viewer.fit();
  }

  do_viewer_outlines() {
    this.viewer.outlines();
  }

  goTo(index) {
    this.selection.clear(index);
    this.grid.redraw();
    this.grid.reveal(index);
    this.showPinned();
  }

  async do_open() {
    const [item] = await this.items.resolve([this.selection.cursor]);
    if (!item) return;
    this.zoom.pin(false);
    try {
      await this.viewer.open(item.image, item.id);
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      say(fault.message, { bad: true });
    }
  }

  open() {
    return this.do_open();
  }

  viewerClosed() {
    this.grid.redraw();
    this.grid.root.focus();
  }

  // Labels

  async do_label({ code }) {
    if (!this.items.length) return;
    const indices = this.selection.list();
    const items = await this.items.resolve(indices);
    this.label(items, code);
    const next = Math.min(indices[indices.length - 1] + 1, this.items.length - 1);
    this.selection.clear(next);
    this.grid.redraw();
    this.grid.reveal(next);
    this.showPinned();
  }

  do_viewer_label({ code }) {
    this.label(this.viewer.chosen(), code);
  }

  label(items, code, word = "") {
    if (!items.length) return;
    const ids = items.map((item) => item.id);
    this.show((list) => list.mark(ids, code, author));
    this.outbox.add("/api/labels", { ids, code, queue: this.items.query.name });
    say(`${plural(ids.length, "object")} ${ids.length === 1 ? "is" : "are"} ${word || title(code)} now`);
  }

  async do_confirm() {
    if (!this.items.length) return;
    const items = await this.items.resolve(this.grid.inSight());
    const open = items.filter((item) => !isSaid(item) && shown(item));
    if (!open.length) {
      say("All shown are labelled already, or nothing is proposed for them. Page Down shows more.");
      return;
    }
    if (open.length > MANY && !(await this.sure(open))) return;
    const groups = Map.groupBy ? Map.groupBy(open, shown) : grouped(open);
    for (const [code, those] of groups) this.label(those, code);
    const parts = [...groups].map(([code, those]) => `${those.length} ${title(code)}`);
    const acts = groups.size > 1 ? `; ${groups.size} acts, one a class` : "";
    say(`${plural(open.length, "object")} confirmed: ${parts.join(", ")}${acts}`);
  }

  sure(open) {
    const parts = [...grouped(open)].map(([code, those]) => `${those.length} as ${title(code)}`);
    return ask("All shown are right?", `This labels ${plural(open.length, "object")}: ${parts.join(", ")}.`,
      [{ text: "Label them", value: true, key: "a" }, { text: "Cancel", value: false }]);
  }

  do_undo() {
    this.outbox.add("/api/undo", {});
  }

  do_redo() {
    this.outbox.add("/api/redo", {});
  }

  /** Change every list the same way, and draw what changed. */
  show(change) {
    this.grid.redraw(change(this.items));
    this.viewer.update(change(this.viewer.items));
  }

  stored(entry, answer) {
    if (entry.body.ids) this.show((list) => list.settle(entry.body.ids));
    const items = answer?.items ?? [];
    this.show((list) => list.apply(items));
    const does = entry.path.split("/").pop();
    if (does === "undo" || does === "redo") this.sayUndone(does, answer, items);
    if (does === "clusters") say(`${plural(items.length, "object")} named ${title(entry.body.code)}`);
    this.soonSummary();
  }

  sayUndone(does, answer, items) {
    const done = does === "undo" ? "Undone" : "Done again";
    if (!answer?.act) {
      say(answer?.message ?? `Nothing to ${does}.`);
      return;
    }
    const place = items.map((item) => this.items.places.get(item.id)).find((index) => index !== undefined);
    if (place !== undefined && !this.viewer.isOpen) this.goTo(place);
    say(answer.message ?? `${done}: ${plural(items.length, "object")}`);
  }

  refused(entry, fault) {
    if (entry.body.ids) this.show((list) => list.settle(entry.body.ids));
    say(`Not stored: ${fault.message}`, { bad: true });
  }

  trouble(fault, waiting) {
    this.lastFault = fault;
    if (fault) {
      this.wasInTrouble = true;
      banner(troubleText(fault, waiting), { canDrop: fault.status >= 500 && waiting > 0 });
    } else if (this.wasInTrouble && !waiting) {
      this.wasInTrouble = false;
      banner(null);
      say("The server is back, and everything is stored.");
      this.panel.follow();
    }
  }

  // What others do

  async poll() {
    clearTimeout(this.pollTimer);
    try {
      if (this.since !== null && !document.hidden) await this.takeChanges();
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      this.trouble(fault, this.outbox.list().length);
    }
    clearTimeout(this.pollTimer);
    this.pollTimer = setTimeout(() => this.poll(), POLL);
  }

  async takeChanges() {
    const { seq, items } = await get("/api/changes", { since: this.since });
    this.since = seq;
    const waiting = this.outbox.list().length;
    if (waiting) this.outbox.now();
    else this.trouble(null, 0);
    if (!items.length) return;
    this.show((list) => list.apply(items));
    this.soonSummary();
  }

  soonSummary() {
    this.summaryTimer ??= setTimeout(() => {
      this.summaryTimer = undefined;
      this.refreshSummary();
    }, SUMMARY_WAIT);
  }

  async refreshSummary() {
    try {
      this.summary = await get("/api/summary");
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      return;
    }
    this.names = new Map(this.summary.images.map((image) => [image.id, image.name]));
    this.panel.show(this.summary);
  }
}

const EVERYWHERE = new Set(["undo", "redo", "help"]);

function manyRows(layout, index, steps) {
  let at = index;
  for (let left = Math.abs(steps); left > 0; left -= 1) at = vertical(layout, at, Math.sign(steps));
  return at;
}

function grouped(items) {
  const groups = new Map();
  for (const item of items) groups.set(shown(item), [...(groups.get(shown(item)) ?? []), item]);
  return groups;
}

function keptPlace() {
  try {
    const [search, index] = JSON.parse(sessionStorage.getItem("trephine-place"));
    return search === location.search ? index : 0;
  } catch {
    return 0;
  }
}

async function begin() {
  let summary;
  try {
    summary = await get("/api/summary");
  } catch (fault) {
    banner(troubleText(fault, 0));
    setTimeout(begin, POLL);
    return;
  }
  banner(null);
  const page = new Page(summary);
  page.panel.show(summary);
  const asked = new URLSearchParams(location.search);
  const index = keptPlace();
  await page.openQueue(asked.get("queue") ?? askedQueue, asked.get("image"), index);
  page.outbox.now();
  page.poll();
  page.grid.root.focus();
  // Tests and people who are curious find the parts here.
  window.trephine = page;
}

begin();
