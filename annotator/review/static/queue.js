// The queue that is open: choosing it, its groups, where in it a person is.

import { Fault } from "./api.js";
import { element } from "./grid.js";
import { blockOf } from "./layout.js";
import { banner, say, troubleText } from "./say.js";
import { plural } from "./words.js";

const find = (id) => document.getElementById(id);
const AGAIN = 2000;
const PLACE = "trephine-place";

export class Queue {
  /** `page` holds summary, items, grid, selection and labels. */
  constructor(page) {
    this.page = page;
    find("queue").onchange = () => this.open(find("queue").value, null);
    find("image").onchange = () => this.open(find("queue").value, find("image").value);
    find("jump").onchange = () => this.jump(Number(find("jump").value));
    find("fresh").onclick = () => this.refresh();
  }

  get name() {
    return this.page.items.query?.name ?? "";
  }

  /** Show a queue from item `index` on; `fresh` and `first` are those of the items. */
  async open(name, image, { index = 0, fresh = false, first = null } = {}) {
    const { items, summary, labels, selection, grid } = this.page;
    const one = name === "image" ? image || summary.images[0]?.id : null;
    this.showChoices(name, one);
    try {
      const page = await items.open(name, one, { fresh, first });
      // Another queue was asked for meanwhile.
      if (!page) return;
      labels.beginAt(page.seq);
    } catch (fault) {
      this.failed(fault);
      return;
    }
    selection.clear(Math.min(index, Math.max(0, items.length - 1)));
    find("empty").hidden = items.length > 0;
    find("empty").textContent = "Nothing is left in this queue. Choose another one, or Refresh.";
    this.showGroups();
    grid.root.scrollTop = 0;
    grid.rebuild();
    if (index) grid.reveal(selection.cursor, "top");
    // Nothing flies past here: the pictures need not wait for the rows to stay.
    grid.filled();
    const words = `${items.title}, ${plural(items.length, "object")}`;
    grid.root.setAttribute("aria-label", words);
    say(words);
  }

  failed(fault) {
    if (!(fault instanceof Fault)) throw fault;
    const { items, grid, labels } = this.page;
    if (fault.passing) {
      labels.trouble(fault);
      setTimeout(() => this.reopen(), AGAIN);
    }
    items.reset(0);
    items.groups = [];
    this.showGroups();
    grid.rebuild();
    find("empty").hidden = false;
    find("empty").textContent = fault.passing ? troubleText(fault, 0) : fault.message;
  }

  showChoices(name, image) {
    const { queues, images } = this.page.summary;
    find("queue").replaceChildren(...queues.map((queue) => {
      const note = queue.needs ?? queue.count?.toLocaleString("en");
      return new Option(note ? `${queue.title} (${note})` : queue.title, queue.name, false, queue.name === name);
    }));
    find("image").replaceChildren(...images.map((one) => new Option(one.name, one.id, false, one.id === image)));
    find("image-label").hidden = name !== "image";
    const address = new URLSearchParams({ queue: name, ...(image && { image }) });
    history.replaceState(null, "", `?${address}`);
  }

  showGroups() {
    const { groups } = this.page.items;
    find("jump-label").hidden = groups.length < 2;
    find("jump").replaceChildren(...groups.map((group, at) => new Option(group.title || group.name, at)));
  }

  jump(at) {
    const { grid, selection } = this.page;
    const { first } = grid.layout.blocks[at];
    selection.clear(first);
    grid.redraw();
    grid.reveal(first, "top");
    grid.root.focus();
  }

  /** Begin again near where we are: the order on the server is another one. */
  reopen() {
    if (this.reopening) return;
    this.reopening = true;
    const { query } = this.page.items;
    this.open(query.name, query.image, { index: this.page.selection.cursor }).finally(() => {
      this.reopening = false;
    });
  }

  refresh() {
    const { query } = this.page.items;
    return this.open(query.name, query.image, { fresh: true });
  }

  /** The next queue from a new model. */
  async openNext() {
    await this.page.refreshSummary();
    const uncertain = this.page.summary.queues.some((queue) => queue.name === "uncertain");
    await this.open(uncertain ? "uncertain" : this.name, null, { fresh: true });
    this.page.grid.root.focus();
  }

  /** Load items [from, to) and some around them. */
  need(from, to) {
    const { items, grid, labels } = this.page;
    const around = items.size / 4;
    items.ensure(from - around, to + around).then(
      (came) => came && grid.filled(),
      (fault) => {
        if (!(fault instanceof Fault)) throw fault;
        labels.trouble(fault);
      });
  }

  showPosition() {
    const { items, grid } = this.page;
    if (!items.length) {
      find("position").textContent = "";
      return;
    }
    const first = grid.firstInSight();
    find("position").textContent = `${(first + 1).toLocaleString("en")} of ${items.length.toLocaleString("en")}`;
    if (items.groups.length > 1) find("jump").value = String(blockOf(grid.layout, first).at);
    sessionStorage.setItem(PLACE, JSON.stringify([location.search, first]));
  }

  buttons(block) {
    const label = block.group.title || block.group.name;
    const button = (text, name, act) => element("button",
      { type: "button", textContent: text, onclick: act, aria: { label: `${name} ${label}` } });
    const all = button("Select all", "Select all of", () => this.select(block));
    if (this.name !== "clusters" || !block.group.name) return [all];
    return [all, button("Name all…", "Name all of", () => this.page.labels.nameGroup(block))];
  }

  select(block) {
    const { grid, selection } = this.page;
    selection.set(Array.from({ length: block.count }, (_, at) => block.first + at));
    selection.cursor = block.first;
    grid.redraw();
    grid.root.focus({ preventScroll: true });
    say(`${plural(block.count, "object")} selected`);
  }
}

/** Where this tab was in the queue of its address, before a reload. */
export function keptPlace() {
  try {
    const [search, index] = JSON.parse(sessionStorage.getItem(PLACE));
    return search === location.search ? index : 0;
  } catch {
    return 0;
  }
}

/** Wait for a server that does not answer yet. */
export function waitBanner(fault) {
  banner(fault && troubleText(fault, 0));
}
