// What if: shows the returns of actions that were tried at this step, beside the predicted values.

import { $, make, setText } from "../dom.js";
import { formatInteger, formatNumber } from "../format.js";
import { drawImage } from "./picture.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, MARGIN] = [240, 34, 8]; // of a plot, in its own units
const JITTER = [0, 4, -4, 8, -8]; // vertical offsets, so that dots of equal values are visible

export class WhatIf {
  /** Args: send(message). */
  constructor(send) {
    Object.assign(this, { send, results: new Map(), step: null, running: null, table: undefined });
    $("cancel").addEventListener("click", () => this.cancel());
  }

  setGame({ actions, what_if: isPossible, epsilon }, table) {
    Object.assign(this, { actions, table });
    $("what-if").hidden = !isPossible;
    $("what-if-epsilon").placeholder = epsilon;
    this.clear();
  }

  /** Removes the results of another step. */
  setPicture({ game, step, departed }) {
    const place = `${game} ${step} ${departed}`;
    if (place !== this.place) this.clear();
    this.place = place;
  }

  clear() {
    this.results.clear();
    this.finish();
    this.show();
  }

  /** Tries an action; the server answers with progress and a result. */
  start(action) {
    const text = $("what-if-epsilon").value;
    this.running = action;
    this.send({ type: "what_if", action, epsilon: text === "" ? null : Number(text) });
    $("trial").hidden = false;
    $("preview").hidden = true;
    $("trial-progress").value = 0;
    setText("trial-text", `Trying ${this.actions[action]}…`);
  }

  cancel() {
    this.send({ type: "pause" });
    this.finish();
  }

  finish() {
    this.running = null;
    $("trial").hidden = true;
  }

  setProgress({ action, done, running, screens }) {
    if (action !== this.running) return;
    $("trial-progress").value = done;
    setText("trial-text", `Trying ${this.actions[action]}: ${running} game${running === 1 ? "" : "s"} still playing; the first one:`);
    $("preview").hidden = !screens.length;
    if (screens.length) drawImage($("preview"), screens[0], this.table);
  }

  setResult(result) {
    this.finish();
    this.results.set(result.action, result);
    this.show();
  }

  // ---- results

  show() {
    const results = [...this.results.values()].sort((a, b) => a.action - b.action);
    $("what-if-hint").hidden = results.length > 0;
    $("what-if-results").hidden = !results.length;
    if (!results.length) return;
    setText("what-if-rule", ruleText(results.at(-1)));
    const returns = results.flatMap(({ returns, predicted }) => [...returns, predicted ?? returns[0]]);
    const scores = results.flatMap(({ scores }) => scores);
    $("what-if-list").replaceChildren(...results.map((result) => this.makeEntry(result, range(returns), range(scores))));
    const notes = [...new Set(results.flatMap((result) => result.notes))];
    $("what-if-notes").replaceChildren(...notes.map((note) => make("li", note)));
  }

  makeEntry(result, returnRange, scoreRange) {
    const name = this.actions[result.action];
    const entry = make("li");
    const title = make("div");
    title.className = "entry-title";
    const watch = make("button", "Watch it");
    watch.type = "button";
    watch.setAttribute("aria-label", `Watch what follows ${name}`);
    watch.addEventListener("click", () => this.send({ type: "fork", action: result.action }));
    const rest = make("span", ` and then epsilon ${formatNumber(result.epsilon)}: ${countText(result.returns)}`);
    rest.className = "hint";
    const heading = make("p");
    heading.append(make("strong", name), rest);
    title.append(heading, watch);
    const { returns, scores, predicted, predicts, expected_return: return_, expected_score: score } = result;
    const predictedText = predicts ? `predicted ${predicts} ${formatNumber(predicted)}` : "";
    entry.append(
      title,
      ...line("Return as learned", returns, return_, returnRange, predicted, predictedText),
      ...line("Raw score", scores, score, scoreRange, null, ""),
    );
    return entry;
  }
}

/** Creates a heading with numbers, and their plot. */
function line(title, values, estimate, [low, high], predicted, predictedText) {
  const found = estimate ? `mean ${meanText(estimate)}` : formatNumber(values[0]);
  const text = make("p");
  text.className = "numbers";
  text.append(make("span", `${title}: `), make("b", found));
  if (predictedText) {
    const mark = make("span", predictedText);
    mark.className = "predicted-mark";
    text.append(" ", mark);
  }
  const plot = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "dots" });
  plot.setAttribute("aria-label", `${title}: ${values.map(formatNumber).join(", ")}. ${predictedText}`);
  const x = (value) => MARGIN + ((value - low) / (high - low)) * (WIDTH - 2 * MARGIN);
  const middle = 12;
  plot.append(element("line", { x1: MARGIN, x2: WIDTH - MARGIN, y1: 24, y2: 24, class: "axis" }));
  for (const [value, anchor] of [[low, "start"], [high, "end"]]) {
    const label = element("text", { x: x(value), y: HEIGHT - 1, "text-anchor": anchor });
    label.textContent = formatNumber(Number(value.toPrecision(3)));
    plot.append(label);
  }
  const seen = new Map();
  for (const value of values) {
    const key = Math.round(x(value));
    const count = seen.get(key) ?? 0;
    seen.set(key, count + 1);
    plot.append(element("circle", { cx: x(value), cy: middle + JITTER[count % JITTER.length], r: 2.6, class: "dot" }));
  }
  if (estimate && estimate.low !== null && estimate.high !== null) {
    const [left, right] = [estimate.low, estimate.high].map((end) => x(Math.min(Math.max(end, low), high)));
    plot.append(element("line", { x1: left, x2: right, y1: middle, y2: middle, class: "interval" }));
    plot.append(element("line", { x1: x(estimate.mean), x2: x(estimate.mean), y1: middle - 5, y2: middle + 5, class: "interval" }));
  }
  if (predicted !== null) {
    plot.append(element("line", { x1: x(predicted), x2: x(predicted), y1: 1, y2: 24, class: "predicted" }));
  }
  return [text, plot];
}

function meanText({ mean, low, high }) {
  const interval = low === null || high === null ? "" : ` (95 % interval ${formatNumber(low)} to ${formatNumber(high)})`;
  return `${formatNumber(mean)}${interval}`;
}

function countText({ length }) {
  return length === 1 ? "1 continuation" : `${length} continuations`;
}

/** Describes how the returns are computed. */
function ruleText({ learned, horizon }) {
  const rewards = learned.clipped ? "rewards clipped to [−1, 1]" : "raw rewards";
  const until = learned.to_lost_life ? ", up to a lost life" : "";
  return `A continuation has at most ${formatInteger(horizon)} steps. Its return is the sum of ${rewards}, discounted by ` +
    `${formatNumber(learned.discount)} per step${until}. If it has not ended by then, the predicted value of the last state is added.`;
}

/** Returns the ends of an axis. */
function range(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.05 * (high - low) || 0.5;
  return [low - margin, high + margin];
}

function element(tag, attributes) {
  const created = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  return created;
}
