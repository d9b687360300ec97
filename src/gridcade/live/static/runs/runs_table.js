// The table of all runs: sorted, filtered, and with a checkbox for each run.

import { $, make, setText } from "../dom.js";
import { formatBytes, formatDuration, formatInteger, formatNumber, formatShort, formatTime } from "../format.js";
import { addressOf } from "./requests.js";

const totalBytes = ({ bytes }) => Object.values(bytes).reduce((sum, n) => sum + n, 0);

// Columns by name: title, value to sort by, text, and a second line of text.
const COLUMNS = {
  name: { title: "Run", value: (run) => run.name },
  agent: { title: "Agent", value: (run) => run.agent },
  env: { title: "Environment", value: (run) => run.env },
  state: { title: "State", value: (run) => run.state },
  steps: { title: "Steps", value: (run) => run.steps, text: (run) => formatInteger(run.steps), more: budgetText },
  score: { title: "Last score", value: (run) => scoreOf(run)?.mean ?? -Infinity, text: (run) => formatNumber(scoreOf(run)?.mean), more: intervalText },
  time: { title: "Time", value: (run) => run.seconds, text: (run) => formatDuration(run.seconds) },
  started: { title: "Started", value: (run) => run.started, text: (run) => formatTime(run.started) },
  checkpoints: { title: "Checkpoints", value: (run) => run.checkpoints, text: (run) => formatInteger(run.checkpoints), more: (run) => (run.damaged ? `newest ${run.damaged} damaged` : "") },
  disk: { title: "On disk", value: totalBytes, text: (run) => formatBytes(totalBytes(run)) },
};

/** Returns the last evaluation of a run: return, or average reward if the task has no return. */
function scoreOf({ scores }) {
  return scores.return ?? scores.average_reward;
}

function budgetText(run) {
  if (run.state === "finished") return "";
  const bounds = [run.total_steps && formatShort(run.total_steps), run.total_minutes && `${formatNumber(run.total_minutes)} min`];
  return `of ${bounds.filter(Boolean).join(" or ")}`;
}

function intervalText(run) {
  const score = scoreOf(run);
  if (!score) return "";
  const measure = run.scores.return ? "" : "average reward, ";
  if (run.exact) return `${measure}exact`;
  return measure + (score.low === null ? "no interval" : `${formatNumber(score.low)} to ${formatNumber(score.high)}`);
}

export class RunsTable {
  /** Args: choose(name, isChosen); sort(key): called when a column's head is pressed. */
  constructor(choose, sort) {
    this.choose = choose;
    this.rows = new Map(); // name of a run -> its row
    this.heads = Object.entries(COLUMNS).map(([key, { title }]) => {
      const head = make("th");
      const button = make("button", title);
      button.type = "button";
      button.addEventListener("click", () => sort(key));
      head.scope = "col";
      head.className = key;
      head.append(button);
      return head;
    });
    $("runs-head").append(...this.heads, make("td"));
  }

  /** Args: runs; chosen: names in the order of their colors; order: a column's key, "-key" descending. */
  show(runs, chosen, order, filter) {
    const key = order.replace(/^-/, "");
    const sign = order === key ? 1 : -1;
    const { value } = COLUMNS[key] ?? COLUMNS.started;
    const words = filter.toLowerCase().split(/\s+/);
    const text = (run) => [run.name, run.agent, run.env, run.state].join(" ").toLowerCase();
    const shown = runs.filter((run) => words.every((word) => text(run).includes(word)));
    shown.sort((a, b) => sign * compare(value(a), value(b)) || compare(a.name, b.name));
    this.heads.forEach((head) => {
      head.ariaSort = !head.classList.contains(key) ? null : sign > 0 ? "ascending" : "descending";
    });
    this.place(shown.map((run) => this.row(run, chosen.indexOf(run.name))));
    setText("no-match", runs.length && !shown.length ? `None of ${runs.length} runs matches the filter.` : "");
  }

  /** Puts rows into order. Rows in the right place are not moved, because they would lose the focus. */
  place(rows) {
    const body = $("runs-body");
    rows.forEach((row, i) => body.children[i] !== row && body.insertBefore(row, body.children[i] ?? null));
    while (body.children.length > rows.length) body.lastChild.remove();
  }

  /** Returns the row of a run with its present numbers. */
  row(run, color) {
    if (!this.rows.has(run.name)) this.rows.set(run.name, this.createRow(run));
    const row = this.rows.get(run.name);
    row.querySelector("input").checked = color >= 0;
    row.querySelector(".swatch").className = color >= 0 ? `swatch run-${color}` : "swatch";
    for (const [key, { value, text = value, more }] of Object.entries(COLUMNS)) {
      setCell(row.querySelector(`.${key} .text`), text(run));
      if (more) setCell(row.querySelector(`.${key} .more`), more(run));
    }
    row.querySelector(".state").dataset.state = run.state;
    return row;
  }

  createRow(run) {
    const row = make("tr");
    const box = make("input");
    box.type = "checkbox";
    box.addEventListener("change", () => this.choose(run.name, box.checked));
    const label = make("label");
    const swatch = make("span");
    label.className = "check";
    label.append(box, swatch, textSpan("text"));
    swatch.className = "swatch";
    for (const [key, { more }] of Object.entries(COLUMNS)) {
      const cell = make(key === "name" ? "th" : "td");
      cell.className = key;
      if (key === "name") {
        cell.scope = "row";
        const about = make("small", `${run.agent} on ${run.env}`);
        about.className = "about";
        cell.append(label, about);
      } else {
        cell.append(textSpan("text"), ...(more ? [textSpan("more")] : []));
      }
      row.append(cell);
    }
    const last = make("td");
    if (run.plays) {
      const link = make("a", "Play");
      link.href = `${addressOf("arcade")}#${new URLSearchParams({ policy: run.name })}`;
      link.setAttribute("aria-label", `Play ${run.name} in the Arcade`);
      last.append(link);
    }
    row.append(last);
    return row;
  }
}

function textSpan(name) {
  const span = make("span");
  span.className = name;
  return span;
}

function setCell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function compare(a, b) {
  if (typeof a === "number") return a < b ? -1 : Number(a > b);
  return a.localeCompare(b, "en", { numeric: true });
}
