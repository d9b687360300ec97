// Touching the world: drawing symbols with pointer or keys, settings, undo.

import { $, make } from "../dom.js";
import { cellName } from "../format.js";

const KEY_MOVES = { ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowDown: [1, 0], ArrowLeft: [0, -1] };

export class Tools {
  /** Args: view; send(message); changed(): called when the drawing must be redrawn. */
  constructor(view, send, changed) {
    Object.assign(this, { view, send, changed });
    this.symbol = ""; // "": look, do not draw
    this.listenToPointer();
    view.canvas.addEventListener("keydown", (event) => this.handleKey(event));
    this.listenToSettings();
    $("undo").addEventListener("click", () => this.undo());
  }

  setWorld(world) {
    $("tools").hidden = !world.editable;
    if (!world.editable) this.symbol = "";
    $("undo").disabled = !world.can_undo;
    const fields = { slip: "slip", stray: "stray", "step-reward": "step_reward" };
    for (const [id, name] of Object.entries(fields)) {
      if (document.activeElement !== $(id)) $(id).value = Number(world.settings[name].toPrecision(4));
    }
    this.showPalette(world);
  }

  /** Offers one radio button for each meaning; of symbols with the same meaning, the first. */
  showPalette({ legend, bestEnd }) {
    const names = new Map([["", "look"]]);
    for (const [symbol, cell] of Object.entries(legend)) {
      const name = cellName(cell, bestEnd);
      if (![...names.values()].includes(name)) names.set(symbol, name);
    }
    const key = JSON.stringify([...names]);
    if (key === this.paletteKey) return; // keep the focus where it is
    this.paletteKey = key;
    if (!names.has(this.symbol)) this.symbol = "";
    const title = $("palette").firstElementChild;
    $("palette").replaceChildren(title, ...[...names].map(([symbol, name]) => this.paletteButton(symbol, name)));
  }

  paletteButton(symbol, name) {
    const label = make("label");
    const input = make("input");
    Object.assign(input, { type: "radio", name: "symbol", value: symbol, checked: symbol === this.symbol });
    input.addEventListener("change", () => {
      this.symbol = symbol;
      this.view.canvas.classList.toggle("drawing", symbol !== "");
    });
    label.append(input, ` ${name}`);
    return label;
  }

  // ---- pointer

  listenToPointer() {
    const { canvas } = this.view;
    canvas.addEventListener("pointerdown", (event) => this.beginStroke(event));
    canvas.addEventListener("pointermove", (event) => this.moveTo(event));
    canvas.addEventListener("pointerup", () => this.finishStroke());
    canvas.addEventListener("pointercancel", () => this.cancelStroke());
    canvas.addEventListener("pointerleave", () => this.setCursor(null));
  }

  beginStroke(event) {
    if (event.button !== 0) return;
    this.setCursor(this.view.cellAt(event));
    if (!this.symbol) return;
    this.view.canvas.setPointerCapture(event.pointerId);
    this.stroking = true;
    this.paint(this.view.cursor);
  }

  moveTo(event) {
    const place = this.view.cellAt(event);
    if (String(place) === String(this.view.cursor)) return;
    const previous = this.view.cursor;
    this.setCursor(place);
    if (this.stroking && place) cellsBetween(previous ?? place, place).forEach((cell) => this.paint(cell));
  }

  paint(place) {
    if (!place || this.view.world.rows[place[0]][place[1]] === this.symbol) return;
    this.view.stroke.set(String(place), this.symbol);
    this.changed();
  }

  /** Sends a stroke as one edit, so that one undo takes it back. */
  finishStroke() {
    this.stroking = false;
    const cells = [...this.view.stroke].map(([place, symbol]) => [...place.split(",").map(Number), symbol]);
    this.view.stroke.clear();
    if (cells.length) this.send({ type: "edit", cells });
    this.changed();
  }

  cancelStroke() {
    this.stroking = false;
    this.view.stroke.clear();
    this.changed();
  }

  setCursor(place) {
    this.view.cursor = place;
    this.view.lastCursor = place ?? this.view.lastCursor;
    this.changed();
  }

  // ---- keys

  handleKey(event) {
    const { world, cursor, picture } = this.view;
    if (!world || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in KEY_MOVES) {
      event.preventDefault(); // the page must not scroll
      const start = cursor ?? world.places[picture?.state ?? 0];
      this.setCursor(cursor ? this.neighbor(start, KEY_MOVES[event.key]) : start);
    } else if (event.key === "Enter" && cursor && this.symbol) {
      this.paint(cursor);
      this.finishStroke();
    } else if (event.key === "Escape") {
      this.cancelStroke();
      this.setCursor(null);
    }
  }

  neighbor([row, column], [down, right]) {
    const { height, width } = this.view.world;
    return [clamp(row + down, 0, height - 1), clamp(column + right, 0, width - 1)];
  }

  // ---- settings

  listenToSettings() {
    const fields = { slip: "slip", stray: "stray", "step-reward": "step_reward" };
    for (const [id, name] of Object.entries(fields)) {
      $(id).addEventListener("change", (event) => {
        const input = event.target;
        const { rangeOverflow, rangeUnderflow } = input.validity;
        if (rangeOverflow || rangeUnderflow) return void input.reportValidity();
        if (input.value !== "") this.send({ type: "settings", [name]: Number(input.value) });
      });
    }
  }

  undo() {
    if (!$("undo").disabled) this.send({ type: "undo" });
  }
}

function clamp(x, low, high) {
  return Math.max(low, Math.min(high, x));
}

/** The cells on a line, so that a fast pointer draws a wall without holes. */
function cellsBetween([row0, column0], [row1, column1]) {
  const count = Math.max(Math.abs(row1 - row0), Math.abs(column1 - column0), 1);
  return Array.from({ length: count + 1 }, (_, i) => [
    Math.round(row0 + ((row1 - row0) * i) / count),
    Math.round(column0 + ((column1 - column0) * i) / count),
  ]);
}
