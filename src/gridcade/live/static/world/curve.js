// The curves of the exact values of the greedy policies, under the lines of the optima.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { readTheme } from "../colors.js";
import { padded, plotAxes, remPixels } from "../plot.js";

const MILLISECONDS_BETWEEN_DRAWINGS = 100; // the curve needs fewer pictures than the world

export class Curve {
  /** Args: element to draw in; lanes: objects with `points` (CurvePoints) and `seeds` (LaneSeeds). */
  constructor(element, lanes) {
    Object.assign(this, { element, lanes, measure: "average_reward", logarithmic: false, timer: null });
    this.mark = null; // steps of the shown moment of the past, which a vertical line marks
    new ResizeObserver(() => this.create()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.create());
  }

  /** The canvas on which the curve is drawn. */
  get canvas() {
    return this.plot.ctx.canvas;
  }

  showLanes(lanes) {
    this.lanes = lanes;
    this.create();
  }

  show({ measure, logarithmic }) {
    [this.measure, this.logarithmic] = [measure, logarithmic];
    this.create();
  }

  showMark(steps) {
    if (steps === this.mark) return;
    this.mark = steps;
    this.requestDrawing();
  }

  requestDrawing() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      const lines = this.lines();
      if (lines.length !== this.plot?.series.length - 1 || String(bandsOf(lines)) !== this.bandKey) this.create();
      else this.plot.setData(this.data(lines));
    }, MILLISECONDS_BETWEEN_DRAWINGS);
  }

  /** Returns the lines of all lanes, the lowest layer first: {points, value(point), style}. */
  lines() {
    const theme = readTheme();
    const line = (points, value, style) => ({ points, value, style: { points: { show: false }, spanGaps: true, ...style } });
    const exact = ({ exact: values }) => values[this.measure] ?? null;
    const best = ({ optimum }) => optimum[this.measure] ?? null;
    // An edit of the world moves the optimum at once, so its line has steps.
    const dashed = { stroke: theme.best, width: 2, dash: [6, 4], paths: uPlot.paths.stepped({ align: 1 }) };
    const colors = [theme.accent, theme.second];
    return [
      ...this.lanes.flatMap(({ seeds }, i) => this.bandLines(seeds.band(this.measure), colors[i], line)),
      ...this.lanes.flatMap(({ points }) => points.others.map((others) => line(others, exact, { stroke: theme.faint, width: 1.5 }))),
      ...this.lanes.map(({ points }) => line(points.present, best, dashed)),
      ...this.lanes.map(({ points }, i) => line(points.present, exact, { stroke: colors[i], width: 2 })),
    ];
  }

  /** Returns the lines of a lane's seeds: the upper and lower limit of the band, and the mean. */
  bandLines(band, color, line) {
    if (!band.length) return [];
    return [
      { ...line(band, ({ high }) => high, { stroke: "transparent" }), bandColor: translucent(color) },
      line(band, ({ low }) => low, { stroke: "transparent" }),
      line(band, ({ mean }) => mean, { stroke: color, width: 1, dash: [2, 3] }),
    ];
  }

  /** Returns the columns of steps and of the values of each line. */
  data(lines) {
    const steps = (point) => (this.logarithmic ? Math.max(point.steps, 1) : point.steps);
    return uPlot.join(lines.map(({ points, value }) => [points.map(steps), points.map(value)]));
  }

  create() {
    const { clientWidth: width, clientHeight: height } = this.element;
    this.plot?.destroy();
    this.plot = null;
    if (!width || !height) return;
    const lines = this.lines();
    this.bandKey = String(bandsOf(lines));
    this.plot = new uPlot(this.plotOptions(width, height, lines), this.data(lines), this.element);
  }

  /** Draws a line at the moment of the past that is shown. */
  drawMark(plot) {
    if (this.mark === null) return;
    const { left, top, width, height } = plot.bbox;
    const x = plot.valToPos(this.logarithmic ? Math.max(this.mark, 1) : this.mark, "x", true);
    if (x < left || x > left + width) return;
    plot.ctx.fillStyle = readTheme().agent;
    plot.ctx.fillRect(x - 1, top, 2, height);
  }

  plotOptions(width, height, lines) {
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
      series: [{}, ...lines.map(({ style }) => style)],
      bands: bandsOf(lines).map((high) => ({ series: [high, high + 1], fill: lines[high - 1].bandColor })),
      hooks: { draw: [(plot) => this.drawMark(plot)] },
    };
  }
}

/** Returns the numbers of the series that are upper limits of bands; the lower limits follow them. */
function bandsOf(lines) {
  return lines.flatMap(({ bandColor }, i) => (bandColor ? [i + 1] : []));
}

function translucent(color) {
  return `color-mix(in srgb, ${color} 22%, transparent)`;
}

/** Returns the ticks of a logarithmic axis: at most seven powers of ten. */
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
