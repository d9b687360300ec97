// Colors, triangles, arrows and outlines of all cells, written pixel by pixel into one image.
// A maze of 61 x 61 cells has thousands of cells. Drawing them as paths or copied pictures takes tens
// of milliseconds in a browser that draws in software; writing pixels takes two or three.

import { VIRIDIS } from "../colors.js";

const MOST_STAMPS = 500; // stored pictures; stochastic policies have many different cells

export class CellPixels {
  /** Args: world; cell: side of a cell in pixels. */
  constructor(world, cell) {
    Object.assign(this, { world, cell, stamps: new Map() });
    this.image = new ImageData(world.width * cell, world.height * cell);
    this.pixels = new Uint32Array(this.image.data.buffer); // [height * width]
    this.origins = world.places.map(([row, column]) => (row * this.image.width + column) * cell); // [states]
    this.triangles = triangleActions(cell, world.moves);
    this.colors = VIRIDIS.map(packed); // [levels]
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.image.width;
    this.canvas.height = this.image.height;
  }

  clear() {
    this.pixels.fill(0);
  }

  /** Fills the cell of a state with the color of a level. */
  fill(s, level) {
    const { cell, image, pixels, origins } = this;
    for (let y = 0, start = origins[s]; y < cell; y++, start += image.width) {
      pixels.fill(this.colors[level], start, start + cell);
    }
  }

  /** Fills the triangles of a state's actions; a level of -1 leaves the triangle empty. */
  fillTriangles(s, levels) {
    const { cell, image, pixels, origins, triangles } = this;
    const colors = levels.map((level) => (level < 0 ? 0 : this.colors[level]));
    for (let y = 0, i = 0, start = origins[s]; y < cell; y++, start += image.width) {
      for (let x = 0; x < cell; x++, i++) {
        if (triangles[i] >= 0) pixels[start + x] = colors[triangles[i]];
      }
    }
  }

  /** Copies a stored picture over the cell of a state; draw(context) draws it if its key is new. */
  stamp(s, key, draw) {
    let stamp = this.stamps.get(key);
    if (!stamp) {
      if (this.stamps.size === MOST_STAMPS) this.stamps.clear();
      this.stamps.set(key, (stamp = this.makeStamp(draw)));
    }
    const origin = this.origins[s];
    for (let i = 0; i < stamp.offsets.length; i++) {
      const place = origin + stamp.offsets[i];
      this.pixels[place] = over(this.pixels[place], stamp.colors[i]);
    }
  }

  /** Draws a picture, and returns its visible pixels: their offsets in the image, and colors. */
  makeStamp(draw) {
    const { cell, image } = this;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = cell;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    draw(context);
    const drawn = new Uint32Array(context.getImageData(0, 0, cell, cell).data.buffer);
    const indices = [...drawn.keys()].filter((i) => drawn[i] >>> 24);
    return {
      offsets: Int32Array.from(indices, (i) => Math.floor(i / cell) * image.width + (i % cell)),
      colors: Uint32Array.from(indices, (i) => drawn[i]),
    };
  }

  /** Draws the image over the present content of a context. */
  drawInto(context) {
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
    context.drawImage(this.canvas, 0, 0);
  }
}

/** Blends a color over another one; over a transparent pixel, the color keeps its transparency. */
function over(below, above) {
  const alpha = above >>> 24;
  if (alpha === 255 || below >>> 24 === 0) return above;
  let mixed = 255 << 24;
  for (let shift = 0; shift < 24; shift += 8) {
    const [low, high] = [(below >>> shift) & 255, (above >>> shift) & 255];
    mixed |= Math.round((low * (255 - alpha) + high * alpha) / 255) << shift;
  }
  return mixed >>> 0;
}

/** Packs a color into the four bytes of a pixel, in little-endian order. */
function packed([red, green, blue]) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Returns the action whose triangle covers each pixel of a cell; -1: none.  [cell * cell], row by row. */
function triangleActions(cell, moves) {
  return Int8Array.from({ length: cell * cell }, (_, i) => {
    const [down, right] = [Math.floor(i / cell) - (cell - 1) / 2, (i % cell) - (cell - 1) / 2];
    const side = Math.abs(down) > Math.abs(right) ? [Math.sign(down), 0] : [0, Math.sign(right)];
    return moves.findIndex((move) => move[0] === side[0] && move[1] === side[1]);
  });
}
