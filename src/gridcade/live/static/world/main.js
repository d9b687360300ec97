// The World page. The server learns, evaluates and solves; this page draws the numbers that arrive
// and sends what the person does. gridcade/live/world/messages.py describes the messages.

import { readAddress, writeAddress } from "../address.js";
import { connectBeginning } from "../beginning.js";
import { $, setText } from "../dom.js";
import { formatNumber } from "../format.js";
import { connectNavigation } from "../navigation.js";
import { Tour } from "../tour.js";
import { learnerName } from "./agent_choice.js";
import { connectFiles, connectOptions, TimeControls } from "./controls.js";
import { Curve } from "./curve.js";
import { DEFAULTS } from "./defaults.js";
import { connectWorldExports } from "./exports.js";
import { firstParts } from "./lane_parts.js";
import { compareSeeds } from "./lane_seeds.js";
import { isSameWorld, LaneView } from "./lane_view.js";
import { LearnerForm } from "./learner_form.js";
import { showSymbols } from "./legend.js";
import { MapKeeper } from "./map_keeper.js";
import { Prediction } from "./prediction.js";
import { SecondLane } from "./second_lane.js";
import { TimeSlider } from "./time_slider.js";
import { Tools } from "./tools.js";
import { TOUR } from "./tour_steps.js";

/** The parts of the page's state that determine the world and the learners. */
const LEARNER_FIELDS = ["world", "map", "agent", "parameters", "agent2", "parameters2", "seed"];

function learnerOf(state) {
  return Object.fromEntries(LEARNER_FIELDS.map((name) => [name, state[name]]));
}

class Page {
  constructor(state) {
    this.state = state;
    this.opened = null; // the part of the state from which the present learner was made
    this.waiting = null; // a message that is sent when both lanes are in the same world
    this.frame = null;
    this.secondLane = new SecondLane(this);
    this.curve = new Curve($("curve"), []);
    this.form = new LearnerForm(state, {
      open: () => this.open(),
      openSecond: () => this.secondLane.open(),
      closeSecond: () => this.secondLane.close(),
    });
    this.time = new TimeControls(state, (message) => this.control(message), () => this.writeAddress());
    this.slider = new TimeSlider((branch, moment, steps) => this.seek(branch, moment, steps));
    this.first = new LaneView(firstParts(), "", this);
    this.maps = new MapKeeper(this.first, { keep: (text) => this.keepMap(text), follow: (text) => this.follow(text) });
    this.tools = new Tools(this.first.view, (message) => this.change(message), () => this.redraw());
    this.prediction = new Prediction(this.first.view, this.tools, state, {
      pause: () => this.sendAll({ type: "pause" }),
      send: (message) => this.first.send(message),
      changed: () => this.changed(),
    });
    this.showLanes();
    connectOptions(state, (name) => this.applyOption(name));
    connectFiles((name, map) => this.openMap(name, map), () => this.maps.request("file"));
    this.listenToWindow();
    this.applyOption("large");
    connectNavigation(() => state.large);
    connectBeginning($("beginning"));
    connectWorldExports(this);
    this.tour = new Tour("World", TOUR, $("tour"));
  }

  /** The second lane, or null. */
  get second() {
    return this.secondLane.view;
  }

  get lanes() {
    return this.second ? [this.first, this.second] : [this.first];
  }

  writeAddress() {
    writeAddress(this.state, DEFAULTS);
  }

  // ---- new learners

  handleCatalog(lane, catalog) {
    $("error").hidden = true; // an earlier connection may have been refused
    if (lane === this.second) return this.openSecond();
    this.form.setCatalog(catalog);
    this.prediction.setCatalog(catalog);
    if (this.state.agent2 && !this.second) this.secondLane.add();
    return this.sendOpen();
  }

  /** Makes a new world and learners from the state of the page. */
  open() {
    $("error").hidden = true;
    this.sendOpen();
  }

  sendOpen() {
    this.waiting = null;
    this.openLane(this.first); // the second lane is opened after the first
    this.writeAddress();
  }

  /** Makes a new learner in the second lane, when the first lane has one. */
  openSecond() {
    if (this.second?.isReady && this.opened && !this.first.isNew) this.openLane(this.second);
  }

  openLane(lane) {
    const { world, map, seed, agent, parameters, agent2, parameters2 } = this.state;
    const learner = lane === this.first ? { agent, parameters } : { agent: agent2, parameters: parameters2 };
    lane.open({ world, map: map || null, seed: Number(seed), ...learner });
  }

  openMap(name, map) {
    this.state.world = name;
    this.state.map = map;
    this.form.showChoices();
    this.open();
  }

  /** Restores the learner before a refused `open`; on a first visit, opens the default learner. */
  revertOpen() {
    const refused = JSON.stringify(learnerOf(this.state));
    this.first.isNew = false;
    Object.assign(this.state, this.opened ?? learnerOf(DEFAULTS));
    if (!this.state.agent2) this.secondLane.remove();
    this.form.showAgents();
    this.form.showChoices();
    if (this.opened) this.maps.rememberEdit(this.first.world.can_undo);
    else if (refused !== JSON.stringify(learnerOf(DEFAULTS))) this.sendOpen();
  }

  /** Prepares the page for a new learner in the first lane. */
  beginLearner() {
    this.maps.begin(this.state.map);
    this.opened = learnerOf(this.state);
    this.form.first.showParametersInForce(this.first.world.parameters, this.state.parameters);
    this.first.setKind(this.form.first.kind, `1 · ${learnerName(this.state.agent, this.state.parameters)}`);
  }

  // ---- both lanes

