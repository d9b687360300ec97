// The forms that choose a world, a seed, and the learners of both lanes.

import { $, make } from "../dom.js";
import { AgentChoice, fillSelect } from "./agent_choice.js";
import { DEFAULTS } from "./defaults.js";

const MAZE = "Maze";
const MAZE_FIELDS = ["size", "seed", "loops"];

export class LearnerForm {
  /**
   * Args: state of the page; open(): makes new learners from the state; openSecond(): makes a new
   * learner in the second lane; closeSecond().
   */
  constructor(state, { open, openSecond, closeSecond }) {
    Object.assign(this, { state, open });
    this.first = new AgentChoice("", () => this.chooseAgent());
    this.second = new AgentChoice("-2", () => {
      this.readSecond();
      openSecond();
    });
    $("world").addEventListener("change", () => this.chooseWorld());
    $("learner").addEventListener("submit", (event) => this.submit(event));
    $("learner-2").addEventListener("submit", (event) => {
      event.preventDefault();
      this.second.details.open = false;
      this.readSecond();
      openSecond();
    });
    for (const key of MAZE_FIELDS) $(`maze-${key}`).addEventListener("change", () => this.chooseWorld());
    $("second-lane").addEventListener("click", () => {
      this.state.agent2 = this.counterpart;
      this.state.parameters2 = {};
      this.showAgents();
      openSecond();
    });
    $("close-second").addEventListener("click", () => {
      Object.assign(this.state, { agent2: "", parameters2: {} });
      this.showAgents();
      closeSecond();
    });
  }

  setCatalog({ worlds, puzzles, agents }) {
    this.first.setCatalog(agents);
    this.second.setCatalog(agents);
    this.puzzles = puzzles.map(({ name }) => name);
    fillSelect($("world"), worlds);
    const group = make("optgroup");
    group.label = "Puzzles";
    group.append(...puzzles.map(({ name, title }) => new Option(title, name)));
    $("world").append(group);
    // An unknown name stays in the address until the server refuses it.
    $("seed").value = this.state.seed;
    this.readMazeFields();
    this.showAgents();
    this.showChoices();
  }

  /** The first learner of the second lane: a planner beside an agent, an agent beside a planner. */
  get counterpart() {
    const { agents, kind } = this.first;
    const others = agents.filter(({ walks }) => walks !== kind?.walks);
    return (others.find(({ name }) => name === DEFAULTS.agent) ?? others[0]).name;
  }

  /** Shows the agents and parameters of the state. */
  showAgents() {
    this.first.show(this.state.agent, this.state.parameters);
    this.second.show(this.state.agent2, this.state.parameters2);
    $("learner-2").hidden = !this.state.agent2;
    $("second-lane").hidden = Boolean(this.state.agent2);
  }

  /** Shows the chosen world; adds the choice "… (edited)" if the world was edited or opened. */
  showChoices() {
    $("world").querySelector("option[data-edited]")?.remove();
    if (this.state.map) {
      const option = new Option(`${this.state.world} (edited)`, "", true, true);
      option.dataset.edited = "1";
      $("world").append(option);
    } else {
      $("world").value = this.state.world.split("?")[0];
    }
    $("maze").hidden = $("world").value !== MAZE;
  }

  readMazeFields() {
    const [name, query] = this.state.world.split("?");
    if (name !== MAZE) return;
    const fields = new URLSearchParams(query);
    for (const key of MAZE_FIELDS) {
      if (fields.has(key)) $(`maze-${key}`).value = fields.get(key);
    }
  }

  chooseWorld() {
    const name = $("world").value;
    if (!name) return; // the edited world, which is shown already
    const arguments_ = MAZE_FIELDS.map((key) => `${key}=${$(`maze-${key}`).value || 0}`);
    this.state.world = name === MAZE ? `${MAZE}?${arguments_.join("&")}` : name;
    this.state.map = "";
    if (this.puzzles.includes(name)) this.state.predict = true;
    this.showChoices();
    this.open();
  }

  chooseAgent() {
    this.state.agent = this.first.agent;
    this.state.parameters = {};
    this.open();
  }

  readSecond() {
    this.state.agent2 = this.second.agent;
    this.state.parameters2 = this.second.parameters;
  }

  submit(event) {
    event.preventDefault();
    this.state.seed = $("seed").value || "0";
    this.state.parameters = this.first.parameters;
    if (this.state.agent2) this.readSecond();
    this.first.details.open = false;
    this.open();
  }
}
