// What classes are called, and the sentences made of them. No document in here.

const TITLES = {
  bg: "background",
  fat: "fat",
  cell: "cell",
  bone: "bone",
  mixed: "mixed",
  skip: "skipped",
};
const NO_CLASS = [
  { name: "mixed", key: "m", letter: "M", colour: "#6b4a8a" },
  { name: "skip", key: "s", letter: "–", colour: "#5a5a5a" },
];

/** The classes of the study, then mixed and skip, each with a title. */
export function allCodes(classes) {
  return [...classes, ...NO_CLASS].map((one) => ({ ...one, title: title(one.name) }));
}

export function title(code) {
  return TITLES[code] ?? code ?? "nothing";
}

export function plural(count, word, words = `${word}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? word : words}`;
}

/** Whether a person or a corrected mask says so, not a machine. */
export function isSaid(item) {
  return Boolean(item.label) && (item.by === "person" || item.by === "truth");
}

/** The class that a tile shows: what was said of it or of its group, else what is predicted. */
export function shown(item) {
  return item.label ?? item.predicted ?? null;
}

/** Confidence in the class that a tile shows; empty where the machine means another one. */
export function sureness(item) {
  const known = item.confidence != null && item.predicted && shown(item) === item.predicted;
  return known ? item.confidence.toFixed(2) : "";
}

export function who(item) {
  if (!item.label) return "not labelled";
  if (item.by === "person") return `labelled by ${item.author ?? "a person"}`;
  return item.by === "truth" ? "from a corrected mask" : "named with its group, not labelled";
}

/** One line for a screen reader, a tile's title and the large view. */
export function describe(item, imageName) {
  const mark = isSaid(item) ? "" : "?";
  const code = shown(item);
  const sure = isSaid(item) || !sureness(item) ? "" : ` ${sureness(item)}`;
  const waits = item.waits ? ", waits to be stored" : "";
  return `${code ? title(code) : "no class"}${mark}${sure}, ${imageName}, ${who(item)}${waits}`;
}

/** Black or white, whichever reads better on `colour` (#rrggbb). */
export function ink(colour) {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  const [red, green, blue] = parts.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#000" : "#fff";
}

/** Bounds an uncertain number of seconds to words. */
export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  return seconds < 90 ? `about ${Math.ceil(seconds)} s` : `about ${Math.round(seconds / 60)} min`;
}
