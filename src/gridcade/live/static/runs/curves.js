// The metrics of the chosen runs, of which the server sends what is new.

import { getTable } from "./requests.js";

const MOST_ENTRIES = 3000; // of a run; beyond this number the server thins them out anew

// Evaluations have a mean, a low and a high end.
const SCORES = {
  return: { training: "training_return_mean", evaluation: "return" },
  average_reward: { training: "training_average_reward", evaluation: "average_reward" },
};
const NO_MEASURE = /^(steps|seconds|frames|exact|(training_)?return_.*|(training_)?average_reward(_.*)?)$/;

export class Curves {
  constructor() {
    this.runs = new Map(); // name -> {version, lines, entries}
  }

  entries(name) {
    return this.runs.get(name)?.entries ?? [];
  }

  /** Asks for what is new of a run; returns whether anything is. */
  async refresh(name) {
    let known = this.runs.get(name) ?? { version: "", lines: 0, entries: [] };
    if (known.entries.length > MOST_ENTRIES) known = { version: "", lines: 0, entries: [] };
    const { version, start, lines, entries } = await getTable("curves", { run: name, after: known.lines, version: known.version });
    if (version === known.version) return false;
    this.runs.set(name, { version, lines, entries: start ? known.entries.concat(entries) : entries });
    return true;
  }

  /** The measures that any of the runs has: scores first, then what the agents report. */
  measures(names) {
    const keys = new Set(names.flatMap((name) => this.entries(name).flatMap(Object.keys)));
    const scores = Object.entries(SCORES).filter(([, { training, evaluation }]) => keys.has(training) || keys.has(`${evaluation}_mean`));
    return [...scores.map(([name]) => name), ...[...keys].filter((key) => !NO_MEASURE.test(key)).sort()];
  }

  /** Columns of a run: x, training, and mean, low and high of the evaluations.  [5][points]. */
  columns(name, measure, x) {
    const { training, evaluation } = SCORES[measure] ?? { training: "", evaluation: "" };
    const keys = [training, `${evaluation}_mean`, `${evaluation}_low`, `${evaluation}_high`];
    if (!evaluation) keys[1] = measure;
    const at = (entry) => (x === "minutes" ? entry.seconds / 60 : entry.steps);
    // Epochs that took no measurable time have the same x: the last one counts.
    const entries = this.entries(name).filter((entry) => Number.isFinite(at(entry)));
    const points = [...new Map(entries.map((entry) => [at(entry), entry]))].sort(([a], [b]) => a - b);
    return [points.map(([place]) => place), ...keys.map((key) => points.map(([, entry]) => entry[key] ?? null))];
  }
}
