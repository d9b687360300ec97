// Exports the numbers and pictures of the World page as files.

import { connectExports } from "../exports.js";
import { downloadCsv, downloadPng } from "../files.js";
import { actionNameAt, isAllowed } from "../format.js";
import { MEASURES } from "./curve_points.js";

/** Connects the menu. Args: page: has `lanes` and `curve`. */
export function connectWorldExports(page) {
  const exports = {
    "values-csv": () => exportValues(page.lanes),
    "curve-csv": () => exportCurve(page.lanes),
    "world-png": () => page.lanes.forEach(exportWorld),
    "curve-png": () => downloadPng("curve.png", page.curve.canvas),
  };
  connectExports(exports, () => page.lanes.every((lane) => lane.picture));
}

/** Writes a row for each lane, cell and action. */
function exportValues(lanes) {
  const header = ["lane", "row", "column", "action", "q", "exact_q", "policy", "updates"];
  const rows = lanes.flatMap(({ world, picture }, lane) =>
    world.places.flatMap(([row, column], s) =>
      [...picture.q[s].keys()].filter((a) => isAllowed(world, s, a)).map((a) => [
        lane + 1, row + 1, column + 1, actionNameAt(world, s, a).split(" ").at(-1),
        picture.q[s][a], world.optimum.q[s][a], picture.policy[s][a], picture.visits[s][a],
      ])));
  downloadCsv("values.csv", header, rows);
}

/** Writes a row for each lane and point of its present branch. */
function exportCurve(lanes) {
  const optima = MEASURES.map((measure) => `optimal_${measure}`);
  const rows = lanes.flatMap(({ points }, lane) =>
    points.present.map(({ steps, exact, optimum }) => [
      lane + 1, steps, ...MEASURES.map((measure) => exact[measure]), ...MEASURES.map((measure) => optimum[measure]),
    ]));
  downloadCsv("curve.csv", ["lane", "steps", ...MEASURES, ...optima], rows);
}

function exportWorld({ view, world, suffix }) {
  downloadPng(`${world.name.replace(/\W+/g, "-")}${suffix}.png`, view.canvas);
}
