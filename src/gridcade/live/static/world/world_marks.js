// The marks in the world that change with each picture. Marks of all cells are written as pixels (see
// cell_pixels.js); marks of a few cells are drawn as paths.

import { LIGHT_LEVEL } from "../colors.js";
import { moveOf } from "../format.js";
import { showsTriangles } from "./shown_values.js";

const DARK_INK = "rgba(12, 14, 24, 0.85)";
const LIGHT_INK = "rgba(255, 255, 255, 0.92)";

/** Fills each cell with the color of its number. */
export function paintValues(pixels, shown) {
  shown.numbers.forEach((x, s) => {
    if (!Number.isNaN(x)) pixels.fill(s, shown.level(x));
  });
}

/** Shows each Q-value as a triangle at the side to which the action moves. */
export function paintTriangles(pixels, world, picture, shown) {
  picture.q.forEach((row, s) => {
    if (!world.isEnd[s]) pixels.fillTriangles(s, row.map((q, a) => (picture.visits[s][a] ? shown.level(q) : -1)));
  });
}

/** Separates the triangles of large cells by lines. */
export function drawDiagonals(context, view) {
  if (view.cell < 20) return;
  context.beginPath();
  forEachState(view, (_, x, y, cell) => {
    context.moveTo(x, y);
    context.lineTo(x + cell, y + cell);
    context.moveTo(x + cell, y);
    context.lineTo(x, y + cell);
  });
  context.strokeStyle = view.theme.grid;
  context.lineWidth = 1;
  context.stroke();
}

/**
 * Shows the greedy policy: the length of an arrow is in proportion to the probability of its action.
 * For actions that are not moves, their texts are written instead.
 */
export function paintArrows(pixels, view, picture, shown, options) {
  const { isEnd } = view.world;
  picture.policy.forEach((row, s) => {
    if (isEnd[s]) return;
    const number = showsTriangles(options) ? greedyValue(picture, s) : shown.numbers[s];
    const color = Number.isNaN(number) ? view.theme.faint : shown.level(number) < LIGHT_LEVEL ? LIGHT_INK : DARK_INK;
    const taken = [...row.keys()].filter((a) => row[a] > 0);
    const probabilities = taken.map((a) => `${view.world.signs?.[s][a] ?? a} ${Math.round(row[a] * 100)}`);
    const key = `${color} ${options.numbers} ${probabilities}`;
    pixels.stamp(s, key, (context) => drawActions(context, view, s, row, color, options.numbers));
  });
}

function drawActions(context, { cell, world }, s, row, color, besideNumbers) {
  // Numbers stand in the lower fifth of a cell, so arrows are smaller and higher beside them.
  const [size, middle] = besideNumbers ? [cell * 0.78, 0.4] : [cell, 0.5];
  const path = new Path2D();
  const texts = new Set();
  row.forEach((p, a) => {
    const move = moveOf(world, s, a);
    if (p > 0 && move) addArrow(path, cell / 2, middle * cell, size, move, p);
    else if (p > 0) texts.add(world.signs[s][a].replace("-", "−"));
  });
  context.fillStyle = color;
  context.fill(path);
  if (texts.size) drawText(context, texts.size > 1 ? "…" : [...texts][0], cell, middle);
}

/** Writes a text into the middle of a cell, if the cell is large enough. */
function drawText(context, text, cell, middle) {
  if (cell < 12) return;
  context.font = `${Math.round(cell * 0.5)}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, cell / 2, middle * cell);
}

function greedyValue(picture, s) {
  const visited = picture.q[s].filter((_, a) => picture.visits[s][a] > 0);
  return visited.length ? Math.max(...visited) : NaN;
}

/**
 * Adds an arrow whose length is in proportion to a probability. It begins in the center of the cell,
 * or, if it is long, behind the center, so that it stays within the cell.
 */
export function addArrow(path, cx, cy, cell, [down, right], probability) {
  const length = cell * 0.68 * probability;
  const tip = Math.min(length, cell * 0.38);
  const tail = tip - length;
  const head = Math.min(length, cell * 0.19);
  const [wide, thin] = [Math.min(cell * 0.14, head), Math.max(0.5, cell * 0.03)];
  const point = (along, across) => [cx + along * right - across * down, cy + along * down + across * right];
  path.moveTo(...point(tail, thin));
  path.lineTo(...point(tip - head, thin));
  path.lineTo(...point(tip - head, wide));
  path.lineTo(...point(tip, 0));
  path.lineTo(...point(tip - head, -wide));
  path.lineTo(...point(tip - head, -thin));
  path.lineTo(...point(tail, -thin));
  path.closePath();
}

/** Writes the shown number into each cell that is large enough. */
export function drawNumbers(context, view, shown) {
  const size = Math.round(view.cell * 0.2);
  if (size < 8 * view.ratio) return;
  context.font = `500 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "bottom";
  // Enough decimals to distinguish about a hundred numbers of the range.
  const decimals = Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(shown.high - shown.low || 1))));
  forEachState(view, (s, x, y, cell) => {
    const number = shown.numbers[s];
    if (Number.isNaN(number)) return;
    context.fillStyle = shown.level(number) < LIGHT_LEVEL ? LIGHT_INK : DARK_INK;
    context.fillText(number.toFixed(decimals).replace("-", "−"), x + cell / 2, y + cell * 0.97);
  });
}

