// The panels beside the world: the exact value, one update, and the cell under the pointer.

import { $, make, setText } from "../dom.js";
import { actionName, cellName, formatInteger, formatNumber, formatShort } from "../format.js";

/** Shows the exact value of the greedy policy beside the optimum, by one measure. */
export function showExact(exact, optimum, measure) {
  const [value, best] = [exact?.[measure], optimum[measure]];
  setText("policy-now", formatNumber(value));
  setText("optimum", formatNumber(best));
  setText("gap", formatNumber(gapOf(value, best)));
  setText("wrong-states", formatNumber(exact?.wrong));
  setText("distance", formatNumber(exact?.distance));
  setText("exact-steps", exact ? formatInteger(exact.steps) : "–");
}

/** The optimum minus the value; 0 where they differ by rounding errors only. */
function gapOf(value, best) {
  if (typeof value !== "number" || typeof best !== "number") return null;
  return Math.abs(best - value) <= 1e-9 * Math.max(1, Math.abs(best)) ? 0 : best - value;
}

/** Shows one update: the agent's equation, the same with numbers, and its terms. */
export function showUpdate(update, world) {
  $("update").hidden = !update;
  $("update-hint").hidden = Boolean(update);
  if (!update) return;
  const end = update.terminated ? ", where the episode ends" : "";
  $("update-where").textContent =
    `s = ${placeName(world, update.s)}, a = ${actionName(world.moves[update.a], update.a)}, ` +
    `s′ = ${update.next_states.map((s) => placeName(world, s)).join(", ")}${end}`;
  setText("equation", update.equation);
  setText("filled", update.filled);
  $("terms").replaceChildren(...update.terms.map(([name, value]) => definition(name, termText(value))));
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

/** Shows what the agent knows of a cell, beside the exact values. */
export function showCell(place, world, picture) {
  const s = place && world ? world.stateAt.get(String(place)) : undefined;
  setText("cell-title", place && world ? cellTitle(place, world) : "Cell");
  $("cell-hint").hidden = Boolean(place);
  $("cell").hidden = s === undefined || !picture || world.isEnd[s];
  if ($("cell").hidden) return;
  const exactQ = world.optimum.q?.[s];
  $("exact-q").hidden = !exactQ;
  $("cell-actions").replaceChildren(
    ...world.moves.map((move, a) => actionRow(move, a, s, world, picture, exactQ)));
  setText("cell-value", formatNumber(Math.max(...picture.q[s])));
  setText("cell-optimal", formatNumber(world.values?.[s]));
}

function cellTitle([row, column], world) {
  return `Cell: row ${row + 1}, column ${column + 1}, ${cellName(world.legend[world.rows[row][column]], world.bestEnd)}`;
}

/** Large numbers of visits are shortened, so that the table fits a narrow column. */
function formatVisits(visits) {
  return visits < 100000 ? formatInteger(visits) : formatShort(visits);
}

function actionRow(move, a, s, world, picture, exactQ) {
  const row = make("tr");
  const isBest = world.best?.[s]?.[a];
  const [arrow, word] = actionName(move, a).split(" ");
  const header = make("th", `${arrow} `);
  const name = make("span", word);
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
