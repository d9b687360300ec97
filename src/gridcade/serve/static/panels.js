// The panels beside the world: the exact value, one update, and the cell under the pointer.

import { actionName, cellName, formatInteger, formatNumber } from "./format.js";

const $ = (id) => document.getElementById(id);

/** Shows the exact value of the greedy policy beside the optimum, by one measure. */
export function showExact(exact, optimum, measure, ownMeasure) {
  const [value, best] = [exact?.[measure], optimum[measure]];
  $("policy-now").textContent = formatNumber(value);
  $("optimum").textContent = formatNumber(best);
  $("gap").textContent = formatNumber(gapOf(exact, value, best, measure === ownMeasure));
  $("wrong-states").textContent = formatNumber(exact?.wrong);
  $("distance").textContent = formatNumber(exact?.distance);
  $("exact-steps").textContent = exact ? formatInteger(exact.steps) : "–";
}

/** The optimum minus the value; 0 where they differ by rounding errors only. */
function gapOf(exact, value, best, isOwnMeasure) {
  if (isOwnMeasure && exact) return exact.gap;
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
    `s′ = ${placeName(world, update.s_next)}${end}`;
  $("equation").textContent = update.equation;
  $("filled").textContent = update.filled;
  $("terms").replaceChildren(...update.terms.map(([name, value]) => definition(name, termText(value))));
}

function termText(value) {
  return typeof value === "number" ? formatNumber(value) : String(value);
}

function definition(term, text) {
  const [row, name, value] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
  name.textContent = term;
  value.textContent = text;
  row.append(name, value);
  return row;
}

function placeName(world, s) {
  const [row, column] = world.places[s];
  return `(${row + 1}, ${column + 1})`;
}

/** Shows what the agent knows of a cell, beside the exact values. */
export function showCell(place, world, picture) {
  const s = place && world ? world.stateAt.get(String(place)) : undefined;
  $("cell-title").textContent = place && world ? cellTitle(place, world) : "Cell";
  $("cell-hint").hidden = Boolean(place);
  $("cell").hidden = s === undefined || !picture || world.isEnd[s];
  if ($("cell").hidden) return;
  const exactQ = world.optimum.q?.[s];
  $("exact-q").hidden = !exactQ;
  $("cell-actions").replaceChildren(
    ...world.moves.map((move, a) => actionRow(move, a, s, world, picture, exactQ)));
  $("cell-value").textContent = formatNumber(Math.max(...picture.q[s]));
  $("cell-optimal").textContent = formatNumber(world.values?.[s]);
}

function cellTitle([row, column], world) {
  return `Cell: row ${row + 1}, column ${column + 1}, ${cellName(world.legend[world.rows[row][column]], world.bestEnd)}`;
}

function actionRow(move, a, s, world, picture, exactQ) {
  const row = document.createElement("tr");
  const header = document.createElement("th");
  header.scope = "row";
  const isBest = world.best?.[s]?.[a];
  header.textContent = actionName(move, a) + (isBest ? " ✓" : "");
  header.title = isBest ? "optimal action" : "";
  row.append(header);
  const texts = [formatNumber(picture.q[s][a])];
  if (exactQ) texts.push(formatNumber(exactQ[a]));
  texts.push(formatNumber(picture.policy[s][a]), formatInteger(picture.visits[s][a]));
  for (const text of texts) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  row.classList.toggle("greedy", picture.policy[s][a] > 0);
  return row;
}
