// The predicted value over a game, as in figure 3 of Mnih et al. (2013), with rewards and lost lives.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { readTheme } from "../colors.js";
import { downloadCsv } from "../files.js";
import { padded, plotAxes, remPixels } from "../plot.js";

const MILLISECONDS_BETWEEN_DRAWINGS = 66;
const LEAST_STEPS = 100; // smallest length of the axis
const MARK = 7; // height of a mark in pixels

export class ValueCurve {
  /** Args: element; seek(step): called when the person clicks on a step. */
  constructor(element, seek) {
    Object.assign(this, { element, seek, timer: null, step: 0 });
    this.clear("value");
    new ResizeObserver(() => this.create()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.create());
  }

  /** Begins another game; kind: "value", or "score" if the policy predicts no values. */
  clear(kind) {
    this.kind = kind;
    [this.values, this.rewards, this.lost] = [[], [], new Set()];
    this.requestDrawing();
  }

  /** Adds the moments of a picture, which replace all moments from its first one on. */
  add({ first, values, rewards, lives_lost: lost, step }) {
    if (this.values.length > first) {
      this.values.length = this.rewards.length = first;
      for (const later of [...this.lost].filter((s) => s >= first)) this.lost.delete(later);
    }
    this.values.push(...values);
    this.rewards.push(...rewards);
    lost.forEach((s) => this.lost.add(s));
    this.step = step;
    this.requestDrawing();
  }

  requestDrawing() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.plot?.setData(this.data());
    }, MILLISECONDS_BETWEEN_DRAWINGS);
  }

  /** Returns the columns of steps and values. */
  data() {
    const steps = this.values.map((_, step) => step);
    if (this.kind === "value") return [steps, this.values.slice()];
    let score = 0;
    return [steps, this.rewards.map((reward) => (score += reward))];
  }

  /** Downloads the game as a CSV file with a row for each step. */
  exportCsv() {
    const rows = this.values.map((value, step) => [step, value, this.rewards[step], Number(this.lost.has(step))]);
    downloadCsv("game.csv", ["step", "value", "reward", "life_lost"], rows);
  }

  create() {
    const { clientWidth: width, clientHeight: height } = this.element;
    this.plot?.destroy();
    this.plot = null;
    if (!width || !height) return;
    this.plot = new uPlot(this.plotOptions(width, height), this.data(), this.element);
    this.plot.over.addEventListener("click", ({ offsetX }) => {
      const step = Math.round(this.plot.posToVal(offsetX, "x"));
      this.seek(Math.min(Math.max(step, 0), this.values.length - 1));
    });
  }

  plotOptions(width, height) {
    const theme = readTheme();
    return {
      width,
      height,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 1.2 * remPixels(), 0, 0],
      scales: {
        x: { time: false, range: (_, low, high) => [0, Math.max(high ?? 0, LEAST_STEPS)] },
        y: { range: (_, low, high) => padded(low, high) },
      },
      axes: plotAxes(),
      series: [{}, { stroke: theme.accent, width: 1.5, points: { show: false } }],
      hooks: { draw: [(plot) => this.drawMarks(plot, theme)] },
    };
  }

  /** Marks rewards and lost lives at the foot of the curve, and the step that is shown. */
  drawMarks(plot, theme) {
    const { ctx: context, bbox } = plot;
    const ratio = devicePixelRatio;
    const bottom = bbox.top + bbox.height;
    const line = (step, top, color, thickness) => {
      const x = Math.round(plot.valToPos(step, "x", true));
      context.fillStyle = color;
      context.fillRect(x - thickness / 2, top, thickness, bottom - top);
    };
    context.save();
    for (const step of this.lost) line(step, bbox.top, theme.warn, ratio);
    this.rewards.forEach((reward, step) => {
      if (reward) line(step, bottom - MARK * ratio, reward > 0 ? theme.best : theme.goal, 1.5 * ratio);
    });
    line(this.step, bbox.top, theme.agent, 2 * ratio);
    context.restore();
  }
}
