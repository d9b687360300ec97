// The choice of an agent and its parameters.

import { $, closeWhenLeft, make } from "../dom.js";

export class AgentChoice {
  /** Args: suffix of the ids; choose(): called when the person has chosen an agent. */
  constructor(suffix, choose) {
    this.select = $(`agent${suffix}`);
    this.details = $(`parameters${suffix}`);
    this.fields = $(`parameter-fields${suffix}`);
    this.agents = [];
    this.select.addEventListener("change", () => {
      this.showParameters({});
      choose();
    });
    closeWhenLeft(this.details);
  }

  setCatalog(agents) {
    this.agents = agents;
    fillSelect(this.select, agents);
  }

  get agent() {
    return this.select.value;
  }

  /** The catalog's entry of the chosen agent, with its unit and whether it walks. */
  get kind() {
    return this.agents.find(({ name }) => name === this.agent);
  }

  /** Shows an agent with its changed parameters, {name: text}. */
  show(agent, parameters) {
    this.select.value = agent;
    this.showParameters(parameters);
  }

  showParameters(changed) {
    const fields = (this.kind?.parameters ?? []).map((parameter) => parameterField(parameter, changed));
    const hint = make("p", "Changes take effect with “Start over”; an empty field means the default.");
    hint.className = "hint";
    this.fields.replaceChildren(...fields, hint);
  }

  /** Shows the learner's actual parameters, {name: text}, because presets depend on the world. */
  showParametersInForce(parameters, changed) {
    for (const input of this.inputs) {
      if (!(input.name in parameters)) continue;
      input.value = parameters[input.name];
      if (!(input.name in changed)) input.dataset.default = input.value;
    }
  }

  /** The parameters that differ from their defaults, {name: text}. */
  get parameters() {
    const changed = this.inputs.filter((input) => !["", input.dataset.default].includes(input.value.trim()));
    return Object.fromEntries(changed.map((input) => [input.name, input.value.trim()]));
  }

  get inputs() {
    return [...this.fields.querySelectorAll("input, select")];
  }
}

function parameterField({ name, default: default_, help, choices }, changed) {
  const label = make("label");
  const input = make(choices ? "select" : "input");
  if (choices) input.append(...choices.map((choice) => new Option(choice)));
  input.name = name;
  input.dataset.default = default_;
  input.value = changed[name] ?? default_;
  label.append(make("span", name.replaceAll("_", " ")), input, make("small", help));
  return label;
}

/** Fills a select with names; their descriptions become tooltips. */
export function fillSelect(select, entries) {
  select.replaceChildren(...entries.map(({ name, about }) => {
    const option = new Option(name);
    option.title = about;
    return option;
  }));
}

/** Names a learner by its agent and its changed parameters: "q-learning, step size 0.5". */
export function learnerName(agent, parameters) {
  return [agent, ...Object.entries(parameters).map(([name, text]) => `${name.replaceAll("_", " ")} ${text}`)].join(", ");
}
