// The chosen runs side by side: config, provenance, evaluations.

import { $, make } from "../dom.js";
import { formatInteger, formatNumber, formatTime } from "../format.js";
import { commandBox } from "./command.js";

const ESTIMATES = {
  expected_return: "Return",
  average_reward: "Average reward",
  discounted_return: "Discounted return",
  episode_length: "Length",
};

/** Shows the tables of compare_runs; `onlyDifferent` leaves out settings that are the same. */
export function showComparison({ runs, settings, hyperparameters, provenance }, onlyDifferent) {
  const chosen = (rows) => (onlyDifferent && runs.length > 1 ? rows.filter((row) => row.differs) : rows);
  const parts = [["Run", chosen(settings)], ["Hyperparameters", chosen(hyperparameters)]];
  $("config").replaceChildren(sideBySide("Config", runs, parts));
  $("only-different").parentElement.hidden = runs.length < 2;
  $("provenance").replaceChildren(sideBySide("Provenance", runs, [["Last session", provenance]]), sessionList(runs));
  showEvaluations(runs);
}

/** Creates a table with a row for each setting and a column for each run. Args: parts: [[title, rows]]. */
function sideBySide(title, runs, parts) {
  const table = make("table");
  const head = make("tr");
  head.append(make("td"), ...runs.map((run, i) => runHead(run.name, i)));
  table.createTHead().append(head);
  for (const [name, rows] of parts) {
    const body = table.createTBody();
    const part = make("th", name);
    part.colSpan = runs.length + 1;
    part.className = "part";
    part.scope = "rowgroup";
    body.insertRow().append(part);
    if (!rows.length) body.insertRow().append(wideCell("no differences", runs.length + 1));
    rows.forEach((row) => body.append(settingRow(row, runs.length)));
  }
  return scrolling(table, title);
}

function settingRow({ name, cells, differs }, runs) {
  const row = make("tr");
  const head = make("th", name);
  head.scope = "row";
  if (differs && runs > 1) {
    row.className = "differs";
    head.append(hidden("(differs)"));
  }
  row.append(head, ...cells.map((text) => make("td", text === "-" ? "–" : text)));
  return row;
}

function sessionList(runs) {
  const list = make("ul");
  list.className = "sessions";
  runs.forEach((run, i) => {
    for (const { started, command } of run.sessions) {
      const item = make("li");
      item.append(swatch(i), make("span", `${formatTime(started)} `), make("code", command));
      list.append(item);
    }
  });
  return list;
}

function showEvaluations(runs) {
  const rows = runs.flatMap((run, i) => run.evaluations.flatMap((each) => evaluationRows(run, i, each)));
  const without = runs.filter((run) => !run.evaluations.length);
  $("evaluations").replaceChildren();
  if (rows.length) {
    const table = make("table");
    const head = make("tr");
    head.append(...["Run", "Evaluated", "Episodes", ...Object.values(ESTIMATES)].map((text) => make("th", text)));
    table.createTHead().append(head);
    table.createTBody().append(...rows);
    $("evaluations").append(scrolling(table, "Evaluations"));
  }
  if (!without.length) return;
  const hint = make("p", `Not evaluated yet, except during training: ${without.map((run) => run.name).join(", ")}.`);
  hint.className = "hint";
  $("evaluations").append(hint, ...without.map((run) => commandBox(run.evaluate, `evaluate ${run.name}`)));
}

/** Creates the rows of an evaluation: its numbers, and its notes. */
function evaluationRows(run, i, evaluation) {
  const row = make("tr");
  const { episodes, steps, seed, epsilon, exact, saved, notes } = evaluation;
  const how = [`seed ${seed}`, epsilon ? `epsilon ${formatNumber(epsilon)}` : "", evaluation.stochastic ? "stochastic" : ""];
  row.append(
    runHead(run.name, i, "row"),
    make("td", formatTime(saved)),
    numberCell(episodes === null ? `${formatInteger(steps)} steps` : formatInteger(episodes), how.filter(Boolean).join(", ")),
    ...Object.keys(ESTIMATES).map((name) => estimateCell(evaluation[name], exact?.[name])),
  );
  if (!notes.length) return [row];
  const remarks = make("tr");
  remarks.append(wideCell(notes.join(" "), 3 + Object.keys(ESTIMATES).length));
  return [row, remarks];
}

function estimateCell(estimate, exact) {
  if (!estimate) return make("td", "–");
  const { mean, low, high } = estimate;
  const interval = low === null ? "" : low === high ? "all equal" : `${formatNumber(low)} to ${formatNumber(high)}`;
  const hasExact = exact !== null && exact !== undefined;
  return numberCell(formatNumber(mean), interval, hasExact ? `exact ${formatNumber(exact)}` : "");
}

// ---- parts of tables

function numberCell(text, ...more) {
  const cell = make("td", text);
  cell.append(...more.filter(Boolean).map((line) => make("small", line)));
  return cell;
}

function wideCell(text, columns) {
  const cell = make("td");
  cell.append(make("span", text)); // the span stays in view when the table scrolls
  cell.colSpan = columns;
  cell.className = "wide";
  return cell;
}

function runHead(name, color, scope = "col") {
  const head = make("th");
  head.scope = scope;
  head.className = "run";
  head.append(swatch(color), make("span", name));
  return head;
}

function swatch(color) {
  const element = make("span");
  element.className = `swatch run-${color}`;
  return element;
}

function hidden(text) {
  const element = make("span", ` ${text}`);
  element.className = "unseen";
  return element;
}

/** Puts a table that may be wider than the page into a frame that scrolls. */
export function scrolling(table, name) {
  const frame = make("div");
  frame.className = "scroll";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", `${name} table`);
  frame.append(table);
  return frame;
}
