// The page put together.

import { get } from "./api.js";
import { act } from "./commands.js";
import { Grid } from "./grid.js";
import { firstPart, QueueItems } from "./items.js";
import { actionOf, isTaken } from "./keys.js";
import { Labels } from "./labels.js";
import { watchLasso } from "./lasso.js";
import { Panel } from "./panel.js";
import { keptPlace, Queue, waitBanner } from "./queue.js";
import { say } from "./say.js";
import { Selection } from "./selection.js";
import { fillToolbar } from "./toolbar.js";
import { Viewer } from "./viewer.js";
import { allCodes, ink, plural } from "./words.js";
import { Zoom } from "./zoom.js";

const AGAIN = 2000;
const SUMMARY_WAIT = 700;
const NOTHING = { letter: "·", colour: "#808080", title: "no class" };
const find = (id) => document.getElementById(id);
const { study, author, queue: askedQueue } = document.body.dataset;

class Page {
  constructor(summary) {
    this.codes = allCodes(summary.classes);
    this.looks = new Map(this.codes.map((code) => [code.name, code]));
    this.severalOn = false;
    this.selection = new Selection();
    this.labels = new Labels(this, study, author);
    this.items = new QueueItems({
      author,
      waiting: () => this.labels.waiting(),
      reordered: () => this.queue.reopen(),
    });
    this.makeViews();
    this.queue = new Queue(this);
    this.takeSummary(summary);
    this.labels.beginAt(summary.seq);
    this.colour();
    this.listen();
  }

  makeViews() {
    const look = (code) => this.looks.get(code) ?? NOTHING;
    const imageName = (id) => this.names.get(id) ?? id;
    this.grid = new Grid(find("grid"), find("space"), this.items, this.selection, {
      look,
      imageName,
      groupButtons: (block) => this.queue.buttons(block),
      need: (from, to) => this.queue.need(from, to),
      moved: () => this.queue.showPosition(),
    });
    this.viewer = new Viewer({
      look,
      imageName,
      author,
      waiting: () => this.labels.waiting(),
      several: () => this.severalOn,
      closed: () => this.closed(),
    });
    this.zoom = new Zoom(find("grid"), {
      imageName,
      item: (tile) => this.items.at(Number(tile.dataset.index)),
    });
    this.panel = new Panel({
      look,
      say,
      trained: () => this.refreshSummary(),
      openNext: () => this.queue.openNext(),
    });
  }

  colour() {
    const { style } = document.documentElement;
    for (const { name, colour } of this.codes) {
      style.setProperty(`--${name}`, colour);
      style.setProperty(`--${name}-ink`, ink(colour));
    }
  }

  listen() {
    const common = { act: (action) => act(this, action), several: () => this.turnSeveral() };
    fillToolbar(find("actions"), this.codes, { ...common, whole: true });
    fillToolbar(find("viewer-actions"), this.codes, { ...common, whole: false });
    document.addEventListener("keydown", (event) => this.key(event));
    find("grid").addEventListener("click", (event) => this.click(event));
    find("grid").addEventListener("dblclick", (event) => {
      if (event.target.closest(".tile")) act(this, { name: "open" });
    });
    find("help-button").onclick = () => act(this, { name: "help" });
    find("help-close").onclick = () => find("help").close();
    watchLasso(find("grid"), find("space"), {
      begin: (event) => this.lassoBegins(event),
      over: (box) => this.lassoOver(box),
      end: () => say(`${plural(this.selection.list().length, "object")} selected`),
    });
  }

  key(event) {
    if (find("ask").open || find("help").open || isTaken(event)) return;
    const action = actionOf(event, this.codes);
    if (!action) return;
    event.preventDefault();
    act(this, action);
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

  lassoBegins(event) {
    this.base = event.ctrlKey || event.shiftKey ? new Set(this.selection.chosen) : new Set();
    this.zoom.pin(false);
    this.grid.root.focus({ preventScroll: true });
  }

  lassoOver(box) {
    this.selection.set(this.grid.touched(box), { add: true, base: this.base });
    this.grid.redraw();
  }

  turnSeveral() {
    this.severalOn = !this.severalOn;
    for (const one of document.querySelectorAll(".several")) {
      one.setAttribute("aria-pressed", String(this.severalOn));
    }
  }

  /** Select one item alone and show it. */
  goTo(index) {
    this.selection.clear(index);
    this.grid.redraw();
    this.grid.reveal(index);
    this.showPinned();
  }

  /** The large view that is kept open follows the cursor. */
  showPinned() {
    const { cursor } = this.selection;
    if (this.zoom.pinned) this.zoom.pin(true, this.items.at(cursor), find(`tile-${cursor}`));
    else this.zoom.leave();
  }

  closed() {
    this.grid.redraw();
    this.grid.root.focus();
  }

  takeSummary(summary) {
    this.summary = summary;
    this.names = new Map(summary.images.map((image) => [image.id, image.name]));
    this.panel.show(summary);
  }

  async refreshSummary() {
    const summary = await get("/api/summary").catch(() => null);
    if (summary) this.takeSummary(summary);
  }

  soonSummary() {
    this.summaryTimer ??= setTimeout(() => {
      this.summaryTimer = undefined;
      this.refreshSummary();
    }, SUMMARY_WAIT);
  }
}

async function begin() {
  const asked = new URLSearchParams(location.search);
  const name = asked.get("queue") ?? askedQueue;
  // Which image comes first is in the summary; all else need not wait for it.
  const first = name === "image" ? null : firstPart(name, null);
  let summary;
  try {
    summary = await get("/api/summary");
  } catch (fault) {
    waitBanner(fault);
    setTimeout(begin, AGAIN);
    return;
  }
  waitBanner(null);
  const page = new Page(summary);
  await page.queue.open(name, asked.get("image"), { index: keptPlace(), first });
  page.labels.again();
  page.grid.root.focus();
}

begin();
