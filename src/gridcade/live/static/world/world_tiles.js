// The layers of the picture that change only with the world: tiles below the values, and grid lines
// and symbols above them. Each layer is drawn once into a canvas of its own.

import { formatNumber } from "../format.js";

/** Creates a canvas with the walls, floors and ends. */
export function drawTiles(world, cell, theme) {
  const { canvas, context } = newLayer(world, cell);
  context.fillStyle = theme.floor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  forEachCell(world, (meaning, row, column) => {
    if (meaning.wall) drawWall(context, world, row, column, cell, theme);
    else drawGround(context, world, meaning, column * cell, row * cell, cell, theme);
  });
  return canvas;
}

function drawGround(context, world, meaning, x, y, cell, theme) {
  if (meaning.end) drawEnd(context, world, meaning, x, y, cell, theme);
  else if (meaning.to) drawPortal(context, meaning, x, y, cell, theme);
}

/** Draws one cell over the present picture, as a preview before the world has changed. */
export function drawCell(context, { world, cell, theme }, meaning, row, column) {
  const [x, y] = [column * cell, row * cell];
  context.fillStyle = meaning.wall ? theme.wall : theme.floor;
  context.fillRect(x, y, cell, cell);
  if (meaning.wall) return;
  drawGround(context, world, meaning, x, y, cell, theme);
  drawOver(context, meaning, x, y, cell, theme);
}

/** Creates a canvas with the grid lines, starts, rewards and wind. */
export function drawSymbols(world, cell, theme) {
  const { canvas, context } = newLayer(world, cell);
  if (cell >= 6) drawGrid(context, world, cell, theme);
  forEachCell(world, (meaning, row, column) => {
    const [x, y] = [column * cell, row * cell];
    if (meaning.wall) return;
    drawOver(context, meaning, x, y, cell, theme);
    if (world.settings.wind?.[column] > 0) drawWind(context, world.settings.wind[column], x, y, cell, theme);
  });
  return canvas;
}

function drawOver(context, meaning, x, y, cell, theme) {
  if (meaning.start) drawStart(context, x, y, cell, theme);
  if (showsReward(meaning, cell)) drawPill(context, signed(meaning.reward), x, y, cell, theme);
}

function newLayer(world, cell) {
  const canvas = document.createElement("canvas");
  canvas.width = world.width * cell;
  canvas.height = world.height * cell;
  return { canvas, context: canvas.getContext("2d") };
}

function forEachCell(world, draw) {
  world.rows.forEach((text, row) =>
    [...text].forEach((symbol, column) => draw(world.legend[symbol], row, column)));
}

function drawWall(context, world, row, column, cell, theme) {
  const [x, y] = [column * cell, row * cell];
  context.fillStyle = theme.wall;
  context.fillRect(x, y, cell, cell);
  // An edge where floor lies below the wall makes the wall look raised.
  const below = world.rows[row + 1]?.[column];
  if (below === undefined || world.legend[below].wall) return;
  context.fillStyle = theme["wall-edge"];
  const edge = Math.max(1, Math.round(cell * 0.09));
  context.fillRect(x, y + cell - edge, cell, edge);
}

function drawEnd(context, world, meaning, x, y, cell, theme) {
  context.fillStyle = theme.paper;
  context.fillRect(x, y, cell, cell);
  const [middle, size] = symbolPlace(meaning, y, cell);
  if (meaning.reward >= world.bestEnd) drawStar(context, x + cell / 2, middle, size * 0.38, theme.goal);
  else drawCross(context, x + cell / 2, middle, size * 0.24, theme.pit);
}

/** Returns the vertical center and the size of a symbol, with room for a reward below it. */
function symbolPlace(meaning, y, cell) {
  return showsReward(meaning, cell) ? [y + cell * 0.36, cell * 0.75] : [y + cell / 2, cell];
}

function showsReward(meaning, cell) {
  return meaning.reward !== 0 && cell >= 22;
}

