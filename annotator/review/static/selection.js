// What is selected: a cursor, an anchor for ranges, and a set. Works on indices of a list.

export class Selection {
  constructor() {
    this.clear();
  }

  clear(cursor = 0) {
    this.cursor = cursor;
    this.anchor = cursor;
    this.chosen = new Set([cursor]);
    this.base = new Set();
  }

  /** Go to `index`; with `extend` select from the anchor to it, with `keep` leave the rest. */
  move(index, { extend = false, keep = false } = {}) {
    this.cursor = index;
    if (extend) this.chosen = union(this.base, range(this.anchor, index));
    else if (!keep) this.clear(index);
  }

  /** Add or take away one; ranges that follow start here and keep what was chosen. */
  toggle(index) {
    if (this.chosen.has(index)) this.chosen.delete(index);
    else this.chosen.add(index);
    this.cursor = index;
    this.anchor = index;
    this.base = new Set(this.chosen);
  }

  /** Select just these, or these too. */
  set(indices, { add = false, base = null } = {}) {
    this.chosen = union(add ? (base ?? this.chosen) : [], indices);
    this.base = new Set(this.chosen);
    if (indices.length) this.anchor = this.cursor = indices[indices.length - 1];
  }

  has(index) {
    return this.chosen.has(index);
  }

  /** In order; the cursor where nothing is selected. */
  list() {
    return this.chosen.size ? [...this.chosen].sort((a, b) => a - b) : [this.cursor];
  }
}

function range(one, other) {
  const [low, high] = one < other ? [one, other] : [other, one];
  return Array.from({ length: high - low + 1 }, (_, at) => low + at);
}

function union(one, other) {
  const both = new Set(one);
  for (const value of other) both.add(value);
  return both;
}
