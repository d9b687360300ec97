// The palette: a row of radio buttons that choose the brush, and a field for its number.

import { $, make } from "../dom.js";
import { cellName } from "../format.js";
import { CellBrush, PortalBrush, sameCell, WindBrush } from "./brushes.js";

const FLOOR = { wall: false, start: false, end: false, reward: 0, to: "" };
const KINDS = ["look", "wall", "floor", "start", "goal", "reward", "portal", "wind"];
const AMOUNTS = {
  goal: { label: "Reward", step: "any" },
  reward: { label: "Reward", step: "any" },
  portal: { label: "Reward", step: "any" },
  wind: { label: "Strength", step: 1, min: 0, max: 9 },
};

export class Palette {
  /** Args: view; send(message); changed(): redraw; choose(brush): called with each new brush. */
  constructor(view, send, changed, choose) {
    Object.assign(this, { view, send, changed, choose, kind: "look" });
    this.amounts = { goal: 1, reward: 1, portal: 0, wind: 1 };
    $("amount").addEventListener("change", () => this.setAmount());
  }

  setWorld(world) {
    const isOther = world.name !== this.name;
    this.name = world.name;
    if (isOther) this.amounts.goal = world.hasEnd ? world.bestEnd : 1;
    const extras = repeatedPortals(world);
    const isGone = !world.editable || (this.kind.length === 1 && !extras.includes(this.kind));
    if (isGone) this.kind = "look";
    this.showButtons(world, extras);
    if (isOther || isGone) this.apply(); // otherwise the brush may be in the middle of a stroke
  }

  /** Chooses the kind `look`, which has no brush. */
  reset() {
    this.kind = "look";
    this.apply();
  }

  /** Offers the kinds of cells, and portals that the map draws in several cells, such as a cliff. */
  showButtons({ legend, bestEnd }, extras) {
    const title = (kind) => (kind.length === 1 ? cellName(legend[kind], bestEnd) : "");
    const names = new Map(KINDS.map((kind) => [kind, kind]));
    extras.forEach((symbol) => names.set(symbol, `to ${legend[symbol].to}`));
    const key = JSON.stringify([...names]);
    if (key === this.key) return; // keep the focus where it is
    this.key = key;
    const heading = $("palette").firstElementChild;
    $("palette").replaceChildren(heading, ...[...names].map(([kind, name]) => this.button(kind, name, title(kind))));
  }

  button(kind, name, title) {
    const label = make("label");
    label.title = title;
    const input = make("input");
    Object.assign(input, { type: "radio", name: "brush", value: kind, checked: kind === this.kind });
    input.addEventListener("change", () => {
      this.kind = kind;
      this.apply();
    });
    const icon = make("span");
    icon.className = `icon ${kind.length === 1 ? "pit" : kind}`;
    icon.ariaHidden = "true"; // otherwise a screen reader would read its character
    label.append(input, ...(kind === "look" ? [] : [icon]), name);
    return label;
  }

  apply() {
    for (const input of $("palette").querySelectorAll("input")) input.checked = input.value === this.kind;
    const amount = AMOUNTS[this.kind];
    $("amount-field").hidden = !amount;
    if (amount) {
      $("amount-label").textContent = amount.label;
      for (const name of ["step", "min", "max"]) $("amount")[name] = amount[name] ?? "";
      const isTyping = document.activeElement === $("amount"); // while another change arrives
      if (!isTyping) $("amount").value = this.amounts[this.kind];
    }
    this.choose(this.brush());
  }

  setAmount() {
    if ($("amount").value === "" || !$("amount").reportValidity()) return;
    this.amounts[this.kind] = Number($("amount").value);
    this.apply();
  }

  brush() {
    const { view, send, kind } = this;
    const amount = () => this.amounts[kind];
    const paint = (properties) =>
      new CellBrush(view, send, { ...FLOOR, ...properties }, (cells) => ({ type: "paint", cells, ...properties }));
    if (kind.length === 1) return this.symbolBrush(kind);
    return {
      look: () => null,
      wall: () => paint({ wall: true }),
      floor: () => paint({}),
      start: () => paint({ start: true }),
      goal: () => paint({ end: true, reward: amount() }),
      reward: () => paint({ reward: amount() }),
      portal: () => new PortalBrush(view, send, amount),
      wind: () => new WindBrush(view, send, amount),
    }[kind]();
  }

  symbolBrush(symbol) {
    const message = (cells) => ({ type: "edit", cells: cells.map(([row, column]) => [row, column, symbol]) });
    return new CellBrush(this.view, this.send, this.view.world.legend[symbol], message);
  }
}

/** Returns symbols of portals that are drawn in several cells; only one for each meaning. */
function repeatedPortals({ rows, legend }) {
  const drawn = [...rows.join("")];
  const symbols = [...new Set(drawn)].filter((symbol) =>
    legend[symbol].to && drawn.indexOf(symbol) !== drawn.lastIndexOf(symbol));
  return symbols.filter((symbol, i) => symbols.findIndex((s) => sameCell(legend[s], legend[symbol])) === i);
}
