// The Arcade page. The server plays and predicts; this page draws what arrives and sends what the
// person does. gridcade/live/arcade/messages.py describes the messages.

import { readAddress, writeAddress } from "../address.js";
import { connectBeginning } from "../beginning.js";
import { Connection } from "../connection.js";
import { $, make, setText } from "../dom.js";
import { connectExports } from "../exports.js";
import { downloadPng } from "../files.js";
import { formatInteger, formatNumber } from "../format.js";
import { connectNavigation } from "../navigation.js";
import { Tour } from "../tour.js";
import { ActionBars } from "./action_bars.js";
import { DEFAULTS } from "./defaults.js";
import { Person } from "./person.js";
import { drawImage, readPicture } from "./picture.js";
import { PolicyForm } from "./policy_form.js";
import { Screen } from "./screen.js";
import { TimeControls } from "./time_controls.js";
import { TOUR } from "./tour_steps.js";
import { ValueCurve } from "./value_curve.js";
import { WhatIf } from "./what_if.js";

const CHECKBOXES = ["zoom", "large"];
const AGES = ["3 steps ago", "2 steps ago", "1 step ago", "now"]; // of the frames of an observation

class Page {
  constructor(state) {
    this.state = state;
    this.opened = null; // the state in which the present game was opened
    this.game = null; // the newest `game` message
    this.picture = null; // the picture on the screen
    this.isPlaying = state.step === "0"; // whether the next game starts to play
    this.reading = Promise.resolve(); // pictures are unpacked one after the other
    const send = (message) => this.send(message);
    this.form = new PolicyForm(state, () => this.open());
    this.person = new Person(send, () => this.time.toggle());
    this.time = new TimeControls(state, send, () => this.writeAddress(), () => this.person.wantsKeys);
    this.screen = new Screen($("screen"), (picture) => this.setPicture(picture));
    this.curve = new ValueCurve($("curve"), (step) => this.time.seek(step));
    this.bars = new ActionBars({
      press: (action) => this.person.hold(action),
      release: () => this.person.hold(null),
      tryAction: (action) => this.tryAction(action),
    });
    this.whatIf = new WhatIf(send);
    this.connectCheckboxes();
    this.listenToWindow();
    connectNavigation(() => state.large);
    connectBeginning($("beginning"));
    const exports = {
      "game-csv": () => this.curve.exportCsv(),
      "screen-png": () => downloadPng("screen.png", $("screen")),
      "curve-png": () => downloadPng("values.png", this.curve.plot.ctx.canvas),
    };
    connectExports(exports, () => this.picture);
    this.tour = new Tour("Arcade", TOUR, $("tour"));
    this.connection = new Connection(
      "arcade/live", (message) => this.receive(message), (text) => this.report(text), (bytes) => this.receiveBytes(bytes));
  }

  writeAddress() {
    writeAddress(this.state, DEFAULTS);
  }

  // ---- messages

  send(message) {
    $("error").hidden = true;
    this.connection.send(message);
  }

  receive(message) {
    const handlers = {
      starting: () => this.report("Loading…"),
      policies: () => this.setPolicies(message),
      game: () => this.setGame(message),
      what_if: () => this.whatIf.setResult(message),
      error: () => this.showError(message.message),
    };
    // Messages are handled in the order of sending, after pictures that are still being unpacked.
    this.reading = this.reading.then(() => handlers[message.type]?.());
  }

  receiveBytes(buffer) {
    this.reading = this.reading.then(async () => {
      const picture = await readPicture(buffer);
      if (picture.type === "progress") this.whatIf.setProgress(picture);
      else this.screen.add(picture);
    });
  }

  /** Tries an action in continuations; if the game cannot be saved, takes it and plays on. */
  tryAction(action) {
    if (this.game.what_if) this.whatIf.start(action);
    else this.send({ type: "fork", action });
  }

  setPolicies(message) {
    this.form.setPolicies(message);
    this.open();
  }

  /** Starts a game from the state of the page. */
  open() {
    const { policy, checkpoint, env, seed, game, step, epsilon, sample } = this.state;
    const number = (text) => (text === "" ? null : Number(text));
    this.isOpening = true;
    if (this.picture) this.isPlaying = this.picture.playing;
    this.report(`Loading ${policy}…`);
    this.send({
      type: "open", policy, env, sample,
      checkpoint: number(checkpoint), epsilon: number(epsilon),
      seed: Number(seed), game: Number(game), step: Number(step),
    });
    this.writeAddress();
  }

