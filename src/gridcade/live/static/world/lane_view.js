// One lane of the page: its connection, the newest messages, and the parts of the page that show them.

import { drawScale } from "../colors.js";
import { Connection } from "../connection.js";
import { $ } from "../dom.js";
import { CurvePoints } from "./curve_points.js";
import { LaneSeeds } from "./lane_seeds.js";
import { showScale } from "./legend.js";
import { showCell, showExact, showFacts, showUpdate } from "./panels.js";
import { unpackPicture } from "./tables.js";
import { prepareWorld, WorldView } from "./world_view.js";

export class LaneView {
  /** Args: parts: elements of the page; suffix of their ids; page: notified of new messages. */
  constructor(parts, suffix, page) {
    Object.assign(this, { parts, suffix, page });
    this.world = this.picture = this.exact = this.history = this.kind = null;
    this.opened = null; // the request of the present learner
    this.isNew = false; // whether an `open` was sent whose `world` has not arrived yet
    this.isReady = false; // whether the server's catalog has arrived
    this.view = new WorldView($(`canvas${suffix}`), $(`stage${suffix}`));
    this.points = new CurvePoints();
    this.seeds = new LaneSeeds(suffix, (message) => this.send(message), () => page.handleSeeds());
    drawScale($(`scale${suffix}`));
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe($(`stage${suffix}`));
    this.connection = new Connection("live", (message) => this.receive(message), (text) => page.report(text));
  }

  // ---- messages

  send(message) {
    this.connection.send(message);
  }

  /** Tells the server whether the page is visible; a hidden page needs no pictures. */
  sendVisibility() {
    this.send({ type: "visible", visible: !document.hidden });
  }

  /** Makes a new world and learner. */
  open(request) {
    this.isNew = true;
    this.requested = request;
    this.send({ type: "open", ...request });
  }

  receive(message) {
    const handlers = {
      catalog: () => this.setCatalog(message),
      world: () => this.setWorld(prepareWorld(message)),
      picture: () => this.setPicture(message),
      history: () => this.setHistory(message),
      update: () => this.setUpdate(message),
      seeds: () => this.seeds.set(message),
      prediction: () => this.page.prediction.setResult(message),
      comparison: () => this.page.showComparison(message.text),
      map: () => this.page.maps.receive(message.text, this.opened.world),
      error: () => this.page.showError(this, message.message),
    };
    handlers[message.type]?.();
  }

  setCatalog(catalog) {
    this.isReady = true;
    this.sendVisibility();
    this.page.handleCatalog(this, catalog);
  }

  setWorld(world) {
    const isNew = this.isNew;
    this.isNew = false;
    this.world = world;
    this.exact = null;
    this.seeds.set(null); // the seeds learned in another world
    if (isNew) {
      this.opened = this.requested;
      this.view.cursor = this.view.lastCursor = null;
      this.points.clear();
    }
    this.view.setWorld(world);
    this.setUpdate(null);
    this.page.handleWorld(this, isNew);
  }

  setPicture(picture) {
    if (!this.world) return;
    this.picture = this.view.picture = unpackPicture(picture, this.world.numActions);
    if (this.view.update && this.view.update.steps !== picture.steps) this.setUpdate(null);
    if (picture.exact) {
      this.exact = picture.exact;
      if (picture.newest) this.points.add(picture.exact, this.world.optimum);
      this.page.curve.requestDrawing();
    }
    this.page.redraw();
  }

  setHistory(history) {
    if (!this.world) return;
    this.history = history;
    this.points.setHistory(history);
    this.page.handleHistory(this);
  }

  setUpdate(update) {
    this.view.update = update;
    showUpdate(update, this.world, this.suffix);
    this.page.redraw();
  }

  /** Returns to the moment of the present branch that is nearest to a number of steps. */
  seekSteps(steps) {
    const { moments, branch } = this.history ?? { moments: [] };
    if (!moments.length) return;
    const distance = ([, at]) => Math.abs(at - steps);
    const nearest = moments.reduce((best, moment) => (distance(moment) <= distance(best) ? moment : best));
    this.send({ type: "seek", branch, moment: nearest[0] });
  }

  // ---- what is shown

  /** Shows the learner's name; hides episodes and visits of a planner, which has none. */
  setKind(kind, name) {
    this.kind = kind;
    this.seeds.setKind(kind);
    for (const part of this.parts) {
      part.classList.toggle("planning", !kind.walks);
      part.querySelectorAll(".lane-name").forEach((element) => (element.textContent = name));
    }
  }

  resize() {
    this.view.resize();
    this.page.redraw();
  }

  draw(options, measure) {
    const { world, view, suffix } = this;
    if (!world) return;
    view.draw(options);
    if (this.picture) showFacts(this.picture, this.kind, suffix);
    showExact(this.exact, world.optimum, measure, suffix);
    showCell(view.lastCursor, world, view.picture, suffix);
    showScale(view.prediction ? "optimal" : options.cells, view.shown, suffix);
  }

  /** Closes the connection, which ends the lane's process, and removes the lane from the page. */
  close() {
    this.connection.close();
    this.resizing.disconnect();
    this.parts.forEach((part) => part.remove());
  }
}

/** Whether two worlds have the same map and settings. */
export function isSameWorld(a, b) {
  const drawing = ({ rows, legend, settings }) => JSON.stringify([rows, legend, settings]);
  return drawing(a) === drawing(b);
}
