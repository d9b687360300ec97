// The bars of the actions: the policy's value or probability of each action.

import { $, make, setText } from "../dom.js";
import { formatNumber } from "../format.js";

const KEY_SIGNS = { ArrowUp: "↑", ArrowRight: "→", ArrowDown: "↓", ArrowLeft: "←", Space: "Space" };
const TITLES = { q: "Action values", probabilities: "Action probabilities", none: "Actions" };
const HINTS = {
  q: "Expected discounted return after each action, as the policy predicts it.",
  probabilities: "Probability with which the policy chooses each action.",
  none: "This policy has no values or probabilities for its actions.",
};

export class ActionBars {
  /** Args: press(action), release(): called when a playing person holds a button; tryAction(action). */
  constructor({ press, release, tryAction }) {
    Object.assign(this, { press, release, tryAction, rows: [] });
  }

  setGame({ actions, keys, per_action: kind, what_if: whatIf }) {
    this.kind = kind;
    this.label = whatIf ? "What if" : "Try";
    setText("actions-title", TITLES[kind]);
    setText("actions-hint", HINTS[kind]);
    setText("measure", kind === "q" ? "Q(s, a)" : "Probability");
    $("zoom-field").hidden = kind !== "q";
    $("actions").hidden = !actions.length;
    [this.low, this.high] = kind === "q" ? [Infinity, -Infinity] : [0, 1];
    this.rows = actions.map((name, action) => this.makeRow(name, keys[action], action));
    $("actions").tBodies[0].replaceChildren(...this.rows.map(({ row }) => row));
  }

  makeRow(name, keys, action) {
    const row = make("tr");
    const header = make("th", name);
    header.scope = "row";
    const signs = keys.map((key) => KEY_SIGNS[key] ?? key.replace("Digit", ""));
    const hint = make("kbd", signs.join(" "));
    hint.className = "key";
    if (signs.length) header.append(" ", hint);
    const marks = make("span");
    marks.className = "action-marks";
    header.append(marks);
    const bar = make("div");
    bar.className = "bar";
    const number = make("span");
    const cell = make("td");
    cell.append(bar, number);
    const button = make("button");
    button.type = "button";
    button.addEventListener("click", () => !this.person && this.tryAction(action));
    button.addEventListener("pointerdown", () => this.person && this.press(action));
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) {
      button.addEventListener(end, () => this.person && this.release());
    }
    const last = make("td");
    last.append(button);
    row.append(header, cell, last);
    return { row, bar, number, marks, button, name };
  }

  /** Shows a picture; zoom: whether the bars range over this step's values only. */
  show(picture, zoom) {
    this.person = picture.person;
    const values = picture.per_action;
    const best = values && Math.max(...values);
    const isTie = values !== null && values.every((value) => value === best); // for example those of a random policy
    const [low, high] = values ? this.range(values, zoom) : [0, 1];
    this.rows.forEach(({ row, bar, number, marks, button, name }, action) => {
      const isGreedy = values !== null && values[action] === best && !isTie;
      const isTaken = action === (picture.person ? picture.held : picture.taken ?? picture.action);
      row.classList.toggle("greedy", isGreedy);
      row.classList.toggle("taken", isTaken);
      const text = [isGreedy && "greedy", isTaken && takenText(picture)].filter(Boolean).join(", ");
      if (marks.textContent !== text) marks.textContent = text;
      number.textContent = values ? formatValue(values[action]) : "";
      bar.style.setProperty("--share", values ? (values[action] - low) / (high - low || 1) : 0);
      const label = picture.person ? "Hold" : this.label;
      if (button.textContent !== label) {
        button.textContent = label;
        button.setAttribute("aria-label", `${label}: ${name}`);
      }
      button.disabled = !picture.person && (picture.playing || picture.goal !== null || picture.end !== "");
    });
  }

  /** Returns the numbers at the ends of the bars: the range of this game, or of this step. */
  range(values, zoom) {
    if (this.kind !== "q") return [0, 1];
    this.low = Math.min(this.low, 0, ...values);
    this.high = Math.max(this.high, ...values);
    if (!zoom) return [this.low, this.high];
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return [least - 0.1 * (most - least), most];
  }
}

/** Names the role of the marked action: held by the person, chosen next, or taken already. */
function takenText({ person, taken }) {
  if (person) return "yours";
  return taken === null ? "chosen" : "taken";
}

/** Formats a number with a fixed width, because the numbers of the bars change fast. */
function formatValue(x) {
  return Math.abs(x) < 1000 ? x.toFixed(3).replace("-", "−") : formatNumber(x);
}
