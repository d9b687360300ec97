// The controls of time: play, step, speed, and the slider over the steps of the game.

import { $, setText } from "../dom.js";
import { formatInteger, formatNumber } from "../format.js";
import { takesSpace, takesText } from "../keys.js";

const SPEEDS = ["0.25", "0.5", "1", "2", "4", "8", "16"];
const NAMES = { 0.25: "¼ ×", 0.5: "½ ×" };
const NATIVE = "1";
const SLOW = 0.9; // below this share of the chosen speed, the measured one is shown
const SEEK_DELAY = 60; // milliseconds between two messages while the slider moves

export class TimeControls {
  /**
   * Args: state of the page; send(message); changed(): called after the speed has changed;
   * keysAreTaken(): whether a person plays with the keys.
   */
  constructor(state, send, changed, keysAreTaken) {
    Object.assign(this, { state, send, changed, keysAreTaken, picture: null, seekTimer: null, wanted: null });
    $("play").addEventListener("click", () => this.toggle());
    $("step").addEventListener("click", () => this.send({ type: "step" }));
    $("back").addEventListener("click", () => this.send({ type: "back" }));
    $("next-game").addEventListener("click", () => this.nextGame());
    $("speed").max = SPEEDS.length - 1;
    if (!SPEEDS.includes(state.speed)) state.speed = NATIVE;
    $("speed").value = SPEEDS.indexOf(state.speed);
    $("speed").addEventListener("input", () => this.chooseSpeed());
    $("scrub").addEventListener("input", () => this.seek(Number($("scrub").value)));
    document.addEventListener("keydown", (event) => this.handleKey(event));
    this.showSpeed();
  }

  toggle() {
    if (this.picture) this.send({ type: this.picture.playing || this.picture.goal !== null ? "pause" : "play" });
  }

  nextGame() {
    this.send({ type: "game", number: this.picture.game + 1 });
  }

  chooseSpeed() {
    this.state.speed = SPEEDS[$("speed").value];
    this.showSpeed();
    this.send(this.speedMessage());
    this.changed();
  }

  speedMessage() {
    return { type: "speed", factor: Number(this.state.speed) };
  }

  showSpeed() {
    const { speed } = this.state;
    const measured = this.picture?.measured ?? 0;
    const name = NAMES[speed] ?? `${speed} ×`;
    const slow = measured > 0 && measured < SLOW * speed;
    setText("speed-text", slow ? `${name} (this machine: ${measured.toFixed(1)} ×)` : name);
    $("speed").setAttribute("aria-valuetext", speed === NATIVE ? "native speed" : `${speed} times native speed`);
  }

  /** Goes to a step; of several requests in a short time, only the last one is sent. */
  seek(step) {
    this.wanted = step;
    this.seekTimer ??= setTimeout(() => {
      this.seekTimer = null;
      this.send({ type: "seek", step: this.wanted });
      this.wanted = null;
    }, SEEK_DELAY);
  }

  setPicture(picture) {
    this.picture = picture;
    const busy = picture.playing || picture.goal !== null;
    setText("play", busy ? "Pause" : "Play");
    for (const id of ["play", "step", "next-game"]) $(id).disabled = false;
    $("back").hidden = !picture.departed;
    setText("score", formatNumber(picture.score));
    setText("reward", formatNumber(picture.reward));
    $("lives-fact").hidden = $("lost-mark").hidden = picture.lives === null;
    setText("lives", formatNumber(picture.lives));
    setText("step-number", formatInteger(picture.step));
    setText("frame", formatInteger(picture.frame));
    setText("game", formatInteger(picture.game + 1));
    $("scrub").max = picture.last;
    if (this.wanted === null) $("scrub").value = picture.step;
    $("scrub").setAttribute("aria-valuetext", `step ${picture.step} of ${picture.last}`);
    this.showSpeed();
  }

  /** Space plays and pauses, "." takes one step, arrows go back and forth, unless the focused control uses the key. */
  handleKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.picture) return;
    if (takesText(event.target) || this.keysAreTaken()) return;
    const offset = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === " " && !takesSpace(event.target)) {
      event.preventDefault(); // the page must not scroll
      this.toggle();
    } else if (event.key === ".") {
      this.send({ type: "step" });
    } else if (offset && !event.target.matches("input")) {
      const step = (this.wanted ?? this.picture.step) + offset;
      this.seek(Math.min(Math.max(step, 0), this.picture.last));
    }
  }
}
