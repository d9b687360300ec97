// The form that chooses a policy, its checkpoint, an environment, a seed and epsilon.

import { $, make, setText } from "../dom.js";
import { formatInteger } from "../format.js";

const GROUPS = { shipped: "Shipped agents", "built in": "Built in", runs: "Runs", models: "Models" };

export class PolicyForm {
  /** Args: state of the page; open(): called to start a game from the state. */
  constructor(state, open) {
    Object.assign(this, { state, open, policies: [] });
    $("policy").addEventListener("change", () => this.choosePolicy());
    $("checkpoint").addEventListener("input", () => this.showCheckpoint());
    $("checkpoint").addEventListener("change", () => this.chooseCheckpoint());
    $("env").addEventListener("change", () => this.chooseEnvironment());
    $("protocol").addEventListener("change", () => this.chooseProtocol());
    $("policy-form").addEventListener("submit", (event) => this.submit(event));
  }

  setPolicies({ policies, environments, protocols, default_env: defaultEnv }) {
    Object.assign(this, { policies, defaultEnv });
    $("policy").replaceChildren(...Object.entries(GROUPS).flatMap(([group, title]) => {
      const members = policies.filter((policy) => policy.group === group);
      if (!members.length) return [];
      const options = make("optgroup");
      options.label = title;
      options.append(...members.map(({ name }) => new Option(name)));
      return [options];
    }));
    $("environments").replaceChildren(...environments.map((name) => new Option(name, name)));
    $("protocol").replaceChildren(...Object.entries(protocols).map(([name, about]) => {
      const option = new Option(name);
      option.title = about;
      return option;
    }));
    this.showChoices();
  }

  get policy() {
    return this.policies.find(({ name }) => name === this.state.policy);
  }

  /** Shows the state of the page in the form. */
  showChoices() {
    const { state } = this;
    $("policy").value = state.policy;
    for (const name of ["seed", "epsilon"]) $(name).value = state[name];
    $("sample").checked = state.sample;
    $("env").value = state.env;
    const checkpoints = this.policy?.checkpoints ?? [];
    $("checkpoint-field").hidden = checkpoints.length < 2;
    $("checkpoint").max = Math.max(0, checkpoints.length - 1);
    const chosen = checkpoints.indexOf(Number(state.checkpoint || NaN));
    $("checkpoint").value = chosen >= 0 ? chosen : checkpoints.length - 1;
    this.showCheckpoint();
  }

  showCheckpoint() {
    const steps = this.policy?.checkpoints[$("checkpoint").value];
    const text = steps === undefined ? "" : `${formatInteger(steps)} steps`;
    setText("checkpoint-text", text);
    $("checkpoint").setAttribute("aria-valuetext", text);
  }

  /** Shows the environment, epsilon and protocol that the server chose for empty fields. */
  setGame({ env, epsilon, protocol }) {
    this.shownEnv = env;
    $("env").placeholder = env;
    $("epsilon").placeholder = epsilon;
    $("protocol-field").hidden = !protocol;
    if (protocol) $("protocol").value = protocol;
  }

  choosePolicy() {
    const { state } = this;
    state.policy = $("policy").value;
    state.checkpoint = "";
    // A policy that has its own environment plays there; others play in the last policy's environment.
    state.env = this.policy.env ? "" : this.shownEnv ?? this.defaultEnv;
    this.restart();
  }

  chooseCheckpoint() {
    const { checkpoints } = this.policy;
    const chosen = Number($("checkpoint").value);
    this.state.checkpoint = chosen === checkpoints.length - 1 ? "" : String(checkpoints[chosen]);
    this.restart(this.state.game);
  }

  chooseEnvironment() {
    this.state.env = $("env").value.trim();
    this.restart();
  }

  chooseProtocol() {
    const [base, query] = (this.state.env || this.shownEnv).split("?");
    const fields = new URLSearchParams(query);
    fields.set("protocol", $("protocol").value);
    this.state.env = `${base}?${fields}`;
    this.restart();
  }

  submit(event) {
    event.preventDefault();
    this.state.env = $("env").value.trim();
    for (const name of ["seed", "epsilon"]) this.state[name] = $(name).value;
    this.state.seed ||= "0";
    this.state.sample = $("sample").checked;
    this.restart();
  }

  restart(game = "0") {
    Object.assign(this.state, { game, step: "0" });
    this.showChoices();
    this.open();
  }
}
