// The drawings of the Predict mode in the cells.

import { lossText } from "./prediction.js";
import { shownValues } from "./shown_values.js";
import { addArrow, outline, paintArrows, paintValues } from "./world_marks.js";

/** Draws the person's arrows, or the optimal policy with its values. */
export function drawPredictedCells(view, prediction) {
  const { pixels, context } = view;
  const { result, showsOptimum } = prediction;
  pixels.clear();
  view.shown = null;
  if (showsOptimum) paintOptimum(view, result);
  else paintDrawnArrows(view, prediction.actions());
  pixels.drawInto(context);
}

/** Marks the cells with mistakes, and the cells from which the policy never ends. */
export function drawMistakes(view, { result, showsOptimum }) {
  if (!result || showsOptimum) return;
  const { context, cell, theme, world } = view;
  const color = theme.warn;
  result.endless.forEach((s) => outline(context, view, world.places[s], cell * 0.04, [cell * 0.12, cell * 0.1], color));
  result.wrong.forEach((s, rank) => {
    outline(context, view, world.places[s], cell * (rank ? 0.04 : 0.08), [], color);
    drawLoss(view, s, lossText(result.losses[rank]));
  });
}

function paintOptimum(view, result) {
  const world = { ...view.world, values: result.values, criterion: result.criterion };
  const policy = result.best.map((row) => row.map((best) => best / row.reduce((n, b) => n + b, 0)));
  const options = { cells: "optimal", triangles: false, numbers: false };
  const blank = world.moves.map(() => 0);
  const picture = { q: policy.map(() => blank), visits: policy.map(() => blank), policy };
  view.shown = shownValues(world, picture, options);
  paintValues(view.pixels, view.shown);
  paintArrows(view.pixels, view, picture, view.shown, options);
}

function paintDrawnArrows(view, actions) {
  const { cell, theme, world } = view;
  actions.forEach((action, s) => {
    if (world.isEnd[s]) return;
    const color = action === null ? theme.faint : theme.ink;
    view.pixels.stamp(s, `drawn ${color} ${action}`, (context) => {
      const path = new Path2D();
      const drawn = action === null ? world.moves : [world.moves[action]];
      drawn.forEach((move) => addArrow(path, cell / 2, cell / 2, cell, move, 1 / drawn.length));
      context.fillStyle = color;
      context.fill(path);
    });
  });
}

function drawLoss(view, s, text) {
  const { context, cell, theme, ratio } = view;
  const size = Math.round(Math.min(cell * 0.2, 16 * ratio));
  if (size < 8 * ratio) return;
  const [x, y] = view.center(s);
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "bottom";
  context.fillStyle = theme.warn;
  context.fillText(text, x, y + cell * 0.42);
}
