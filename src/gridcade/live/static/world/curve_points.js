// The points of one lane's curve, in the branches of its history.

const MOST_POINTS = 4000; // of a branch; beyond this number, every second point is dropped
export const MEASURES = ["average_reward", "expected_return", "discounted_return"];

export class CurvePoints {
  constructor() {
    this.clear();
  }

  clear() {
    this.branches = new Map([[0, []]]); // number -> [{steps, exact, optimum}]
    this.branch = 0;
  }

  /** Takes over the branches of a history; a new branch shares its parent's points up to the fork. */
  setHistory({ branch, branches }) {
    const old = this.branches;
    const begin = ({ parent, fork }) => (old.get(parent) ?? []).filter(({ steps }) => steps <= fork);
    this.branches = new Map(branches.map((entry) => [entry.branch, old.get(entry.branch) ?? begin(entry)]));
    this.branch = branch;
  }

  /** Adds the values of a policy, {measure: value}, and the optimum of its world. */
  add(exact, optimum) {
    const points = this.branches.get(this.branch);
    const point = { steps: exact.steps, exact, optimum };
    // Of points with the same values, the first and the last are enough to draw their line.
    if (sameValues(point, points.at(-1)) && sameValues(point, points.at(-2))) points.pop();
    points.push(point);
    if (points.length > MOST_POINTS) this.branches.set(this.branch, points.filter((_, i) => i % 2 === 0));
  }

  /** The points of the present branch. */
  get present() {
    return this.branches.get(this.branch);
  }

  /** The points of each other branch. */
  get others() {
    return [...this.branches].filter(([number]) => number !== this.branch).map(([, points]) => points);
  }
}

function sameValues(point, other) {
  return other !== undefined && point.optimum === other.optimum &&
    MEASURES.every((measure) => point.exact[measure] === other.exact[measure]);
}
