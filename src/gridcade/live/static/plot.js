// Options and sizes that all plots share.

import { readTheme } from "./colors.js";
import { formatShort } from "./format.js";

/** Returns the size of the page's type in pixels. */
export function remPixels() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize);
}

/** Returns the options of both axes for uPlot. */
export function plotAxes() {
  const [theme, rem] = [readTheme(), remPixels()];
  const axis = {
    stroke: theme.muted,
    grid: { stroke: theme.rule, width: 1 },
    ticks: { show: false },
    font: `${Math.round(0.78 * rem)}px system-ui, sans-serif`,
    values: (_, ticks) => ticks.map((x) => (x === null ? "" : formatShort(x))),
  };
  return [{ ...axis, space: 4.5 * rem, size: 1.9 * rem }, { ...axis, space: 2 * rem, size: 3.4 * rem }];
}

/** Returns the range of an axis with a margin above and below. */
export function padded(low, high) {
  if (low === null || high === null) return [0, 1];
  const margin = 0.08 * (high - low || Math.abs(high) || 1);
  return [low - margin, high + margin];
}
