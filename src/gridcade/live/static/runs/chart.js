// The learning curves of several runs: thin for training, thick with intervals for evaluations.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { make } from "../dom.js";
import { downloadCsv } from "../files.js";
import { formatNumber, formatShort } from "../format.js";
import { padded, plotAxes, remPixels } from "../plot.js";

const COLUMNS = 4; // of each run, without x: training, mean, low, high
const FEW_POINTS = 40; // up to this number, evaluations are drawn as points too

export class Chart {
  /** Args: element of the plot; legend: a list; place: element for the cursor's position; hide(name of a run). */
  constructor(element, legend, place, hide) {
    Object.assign(this, { element, legend, place, hide, runs: [], unit: "", plot: null });
    new ResizeObserver(() => this.create()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.create());
  }

  /** Args: runs: [{name, color, columns}], columns as Curves returns them; title of y; unit of x. */
  show(runs, title, unit) {
    const layout = (each) => JSON.stringify(each.map(({ name, color }) => [name, color]));
    const isSame = this.plot && layout(runs) === layout(this.runs) && unit === this.unit;
    [this.runs, this.unit] = [runs, unit];
    this.data = runs.length ? uPlot.join(runs.map(({ columns }) => columns)) : [[]];
    if (isSame) {
      this.plot.setData(this.data);
    } else {
      this.create();
      this.createLegend();
    }
    this.showValues(null);
    const last = runs.map(({ name, columns: [x] }, i) => `${name} ${this.values[i].textContent} at ${formatShort(x.at(-1) ?? 0)} ${unit}`);
    this.element.setAttribute("aria-label", `Learning curves, ${title}: ${last.join("; ")}`);
  }

  /** Downloads the curves as a CSV file with a row for each run and point. */
  exportCsv() {
    const rows = this.runs.flatMap(({ name, columns: [x, ...columns] }) =>
      x.map((at, i) => [name, at, ...columns.map((column) => column[i])]));
    downloadCsv("curves.csv", ["run", this.unit, "training", "mean", "low", "high"], rows);
  }

  create() {
    const { clientWidth: width, clientHeight: height } = this.element;
    this.plot?.destroy();
    this.plot = width && height && this.data ? new uPlot(this.plotOptions(width, height), this.data, this.element) : null;
  }

  plotOptions(width, height) {
    const style = getComputedStyle(document.documentElement);
    const color = (run) => style.getPropertyValue(`--run-${run.color}`).trim();
    const line = { spanGaps: true, points: { show: false } };
    const isFew = this.data[0].length <= FEW_POINTS;
    return {
      width,
      height,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      padding: [8, 1.2 * remPixels(), 0, 0], // room for half of the last label
      scales: {
        x: { time: false, range: (_, low, high) => [0, high > 0 ? high : 1] },
        y: { range: (_, low, high) => padded(low, high) },
      },
      axes: plotAxes(),
      series: [
        {},
        ...this.runs.flatMap((run) => [
          { ...line, stroke: `${color(run)}70`, width: 1 },
          { ...line, stroke: color(run), width: 2.2, points: { show: isFew, size: 5, fill: color(run) } },
          { ...line, stroke: "transparent" },
          { ...line, stroke: "transparent" },
        ]),
      ],
      bands: this.runs.map((run, i) => ({
        series: [COLUMNS * i + 4, COLUMNS * i + 3], // high, low
        fill: `${color(run)}2c`,
      })),
      hooks: { setCursor: [(plot) => this.showValues(plot.cursor.idx)] },
    };
  }

  // ---- legend

  createLegend() {
    this.values = this.runs.map(() => make("span"));
    this.legend.replaceChildren(
      ...this.runs.map((run, i) => {
        const item = make("li");
        const swatch = make("span");
        swatch.className = `swatch run-${run.color}`;
        this.values[i].className = "value";
        const button = make("button", "×");
        button.type = "button";
        button.setAttribute("aria-label", `Hide ${run.name}`);
        button.addEventListener("click", () => this.hide(run.name));
        item.append(swatch, make("span", run.name), this.values[i], button);
        return item;
      }),
    );
  }

  /** Writes the values at a point of the plot; null: the last values. */
  showValues(point) {
    const place = point ?? this.data[0].length - 1;
    this.runs.forEach((_, i) => {
      const [training, mean, low, high] = [1, 2, 3, 4].map((k) => this.data[COLUMNS * i + k] ?? []);
      const at = lastKnown(mean, place);
      const text = at < 0 ? formatNumber(training[lastKnown(training, place)]) : valueText(mean[at], low[at], high[at]);
      if (this.values[i].textContent !== text) this.values[i].textContent = text;
    });
    const text = point === null || point === undefined ? "" : `at ${formatShort(this.data[0][point])} ${this.unit}`;
    if (this.place.textContent !== text) this.place.textContent = text;
  }
}

/** Returns the index of the last number of a column up to a place; -1: none. */
function lastKnown(column, place) {
  for (let i = place; i >= 0; i--) if (column[i] !== null && column[i] !== undefined) return i;
  return -1;
}

function valueText(mean, low, high) {
  const hasInterval = low !== null && low !== undefined && low !== high;
  return formatNumber(mean) + (hasInterval ? ` (${formatNumber(low)} to ${formatNumber(high)})` : "");
}
