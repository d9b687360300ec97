// The World page. The server learns, evaluates and solves; this page draws the numbers that arrive
// and sends what the person does. gridcade/serve/messages.py describes the messages.

import { readAddress, writeAddress } from "../address.js";
import { drawScale } from "../colors.js";
import { Connection } from "../connection.js";
import { $, setText } from "../dom.js";
import { download } from "../files.js";
import { formatNumber } from "../format.js";
import { connectNavigation } from "../navigation.js";
import { connectFiles, connectOptions, TimeControls } from "./controls.js";
import { Curve } from "./curve.js";
import { CurvePoints } from "./curve_points.js";
import { DEFAULTS } from "./defaults.js";
import { LearnerForm } from "./learner_form.js";
import { showScale, showSymbols } from "./legend.js";
import { showCell, showExact, showUpdate } from "./panels.js";
import { Prediction } from "./prediction.js";
import { unpackPicture } from "./tables.js";
import { TimeSlider } from "./time_slider.js";
import { Tools } from "./tools.js";
import { prepareWorld, WorldView } from "./world_view.js";

/** The part of the page's state that makes a world and a learner. */
function learnerOf({ world, map, agent, parameters, seed }) {
  return { world, map, agent, parameters, seed };
}

class Page {
  constructor(state) {
    this.state = state;
    this.opened = null; // the request of the present learner
    this.exact = null; // the newest exact values of the greedy policy
    this.isNewLearner = false; // an `open` was sent, its `world` has not arrived
    this.mapRequests = []; // uses of the maps that the server will send, in order
    this.frame = null;
    this.view = new WorldView($("canvas"), $("stage"));
    this.points = new CurvePoints();
    this.curve = new Curve($("curve"), [this.points]);
    this.form = new LearnerForm(state, () => this.open());
    this.time = new TimeControls(state, (message) => this.sendToLearner(message), () => this.writeAddress());
    this.slider = new TimeSlider((branch, moment) => this.send({ type: "seek", branch, moment }));
    this.tools = new Tools(this.view, (message) => this.send(message), () => this.redraw());
    this.prediction = new Prediction(this.view, this.tools, state, (message) => this.send(message), () => this.changed());
    connectOptions(state, (name) => this.applyOption(name));
    connectFiles((name, map) => this.openMap(name, map), () => this.requestMap("file"));
    this.listenToWindow();
    this.applyOption("large");
    drawScale($("scale"));
    connectNavigation(() => state.large);
    this.connection = new Connection("live", (message) => this.receive(message), (text) => this.report(text));
  }

  writeAddress() {
    writeAddress(this.state, DEFAULTS);
  }

  // ---- messages

  send(message) {
    $("error").hidden = true;
    this.connection.send(message);
  }

  /** Time stands still while a person predicts. */
  sendToLearner(message) {
    if (!this.prediction.active) this.send(message);
  }

  receive(message) {
    const handlers = {
      prediction: () => this.prediction.setResult(message),
      catalog: () => this.setCatalog(message),
      world: () => this.setWorld(message),
      picture: () => this.setPicture(message),
      history: () => this.setHistory(message),
      update: () => this.setUpdate(message),
      map: () => this.setMap(message.text),
      error: () => this.showError(message.message),
    };
    handlers[message.type]?.();
  }

  setCatalog(catalog) {
    this.form.setCatalog(catalog);
    this.prediction.setCatalog(catalog);
    this.sendVisibility();
    this.open();
  }

  /** A hidden page needs no pictures; the learner goes on. */
  sendVisibility() {
    this.connection.send({ type: "visible", visible: !document.hidden });
  }

  /** Makes a new world and learner from the state of the page. */
  open() {
    $("error").hidden = true;
    this.sendOpen();
  }

  sendOpen() {
    const { map, seed, ...names } = learnerOf(this.state);
    this.isNewLearner = true;
    this.connection.send({ type: "open", ...names, map: map || null, seed: Number(seed) });
    this.writeAddress();
  }

  /** Returns to the learner before a refused `open`; on a first visit, to the default one. */
  revertOpen() {
    const refused = JSON.stringify(learnerOf(this.state));
    this.isNewLearner = false;
    Object.assign(this.state, this.opened ?? learnerOf(DEFAULTS));
    this.form.showChoices();
    if (this.opened) this.rememberEdit(this.world.can_undo);
    else if (refused !== JSON.stringify(learnerOf(DEFAULTS))) this.sendOpen();
  }

  openMap(name, map) {
    this.state.world = name;
    this.state.map = map;
    this.form.showChoices();
    this.open();
  }

