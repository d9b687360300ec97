// Pointer and keys in the world: they move a cursor and draw with the chosen brush.

import { $ } from "../dom.js";
import { Palette } from "./palette.js";

const KEY_MOVES = { ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowDown: [1, 0], ArrowLeft: [0, -1] };
const SETTINGS = { slip: "slip", stray: "stray", "step-reward": "step_reward" };
const SIDES = { rows: "height", columns: "width" };

export class Tools {
  /** Args: view; send(message); changed(): called when the drawing must be redrawn. */
  constructor(view, send, changed) {
    Object.assign(this, { view, send, changed, brush: null });
    this.palette = new Palette(view, send, changed, (brush) => this.setBrush(brush));
    this.listenToPointer();
    view.canvas.addEventListener("keydown", (event) => this.handleKey(event));
    this.listenToSettings();
    $("undo").addEventListener("click", () => this.undo());
  }

  setWorld(world) {
    $("tools").hidden = !world.editable;
    $("undo").disabled = !world.can_undo;
    const shown = { ...world.settings, height: world.height, width: world.width };
    for (const [id, name] of Object.entries({ ...SETTINGS, ...SIDES })) {
      if (document.activeElement !== $(id)) $(id).value = Number(shown[name].toPrecision(4));
    }
    this.palette.setWorld(world);
  }

  /** Sets the brush (see brushes.js) with which the person draws; null: none. */
  setBrush(brush) {
    this.brush?.cancel();
    this.brush = brush;
    this.view.canvas.classList.toggle("drawing", Boolean(brush));
    this.changed();
  }

  // ---- pointer

  listenToPointer() {
    const { canvas } = this.view;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.release());
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("pointerleave", () => this.setCursor(null));
  }

  press(event) {
    if (event.button !== 0) return;
    const place = this.view.cellAt(event);
    this.setCursor(place);
    if (!this.brush || !place) return;
    this.view.canvas.setPointerCapture(event.pointerId);
    this.pressed = true;
    this.brush.press(place, this.view.offsetAt(event));
    this.changed();
  }

  move(event) {
    const place = this.view.cellAt(event);
    if (String(place) === String(this.view.cursor)) return;
    const previous = this.view.cursor ?? place;
    this.setCursor(place);
    if (this.pressed && place) this.brush.drag(previous, place);
  }

  release() {
    if (!this.pressed) return;
    this.pressed = false;
    this.brush.release(this.view.cursor);
    this.changed();
  }

  cancel() {
    this.pressed = false;
    this.brush?.cancel();
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
    if (this.brush?.key?.(event, cursor)) {
      event.preventDefault();
      this.changed();
    } else if (event.key in KEY_MOVES) {
      event.preventDefault(); // the page must not scroll
      const first = world.places[picture?.state] ?? firstStart(world); // a key may be pressed before the first picture
      this.setCursor(cursor ? this.neighbor(cursor, KEY_MOVES[event.key]) : first);
    } else if (event.key === "Enter" && cursor && this.brush) {
      this.brush.press(cursor, null);
      this.brush.release(cursor);
      this.changed();
    } else if (event.key === "Escape") {
      this.cancel();
      this.setCursor(null);
    }
  }

  neighbor([row, column], [down, right]) {
    const { height, width } = this.view.world;
    return [clamp(row + down, 0, height - 1), clamp(column + right, 0, width - 1)];
  }

  // ---- settings

  listenToSettings() {
    for (const [id, name] of Object.entries({ ...SETTINGS, ...SIDES })) {
      $(id).addEventListener("change", (event) => {
        const input = event.target;
        if (input.value === "" || !input.reportValidity()) return;
        this.send({ type: "settings", [name]: Number(input.value) });
      });
    }
  }

  undo() {
    if (!$("undo").disabled && $("undo").checkVisibility()) this.send({ type: "undo" });
  }
}

function firstStart({ places, rows, legend }) {
  return places.find(([row, column]) => legend[rows[row][column]]?.start) ?? places[0];
}

function clamp(x, low, high) {
  return Math.max(low, Math.min(high, x));
}
