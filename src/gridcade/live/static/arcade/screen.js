// The screen of the game: shows the frames one after the other, at the speed of the game.

import { drawImage, paletteTable } from "./picture.js";

const MOST_PICTURES = 3; // waiting frames; when so many wait, only the newest one is drawn
const EARLY = 4; // milliseconds by which a frame may be shown too early

export class Screen {
  /** Args: canvas; shown(picture): called when the last frame of a picture is on the screen. */
  constructor(canvas, shown) {
    Object.assign(this, { canvas, shown, queue: [], table: undefined, interval: 0, due: 0, frame: null });
  }

  /** Sets the colors and the native speed of a game's frames. */
  setGame({ palette, frames_per_step: frames, steps_per_second: steps }) {
    this.table = palette ? paletteTable(palette) : undefined;
    this.interval = 1000 / (frames * steps);
    this.queue = [];
  }

  /** Shows a picture after the waiting ones. */
  add(picture) {
    const interval = this.interval / Math.min(picture.speed, 1);
    if (this.queue.length >= MOST_PICTURES || !picture.playing) this.flush();
    picture.screens.forEach((screen, i) => {
      const isLast = i === picture.screens.length - 1;
      this.queue.push({ screen, interval, picture: isLast ? picture : null });
    });
    if (!picture.playing) this.flush();
    else this.frame ??= requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    this.frame = null;
    this.due = Math.max(this.due, now - this.interval);
    while (this.queue.length && this.due <= now + EARLY) {
      const { screen, interval, picture } = this.queue.shift();
      this.due += interval;
      if (!this.queue.length || this.due > now + EARLY) drawImage(this.canvas, screen, this.table);
      if (picture) this.shown(picture);
    }
    if (this.queue.length) this.frame = requestAnimationFrame((later) => this.tick(later));
  }

  /** Shows the newest waiting picture immediately. */
  flush() {
    for (const { picture } of this.queue) if (picture) this.shown(picture);
    if (this.queue.length) drawImage(this.canvas, this.queue.at(-1).screen, this.table);
    this.queue = [];
  }
}
