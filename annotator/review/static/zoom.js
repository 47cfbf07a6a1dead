// The large view of one tile: beside the pointer, under a long press, or kept open by a key.

import { zoomAddress } from "./api.js";
import { describe, shown } from "./words.js";

const REST = 450;
const PRESS = 500;

export class Zoom {
  /** `hooks`: item(element) -> item | undefined, imageName(id). */
  constructor(root, hooks) {
    this.hooks = hooks;
    this.box = document.getElementById("zoom");
    this.picture = document.getElementById("zoom-image");
    this.text = document.getElementById("zoom-text");
    this.timer = 0;
    this.pinned = false;
    root.addEventListener("pointerover", (event) => this.over(event));
    root.addEventListener("pointerout", () => this.leave());
    root.addEventListener("pointerdown", (event) => this.press(event));
    root.addEventListener("pointerup", () => this.leave());
    root.addEventListener("pointercancel", () => this.leave());
    root.addEventListener("scroll", () => this.leave(), { passive: true });
    root.addEventListener("contextmenu", (event) => {
      if (!this.box.hidden) event.preventDefault();
    });
  }

  over(event) {
    if (event.pointerType !== "touch" && event.buttons === 0) this.later(event.target, REST);
  }

  press(event) {
    this.leave();
    if (event.pointerType === "touch") this.later(event.target, PRESS);
  }

  later(target, wait) {
    const tile = target.closest(".tile");
    if (!tile || this.pinned) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(this.hooks.item(tile), tile), wait);
  }

  leave() {
    clearTimeout(this.timer);
    if (!this.pinned) this.box.hidden = true;
  }

  show(item, beside) {
    if (!item) return;
    const address = zoomAddress(item.id, shown(item));
    if (this.picture.getAttribute("src") !== address) this.picture.src = address;
    const name = describe(item, this.hooks.imageName(item.image));
    this.picture.alt = name;
    this.text.textContent = item.why ? `${name}. ${item.why}` : name;
    this.box.hidden = false;
    this.put(beside?.getBoundingClientRect());
  }

  /** Beside the tile, where there is more room, and always on the screen. */
  put(tile) {
    const { width, height } = this.box.getBoundingClientRect();
    const frame = tile ?? { left: 0, right: 0, top: 0, bottom: 0 };
    const left = frame.right + width + 8 < innerWidth ? frame.right + 8 : frame.left - width - 8;
    const fitting = (value, most) => Math.max(4, Math.min(value, most - 4));
    this.box.style.left = `${fitting(left, innerWidth - width)}px`;
    this.box.style.top = `${fitting((frame.top + frame.bottom - height) / 2, innerHeight - height)}px`;
  }

  /** Keep it open for the tile with the cursor, or close it. */
  pin(on, item, tile) {
    this.pinned = on;
    clearTimeout(this.timer);
    if (on) this.show(item, tile);
    else this.box.hidden = true;
  }
}