/** Outlines the reachable cells in which the greedy policy can choose a non-optimal action. */
export function paintWrong(pixels, view, picture) {
  const { best, isEnd, reachable } = view.world;
  if (!best) return;
  picture.policy.forEach((row, s) => {
    if (isEnd[s] || reachable?.[s] === false || !row.some((p, a) => p > 0 && !best[s][a])) return;
    pixels.stamp(s, `wrong ${view.theme.warn}`, (context) => drawWrong(context, view));
  });
}

function drawWrong(context, { cell, theme }) {
  const inset = Math.max(1.5, cell * 0.08);
  context.beginPath();
  context.rect(inset, inset, cell - 2 * inset, cell - 2 * inset);
  strokeTwice(context, theme.warn, Math.max(1, cell * 0.06));
}

/** Draws the path of the episode through the centers of its cells, with a faded beginning. */
export function drawPath(context, view, path) {
  const points = path.map((s) => view.center(s));
  const half = Math.floor(points.length / 2);
  for (const [from, to, alpha] of [[0, half + 1, 0.45], [half, points.length, 0.95]]) {
    context.globalAlpha = alpha;
    context.beginPath();
    points.slice(from, to).forEach(([x, y], i, part) => {
      // A portal or a new start is a jump, not a move; the line is interrupted there.
      const jump = i === 0 || Math.hypot(x - part[i - 1][0], y - part[i - 1][1]) > view.longestMove * view.cell;
      if (jump) context.moveTo(x, y);
      else context.lineTo(x, y);
    });
    context.lineJoin = context.lineCap = "round";
    strokeTwice(context, view.theme.agent, Math.max(1, view.cell * 0.05));
  }
  context.globalAlpha = 1;
}

/** Draws the agent as a disc whose light and dark rings contrast with every value's color. */
export function drawAgent(context, view, s) {
  const [x, y] = view.center(s);
  const radius = Math.max(3, view.cell * 0.24);
  for (const [r, color] of [[radius * 1.3, DARK_INK], [radius * 1.18, "#ffffff"], [radius * 0.9, view.theme.agent]]) {
    context.beginPath();
    context.arc(x, y, r, 0, 2 * Math.PI);
    context.fillStyle = color;
    context.fill();
  }
}

/** Marks the cells of one update: s with its action, and the next states. */
export function drawUpdate(context, view, update) {
  const line = Math.max(2, view.cell * 0.09);
  outline(context, view, view.world.places[update.s], line, []);
  for (const s of update.next_states) {
    if (s !== update.s) outline(context, view, view.world.places[s], line, [view.cell * 0.16, view.cell * 0.12]);
  }
  const move = moveOf(view.world, update.s, update.a);
  if (!move) return;
  const [x, y] = view.center(update.s);
  const arrow = new Path2D();
  addArrow(arrow, x, y, view.cell * 1.05, move, 1);
  context.lineJoin = "round";
  context.strokeStyle = "#ffffff";
  context.lineWidth = line;
  context.stroke(arrow);
  context.fillStyle = view.theme.agent;
  context.fill(arrow);
}

/** Outlines one cell. */
export function outline(context, view, [row, column], width, dash, color = view.theme.agent) {
  const { cell } = view;
  context.beginPath();
  context.rect(column * cell + width / 2, row * cell + width / 2, cell - width, cell - width);
  context.setLineDash(dash);
  strokeTwice(context, color, width);
  context.setLineDash([]);
}

/** Marks a jump from one cell to others: a portal and its targets. */
export function drawJump(context, view, from, ...targets) {
  const { cell, theme } = view;
  const width = Math.max(1.5, cell * 0.06);
  const center = ([row, column]) => [(column + 0.5) * cell, (row + 0.5) * cell];
  context.beginPath();
  for (const target of targets) {
    context.moveTo(...center(from));
    context.lineTo(...center(target));
  }
  context.setLineDash([cell * 0.16, cell * 0.12]);
  strokeTwice(context, theme.portal, width);
  context.setLineDash([]);
  for (const [row, column] of [from, ...targets]) {
    context.beginPath();
    context.rect(column * cell + width, row * cell + width, cell - 2 * width, cell - 2 * width);
    strokeTwice(context, theme.portal, width);
  }
}

/** Tints a column. */
export function fillColumn(context, { world, cell, theme }, column) {
  context.globalAlpha = 0.35;
  context.fillStyle = theme.wind;
  context.fillRect(column * cell, 0, cell, world.height * cell);
  context.globalAlpha = 1;
}

/** Strokes the present path with a white border, so that it is visible on every color. */
function strokeTwice(context, color, width) {
  context.strokeStyle = "rgba(255, 255, 255, 0.85)";
  context.lineWidth = width * 1.9;
  context.stroke();
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

function forEachState(view, draw) {
  view.world.places.forEach(([row, column], s) => {
    if (!view.world.isEnd[s]) draw(s, column * view.cell, row * view.cell, view.cell);
  });
}
