// The legend below the world: the scale of the colors, and the symbols.

import { $, make, setText } from "../dom.js";
import { formatNumber } from "../format.js";

const TITLES = { learnt: "Learned value", optimal: "Exact optimal value", visits: "Visits (logarithmic)" };

/** Shows what the colors of the cells mean. Args: shown: result of shownValues, or null; suffix of the ids. */
export function showScale(cells, shown, suffix = "") {
  setText(`scale-title${suffix}`, TITLES[cells]);
  setText(`scale-low${suffix}`, formatNumber(shown?.low));
  setText(`scale-high${suffix}`, formatNumber(shown?.high));
}

/** Shows the symbols that are drawn in this world. */
export function showSymbols({ rows, legend, bestEnd, settings }) {
  const cells = [...new Set(rows.join(""))].map((symbol) => legend[symbol]);
  const isBad = (cell) => (cell.end ? cell.reward < bestEnd : cell.reward < 0);
  const isFloor = (cell) => !cell.wall && !cell.end && !cell.to;
  const entries = [
    ["agent", "agent", true],
    ["blank", "not visited", true],
    ["start", "start", cells.some((cell) => cell.start)],
    ["goal", "goal", cells.some((cell) => cell.end && !isBad(cell))],
    ["pit", "bad end or penalty", cells.some(isBad)],
    ["portal", "portal", cells.some((cell) => cell.to && !isBad(cell))],
    ["reward", "reward on each visit", cells.some((cell) => isFloor(cell) && cell.reward > 0)],
    ["wind", "wind", settings.wind.some((strength) => strength > 0)],
  ];
  $("symbols").replaceChildren(...entries.filter(([, , isDrawn]) => isDrawn).map(([kind, text]) => {
    const item = make("li", text);
    item.className = `icon ${kind}`;
    return item;
  }));
}
