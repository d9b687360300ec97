// The panels beside the world: the exact value, one update, and the cell under the pointer.

import { $, make, setText } from "../dom.js";
import {
  actionNameAt, cellName, countOf, formatInteger, formatNumber, formatShort, isAllowed,
} from "../format.js";

// Each lane has its own panels; the ids of the second lane have a suffix.

/** Shows the progress of a learner: its steps, speed and episodes. */
export function showFacts(picture, { unit }, suffix) {
  const units = `${unit[0].toUpperCase()}${unit.slice(1)}s`;
  setText(`steps-name${suffix}`, units);
  setText(`rate-name${suffix}`, `${units} per second`);
  setText(`steps${suffix}`, formatInteger(picture.steps));
  setText(`rate${suffix}`, formatInteger(picture.running ? picture.steps_per_second : 0));
  setText(`episode-number${suffix}`, formatInteger(picture.episode));
  setText(`episode-return${suffix}`, formatNumber(picture.episode_return));
  setText(`converged${suffix}`, picture.converged ? `Converged after ${countOf(picture.steps, unit)}.` : "");
}

/** Shows the exact value of the greedy policy beside the optimum, by one measure. */
export function showExact(exact, optimum, measure, suffix) {
  const [value, best] = [exact?.[measure], optimum[measure]];
  setText(`policy-now${suffix}`, formatNumber(value));
  setText(`optimum${suffix}`, formatNumber(best));
  setText(`gap${suffix}`, formatNumber(gapOf(value, best)));
  setText(`wrong-states${suffix}`, formatNumber(exact?.wrong));
  setText(`distance${suffix}`, formatNumber(exact?.distance));
  setText(`exact-steps${suffix}`, exact ? formatInteger(exact.steps) : "–");
}

/** Returns the optimum minus the value; 0 if they differ only by rounding errors. */
function gapOf(value, best) {
  if (typeof value !== "number" || typeof best !== "number") return null;
  return Math.abs(best - value) <= 1e-9 * Math.max(1, Math.abs(best)) ? 0 : best - value;
}

/** Shows one update: the agent's equation, the equation with numbers, and its terms. */
export function showUpdate(update, world, suffix) {
  $(`update${suffix}`).hidden = !update;
  if (!suffix) $("update-hint").hidden = Boolean(update);
  if (!update) return;
  const end = update.terminated ? ", where the episode ends" : "";
  $(`update-where${suffix}`).textContent =
    `s = ${placeName(world, update.s)}, a = ${actionNameAt(world, update.s, update.a)}, ` +
    `s′ = ${update.next_states.map((s) => placeName(world, s)).join(", ")}${end}`;
  setText(`equation${suffix}`, update.equation);
  setText(`filled${suffix}`, update.filled);
  $(`terms${suffix}`).replaceChildren(...update.terms.map(([name, value]) => definition(name, termText(value))));
}

function termText(value) {
  return typeof value === "number" ? formatNumber(value) : String(value);
}

function definition(term, text) {
  const row = make("div");
  row.append(make("dt", term), make("dd", text));
  return row;
}

function placeName(world, s) {
  const [row, column] = world.places[s];
  return `(${row + 1}, ${column + 1})`;
}

/** Shows the agent's values and policy in a cell, beside the exact values. */
export function showCell(place, world, picture, suffix) {
  const s = place && world ? world.stateAt.get(String(place)) : undefined;
  if (!suffix) {
    setText("cell-title", place && world ? cellTitle(place, world) : "Cell");
    $("cell-hint").hidden = Boolean(place);
  }
  const cell = $(`cell${suffix}`);
  cell.hidden = s === undefined || !picture || world.isEnd[s];
  if (cell.hidden) return;
  const exactQ = world.optimum.q?.[s];
  $(`exact-q${suffix}`).hidden = !exactQ;
  $(`cell-actions${suffix}`).replaceChildren(
    ...[...picture.q[s].keys()].filter((a) => isAllowed(world, s, a))
      .map((a) => actionRow(a, s, world, picture, exactQ)));
  setText(`cell-value${suffix}`, formatNumber(Math.max(...picture.q[s])));
  setText(`cell-optimal${suffix}`, formatNumber(world.values?.[s]));
}

function cellTitle([row, column], world) {
  return `Cell: row ${row + 1}, column ${column + 1}, ${cellName(world.legend[world.rows[row][column]], world.bestEnd)}`;
}

/** Formats a number of visits; large numbers are shortened, so that the table fits a narrow column. */
function formatVisits(visits) {
  return visits < 100000 ? formatInteger(visits) : formatShort(visits);
}

function actionRow(a, s, world, picture, exactQ) {
  const row = make("tr");
  const isBest = world.best?.[s]?.[a];
  const [sign, ...words] = actionNameAt(world, s, a).split(" ");
  const header = make("th", `${sign} `);
  const name = make("span", words.join(" "));
  name.className = "word";
  header.append(name, isBest ? " ✓" : "");
  header.scope = "row";
  header.title = isBest ? "optimal action" : "";
  const numbers = [formatNumber(picture.q[s][a])];
  if (exactQ) numbers.push(formatNumber(exactQ[a]));
  numbers.push(formatNumber(picture.policy[s][a]));
  row.append(header, ...numbers.map((text) => make("td", text)));
  const visits = make("td", formatVisits(picture.visits[s][a]));
  visits.className = "walks";
  row.append(visits);
  row.classList.toggle("greedy", picture.policy[s][a] > 0);
  return row;
}
