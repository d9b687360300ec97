// Numbers and cells as text.

/** Formats a number with four significant digits; null (undefined) becomes a dash. */
export function formatNumber(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (Math.abs(x) === Infinity) return x > 0 ? "∞" : "−∞";
  if (Number.isInteger(x)) return formatInteger(x);
  const size = Math.abs(x);
  const text = size < 1e-4 || size >= 1e6 ? x.toExponential(2) : String(Number(x.toPrecision(4)));
  return text.replace(/-/g, "−");
}

/** Formats an integer with commas between groups of three digits. */
export function formatInteger(n) {
  return Math.round(n).toLocaleString("en-US").replace("-", "−");
}

/** Formats a number with its unit: "1 step", "2,000 sweeps". */
export function countOf(n, unit) {
  return `${formatInteger(n)} ${unit}${n === 1 ? "" : "s"}`;
}

/** Formats a number in few characters: 1,200,000 becomes 1.2M. */
export function formatShort(x) {
  const units = [["G", 1e9], ["M", 1e6], ["k", 1e3]];
  const [unit, size] = units.find(([, size]) => Math.abs(x) >= size) ?? ["", 1];
  return formatNumber(Number((x / size).toPrecision(3))) + unit;
}

/** Formats bytes: 1,394,342 becomes 1.4 MB. */
export function formatBytes(n) {
  const units = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];
  const [unit, size] = units.find(([, size]) => n >= size) ?? ["B", 1];
  return `${Number((n / size).toPrecision(2)).toLocaleString("en-US")} ${unit}`;
}

/** Formats a duration: "40 s", "12 min", "3.4 h". */
export function formatDuration(seconds) {
  const [unit, size] = [["h", 3600], ["min", 60]].find(([, size]) => seconds >= 2 * size) ?? ["s", 1];
  return `${formatNumber(Number((seconds / size).toPrecision(2)))} ${unit}`;
}

/** Formats a time in ISO 8601 as date and time in this browser's time zone; "" becomes a dash. */
export function formatTime(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return "–";
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16).replace("T", " ");
}

const ARROWS = { "-1,0": "↑", "0,1": "→", "1,0": "↓", "0,-1": "←" };
const MOVES = { "↑": [-1, 0], "→": [0, 1], "↓": [1, 0], "←": [0, -1], "↙": [1, -1], "↘": [1, 1] };
const DIRECTIONS = { "-1,0": "up", "0,1": "right", "1,0": "down", "0,-1": "left" };

/** Names an action by its move: "↑ up". */
export function actionName(move, action) {
  const key = String(move);
  return key in ARROWS ? `${ARROWS[key]} ${DIRECTIONS[key]}` : `action ${action}`;
}

/** Returns the move of an action in a state, [down, right]; null: the action is not a move. */
export function moveOf(world, s, a) {
  return world.signs ? MOVES[world.signs[s][a]] ?? null : world.moves[a];
}

/** Names an action in a state: "↑ up"; if actions are not moves, by its sign and number: "−3 action 2". */
export function actionNameAt(world, s, a) {
  return world.signs ? `${world.signs[s][a].replace("-", "−")} action ${a}` : actionName(world.moves[a], a);
}

/** Whether the world allows an action in a state. */
export function isAllowed(world, s, a) {
  return world.allowed?.[s][a] ?? true;
}

/** Describes a cell: "wall", "goal, reward 1", "to S, reward −99". Ends with less than the best reward are no goals. */
export function cellName(cell, bestEnd) {
  if (cell.wall) return "wall";
  const parts = [];
  if (cell.end) parts.push(cell.reward < bestEnd ? "end" : "goal");
  if (cell.to) parts.push(`to ${cell.to}`);
  if (cell.start) parts.push("start");
  if (cell.reward) parts.push(`reward ${formatNumber(cell.reward)}`);
  return parts.join(", ") || "floor";
}
