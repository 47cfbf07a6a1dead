// What each action of keys.js does: in the grid, and in the view of one image.

import { Fault } from "./api.js";
import { helpRows } from "./keys.js";
import { blockOf, vertical } from "./layout.js";
import { say, showHelp } from "./say.js";
import { isSaid, plural } from "./words.js";

const find = (id) => document.getElementById(id);

const EVERYWHERE = {
  undo: (page) => page.labels.turn("undo"),
  redo: (page) => page.labels.turn("redo"),
  help: (page) => showHelp(helpRows(page.codes)),
};

const GRID = {
  ...EVERYWHERE,
  move,
  toggle,
  escape,
  label,
  open: openImage,
  next: nextOpen,
  zoom: turnZoom,
  confirm: (page) => page.items.length && page.labels.confirm(),
  all: (page) => page.items.length && page.queue.select(block(page)),
  group: (page) => page.items.length && page.queue.name === "clusters" && page.labels.nameGroup(block(page)),
  queues: () => find("queue").focus(),
};

const VIEWER = {
  ...EVERYWHERE,
  move: ({ viewer }, action) => viewer.move(action),
  label: ({ viewer, labels }, { code }) => labels.label(viewer.chosen(), code),
  toggle: ({ viewer }) => viewer.toggle(),
  all: ({ viewer }) => viewer.selectAll(),
  escape: ({ viewer }) => viewer.close(),
  next: ({ viewer }) => viewer.next() || say("Every object of this image is labelled."),
  larger: ({ viewer }) => viewer.larger(),
  smaller: ({ viewer }) => viewer.smaller(),
  fit: ({ viewer }) => viewer.fit(),
  outlines: ({ viewer }) => viewer.outlines(),
};

/** Do an action {name, ...} where the person is. */
export function act(page, action) {
  const known = page.viewer.isOpen ? VIEWER : GRID;
  return known[action.name]?.(page, action);
}

const block = (page) => blockOf(page.grid.layout, page.selection.cursor);

function move(page, { where, extend, keep }) {
  const { items, selection, grid } = page;
  if (!items.length) return;
  selection.move(target(page, where), { extend, keep });
  grid.redraw();
  grid.reveal(selection.cursor);
  page.showPinned();
  if (extend) say(`${plural(selection.list().length, "object")} selected`);
}

function target({ items, selection, grid }, where) {
  const last = items.length - 1;
  const { cursor } = selection;
  const rows = { up: -1, down: 1, pageUp: -grid.pageRows(), pageDown: grid.pageRows() };
  const fixed = { first: 0, last, left: Math.max(0, cursor - 1), right: Math.min(last, cursor + 1) };
  return fixed[where] ?? manyRows(grid.layout, cursor, rows[where]);
}

function manyRows(layout, index, steps) {
  let at = index;
  for (let left = Math.abs(steps); left > 0; left -= 1) at = vertical(layout, at, Math.sign(steps));
  return at;
}

function toggle({ selection, grid }) {
  selection.toggle(selection.cursor);
  grid.redraw();
  say(`${plural(selection.list().length, "object")} selected`);
}

function escape({ zoom, selection, grid }) {
  if (zoom.pinned) zoom.pin(false);
  else selection.clear(selection.cursor);
  grid.redraw();
  grid.root.focus({ preventScroll: true });
}

async function label(page, { code }) {
  const { items, selection, labels } = page;
  // The next key must not label again what is still being loaded for the one before.
  if (!items.length || page.loading) return;
  const indices = selection.list();
  page.loading = true;
  try {
    labels.label(await items.resolve(indices), code);
    page.goTo(Math.min(indices[indices.length - 1] + 1, items.length - 1));
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    say(`Not labelled, because it could not be loaded: ${fault.message}`, { bad: true });
  } finally {
    page.loading = false;
  }
}

async function openImage({ items, selection, zoom, viewer }) {
  zoom.pin(false);
  try {
    const [item] = await items.resolve([selection.cursor]);
    if (item) await viewer.open(item.image, item.id);
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    say(fault.message, { bad: true });
  }
}

function nextOpen(page) {
  const { items, selection } = page;
  for (let step = 1; step <= items.length; step += 1) {
    const index = (selection.cursor + step) % items.length;
    const item = items.at(index);
    if (!item || !isSaid(item)) return page.goTo(index);
  }
  return say("Every object of this queue is labelled.");
}

function turnZoom({ zoom, items, selection }) {
  zoom.pin(!zoom.pinned, items.at(selection.cursor), find(`tile-${selection.cursor}`));
}
