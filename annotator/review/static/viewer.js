// One whole image with the outline of every object over it. The same keys work here.

import { get, pictureAddress } from "./api.js";
import { Items } from "./items.js";
import { watchLasso } from "./lasso.js";
import { Selection } from "./selection.js";
import { describe, isSaid, plural, shown } from "./words.js";

const find = (id) => document.getElementById(id);
const STEP = 1.4;
const LARGEST = 6;
const LETTER = 15;
// Letters on objects that are smaller on the screen would hide them, px.
const LETTERED = 24;
const SAMPLES = 7;

function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export class Viewer {
  /** `hooks`: look(code), imageName(id), waiting(), author, several(), closed(). */
  constructor(hooks) {
    this.hooks = hooks;
    this.items = new Items();
    this.selection = new Selection();
    this.dialog = find("viewer");
    this.scroller = find("viewer-scroll");
    this.stage = find("viewer-stage");
    this.canvas = find("viewer-svg");
    this.scale = 1;
    this.listen();
  }

  get isOpen() {
    return this.dialog.open;
  }

  listen() {
    const buttons = { "viewer-in": "larger", "viewer-out": "smaller", "viewer-fit": "fit", "viewer-outlines": "outlines" };
    for (const [id, name] of Object.entries(buttons)) find(id).onclick = () => this[name]();
    find("viewer-close").onclick = () => this.dialog.close();
    this.dialog.addEventListener("close", () => this.hooks.closed());
    this.scroller.addEventListener("click", (event) => this.click(event));
    this.scroller.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    watchLasso(this.scroller, this.stage, {
      begin: (event) => {
        this.base = event.shiftKey || event.ctrlKey ? new Set(this.selection.chosen) : new Set();
      },
      over: (box) => this.lasso(box),
      end: () => this.draw(),
    });
  }

  async open(imageId, objectId) {
    const found = await get(`/api/outlines/${encodeURIComponent(imageId)}`);
    this.imageId = imageId;
    Object.assign(this, { width: found.width, height: found.height });
    this.items.reset(found.items.length);
    found.items.forEach((item, at) => this.items.put(at, { image: imageId, ...item }));
    for (const { body } of this.hooks.waiting()) {
      if (body.ids) this.items.mark(body.ids, body.code, this.hooks.author);
    }
    const name = this.hooks.imageName(imageId);
    find("viewer-title").textContent = name;
    find("viewer-picture").src = pictureAddress(imageId);
    find("viewer-picture").alt = `The image ${name}`;
    this.selection.clear(this.items.places.get(objectId) ?? 0);
    this.build();
    if (!this.dialog.open) this.dialog.showModal();
    this.scroller.focus();
    this.fit();
  }

  build() {
    this.canvas.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.shapes = this.items.items.map((item, at) => {
      const path = svg("path", { id: `shape-${at}`, role: "option", d: item.path, "fill-rule": "evenodd" });
      path.dataset.index = at;
      return { path, letter: svg("text", { "aria-hidden": "true" }) };
    });
    this.frames = ["frame-under", "frame"].map((name) => svg("rect", { class: name, "aria-hidden": "true" }));
    this.canvas.replaceChildren(
      ...this.shapes.map(({ path }) => path), ...this.shapes.map(({ letter }) => letter), ...this.frames);
    this.draw();
  }

  draw(indices = this.shapes.keys()) {
    for (const index of indices) this.drawOne(index);
    this.drawCursor();
    const said = this.items.items.filter(isSaid).length;
    find("viewer-count").textContent = `${said} of ${plural(this.items.length, "object")} labelled`;
  }

  drawOne(index) {
    const item = this.items.at(index);
    const { path, letter } = this.shapes[index];
    const look = this.hooks.look(shown(item));
    const chosen = this.selection.has(index);
    path.dataset.code = shown(item) ?? "";
    path.classList.toggle("said", isSaid(item));
    path.classList.toggle("chosen", chosen);
    path.setAttribute("aria-selected", String(chosen));
    path.setAttribute("aria-label", describe(item, this.hooks.imageName(item.image)));
    letter.textContent = isSaid(item) ? look.letter : `${look.letter}?`;
  }

  drawCursor() {
    this.canvas.querySelector(".cursor")?.classList.remove("cursor");
    const shape = this.shapes[this.selection.cursor];
    if (!shape) return;
    shape.path.classList.add("cursor");
    // Small objects are found by a frame around them.
    const [left, top, right, bottom] = this.items.at(this.selection.cursor).box;
    const box = { x: left - 4, y: top - 4, width: right - left + 8, height: bottom - top + 8 };
    for (const frame of this.frames) {
      for (const [name, value] of Object.entries(box)) frame.setAttribute(name, value);
    }
    this.scroller.setAttribute("aria-activedescendant", shape.path.id);
  }

  /** Show what changed after an act. */
  update(indices) {
    if (this.isOpen && indices.length) this.draw(indices);
  }

  click(event) {
    const path = event.target.closest("path");
    if (!path) return;
    const index = Number(path.dataset.index);
    if (event.ctrlKey || event.metaKey || event.shiftKey || this.hooks.several()) this.selection.toggle(index);
    else this.selection.clear(index);
    this.draw();
  }

  lasso(box) {
    const inside = [];
    this.items.items.forEach((item, index) => {
      const [left, top, right, bottom] = item.box.map((value) => value * this.scale);
      const x = (left + right) / 2;
      const y = (top + bottom) / 2;
      if (x >= box.left && x <= box.right && y >= box.top && y <= box.bottom) inside.push(index);
    });
    this.selection.set(inside, { add: true, base: this.base });
    this.draw();
  }

  wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.resize(this.scale * (event.deltaY < 0 ? STEP : 1 / STEP));
  }

  /** Arrows go to the nearest object in that direction, judged by the middles. */
  move({ where, extend, keep }) {
    const next = where === "first" ? 0 : where === "last" ? this.items.length - 1 : this.nearest(where);
    if (next === null || !this.items.length) return;
    if (extend) this.selection.set([next], { add: true });
    else this.selection.move(next, { keep });
    this.draw();
    this.reveal();
  }

  nearest(where) {
    const directions = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] };
    const [dx, dy] = directions[where] ?? [0, 0];
    const [x, y] = middle(this.items.at(this.selection.cursor));
    let best = null;
    let least = Infinity;
    this.items.items.forEach((item, index) => {
      const [otherX, otherY] = middle(item);
      const along = (otherX - x) * dx + (otherY - y) * dy;
      const aside = Math.abs((otherX - x) * dy) + Math.abs((otherY - y) * dx);
      if (along > 0 && along + 2 * aside < least) [best, least] = [index, along + 2 * aside];
    });
    return best;
  }

  next() {
    const from = this.selection.cursor;
    for (let step = 1; step <= this.items.length; step += 1) {
      const index = (from + step) % this.items.length;
      if (!isSaid(this.items.at(index))) return this.goTo(index);
    }
    return false;
  }

  goTo(index) {
    this.selection.clear(index);
    this.draw();
    this.reveal();
    return true;
  }

  reveal() {
    const [left, top, right, bottom] = this.items.at(this.selection.cursor).box.map((v) => v * this.scale);
    const view = this.scroller;
    if (left < view.scrollLeft || right > view.scrollLeft + view.clientWidth) {
      view.scrollLeft = (left + right - view.clientWidth) / 2;
    }
    if (top < view.scrollTop || bottom > view.scrollTop + view.clientHeight) {
      view.scrollTop = (top + bottom - view.clientHeight) / 2;
    }
  }

  /** Change the scale around what is in the middle. */
  resize(scale) {
    const view = this.scroller;
    const middleX = (view.scrollLeft + view.clientWidth / 2) / this.scale;
    const middleY = (view.scrollTop + view.clientHeight / 2) / this.scale;
    this.scale = Math.max(0.05, Math.min(scale, LARGEST));
    this.stage.style.width = `${this.width * this.scale}px`;
    this.stage.style.height = `${this.height * this.scale}px`;
    this.canvas.style.fontSize = `${LETTER / this.scale}px`;
    this.placeLetters();
    view.scrollLeft = middleX * this.scale - view.clientWidth / 2;
    view.scrollTop = middleY * this.scale - view.clientHeight / 2;
  }

  /** Letters where there is room for them, each inside its object. */
  placeLetters() {
    this.shapes.forEach(({ path, letter }, index) => {
      const [left, top, right, bottom] = this.items.at(index).box;
      const fits = Math.min(right - left, bottom - top) * this.scale >= LETTERED;
      letter.classList.toggle("small", !fits);
      if (!fits || letter.hasAttribute("x")) return;
      const point = insidePoint(path, this.items.at(index).box, this.canvas.createSVGPoint());
      letter.setAttribute("x", point[0]);
      letter.setAttribute("y", point[1]);
    });
  }

  larger() {
    this.resize(this.scale * STEP);
    this.reveal();
  }

  smaller() {
    this.resize(this.scale / STEP);
  }

  fit() {
    const view = this.scroller;
    this.resize(Math.min((view.clientWidth - 4) / this.width, (view.clientHeight - 4) / this.height));
  }

  outlines() {
    const hidden = this.canvas.classList.toggle("unseen-shapes");
    find("viewer-outlines").setAttribute("aria-pressed", String(!hidden));
  }

  toggle() {
    this.selection.toggle(this.selection.cursor);
    this.draw();
  }

  selectAll() {
    this.selection.set([...this.items.items.keys()]);
    this.draw();
  }

  close() {
    this.dialog.close();
  }

  chosen() {
    return this.selection.list().map((index) => this.items.at(index)).filter(Boolean);
  }
}

function middle(item) {
  const [left, top, right, bottom] = item.box;
  return [(left + right) / 2, (top + bottom) / 2];
}

/** A point of a shape near its middle: the middle itself, or the nearest of a few that are in it. */
function insidePoint(path, box, point) {
  const [left, top, right, bottom] = box;
  const x = (left + right) / 2;
  const y = (top + bottom) / 2;
  let best = [x, y];
  let least = Infinity;
  const inside = (px, py) => path.isPointInFill(Object.assign(point, { x: px, y: py }));
  if (inside(x, y)) return best;
  for (let row = 1; row < SAMPLES; row += 1) {
    for (let column = 1; column < SAMPLES; column += 1) {
      const px = left + (column * (right - left)) / SAMPLES;
      const py = top + (row * (bottom - top)) / SAMPLES;
      const far = Math.hypot(px - x, py - y);
      if (far < least && inside(px, py)) [best, least] = [[px, py], far];
    }
  }
  return best;
}
