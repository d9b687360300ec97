// Which numbers the cells show, and the levels of their colors.

import { LEVELS } from "../colors.js";

/** Triangles show learnt Q-values, so they replace the cells' colors only where those are learnt. */
export function showsTriangles(options) {
  return options.triangles && options.cells === "learnt";
}

/** Visits of a state over all actions. */
export function visitsOf(picture, s) {
  return picture.visits[s].reduce((sum, n) => sum + n, 0);
}

function learntValues(world, picture) {
  return picture.q.map((row, s) =>
    world.isEnd[s] || visitsOf(picture, s) === 0 ? NaN : Math.max(...row));
}

function optimalValues(world) {
  return (world.values ?? []).map((v, s) => (world.isEnd[s] || v === null ? NaN : v));
}

function visitNumbers(world, picture) {
  return picture.visits.map((_, s) => (world.isEnd[s] ? NaN : visitsOf(picture, s) || NaN));
}

function range(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (const x of numbers) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return low <= high ? [low, high] : [0, 0];
}

/** Numbers of the Q-values that have been updated at least once, for the range of the triangles. */
function visitedActionValues(world, picture) {
  return picture.q.flatMap((row, s) =>
    world.isEnd[s] ? [] : row.filter((_, a) => picture.visits[s][a] > 0));
}

/**
 * Chooses the numbers that the cells show and the range of their colors.
 *
 * Under the discounted criterion, learnt and exact values share one range: colors can then be
 * compared, and do not flicker while the learnt range grows. Differential values are only defined
 * up to a constant, so each kind has its own range there.
 *
 * Returns { numbers: [states], NaN where nothing is shown; low; high; level(x): 0 … LEVELS - 1 }.
 */
export function shownValues(world, picture, options) {
  if (options.cells === "visits") return visitScale(visitNumbers(world, picture));
  const learnt = learntValues(world, picture);
  const optimal = optimalValues(world);
  const numbers = options.cells === "optimal" ? optimal : learnt;
  const comparable = world.criterion === "discounted";
  const inRange = [
    ...(comparable || options.cells === "optimal" ? optimal : []),
    ...(comparable || options.cells === "learnt" ? learnt : []),
    ...(showsTriangles(options) ? visitedActionValues(world, picture) : []),
  ];
  const [low, high] = range(inRange);
  const scale = high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)) ? (LEVELS - 1) / (high - low) : 0;
  const level = (x) => scale ? clampLevel((x - low) * scale) : LEVELS >> 1;
  return { numbers, low, high, level };
}

/** Visits span orders of magnitude, so their colors follow the logarithm. */
function visitScale(numbers) {
  const [, high] = range(numbers);
  const scale = high > 0 ? (LEVELS - 1) / Math.log1p(high) : 0;
  return { numbers, low: 0, high, level: (x) => clampLevel(Math.log1p(x) * scale) };
}

function clampLevel(x) {
  return Math.max(0, Math.min(LEVELS - 1, Math.round(x)));
}
