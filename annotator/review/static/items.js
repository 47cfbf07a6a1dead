// Objects and what is said of them, seen through acts that are still on their way.
//
// `settled` is what the server last said of an item; the item's own label runs ahead of it
// while acts wait. When none waits any more, what the server said is shown.

import { get } from "./api.js";

const PART = 500;
const FIELDS = ["label", "by", "author", "label_seq"];

export class Items {
  constructor() {
    this.reset(0);
  }

  reset(total) {
    this.items = new Array(total);
    this.places = new Map();
  }

  get length() {
    return this.items.length;
  }

  at(index) {
    return this.items[index];
  }

  put(index, item) {
    this.items[index] = { ...item, settled: pick(item), waits: 0 };
    this.places.set(item.id, index);
  }

  /** Show what a person just said, before it is stored. Gives the places that changed. */
  mark(ids, code, author) {
    return this.each(ids, (item) => {
      item.waits += 1;
      Object.assign(item, { label: code, by: "person", author });
    });
  }

  /** An act on `ids` is over, stored or refused. */
  settle(ids) {
    return this.each(ids, (item) => {
      item.waits = Math.max(0, item.waits - 1);
      if (!item.waits) Object.assign(item, item.settled);
    });
  }

  /** Take over what the server says, unless something newer is known. */
  apply(news) {
    const byId = new Map(news.map((one) => [one.id, one]));
    return this.each([...byId.keys()], (item) => {
      const one = byId.get(item.id);
      if ((one.label_seq ?? 0) < (item.settled.label_seq ?? 0)) return false;
      item.settled = pick(one);
      if (!item.waits) Object.assign(item, item.settled);
      return true;
    });
  }

  each(ids, change) {
    const changed = [];
    for (const id of ids) {
      const index = this.places.get(id);
      if (index !== undefined && change(this.items[index]) !== false) changed.push(index);
    }
    return changed;
  }
}

/** Ask for the first part of a queue before anything else is known. */
export function firstPart(name, image) {
  const first = get("/api/queue", { name, image, offset: 0, limit: PART });
  // Whoever awaits it hears of the fault.
  first.catch(() => null);
  return first;
}

/** A queue of the server: as many places as it has objects, filled where somebody looks. */
export class QueueItems extends Items {
  /** `waiting()` lists acts not stored yet; `reordered()` is told when the order is another. */
  constructor({ waiting, reordered, author }) {
    super();
    Object.assign(this, { waiting, reordered, author, size: PART, groups: [], pages: new Map() });
  }

  /**
   * Begin with a queue; `fresh` puts it together anew, without what is labelled. `first`
   * is its first part where that is on its way already.
   */
  async open(name, image = null, { fresh = false, first = null } = {}) {
    const query = { name, image };
    this.query = query;
    const page = await (first ?? this.fetch(0, fresh || null));
    if (query !== this.query) return null;
    this.reset(page.total);
    this.pages = new Map();
    this.version = page.version;
    this.title = page.title;
    this.groups = fitting(page);
    this.fill(0, page);
    return page;
  }

  fetch(number, fresh = null) {
    return get("/api/queue", { ...this.query, fresh, offset: number * this.size, limit: this.size });
  }

  /** Load what is missing of items [from, to). True when something came. */
  async ensure(from, to) {
    const missing = [];
    const last = Math.min(to, this.length) - 1;
    for (let page = Math.floor(Math.max(0, from) / this.size); page * this.size <= last; page += 1) {
      if (this.pages.get(page) !== true) missing.push(this.load(page));
    }
    return (await Promise.all(missing)).some(Boolean);
  }

  load(number) {
    if (!this.pages.has(number)) this.pages.set(number, this.loadNow(number, this.query));
    return this.pages.get(number);
  }

  async loadNow(number, query) {
    let page;
    try {
      page = await this.fetch(number);
    } catch (fault) {
      if (query === this.query) this.pages.delete(number);
      throw fault;
    }
    if (query !== this.query) return false;
    if (page.version !== this.version || page.total !== this.length) {
      this.reordered();
      return false;
    }
    this.fill(number, page);
    return true;
  }

  fill(number, page) {
    page.items.forEach((item, at) => this.put(number * this.size + at, item));
    this.pages.set(number, true);
    const here = new Set(page.items.map((item) => item.id));
    for (const { body } of this.waiting()) {
      if (body.ids) this.mark(body.ids.filter((id) => here.has(id)), body.code, this.author);
    }
  }

  /** The items at these places, loaded first where they are not. */
  async resolve(indices) {
    const pages = new Set(indices.map((index) => Math.floor(index / this.size)));
    for (const page of pages) await this.ensure(page * this.size, page * this.size + 1);
    return indices.map((index) => this.items[index]).filter(Boolean);
  }
}

/** The groups if they cover the queue, else one group of all. */
function fitting(page) {
  const sum = page.groups.reduce((total, group) => total + group.count, 0);
  if (sum === page.total && page.total) return page.groups;
  return page.total ? [{ name: "", title: page.title, proposed: null, count: page.total }] : [];
}

function pick(item) {
  return Object.fromEntries(FIELDS.map((field) => [field, item[field] ?? null]));
}
