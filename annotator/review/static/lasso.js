// A rectangle drawn with the mouse or a pen. By touch a drag scrolls, as everywhere.

import { element } from "./grid.js";

const FARTHEST_CLICK = 6;
const EDGE = 40;

/**
 * Watch `root` (which scrolls) for drags; `within` holds the tiles and the rectangle.
 * `hooks`: begin(event), over(box, event), end(). The box is in pixels of `within`.
 */
export function watchLasso(root, within, hooks) {
  let drag = null;

  root.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button !== 0 || event.target.closest("button, select")) return;
    drag = { start: inside(within, event), x: event.clientX, y: event.clientY, event, box: null };
  });
  root.addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.event = event;
    if (!drag.box && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < FARTHEST_CLICK) return;
    if (!drag.box) begin(event);
    draw();
  });
  root.addEventListener("pointerup", end);
  root.addEventListener("pointercancel", end);
  // The click that follows a drag is not one.
  root.addEventListener("click", (event) => {
    if (root.dataset.dragged) event.stopImmediatePropagation();
    delete root.dataset.dragged;
  }, { capture: true });

  function begin(event) {
    root.setPointerCapture(event.pointerId);
    root.dataset.dragged = "yes";
    drag.box = element("div", { className: "lasso", role: "presentation" });
    within.append(drag.box);
    hooks.begin(event);
    requestAnimationFrame(scroll);
  }

  function draw() {
    const here = inside(within, drag.event);
    const box = {
      left: Math.min(here.x, drag.start.x),
      right: Math.max(here.x, drag.start.x),
      top: Math.min(here.y, drag.start.y),
      bottom: Math.max(here.y, drag.start.y),
    };
    Object.assign(drag.box.style, {
      left: `${box.left}px`, top: `${box.top}px`,
      width: `${box.right - box.left}px`, height: `${box.bottom - box.top}px`,
    });
    hooks.over(box, drag.event);
  }

  /** Near the edge the list goes on under the pointer. */
  function scroll() {
    if (!drag?.box) return;
    const frame = root.getBoundingClientRect();
    const above = frame.top + EDGE - drag.event.clientY;
    const below = drag.event.clientY - (frame.bottom - EDGE);
    if (above > 0 || below > 0) {
      root.scrollTop += above > 0 ? -above / 2 : below / 2;
      draw();
    }
    requestAnimationFrame(scroll);
  }

  function end() {
    if (drag?.box) {
      drag.box.remove();
      hooks.end();
      // No click follows where the pointer went up elsewhere.
      setTimeout(() => delete root.dataset.dragged, 0);
    }
    drag = null;
  }
}

function inside(within, event) {
  const frame = within.getBoundingClientRect();
  return { x: event.clientX - frame.left, y: event.clientY - frame.top };
}
