// The grid of tiles: only the rows in sight are in the document.

import { tileAddress } from "./api.js";
import { inRectangle, makeLayout, place, rowItems, visible } from "./layout.js";
import { describe, isSaid, plural, shown, sureness, title } from "./words.js";

const OVERSCAN = 300;
const PATIENCE = 80;
const HEAD = 44;
const CAPTION = 26;

export function element(tag, properties = {}, ...children) {
  const { role, aria, data, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  if (role) made.setAttribute("role", role);
  for (const [name, value] of Object.entries(aria ?? {})) made.setAttribute(`aria-${name}`, value);
  Object.assign(made.dataset, data ?? {});
  made.append(...children);
  return made;
}

export class Grid {
  /** `hooks`: look(code), imageName(id), groupButtons(block), need(from, to), moved(). */
  constructor(root, space, items, selection, hooks) {
    Object.assign(this, { root, space, items, selection, hooks });
    this.rows = new Map();
    this.sections = new Map();
    this.frame = 0;
    this.tick = 0;
    root.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.resize()).observe(root);
  }

  /** Lay out anew: another queue, or another width. */
  rebuild() {
    const width = this.root.clientWidth;
    const columns = Math.max(1, Math.floor(width / (width < 560 ? 112 : 140)));
    this.cell = width / columns;
    this.side = Math.floor(this.cell) - 12;
    this.layout = makeLayout(this.items.groups, columns, {
      headHeight: HEAD,
      rowHeight: this.side + CAPTION + 12,
    });
    this.space.style.height = `${this.layout.height}px`;
    this.root.style.setProperty("--side", `${this.side}px`);
    const heads = this.layout.blocks.length;
    const rows = this.layout.blocks.reduce((sum, block) => sum + block.rows, heads);
    this.root.setAttribute("aria-rowcount", rows);
    this.root.setAttribute("aria-colcount", columns);
    this.empty();
    this.render();
  }

  empty() {
    if (this.space.contains(document.activeElement)) this.root.focus();
    this.space.replaceChildren();
    this.rows.clear();
    this.sections.clear();
  }

  resize() {
    if (!this.layout || Math.abs(this.layout.columns * this.cell - this.root.clientWidth) < 1) {
      return this.soon();
    }
    const top = this.firstInSight();
    this.rebuild();
    return this.reveal(top, "top");
  }

  soon() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.render());
  }

  render() {
    this.frame = 0;
    if (!this.layout) return;
    const top = this.root.scrollTop - OVERSCAN;
    const bottom = this.root.scrollTop + this.root.clientHeight + OVERSCAN;
    this.seen = visible(this.layout, top, bottom);
    const wanted = new Set();
    for (const { block, from, to } of this.seen) this.renderBlock(block, from, to, wanted);
    this.discard(wanted);
    this.showCursor();
    if (!this.tick) this.tick = setTimeout(() => this.settle(), PATIENCE);
  }

  renderBlock(block, from, to, wanted) {
    let section = this.sections.get(block.at);
    if (!section) {
      section = this.makeSection(block);
      this.sections.set(block.at, section);
      this.space.append(section);
    }
    for (let row = from; row < to; row += 1) {
      const key = `${block.at}:${row}`;
      wanted.add(key);
      if (this.rows.has(key)) continue;
      const made = this.makeRow(block, row);
      this.rows.set(key, made);
      section.append(made);
    }
  }

  discard(wanted) {
    const blocks = new Set(this.seen.map(({ block }) => block.at));
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      row.remove();
      this.rows.delete(key);
    }
    for (const [at, section] of this.sections) {
      if (blocks.has(at)) continue;
      if (section.contains(document.activeElement)) this.root.focus({ preventScroll: true });
      section.remove();
      this.sections.delete(at);
    }
  }

  makeSection(block) {
    const { group } = block;
    const id = `group-${block.at}`;
    const proposed = group.proposed ? `proposed: ${title(group.proposed)}` : "";
    const text = element("div", { className: "group-title", id, role: "rowheader" },
      element("bdi", { textContent: group.title || group.name }),
      element("span", { className: "soft", textContent: [plural(group.count, "object"), proposed].filter(Boolean).join(", ") }));
    const buttons = element("div", { className: "row", role: "gridcell" }, ...this.hooks.groupButtons(block));
    const head = element("div", { className: "group-head", role: "row" }, text, buttons);
    const section = element("div", { className: "group", role: "rowgroup", aria: { labelledby: id } }, head);
    section.style.top = `${block.top}px`;
    section.style.height = `${block.height}px`;
    return section;
  }

  makeRow(block, number) {
    const [start, end] = rowItems(this.layout, block, number);
    const before = this.layout.blocks.slice(0, block.at + 1).reduce((sum, one) => sum + one.rows, 0);
    const rowIndex = before - block.rows + block.at + number + 2;
    const row = element("div", { className: "tiles", role: "row", aria: { rowindex: rowIndex } });
    row.style.top = `${this.layout.headHeight + number * this.layout.rowHeight}px`;
    row.born = performance.now();
    for (let index = start; index < end; index += 1) row.append(this.makeCell(index, index - start));
    return row;
  }

  makeCell(index, column) {
    const cell = element("div", { className: "tile", id: `tile-${index}`, role: "gridcell",
      aria: { colindex: column + 1 }, data: { index } },
      element("img", { alt: "", draggable: false, decoding: "async" }),
      element("span", { className: "badge" }),
      element("span", { className: "caption" }));
    this.draw(cell, index);
    return cell;
  }

  /** Bring a tile up to date with its item and the selection. */
  draw(cell, index) {
    const item = this.items.at(index);
    cell.setAttribute("aria-selected", String(this.selection.has(index)));
    if (!item) {
      cell.setAttribute("aria-label", "not loaded yet");
      return;
    }
    const code = shown(item);
    const look = this.hooks.look(code);
    const name = describe(item, this.hooks.imageName(item.image));
    cell.setAttribute("aria-label", name);
    cell.classList.toggle("said", isSaid(item));
    cell.classList.toggle("waits", item.waits > 0);
    cell.dataset.code = code ?? "";
    const [picture, badge, caption] = cell.children;
    badge.textContent = isSaid(item) ? look.letter : `${look.letter}?`;
    caption.textContent = captionOf(item);
    if (picture.src) this.drawPicture(cell, item);
  }

  drawPicture(cell, item) {
    const picture = cell.firstChild;
    const address = tileAddress(item.id, shown(item));
    if (picture.getAttribute("src") !== address) picture.setAttribute("src", address);
  }

  redraw(indices = null) {
    const wanted = indices && new Set(indices);
    for (const row of this.rows.values()) {
      for (const cell of row.children) {
        const index = Number(cell.dataset.index);
        if (!wanted || wanted.has(index)) this.draw(cell, index);
      }
    }
    this.showCursor();
  }

  /** Rows that stayed a moment get their pictures; rows that flew past ask for nothing. */
  settle() {
    this.tick = 0;
    this.hooks.moved();
    const old = performance.now() - PATIENCE / 2;
    let young = false;
    for (const row of this.rows.values()) {
      if (row.born > old) young = true;
      else this.fillRow(row);
    }
    const sight = this.inSight();
    if (sight.length) this.hooks.need(sight[0], sight[sight.length - 1] + 1);
    if (young) this.tick = setTimeout(() => this.settle(), PATIENCE);
  }

  fillRow(row) {
    for (const cell of row.children) {
      const item = this.items.at(Number(cell.dataset.index));
      if (item) this.drawPicture(cell, item);
    }
  }

  /** Items came from the server. */
  filled() {
    this.redraw();
    for (const row of this.rows.values()) this.fillRow(row);
  }

  /** Items whose tiles are on the screen, at least half of each. */
  inSight() {
    const half = this.layout.rowHeight / 2;
    const top = this.root.scrollTop + this.layout.headHeight;
    const box = { left: 0, right: this.root.clientWidth, top, bottom: this.root.scrollTop + this.root.clientHeight };
    return inRectangle(this.layout, box, this.cell).filter((index) => {
      const at = place(this.layout, index).top;
      return at >= top - half && at + half <= box.bottom;
    });
  }

  firstInSight() {
    return this.inSight()[0] ?? 0;
  }

  /** Scroll as little as needed to show an item, or to bring it to the top. */
  reveal(index, where = "nearest") {
    if (!this.items.length) return;
    const { top } = place(this.layout, index);
    const high = top - this.layout.headHeight;
    const low = top + this.layout.rowHeight - this.root.clientHeight;
    if (where === "top" || this.root.scrollTop > high) this.root.scrollTop = high;
    else if (this.root.scrollTop < low) this.root.scrollTop = low;
    this.render();
  }

  showCursor() {
    const cell = document.getElementById(`tile-${this.selection.cursor}`);
    this.space.querySelector(".cursor")?.classList.remove("cursor");
    cell?.classList.add("cursor");
    if (cell) this.root.setAttribute("aria-activedescendant", cell.id);
    else this.root.removeAttribute("aria-activedescendant");
  }

  /** Rows of tiles that fit on the screen. */
  pageRows() {
    return Math.max(1, Math.floor((this.root.clientHeight - HEAD) / this.layout.rowHeight));
  }

  /** Items that a rectangle in the coordinates of the whole list touches. */
  touched(box) {
    return inRectangle(this.layout, box, this.cell);
  }
}

function captionOf(item) {
  if (item.waits) return `✎ ${item.author ?? ""}`;
  if (item.label && item.by === "person") return `✓ ${item.author ?? ""}`;
  if (item.label && item.by === "truth") return "✓ mask";
  return item.label ? `${sureness(item)} group` : sureness(item);
}
