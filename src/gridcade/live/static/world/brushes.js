// Brushes, which draw in the world with the pointer and keys. A brush shows a preview until the server
// answers with the changed world. Its methods: press(place, offset), drag(from, to),
// release(place), cancel(), and optionally key(event, place), which returns whether it used the key.
// A place is [row, column]; offset is the pointer's distance from the center of the cell, or null.

import { drawCell } from "./world_tiles.js";
import { drawJump, fillColumn, outline } from "./world_marks.js";

/** Draws cells of one meaning. */
export class CellBrush {
  /** Args: view; send(message); meaning: cell of the legend; message(cells): creates the message to send. */
  constructor(view, send, meaning, message) {
    Object.assign(this, { view, send, meaning, message });
    this.cells = new Map(); // "row,column" -> [row, column]
  }

  press(place) {
    this.view.preview = (context) => this.draw(context);
    this.paint(place);
  }

  drag(from, to) {
    cellsBetween(from, to).forEach((place) => this.paint(place));
  }

  paint(place) {
    const { world } = this.view;
    const present = world.legend[world.rows[place[0]][place[1]]];
    if (!sameCell(present, this.meaning)) this.cells.set(String(place), place);
  }

  /** Sends the stroke as one change, so that one undo takes it back. */
  release() {
    const cells = [...this.cells.values()];
    this.cancel();
    if (cells.length) this.send(this.message(cells));
  }

  cancel() {
    this.cells.clear();
    this.view.preview = null;
  }

  draw(context) {
    for (const [row, column] of this.cells.values()) {
      drawCell(context, this.view, this.meaning, row, column);
      outline(context, this.view, [row, column], Math.max(1, this.view.cell * 0.05), []);
    }
  }
}

/** Draws a portal: the first cell is its entrance, the second one its target. */
export class PortalBrush {
  /** Args: view; send(message); amount(): the portal's reward. */
  constructor(view, send, amount) {
    Object.assign(this, { view, send, amount, entrance: null });
  }

  press(place) {
    if (this.entrance) return;
    this.entrance = place;
    this.view.preview = (context) => {
      drawJump(context, this.view, this.entrance, this.view.cursor ?? this.entrance);
    };
  }

  drag() {}

  release(place) {
    if (!this.entrance || !place || String(place) === String(this.entrance)) return; // wait for the target
    this.send({ type: "portal", entrance: this.entrance, target: place, reward: this.amount() });
    this.cancel();
  }

  cancel() {
    this.entrance = this.view.preview = null;
  }
}

/** Sets the wind of columns. */
export class WindBrush {
  /** Args: view; send(message); amount(): strength of the wind. */
  constructor(view, send, amount) {
    Object.assign(this, { view, send, amount, columns: new Set() });
  }

  press([, column]) {
    this.columns.add(column);
    this.view.preview = (context) => this.columns.forEach((c) => fillColumn(context, this.view, c));
  }

  drag(from, to) {
    cellsBetween(from, to).forEach(([, column]) => this.columns.add(column));
  }

  release() {
    const { width, settings } = this.view.world;
    const wind = Array.from({ length: width }, (_, column) =>
      this.columns.has(column) ? this.amount() : settings.wind[column] ?? 0);
    this.cancel();
    this.send({ type: "settings", wind });
  }

  cancel() {
    this.columns.clear();
    this.view.preview = null;
  }
}

export function sameCell(a, b) {
  return ["wall", "start", "end", "reward", "to"].every((name) => a[name] === b[name]);
}

/** The cells on a line, so that a fast pointer draws a wall without holes. */
export function cellsBetween([row0, column0], [row1, column1]) {
  const count = Math.max(Math.abs(row1 - row0), Math.abs(column1 - column0), 1);
  return Array.from({ length: count + 1 }, (_, i) => [
    Math.round(row0 + ((row1 - row0) * i) / count),
    Math.round(column0 + ((column1 - column0) * i) / count),
  ]);
}
