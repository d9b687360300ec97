// The slider over the history of a learner, and the choice of a branch.

import { $, setText } from "../dom.js";
import { formatInteger } from "../format.js";

const MILLISECONDS_BETWEEN_SEEKS = 50;
const MILLISECONDS_OF_DRAGGING = 300; // after an input, messages do not move the slider for this time

export class TimeSlider {
  /**
   * Args: seek(branch, moment, steps): returns to a moment, given by its number and its steps;
   * moment null: the newest one of the branch.
   */
  constructor(seek) {
    Object.assign(this, { seek, history: null, unit: "step", timer: null, touched: -Infinity });
    $("time").addEventListener("input", () => this.handleInput());
    $("branch").addEventListener("change", () => this.seek(Number($("branch").value), null, null));
    $("time").disabled = true;
  }

  setUnit(unit) {
    this.unit = unit;
    if (this.history) this.setHistory(this.history);
  }

  /** Shows a history: {branch, moment, moments: [[number, steps]], branches}. */
  setHistory(history) {
    this.history = history;
    const { moments, moment } = history;
    $("time").disabled = moments.length < 2;
    $("time").max = moments.length - 1;
    if (performance.now() - this.touched > MILLISECONDS_OF_DRAGGING) {
      $("time").value = moments.findIndex(([number]) => number === moment);
    }
    this.showTime();
    this.showBranches();
  }

  /** The moment at the thumb: [number, steps]. */
  get chosen() {
    return this.history.moments[$("time").value] ?? this.history.moments.at(-1);
  }

  /** Steps of the chosen moment; null if it is the newest one. */
  get mark() {
    const isNewest = !this.history || Number($("time").value) === this.history.moments.length - 1;
    return isNewest ? null : this.chosen[1];
  }

  handleInput() {
    this.touched = performance.now();
    this.showTime();
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.seek(this.history.branch, ...this.chosen);
    }, MILLISECONDS_BETWEEN_SEEKS);
  }

  showTime() {
    const text = `${this.unit} ${formatInteger(this.chosen[1])}`;
    $("time").setAttribute("aria-valuetext", text);
    setText("time-text", this.mark === null ? "now" : text);
  }

  showBranches() {
    const { branches, branch } = this.history;
    $("branch-field").hidden = branches.length < 2;
    const key = JSON.stringify([this.unit, branches]);
    if (key !== this.branchesKey) {
      this.branchesKey = key;
      $("branch").replaceChildren(...branches.map((entry) => new Option(this.branchName(entry), entry.branch)));
    }
    $("branch").value = branch;
  }

  branchName({ branch, parent, fork, steps }) {
    const from = parent === null ? "" : `from ${this.unit} ${formatInteger(fork)} `;
    return `${branch + 1}: ${from}to ${formatInteger(steps)}`;
  }
}
