// The form that chooses a world, an agent, its parameters and a seed.

import { $, make } from "../dom.js";

const MAZE = "Maze";

export class LearnerForm {
  /** Args: state of the page; open(): called to make a new learner from the state. */
  constructor(state, open) {
    Object.assign(this, { state, open });
    $("world").addEventListener("change", () => this.chooseWorld());
    $("agent").addEventListener("change", () => this.chooseAgent());
    $("learner").addEventListener("submit", (event) => this.submit(event));
    for (const id of ["maze-size", "maze-seed", "maze-loops"]) {
      $(id).addEventListener("change", () => this.chooseWorld());
    }
    $("learner").addEventListener("keydown", (event) => this.closeParameters(event));
    document.addEventListener("pointerdown", (event) => this.closeParameters(event));
  }

  setCatalog({ worlds, puzzles, agents }) {
    this.agents = agents;
    this.puzzles = puzzles.map(({ name }) => name);
    fillSelect($("world"), worlds, this.state.world.split("?")[0]);
    const group = make("optgroup");
    group.label = "Puzzles";
    group.append(...puzzles.map(({ name, title }) => new Option(title, name)));
    $("world").append(group);
    fillSelect($("agent"), agents, this.state.agent);
    // A name that this server does not know stays in the address until the server refuses it.
    $("seed").value = this.state.seed;
    this.readMazeFields();
    this.showParameters();
    this.showChoices();
  }

  /** Shows the chosen world and agent; offers "… (edited)" while the world is not a registered one. */
  showChoices() {
    $("world").querySelector("option[data-edited]")?.remove();
    if (this.state.map) {
      const option = new Option(`${this.state.world} (edited)`, "", true, true);
      option.dataset.edited = "1";
      $("world").append(option);
    } else {
      $("world").value = this.state.world.split("?")[0];
    }
    $("agent").value = this.state.agent;
    $("maze").hidden = $("world").value !== MAZE;
  }

  readMazeFields() {
    const [name, query] = this.state.world.split("?");
    if (name !== MAZE) return;
    const fields = new URLSearchParams(query);
    for (const key of ["size", "seed", "loops"]) {
      if (fields.has(key)) $(`maze-${key}`).value = fields.get(key);
    }
  }

  chooseWorld() {
    const name = $("world").value;
    if (!name) return; // the edited world, which is already shown
    const arguments_ = ["size", "seed", "loops"].map((key) => `${key}=${$(`maze-${key}`).value || 0}`);
    this.state.world = name === MAZE ? `${MAZE}?${arguments_.join("&")}` : name;
    this.state.map = "";
    if (this.puzzles.includes(name)) this.state.predict = true;
    this.showChoices();
    this.open();
  }

  chooseAgent() {
    this.state.agent = $("agent").value;
    this.state.parameters = {};
    this.showParameters();
    this.open();
  }

  /** The kind of a learner as the catalog describes it: its unit of steps, and whether it walks. */
  kindOf(agent) {
    return this.agents.find(({ name }) => name === agent);
  }

  submit(event) {
    event.preventDefault();
    this.state.seed = $("seed").value || "0";
    this.state.parameters = this.readParameters();
    $("parameters").open = false;
    this.open();
  }

  showParameters() {
    const fields = (this.kindOf(this.state.agent)?.parameters ?? []).map((parameter) => this.parameterField(parameter));
    const hint = make("p", "Changes take effect with “Start over”; an empty field stands for its default.");
    hint.className = "hint";
    $("parameter-fields").replaceChildren(...fields, hint);
  }

  parameterField({ name, default: default_, help, choices }) {
    const label = make("label");
    const input = make(choices ? "select" : "input");
    if (choices) input.append(...choices.map((choice) => new Option(choice)));
    input.name = name;
    input.dataset.default = default_;
    input.value = this.state.parameters[name] ?? default_;
    label.append(make("span", name.replaceAll("_", " ")), input, make("small", help));
    return label;
  }

  /** Shows the parameters in force, {name: text}: an agent's preset depends on the world. */
  showParametersInForce(parameters) {
    for (const input of $("parameter-fields").querySelectorAll("input, select")) {
      if (!(input.name in parameters)) continue;
      input.value = parameters[input.name];
      if (!(input.name in this.state.parameters)) input.dataset.default = input.value;
    }
  }

  readParameters() {
    const inputs = $("parameter-fields").querySelectorAll("input, select");
    const changed = [...inputs].filter((input) => !["", input.dataset.default].includes(input.value.trim()));
    return Object.fromEntries(changed.map((input) => [input.name, input.value.trim()]));
  }

  closeParameters(event) {
    const outside = event.type === "pointerdown" && !$("parameters").contains(event.target);
    if (outside || event.key === "Escape") $("parameters").open = false;
  }
}

function fillSelect(select, entries, chosen) {
  select.replaceChildren(...entries.map(({ name, about }) => {
    const option = new Option(name, name, false, name === chosen);
    option.title = about;
    return option;
  }));
}