  /** Restores the choices before a refused `open`; on a first visit, the default choices. */
  revertOpen() {
    this.isOpening = false;
    this.report("");
    const { speed, zoom, large } = this.state;
    const refused = JSON.stringify({ ...this.state, speed: "", zoom: "", large: "" });
    const isDefault = refused === JSON.stringify({ ...DEFAULTS, speed: "", zoom: "", large: "" });
    Object.assign(this.state, this.opened ?? DEFAULTS, { speed, zoom, large });
    this.form.showChoices();
    this.writeAddress();
    if (!this.opened && !isDefault) this.sendAgain();
  }

  sendAgain() {
    const text = $("error").textContent;
    this.open();
    $("error").hidden = false;
    setText("error", text);
  }

  setGame(message) {
    this.isOpening = false;
    this.report("");
    this.game = message;
    this.tour.startOnFirstVisit();
    this.opened = { ...this.state };
    this.form.setGame(message);
    this.person.setGame(message);
    this.screen.setGame(message);
    this.bars.setGame(message);
    this.whatIf.setGame(message, this.screen.table);
    this.picture = null;
    setText("game-title", `${message.policy}${message.checkpoint === null ? "" : ` at ${formatInteger(message.checkpoint)} steps`} plays ${message.env}`);
    setText("game-about", message.about);
    setText("rewind", message.rewind);
    setText("value-name", message.per_action === "q" ? "Value of this state: max Q(s, a)" : "Value of this state: V(s)");
    $("screen").classList.toggle("pixels", message.palette !== null);
    $("frame-fact").hidden = message.frames_per_step === 1;
    this.connection.send(this.time.speedMessage());
    if (this.isPlaying) this.connection.send({ type: "play" });
  }

  /** Shows the numbers of a picture when its last frame is on the screen. */
  setPicture(picture) {
    const isOtherGame = picture.game !== this.picture?.game || (picture.first === 0 && picture.values.length > 0);
    const hasValues = picture.value !== null;
    if (isOtherGame) this.clearCurve(hasValues);
    this.picture = picture;
    this.curve.add(picture);
    this.time.setPicture(picture);
    this.person.setPicture(picture);
    this.bars.show(picture, this.state.zoom);
    this.whatIf.setPicture(picture);
    $("value-row").hidden = !hasValues;
    setText("value", formatNumber(picture.value));
    $("observation-row").hidden = !picture.observation;
    setText("observation", picture.observation);
    $("end").hidden = !picture.end;
    setText("end", picture.end);
    this.showFrames(picture.stack);
    this.rememberStep(picture);
  }

  clearCurve(hasValues) {
    this.curve.clear(hasValues ? "value" : "score");
    const title = hasValues ? "Predicted value" : "Score (this policy does not predict values)";
    setText("curve-title", title);
    $("curve").setAttribute("aria-label", `${title} by steps of this game`);
  }

  /** Shows the frames that the network sees, the oldest first. */
  showFrames(stack) {
    $("sees").hidden = !stack.length;
    if ($("frames").childElementCount !== stack.length) {
      $("frames").replaceChildren(...stack.map((_, i) => {
        const figure = make("figure");
        figure.append(make("canvas"), make("figcaption", AGES.at(i - stack.length)));
        return figure;
      }));
    }
    $("frames").querySelectorAll("canvas").forEach((canvas, i) => drawImage(canvas, stack[i]));
  }

  /** Keeps the game in the address, and its step while it is paused. */
  rememberStep({ game, step, playing, goal }) {
    const shown = playing || goal !== null ? "0" : String(step);
    if (this.state.game === String(game) && this.state.step === shown) return;
    Object.assign(this.state, { game: String(game), step: shown });
    this.writeAddress();
  }

  // ---- the window, errors

  connectCheckboxes() {
    for (const name of CHECKBOXES) {
      $(name).checked = this.state[name];
      $(name).addEventListener("change", () => this.applyOption(name, $(name).checked));
    }
    this.applyOption("large", this.state.large);
  }

  applyOption(name, value) {
    this.state[name] = value;
    document.documentElement.classList.toggle("large", this.state.large);
    if (this.picture) this.bars.show(this.picture, this.state.zoom);
    this.writeAddress();
  }

  listenToWindow() {
    window.addEventListener("hashchange", () => location.reload());
    document.addEventListener("visibilitychange", () => this.pauseWhileHidden());
  }

  /** Pauses the game while the page is hidden. */
  pauseWhileHidden() {
    if (document.hidden) {
      this.playsWhenSeen = Boolean(this.picture?.playing);
      if (this.playsWhenSeen) this.connection.send({ type: "pause" });
    } else if (this.playsWhenSeen) {
      this.connection.send({ type: "play" });
    }
  }

  report(text) {
    setText("status", text);
    $("status").hidden = !text;
  }

  showError(text) {
    if (this.isOpening) this.revertOpen();
    this.whatIf.finish();
    setText("error", text);
    $("error").hidden = false;
  }
}

new Page(await readAddress(DEFAULTS));