function drawStar(context, x, y, radius, color) {
  context.beginPath();
  for (let i = 0; i < 10; i++) {
    const angle = -Math.PI / 2 + (i * Math.PI) / 5;
    const r = i % 2 ? radius * 0.45 : radius;
    context.lineTo(x + r * Math.cos(angle), y + r * Math.sin(angle));
  }
  context.closePath();
  context.fillStyle = color;
  context.fill();
}

function drawCross(context, x, y, reach, color) {
  context.beginPath();
  context.moveTo(x - reach, y - reach);
  context.lineTo(x + reach, y + reach);
  context.moveTo(x + reach, y - reach);
  context.lineTo(x - reach, y + reach);
  context.strokeStyle = color;
  context.lineWidth = Math.max(1, reach * 0.45);
  context.lineCap = "round";
  context.stroke();
}

function drawPortal(context, meaning, x, y, cell, theme) {
  context.fillStyle = theme.paper;
  context.fillRect(x, y, cell, cell);
  const [middle, size] = symbolPlace(meaning, y, cell);
  if (meaning.reward < 0) return drawCross(context, x + cell / 2, middle, size * 0.24, theme.pit);
  context.beginPath();
  context.arc(x + cell / 2, middle, size * 0.28, 0, 2 * Math.PI);
  context.strokeStyle = theme.portal;
  context.lineWidth = Math.max(1, size * 0.12);
  return context.stroke();
}

function drawGrid(context, world, cell, theme) {
  context.fillStyle = theme.grid;
  for (let row = 1; row < world.height; row++) {
    for (let column = 0; column < world.width; column++) {
      if (!(isWall(world, row, column) && isWall(world, row - 1, column))) {
        context.fillRect(column * cell, row * cell, cell, 1);
      }
    }
  }
  for (let column = 1; column < world.width; column++) {
    for (let row = 0; row < world.height; row++) {
      if (!(isWall(world, row, column) && isWall(world, row, column - 1))) {
        context.fillRect(column * cell, row * cell, 1, cell);
      }
    }
  }
}

function isWall(world, row, column) {
  return world.legend[world.rows[row][column]].wall;
}

/** Marks a start by a folded corner, which arrows and values do not cover. */
function drawStart(context, x, y, cell, theme) {
  const side = Math.max(3, cell * 0.22);
  context.beginPath();
  context.moveTo(x + 1, y + 1);
  context.lineTo(x + 1 + side, y + 1);
  context.lineTo(x + 1, y + 1 + side);
  context.closePath();
  context.fillStyle = theme.accent;
  context.fill();
  context.strokeStyle = theme.paper;
  context.lineWidth = 1;
  context.stroke();
}

function drawPill(context, text, x, y, cell, theme) {
  const size = Math.round(Math.min(cell * 0.24, 20));
  context.font = `600 ${size}px system-ui, sans-serif`;
  const width = context.measureText(text).width + size * 0.7;
  const [left, top] = [x + (cell - width) / 2, y + cell - size * 1.5];
  context.beginPath();
  context.roundRect(left, top, width, size * 1.3, size * 0.65);
  context.fillStyle = theme.paper;
  context.fill();
  context.fillStyle = theme.ink;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x + cell / 2, top + size * 0.7);
}

function drawWind(context, strength, x, y, cell, theme) {
  context.strokeStyle = theme.wind;
  context.lineWidth = Math.max(1, cell * 0.04);
  context.beginPath();
  for (let i = 0; i < Math.min(strength, 3); i++) {
    const top = y + cell * (0.1 + 0.1 * i);
    context.moveTo(x + cell * 0.76, top + cell * 0.08);
    context.lineTo(x + cell * 0.84, top);
    context.lineTo(x + cell * 0.92, top + cell * 0.08);
  }
  context.stroke();
}

function signed(x) {
  return x > 0 ? `+${formatNumber(x)}` : formatNumber(x);
}
