// Which key does what, in one table: the handler and the help are made of it.

const MOVES = {
  ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
  Home: "first", End: "last", PageUp: "pageUp", PageDown: "pageDown",
};
const SINGLE = {
  " ": "toggle", Escape: "escape", Enter: "open", "?": "help", "/": "queues",
  a: "confirm", u: "undo", r: "redo", z: "zoom", n: "next", g: "group",
  "+": "larger", "=": "larger", "-": "smaller", 0: "fit", o: "outlines",
};
const WITH_CONTROL = { z: "undo", y: "redo", a: "all" };

/** What a key asks for: {name, ...}, or null. `codes` are the classes with their keys. */
export function actionOf(event, codes) {
  if (event.altKey || event.isComposing) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = event.ctrlKey || event.metaKey;
  if (MOVES[key]) return { name: "move", where: MOVES[key], extend: event.shiftKey, keep: control };
  if (control) {
    if (key === "z" && event.shiftKey) return { name: "redo" };
    return WITH_CONTROL[key] ? { name: WITH_CONTROL[key] } : key === " " ? { name: "toggle" } : null;
  }
  const code = codes.find((one) => String(one.key) === key);
  if (code) return { name: "label", code: code.name };
  return SINGLE[key] ? { name: SINGLE[key] } : null;
}

/** Whether a key belongs to the control that has the focus, not to the page. */
export function isTaken(event) {
  const tag = event.target.tagName;
  if (tag === "SELECT" || tag === "INPUT" || tag === "TEXTAREA") return event.key !== "Escape";
  return tag === "BUTTON" && (event.key === " " || event.key === "Enter");
}

/** Rows of the help: keys, and what they do. */
export function helpRows(codes) {
  const labels = codes.map((one) => [[one.key], `label as ${one.title} (${one.letter})`]);
  return [
    ...labels,
    [["a"], "all shown are right: what the machine proposes for the tiles in sight is confirmed"],
    [["u", "Ctrl Z"], "undo, also after a reload"],
    [["r", "Ctrl Y"], "redo"],
    [["← → ↑ ↓"], "move; with Shift select, with Ctrl move without selecting"],
    [["Space"], "add the tile to the selection, or take it away"],
    [["Home", "End", "PgUp", "PgDn"], "first, last, a screen up or down; with Shift select"],
    [["Ctrl A"], "select the whole group"],
    [["g"], "name the whole group"],
    [["n"], "next object that no person has labelled"],
    [["Enter"], "the whole image with every object over it"],
    [["z"], "large view of the tile, on and off"],
    [["+", "−", "0", "o"], "in the image: larger, smaller, fit, outlines on and off"],
    [["/"], "choose another queue"],
    [["Esc"], "close, or select only the tile with the cursor"],
    [["?"], "this help"],
  ];
}
