// The controls of time with their keys, of the view, and of map files.

import { $, setText } from "../dom.js";
import { countOf } from "../format.js";
import { takesSpace, takesText } from "../keys.js";
import { DEFAULTS } from "./defaults.js";

const SPEEDS = ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1000", "10000", "100000", "max"];
const CHECKBOXES = ["arrows", "triangles", "numbers", "wrong", "path", "log", "large"];
const SELECTS = ["cells", "measure"];

export class TimeControls {
  /** Args: state of the page; send(message); changed(): called after the speed has changed. */
  constructor(state, send, changed) {
    Object.assign(this, { state, send, changed, running: false, unit: "step" });
    $("run").addEventListener("click", () => this.toggle());
    $("step").addEventListener("click", () => this.send({ type: "step" }));
    $("episode").addEventListener("click", () => this.send({ type: "episode" }));
    $("speed").max = SPEEDS.length - 1;
    $("speed").value = SPEEDS.indexOf((state.speed = offeredSpeed(state.speed)));
    $("speed").addEventListener("input", () => this.chooseSpeed());
    document.addEventListener("keydown", (event) => this.handleKey(event));
    this.showSpeed();
  }

  toggle() {
    this.send({ type: this.running ? "pause" : "run" });
  }

  chooseSpeed() {
    this.state.speed = SPEEDS[$("speed").value];
    this.showSpeed();
    this.send(this.speedMessage());
    this.changed();
  }

  speedMessage() {
    const steps = this.state.speed === "max" ? null : Number(this.state.speed);
    return { type: "speed", steps_per_second: steps };
  }

  /** Sets the unit of the texts, "step" or "sweep". */
  setUnit(unit) {
    this.unit = unit;
    setText("step", `One ${unit}`);
    this.showSpeed();
  }

  showSpeed() {
    const { speed } = this.state;
    const text = speed === "max" ? "as fast as possible" : `${countOf(Number(speed), this.unit)} per second`;
    setText("speed-text", text);
    $("speed").setAttribute("aria-valuetext", text);
  }

  setRunning(running) {
    this.running = running;
    setText("run", running ? "Pause" : "Run");
  }

  /** Space runs and pauses, "." takes one step, unless the key belongs to the focused control. */
  handleKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || takesText(event.target)) return;
    if (event.key === " " && !takesSpace(event.target)) {
      event.preventDefault(); // the page must not scroll
      this.toggle();
    } else if (event.key === ".") {
      this.send({ type: "step" });
    }
  }
}

/** Returns the highest offered speed that is not above the speed in the address. */
function offeredSpeed(speed) {
  if (SPEEDS.includes(speed)) return speed;
  return SPEEDS.findLast((offered) => Number(offered) <= Number(speed)) ?? DEFAULTS.speed;
}

/** Connects the checkboxes and selects of the view with the state of the page. */
export function connectOptions(state, changed) {
  for (const name of CHECKBOXES) {
    $(name).checked = state[name];
    $(name).addEventListener("change", () => {
      state[name] = $(name).checked;
      changed(name);
    });
  }
  for (const name of SELECTS) {
    if (state[name]) $(name).value = state[name];
    $(name).addEventListener("change", () => {
      state[name] = $(name).value;
      changed(name);
    });
  }
}

/** Connects the buttons that open and save map files. */
export function connectFiles(open, save) {
  $("open-map").addEventListener("click", () => $("map-file").click());
  $("save-map").addEventListener("click", save);
  $("map-file").addEventListener("change", async () => {
    const [file] = $("map-file").files;
    if (file) open(file.name.replace(/\.txt$/, ""), await file.text());
    $("map-file").value = ""; // so that the same file can be opened again
  });
}
