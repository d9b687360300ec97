// The numbers that the cells show, and the levels of their colors.

import { LEVELS } from "../colors.js";

/** Whether triangles are drawn: they show learned Q-values, so only if the cells show learned values. */
export function showsTriangles(options) {
  return options.triangles && options.cells === "learnt";
}

/** Returns the visits of a state, summed over all actions. */
export function visitsOf(picture, s) {
  return picture.visits[s].reduce((sum, n) => sum + n, 0);
}

function learnedValues(world, picture) {
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

/** Returns the Q-values that have been updated at least once, for the range of the triangles. */
function visitedActionValues(world, picture) {
  return picture.q.flatMap((row, s) =>
    world.isEnd[s] ? [] : row.filter((_, a) => picture.visits[s][a] > 0));
}

/**
 * Chooses the numbers that the cells show and the range of their colors.
 *
 * With the discounted criterion, learned and exact values share one range, so that colors can be
 * compared, and do not flicker while the learned range grows. With the average reward, learned and
 * exact values have separate ranges, because differential values are defined only up to a constant.
 *
 * Returns { numbers: [states], NaN where nothing is shown; low; high; level(x): 0 … LEVELS - 1 }.
 */
export function shownValues(world, picture, options) {
  if (options.cells === "visits") return visitScale(visitNumbers(world, picture));
  const learned = learnedValues(world, picture);
  const optimal = optimalValues(world);
  const numbers = options.cells === "optimal" ? optimal : learned;
  const comparable = world.criterion === "discounted";
  const inRange = [
    ...(comparable || options.cells === "optimal" ? optimal : []),
    ...(comparable || options.cells === "learnt" ? learned : []),
    ...(showsTriangles(options) ? visitedActionValues(world, picture) : []),
  ];
  const [low, high] = range(inRange);
  const scale = high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)) ? (LEVELS - 1) / (high - low) : 0;
  const level = (x) => scale ? clampLevel((x - low) * scale) : LEVELS >> 1;
  return { numbers, low, high, level };
}

/** Returns a logarithmic scale for visits, which span orders of magnitude. */
function visitScale(numbers) {
  const [, high] = range(numbers);
  const scale = high > 0 ? (LEVELS - 1) / Math.log1p(high) : 0;
  return { numbers, low: 0, high, level: (x) => clampLevel(Math.log1p(x) * scale) };
}

function clampLevel(x) {
  return Math.max(0, Math.min(LEVELS - 1, Math.round(x)));
}
