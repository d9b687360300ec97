// The brush of the Predict mode: draws arrows by dragging, by a click near a side, or by keys.

import { cellsBetween } from "./brushes.js";

const CENTER = 0.12; // in cells; a click nearer to the center removes the arrow
const KEYS = {
  w: [-1, 0], d: [0, 1], s: [1, 0], a: [0, -1],
  ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowDown: [1, 0], ArrowLeft: [0, -1],
};

export class ArrowBrush {
  /** Args: set(place, direction): draws an arrow; direction [down, right], or null: no arrow. */
  constructor(set) {
    this.set = set;
  }

  press(place, offset) {
    Object.assign(this, { place, offset, dragged: false });
  }

  /** Draws in each cell the direction in which the pointer leaves it, and in the last cell the same. */
  drag(from, to) {
    this.dragged = true;
    const cells = cellsBetween(from, to);
    cells.slice(1).forEach((cell, i) => {
      const direction = mainDirection([cell[0] - cells[i][0], cell[1] - cells[i][1]]);
      this.set(cells[i], direction);
      this.set(cell, direction);
    });
  }

  release() {
    if (this.dragged || !this.offset) return;
    const isCenter = Math.max(...this.offset.map(Math.abs)) < CENTER;
    this.set(this.place, isCenter ? null : mainDirection(this.offset));
  }

  cancel() {}

  key(event, place) {
    if (!place) return false;
    if (event.key === "Delete" || event.key === "Backspace") {
      this.set(place, null);
      return true;
    }
    const isArrowKey = event.key.startsWith("Arrow");
    const direction = KEYS[isArrowKey ? event.key : event.key.toLowerCase()];
    if (!direction || (isArrowKey && !event.shiftKey)) return false;
    this.set(place, direction);
    return true;
  }
}

function mainDirection([down, right]) {
  return Math.abs(down) > Math.abs(right) ? [Math.sign(down), 0] : [0, Math.sign(right)];
}
