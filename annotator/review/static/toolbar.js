// The bar of labels and acts under the grid, and the same under the whole image.

import { element } from "./grid.js";

/**
 * Fill a bar. `act(action)` does what a key would; `whole` adds what only the grid has.
 */
export function fillToolbar(bar, codes, { act, several, whole }) {
  const button = (text, key, name) =>
    element("button", { type: "button", aria: { keyshortcuts: key }, onclick: () => act({ name }) },
      element("kbd", { textContent: key === "Enter" ? "⏎" : key }), element("span", { textContent: text }));
  const rest = [button("Undo", "u", "undo"), button("Redo", "r", "redo")];
  const confirm = button("All shown are right", "a", "confirm");
  const open = button("Image", "Enter", "open");
  const more = element("button", { type: "button", className: "several", textContent: "Several",
    title: "Each click or tap adds to the selection", aria: { pressed: "false" }, onclick: several });
  bar.append(...codes.map((code) => labelButton(code, act)), ...(whole ? [confirm] : []), ...rest, ...(whole ? [open] : []), more);
}

function labelButton(code, act) {
  return element("button", { type: "button", className: "label-button", data: { code: code.name },
    aria: { keyshortcuts: String(code.key) }, onclick: () => act({ name: "label", code: code.name }) },
    element("kbd", { textContent: code.key }),
    element("span", { className: "badge", textContent: code.letter, data: { code: code.name }, aria: { hidden: "true" } }),
    element("span", { textContent: code.name === "skip" ? "skip" : code.title }));
}
