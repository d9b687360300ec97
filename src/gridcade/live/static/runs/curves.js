// The metrics of the chosen runs; the server sends only new lines.

import { getTable } from "./requests.js";

const MOST_ENTRIES = 3000; // of a run; above this number, the page asks for a thinned-out curve

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

  /** Requests the new lines of a run; returns whether there are any. */
  async refresh(name) {
    let known = this.runs.get(name) ?? { version: "", lines: 0, entries: [] };
    if (known.entries.length > MOST_ENTRIES) known = { version: "", lines: 0, entries: [] };
    const { version, start, lines, entries } = await getTable("curves", { run: name, after: known.lines, version: known.version });
    if (version === known.version) return false;
    this.runs.set(name, { version, lines, entries: start ? known.entries.concat(entries) : entries });
    return true;
  }

  /** Returns the measures that any of the runs has: scores first, then metrics of the agents. */
  measures(names) {
    const keys = new Set(names.flatMap((name) => this.entries(name).flatMap(Object.keys)));
    const scores = Object.entries(SCORES).filter(([, { training, evaluation }]) => keys.has(training) || keys.has(`${evaluation}_mean`));
    return [...scores.map(([name]) => name), ...[...keys].filter((key) => !NO_MEASURE.test(key)).sort()];
  }

  /** Returns columns of a run: x, training, and mean, low and high of the evaluations.  [5][points]. */
  columns(name, measure, x) {
    const { training, evaluation } = SCORES[measure] ?? { training: "", evaluation: "" };
    const keys = [training, `${evaluation}_mean`, `${evaluation}_low`, `${evaluation}_high`];
    if (!evaluation) keys[1] = measure;
    const at = (entry) => (x === "minutes" ? entry.seconds / 60 : entry.steps);
    // Epochs that took no measurable time have the same x; the last one is shown.
    const entries = this.entries(name).filter((entry) => Number.isFinite(at(entry)));
    const points = [...new Map(entries.map((entry) => [at(entry), entry]))].sort(([a], [b]) => a - b);
    return [points.map(([place]) => place), ...keys.map((key) => points.map(([, entry]) => entry[key] ?? null))];
  }
}
