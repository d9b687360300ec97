// The Predict mode: a person draws a policy before any values are shown; the server then sends its
// exact value, its mistakes, and the optimum.

import { $, make, setText } from "../dom.js";
import { actionName, formatNumber } from "../format.js";
import { ArrowBrush } from "./arrow_brush.js";

const LABELS = {
  learn: "World. Arrow keys choose a cell, Enter draws in it.",
  predict: "World. Arrow keys choose a cell; W, A, S and D, or Shift and an arrow key, draw an arrow in it.",
};

export class Prediction {
  /**
   * Args: view; tools; state of the page; pause(): stops all learners; send(message); changed():
   * writes the address and redraws.
   */
  constructor(view, tools, state, { pause, send, changed }) {
    Object.assign(this, { view, tools, state, pause, send, changed });
    this.arrows = new Map(); // "row,column" -> action
    this.result = null; // the server's answer for the present arrows, or null
    this.puzzles = new Map();
    this.brush = new ArrowBrush((place, direction) => this.setArrow(place, direction));
    $("predict").addEventListener("click", () => this.toggle(!state.predict));
    $("criterion").addEventListener("change", () => this.chooseCriterion());
    $("discount").addEventListener("change", () => this.chooseCriterion());
    $("clear-arrows").addEventListener("click", () => this.clear());
    $("judge").addEventListener("click", () => this.judge());
    $("show-optimum").addEventListener("click", () => this.toggleOptimum());
  }

  get active() {
    return this.state.predict && Boolean(this.world);
  }

  setCatalog({ puzzles }) {
    this.puzzles = new Map(puzzles.map((puzzle) => [puzzle.name, puzzle]));
  }

  setWorld(world) {
    const isOther = world.name !== this.world?.name;
    if (isOther && this.world) Object.assign(this.state, { criterion: "", discount: "" });
    if (isOther) this.arrows.clear();
    this.world = world;
    this.showCriterion();
    $("predict").hidden = Boolean(world.signs); // actions that are not moves cannot be drawn as arrows
    this.toggle(this.state.predict && !world.signs);
  }

  /** Begins or ends the mode; the arrows are kept. */
  toggle(predict) {
    if (predict && !this.state.predict) this.pause();
    this.state.predict = predict;
    document.body.classList.toggle("predicting", predict);
    setText("predict", predict ? "Let the agent learn" : "Predict first");
    this.view.canvas.ariaLabel = LABELS[predict ? "predict" : "learn"];
    this.view.prediction = predict ? this : null;
    if (predict) this.tools.setBrush(this.brush);
    else if (this.tools.brush === this.brush) this.tools.palette.reset();
    this.view.resize(); // the free height has changed
    this.forget();
  }

  // ---- the criterion

  /** Shows the criterion of the address, the puzzle or the learner, in this order. */
  showCriterion() {
    const own = this.puzzles.get(this.world.name) ?? this.world;
    $("criterion").value = this.state.criterion || own.criterion;
    $("discount").value = this.state.discount || own.discount;
    $("criterion").querySelector("[value=return]").disabled = !this.world.hasEnd;
    $("discount-field").hidden = $("criterion").value !== "discounted";
  }

  chooseCriterion() {
    if (!$("discount").reportValidity()) return;
    this.state.criterion = $("criterion").value;
    this.state.discount = $("discount").value;
    this.showCriterion();
    this.forget();
  }

  // ---- arrows

  /** Draws an arrow, or removes it if the direction is null. */
  setArrow(place, direction) {
    const [down, right] = direction ?? [];
    const s = this.world.stateAt.get(String(place));
    if (s === undefined || this.world.isEnd[s]) return;
    const action = this.world.moves.findIndex((move) => move[0] === down && move[1] === right);
    if (action < 0) this.arrows.delete(String(place));
    else this.arrows.set(String(place), action);
    const name = action < 0 ? "no arrow" : actionName(this.world.moves[action], action);
    setText("arrow-text", `Row ${place[0] + 1}, column ${place[1] + 1}: ${name}`);
    this.forget();
  }

  clear() {
    this.arrows.clear();
    setText("arrow-text", "");
    this.forget();
  }

  /** Returns the action of each state; null: all actions are equally likely. */
  actions() {
    return this.world.places.map((place) => this.arrows.get(String(place)) ?? null);
  }

  // ---- the answer

  judge() {
    const discount = Number($("discount").value);
    this.send({ type: "predict", actions: this.actions(), criterion: $("criterion").value, discount });
  }

  /** Removes the answer, which is not valid for other arrows. */
  forget() {
    this.result = null;
    this.showsOptimum = false;
    this.showResult();
    this.changed();
  }

  setResult(result) {
    if (!this.active || result.best.length !== this.world.places.length) return; // the answer is for another world
    this.result = result;
    this.showResult();
    this.changed();
  }

  toggleOptimum() {
    this.showsOptimum = !this.showsOptimum;
    this.showResult();
    this.changed();
  }

  showResult() {
    const { result } = this;
    $("scale-title").parentElement.classList.toggle("optimum", this.showsOptimum);
    $("result").hidden = !result;
    setText("show-optimum", this.showsOptimum ? "Show your arrows" : "Show the optimum");
    if (!result) return;
    $("result-facts").replaceChildren(...result.facts.map(namedNumber));
    $("result-text").replaceChildren(...[...result.sentences, result.lesson].filter(Boolean).map((text) => make("p", text)));
    $("result-text").lastChild.classList.toggle("lesson", Boolean(result.lesson));
    $("result-details").replaceChildren(...result.details.map(([name, text]) => {
      const row = make("div");
      row.append(make("dt", name), make("dd", text));
      return row;
    }));
  }
}

function namedNumber([name, text]) {
  const row = make("div");
  const output = make("output", text);
  output.ariaLabel = name;
  const number = make("dd");
  number.append(output);
  row.append(make("dt", name), number);
  return row;
}

/** Formats a loss for its cell. */
export function lossText(loss) {
  return loss === null ? "−∞" : formatNumber(-Number(loss.toPrecision(2)));
}