  showLanes() {
    document.body.classList.toggle("two-lanes", Boolean(this.second));
    this.curve.showLanes(this.lanes);
    this.showKinds();
    this.lanes.forEach((lane) => lane.resize());
  }

  /** Sets the unit, step or sweep, and hides what no learner has. */
  showKinds() {
    const kinds = this.lanes.map((lane) => lane.kind).filter(Boolean);
    if (!kinds.length) return;
    const walks = kinds.some((kind) => kind.walks);
    document.body.classList.toggle("planning", !walks);
    const unit = kinds.every((kind) => kind.unit === kinds[0].unit) ? kinds[0].unit : "step";
    this.time.setUnit(unit);
    this.slider.setUnit(unit);
    if (walks || this.state.cells !== "visits") return;
    this.state.cells = $("cells").value = "learnt";
    this.writeAddress();
  }

  // ---- what the person does

  /** Runs, pauses or steps all lanes, in the same world. Does nothing while a person predicts. */
  control(message) {
    $("error").hidden = true;
    if (this.prediction.active) return undefined;
    if (this.isFollowed || ["pause", "speed"].includes(message.type)) return this.sendAll(message);
    this.waiting = message;
    return this.maps.request("follow");
  }

  sendAll(message) {
    const lanes = message.type === "episode" ? this.lanes.filter((lane) => lane.kind?.walks) : this.lanes;
    lanes.forEach((lane) => lane.send(message));
  }

  /** Changes the world of the first lane; the second lane takes it over. */
  change(message) {
    $("error").hidden = true;
    this.isChanging = true;
    this.first.send(message);
  }

  /** Returns to a moment of the first lane, and to the nearest moment of the second lane. */
  seek(branch, moment, steps) {
    $("error").hidden = true;
    this.isChanging = false;
    this.first.send({ type: "seek", branch, moment });
    if (steps !== null) this.second?.seekSteps(steps);
    else if (this.second?.history?.branches.some((other) => other.branch === branch)) {
      this.second.send({ type: "seek", branch, moment });
    }
  }

  // ---- what arrives

  handleWorld(lane, isNew) {
    if (isNew) lane.send(this.time.speedMessage());
    if (lane === this.second) {
      if (isNew) this.secondLane.begin();
    } else {
      if (isNew) this.beginLearner();
      else this.maps.rememberEdit(lane.world.can_undo);
      this.showWorld(lane.world);
      if (isNew) this.openSecond();
    }
    if (isNew) this.showKinds();
    this.redraw();
  }

  showWorld(world) {
    this.tour.startOnFirstVisit();
    this.tools.setWorld(world);
    this.prediction.setWorld(world);
    setText("world-title", world.title || world.name);
    setText("world-about", world.about);
    $("save-map").disabled = !world.editable;
    $("triangles").closest("label").hidden = Boolean(world.signs);
    this.chooseMeasure();
    showSymbols(world);
  }

  handleHistory(lane) {
    if (lane !== this.first) return;
    this.slider.setHistory(lane.history);
    this.curve.showMark(this.slider.mark);
  }

  /** Draws the bands, and compares the lanes when both have finished their seeds. */
  handleSeeds() {
    this.curve.requestDrawing();
    this.showComparison("");
    if (this.second) compareSeeds(this.first, this.second, $("measure").value);
  }

  showComparison(text) {
    setText("comparison", text);
    $("comparison").hidden = !text;
  }

  // ---- one world for both lanes

  keepMap(text) {
    this.state.map = text;
    this.form.showChoices();
    this.writeAddress();
  }

  /** Whether both lanes are in the same world. */
  get isFollowed() {
    return !this.second?.world || isSameWorld(this.first.world, this.second.world);
  }

  /** Puts the second lane into the world of the first one, after a change or before more steps. */
  follow(map) {
    if (!this.isFollowed && (this.isChanging || this.waiting)) this.second.send({ type: "redraw", map });
    this.isChanging = false;
    if (this.waiting) this.sendAll(this.waiting);
    this.waiting = null;
  }

  // ---- what is shown

  /** Shows the person's chosen measure, by default the measure of the learner's criterion. */
  chooseMeasure() {
    const { criterion, discount } = this.first.world;
    $("measure").value = this.state.measure || (criterion === "average-reward" ? "average_reward" : "discounted_return");
    $("measure").querySelector("[value=discounted_return]").textContent = `discounted return (γ = ${formatNumber(discount)})`;
    this.curve.show({ measure: $("measure").value, logarithmic: this.state.log });
    this.handleSeeds();
  }

  applyOption(name) {
    document.documentElement.classList.toggle("large", this.state.large);
    if (name === "large") this.lanes.forEach((lane) => lane.resize());
    if (this.first.world && (name === "measure" || name === "log")) this.chooseMeasure();
    this.writeAddress();
    this.redraw();
  }

  changed() {
    this.writeAddress();
    this.redraw();
  }

  /** Draws once before the next repaint of the screen, even if many messages arrive until then. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    if (this.second) this.secondLane.copyCursor(this.first.view);
    this.lanes.forEach((lane) => lane.draw(this.state, $("measure").value));
    this.time.setRunning(this.lanes.some((lane) => lane.picture?.running));
  }

  // ---- the window, errors

  listenToWindow() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.lanes.forEach((lane) => lane.resize()));
    document.addEventListener("visibilitychange", () => this.lanes.forEach((lane) => lane.sendVisibility()));
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

  showError(lane, text) {
    if (lane === this.first && lane.isNew) this.revertOpen();
    else if (lane.isNew) this.secondLane.revert();
    setText("error", lane === this.first ? text : `Second lane: ${text}`);
    $("error").hidden = false;
    this.redraw();
  }
}

new Page(await readAddress(DEFAULTS));
