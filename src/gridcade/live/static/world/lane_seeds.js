// The seeds of a lane: a button that runs 30 learners with other seeds in the background, and their
// results.

import { $, setText } from "../dom.js";
import { formatInteger } from "../format.js";

export class LaneSeeds {
  /** Args: suffix of the ids; send(message); changed(): called when the bands have changed. */
  constructor(suffix, send, changed) {
    Object.assign(this, { suffix, send, changed, news: null, isRandom: true });
    this.button = $(`seeds${suffix}`);
    this.button.addEventListener("click", () => this.send({ type: "seeds", run: !this.news?.running }));
    this.show();
  }

  /** Sets the results, {seeds, running, total, steps, bands, scores}; null: there are none. */
  set(news) {
    this.news = news;
    this.show();
    this.changed();
  }

  setKind({ is_random: isRandom }) {
    this.isRandom = isRandom;
    this.show();
  }

  show() {
    const { news, button, isRandom } = this;
    button.disabled = !isRandom;
    button.textContent = news?.running ? "Cancel the seeds" : "30 seeds";
    setText(`seeds-text${this.suffix}`, isRandom ? progress(news) : "Planning uses no random numbers.");
  }

  /** Returns the points of a measure's band, {steps, mean, low, high}, without those that have no mean. */
  band(measure) {
    if (!this.news) return [];
    const { steps, bands } = this.news;
    const { mean, low, high } = bands[measure];
    // Where there is no interval, for example if all values are equal, the band has no width.
    return steps
      .map((at, i) => ({ steps: at, mean: mean[i], low: low[i] ?? mean[i], high: high[i] ?? mean[i] }))
      .filter((point) => point.mean !== null);
  }

  get isDone() {
    return Boolean(this.news && !this.news.running && this.news.steps.length);
  }
}

function progress(news) {
  if (!news) return "Mean and 95 % interval, in the background.";
  const { seeds, steps, total, running } = news;
  const reached = formatInteger(steps.at(-1) ?? 0);
  if (running) return `${seeds} seeds: ${reached} of ${formatInteger(total)} steps.`;
  return `Mean and 95 % interval of ${seeds} seeds, to ${reached} steps.`;
}

/** Asks the first lane's process whether the seeds of two lanes differ, when all have finished. */
export function compareSeeds(first, second, measure) {
  if (!first.seeds.isDone || !second.seeds.isDone) return;
  const { steps, scores } = second.seeds.news;
  const last = steps.findLastIndex((at) => first.seeds.news.steps.includes(at));
  if (last >= 0) first.send({ type: "compare", steps: steps[last], measure, scores: scores[last][measure] });
}
