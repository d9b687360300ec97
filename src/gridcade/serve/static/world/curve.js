// The curve of the exact value of the greedy policy, under the line of the optimum.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { readTheme } from "../colors.js";
import { padded, plotAxes, remPixels } from "../plot.js";

const MOST_POINTS = 4000; // beyond this number, every second point is dropped
const MILLISECONDS_BETWEEN_DRAWINGS = 100; // the curve needs fewer pictures than the world
export const MEASURES = ["average_reward", "expected_return", "discounted_return"];

export class Curve {
  constructor(element) {
    this.element = element;
    this.measure = "average_reward";
    this.logarithmic = false;
    this.points = []; // {steps, exact, optimum}
    this.timer = null;
    new ResizeObserver(() => this.create()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.create());
  }

  clear() {
    this.points = [];
    this.requestDrawing();
  }

  /** Adds the values of a policy, {measure: value}, and the optimum of the world it was in. */
  add(exact, optimum) {
    const point = { steps: exact.steps, exact, optimum };
    // Of points with the same values, the first and the last are enough to draw their line.
    if (sameValues(point, this.points.at(-1)) && sameValues(point, this.points.at(-2))) this.points.pop();
    this.points.push(point);
    if (this.points.length > MOST_POINTS) this.points = this.points.filter((_, i) => i % 2 === 0);
    this.requestDrawing();
  }

  show({ measure, logarithmic }) {
    [this.measure, this.logarithmic] = [measure, logarithmic];
    this.create();
  }

  requestDrawing() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.plot?.setData(this.data());
    }, MILLISECONDS_BETWEEN_DRAWINGS);
  }

  /** Columns of steps, values and optima. */
  data() {
    const steps = this.points.map((point) => (this.logarithmic ? Math.max(point.steps, 1) : point.steps));
    const values = this.points.map((point) => point.exact[this.measure] ?? null);
    const optima = this.points.map((point) => point.optimum[this.measure] ?? null);
    return [steps, values, optima];
  }

  create() {
    const { clientWidth: width, clientHeight: height } = this.element;
    this.plot?.destroy();
    this.plot = width && height ? new uPlot(this.plotOptions(width, height), this.data(), this.element) : null;
  }

  plotOptions(width, height) {
    const theme = readTheme();
    const rem = remPixels();
    const [xAxis, yAxis] = plotAxes();
    return {
      width,
      height,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 1.2 * rem, 0, 0], // room for half of the last label
      scales: {
        x: { time: false, distr: this.logarithmic ? 3 : 1, range: (_, low, high) => stepRange(low, high, this.logarithmic) },
        y: { range: (_, low, high) => padded(low, high) },
      },
      axes: [
        { ...xAxis, ...(this.logarithmic && { splits: powersOfTen, filter: (_, ticks) => ticks }) },
        yAxis,
      ],
      series: [
        {},
        { stroke: theme.accent, width: 2, points: { show: false } },
        // An edit of the world moves the optimum at once, so its line has steps.
        { stroke: theme.best, width: 2, dash: [6, 4], points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) },
      ],
    };
  }
}

function sameValues(point, other) {
  return other !== undefined && point.optimum === other.optimum &&
    MEASURES.every((measure) => point.exact[measure] === other.exact[measure]);
}

/** Ticks of a logarithmic axis: at most seven powers of ten. */
function powersOfTen(_, axis, low, high) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const stride = Math.ceil((last - first + 1) / 7);
  const count = Math.floor((last - first) / stride) + 1;
  return Array.from({ length: count }, (_, i) => 10 ** (first + i * stride));
}

function stepRange(low, high, logarithmic) {
  if (low === null || high === null) return logarithmic ? [1, 10] : [0, 100];
  const first = logarithmic ? Math.max(low, 1) : 0;
  return [first, Math.max(high, first + 1, logarithmic ? 10 : 0)];
}
