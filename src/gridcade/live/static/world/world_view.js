// Draws a world with the agent's values and policy into a canvas. The layers, the lowest first: tiles,
// colors and arrows of the cells, symbols, marks of a few cells, the agent.

import { CellPixels } from "./cell_pixels.js";
import { readTheme } from "../colors.js";
import { drawMistakes, drawPredictedCells } from "./prediction_marks.js";
import { showsTriangles, shownValues } from "./shown_values.js";
import { drawSymbols, drawTiles } from "./world_tiles.js";
import * as marks from "./world_marks.js";

const LARGEST_CELL = 6; // rem per side, so that large type comes with large cells
const SMALLEST_CELL = 5; // pixels of the device

/** Adds to a world message the fields that drawing needs. */
export function prepareWorld(message) {
  const cells = message.places.map(([row, column]) => message.legend[message.rows[row][column]]);
  const ends = [...new Set(message.rows.join(""))].map((symbol) => message.legend[symbol]).filter((cell) => cell.end);
  const strongestWind = Math.max(0, ...(message.settings.wind ?? []));
  return {
    ...message,
    height: message.rows.length,
    width: message.rows[0].length,
    isEnd: cells.map((cell) => cell.end || cell.wall), // no action is drawn there
    hasEnd: ends.length > 0,
    bestEnd: Math.max(0, ...ends.map((cell) => cell.reward)),
    stateAt: new Map(message.places.map((place, s) => [String(place), s])),
    numActions: message.signs?.[0].length ?? message.moves.length,
    // In cells; signs may be diagonal moves.
    longestMove: (message.signs ? 1.5 : 1.1) + (strongestWind && strongestWind + 0.5),
  };
}

export class WorldView {
  /** Args: canvas; stage: the element whose width the canvas may use. */
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.context = canvas.getContext("2d");
    this.world = this.picture = this.update = this.shown = null;
    this.cursor = null; // [row, column] of the cell under the pointer, or chosen by keys
    this.lastCursor = null; // the cell in the cell panel, also after the pointer has left
    this.prediction = null; // the Predict mode, which draws instead of the learner; or null
    this.preview = null; // draws a brush's stroke that was not sent yet into a context
    this.theme = readTheme();
  }

  setWorld(world) {
    this.world = world;
    this.picture = this.update = null;
    this.resize();
  }

  /** Fits the cells to the stage, in whole pixels of the device, and draws the static layers. */
  resize() {
    if (!this.world) return;
    this.ratio = window.devicePixelRatio || 1;
    const { width, height } = this.world;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const side = Math.min(this.stage.clientWidth / width, this.room(rem) / height, LARGEST_CELL * rem);
    this.cell = Math.max(SMALLEST_CELL, Math.floor(side * this.ratio));
    this.canvas.width = width * this.cell;
    this.canvas.height = height * this.cell;
    this.canvas.style.width = `${this.canvas.width / this.ratio}px`;
    this.canvas.style.height = `${this.canvas.height / this.ratio}px`;
    this.theme = readTheme();
    this.pixels = new CellPixels(this.world, this.cell);
    this.tiles = drawTiles(this.world, this.cell, this.theme);
    this.symbols = drawSymbols(this.world, this.cell, this.theme);
  }

  /** Returns the height for the world, in CSS pixels; if possible, its legend fits the window too. */
  room(rem) {
    const top = this.stage.getBoundingClientRect().top + window.scrollY;
    const legend = 3.5 * rem;
    return Math.max(window.innerHeight - top - legend, 0.6 * window.innerHeight, 300);
  }

  get longestMove() {
    return this.world.longestMove;
  }

  /** Center of a state's cell, in pixels of the canvas. */
  center(s) {
    const [row, column] = this.world.places[s];
    return [(column + 0.5) * this.cell, (row + 0.5) * this.cell];
  }

  /** The cell at a pointer event, [row, column], or null outside the world. */
  cellAt(event) {
    if (!this.world) return null;
    const box = this.canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.world.height);
    const column = Math.floor(((event.clientX - box.left) / box.width) * this.world.width);
    const inside = row >= 0 && column >= 0 && row < this.world.height && column < this.world.width;
    return inside ? [row, column] : null;
  }

  /** Offset of a pointer event from the center of its cell, [down, right], in cells. */
  offsetAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const fraction = (x, size, count) => ((x / size) * count) % 1;
    return [
      fraction(event.clientY - box.top, box.height, this.world.height) - 0.5,
      fraction(event.clientX - box.left, box.width, this.world.width) - 0.5,
    ];
  }

  draw(chosen) {
    const { context, world, prediction } = this;
    if (!world) return;
    const options = world.signs ? { ...chosen, triangles: false } : chosen; // triangles point to where moves lead
    const picture = prediction ? null : this.picture;
    context.drawImage(this.tiles, 0, 0);
    if (prediction) drawPredictedCells(this, prediction);
    if (picture) this.drawCells(options);
    context.drawImage(this.symbols, 0, 0);
    if (prediction) drawMistakes(this, prediction);
    if (picture) this.drawMarks(options);
    this.preview?.(context);
    if (this.cursor) this.drawCursor();
  }

  /** Outlines the chosen cell, and shows where a portal leads. */
  drawCursor() {
    const { context, world, cursor } = this;
    const { to } = world.legend[world.rows[cursor[0]][cursor[1]]];
    if (to) marks.drawJump(context, this, cursor, ...world.places.filter(([row, column]) => world.rows[row][column] === to));
    marks.outline(context, this, cursor, Math.max(1, this.cell * 0.04), []);
  }

  /** Draws the marks of all cells: colors or triangles, arrows, outlines. */
  drawCells(options) {
    const { world, picture, pixels } = this;
    const shown = (this.shown = shownValues(world, picture, options));
    pixels.clear();
    if (showsTriangles(options)) marks.paintTriangles(pixels, world, picture, shown);
    else marks.paintValues(pixels, shown);
    if (options.wrong) marks.paintWrong(pixels, this, picture);
    if (options.arrows) marks.paintArrows(pixels, this, picture, shown, options);
    pixels.drawInto(this.context);
    if (showsTriangles(options)) marks.drawDiagonals(this.context, this);
  }

  drawMarks(options) {
    const { context, picture, shown } = this;
    if (options.numbers) marks.drawNumbers(context, this, shown);
    if (options.path && picture.path) marks.drawPath(context, this, picture.path);
    if (this.update) marks.drawUpdate(context, this, this.update);
    if (picture.state !== null) marks.drawAgent(context, this, picture.state);
  }
}
