// Where each tile lies: groups of items, cut into rows. Pure arithmetic, tested by its callers.

/**
 * Lay out `groups` ({name, title, count}, in the order of the items) in rows of `columns`.
 * Each block: {group, first, count, top, height, rows, at}, with `at` its place among blocks.
 */
export function makeLayout(groups, columns, { headHeight, rowHeight }) {
  let first = 0;
  let top = 0;
  const blocks = groups.map((group, at) => {
    const rows = Math.ceil(group.count / columns);
    const height = headHeight + rows * rowHeight;
    const block = { group, first, count: group.count, top, height, rows, at };
    first += group.count;
    top += height;
    return block;
  });
  return { blocks, columns, headHeight, rowHeight, total: first, height: top };
}

/** The block that holds item `index`; blocks are sorted, so halves are enough. */
export function blockOf(layout, index) {
  let low = 0;
  let high = layout.blocks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (layout.blocks[middle].first <= index) low = middle;
    else high = middle - 1;
  }
  return layout.blocks[low];
}

/** Row and column of an item in its block, and the top of its row from the very top. */
export function place(layout, index) {
  const block = blockOf(layout, index);
  const row = Math.floor((index - block.first) / layout.columns);
  const column = (index - block.first) % layout.columns;
  return { block, row, column, top: block.top + layout.headHeight + row * layout.rowHeight };
}

/** Blocks that touch top..bottom, each with the rows [from, to) that do. */
export function visible(layout, top, bottom) {
  const found = [];
  for (const block of layout.blocks) {
    if (block.top + block.height <= top) continue;
    if (block.top >= bottom) break;
    const inside = block.top + layout.headHeight;
    const from = Math.max(0, Math.floor((top - inside) / layout.rowHeight));
    const to = Math.min(block.rows, Math.ceil((bottom - inside) / layout.rowHeight));
    found.push({ block, from, to: Math.max(from, to) });
  }
  return found;
}

/** Items [start, end) of one row of a block. */
export function rowItems(layout, block, row) {
  const start = block.first + row * layout.columns;
  return [start, Math.min(start + layout.columns, block.first + block.count)];
}

/** The item one row up or down in the same column, also across headings. */
export function vertical(layout, index, step) {
  const { block, row, column } = place(layout, index);
  const next = row + step;
  if (next >= 0 && next < block.rows) {
    return Math.min(rowItems(layout, block, next)[0] + column, block.first + block.count - 1);
  }
  const other = nearestFull(layout, block.at, Math.sign(step));
  if (!other) return index;
  const [start, end] = rowItems(layout, other, step > 0 ? 0 : other.rows - 1);
  return Math.min(start + column, end - 1);
}

function nearestFull(layout, at, direction) {
  let next = at + direction;
  while (layout.blocks[next] && layout.blocks[next].count === 0) next += direction;
  return layout.blocks[next];
}

/** Items whose tiles a rectangle {left, top, right, bottom} touches; `cell` is a tile's width. */
export function inRectangle(layout, box, cell) {
  const items = [];
  const low = Math.max(0, Math.floor(box.left / cell));
  const high = Math.min(layout.columns - 1, Math.floor(box.right / cell));
  for (const { block, from, to } of visible(layout, box.top, box.bottom)) {
    for (let row = from; row < to; row += 1) {
      const [start, end] = rowItems(layout, block, row);
      for (let index = start + low; index <= start + high && index < end; index += 1) items.push(index);
    }
  }
  return items;
}