  setWorld(message) {
    const world = prepareWorld(message);
    if (this.isNewLearner) this.beginLearner(message.parameters ?? {});
    else this.rememberEdit(message.can_undo);
    this.world = world;
    this.exact = null;
    this.view.setWorld(world);
    this.tools.setWorld(world);
    this.prediction.setWorld(world);
    setText("world-title", world.title || world.name);
    setText("world-about", world.about);
    $("save-map").disabled = !world.editable;
    this.chooseMeasure();
    showSymbols(world);
    showUpdate(null, world);
    this.redraw();
  }

  /** Sets the speed of a new learner, and forgets what belongs to the previous one. */
  beginLearner(parameters) {
    this.isNewLearner = false;
    this.connection.send(this.time.speedMessage());
    this.openedMap = this.state.map;
    this.mapRequests = [];
    this.opened = learnerOf(this.state);
    this.view.cursor = this.view.lastCursor = null;
    this.points.clear();
    this.form.showParametersInForce(parameters);
    this.showKind(this.form.kindOf(this.state.agent));
  }

  /** Shows only what the learner has: a planner has no episodes and no visits. */
  showKind({ unit, walks }) {
    document.body.classList.toggle("planning", !walks);
    this.time.setUnit(unit);
    this.slider.setUnit(unit);
    if (walks || this.state.cells !== "visits") return;
    this.state.cells = $("cells").value = "learnt";
    this.writeAddress();
  }

  /** Brings the edited map into the address; after the last undo, the map that was opened. */
  rememberEdit(canUndo) {
    if (canUndo) return this.requestMap("address");
    return this.keepMap(this.openedMap);
  }

  setPicture(picture) {
    if (!this.world) return;
    this.view.picture = unpackPicture(picture, this.world.moves.length);
    if (this.view.update && this.view.update.steps !== picture.steps) this.setUpdate(null);
    if (picture.exact) {
      this.exact = picture.exact;
      if (picture.newest) this.points.add(picture.exact, this.world.optimum);
      this.curve.requestDrawing();
    }
    this.redraw();
  }

  setHistory(history) {
    if (!this.world) return;
    this.slider.setHistory(history);
    this.points.setHistory(history);
    this.curve.showMark(this.slider.mark);
  }

  setUpdate(update) {
    this.view.update = update;
    showUpdate(update, this.world);
    this.redraw();
  }

  // ---- map files

  /** Asks for the map as text, for a "file" or for the page's "address". */
  requestMap(use) {
    if (use === "address" && !this.world?.editable) return;
    this.mapRequests.push(use);
    this.connection.send({ type: "save" });
  }

  setMap(text) {
    if (this.mapRequests.shift() === "file") {
      download(`${this.state.world.replace(/\W+/g, "-")}.txt`, text);
      return;
    }
    if (!this.isNewLearner) this.keepMap(text); // otherwise it is the map of the previous world
  }

  keepMap(text) {
    this.state.map = text;
    this.form.showChoices();
    this.writeAddress();
  }

  // ---- what is shown

  /** Shows the measure of the learner's criterion, unless the person has chosen another one. */
  chooseMeasure() {
    const own = this.world.criterion === "average-reward" ? "average_reward" : "discounted_return";
    $("measure").value = this.state.measure || own;
    $("measure").querySelector("[value=discounted_return]").textContent =
      `discounted return (γ = ${formatNumber(this.world.discount)})`;
    this.curve.show({ measure: $("measure").value, logarithmic: this.state.log });
  }

  applyOption(name) {
    document.documentElement.classList.toggle("large", this.state.large);
    if (name === "large") this.view.resize();
    if (this.world && (name === "measure" || name === "log")) this.chooseMeasure();
    this.writeAddress();
    this.redraw();
  }

  changed() {
    this.writeAddress();
    this.redraw();
  }

  /** Draws once before the next repaint of the screen, however many messages arrive until then. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const { world, view } = this;
    if (!world) return;
    view.draw(this.state);
    if (view.picture) this.time.setPicture(view.picture);
    showExact(this.exact, world.optimum, $("measure").value);
    showCell(view.lastCursor, world, view.picture);
    showScale(this.prediction.active ? "optimal" : this.state.cells, view.shown);
  }

  // ---- the window, errors

  listenToWindow() {
    const resize = () => {
      this.view.resize();
      this.redraw();
    };
    new ResizeObserver(resize).observe($("stage"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", resize);
    document.addEventListener("visibilitychange", () => this.sendVisibility());
    window.addEventListener("hashchange", () => location.reload());
    document.addEventListener("keydown", (event) => {
      const inField = event.target.matches("input, select");
      if (event.key === "z" && (event.ctrlKey || event.metaKey) && !inField) this.tools.undo();
    });
  }

  report(text) {
    setText("status", text);
    $("status").hidden = !text;
  }

  showError(text) {
    if (this.isNewLearner) this.revertOpen();
    setText("error", text);
    $("error").hidden = false;
    this.redraw();
  }
}

new Page(await readAddress(DEFAULTS));
