"""Run the studies in benchmarks/studies/transfer: is transfer faster than training from scratch?

python benchmarks/transfer.py [JOBS]

JOBS is the number of parallel runs. Prints the tables of docs/textbook/transfer.md in Markdown, and
draws its figure.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir, closing
from pathlib import Path

import matplotlib
import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

import gridcade
from gridcade.envs import registry
from gridcade.report.drawing import DASHES, INK, PALETTE, PAPER, RC_PARAMS
from gridcade.report.phrases import with_interval
from gridcade.study.comparison import Comparison, RunResult
from gridcade.study.seed_statistics import mean_curve, seed_interval

Floats = NDArray[np.float64]
Runs = Sequence[RunResult]

ROOT = Path(__file__).parents[1]
STUDIES = Path("benchmarks") / "studies" / "transfer"
FIGURE = ROOT / "docs" / "textbook" / "figures" / "transfer.svg"
SHARE = 0.95  # of the optimal average reward
SCRATCH = "from scratch"


def main() -> None:
    """Run both studies from the repository's folder, print the tables, and draw the figure."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else None
    with chdir(ROOT):
        source, target = (
            gridcade.compare(
                str(STUDIES / f"{name}.toml"), out=Path("studies") / f"transfer-{name}", jobs=jobs
            )
            for name in ("source", "target")
        )
        (source_runs,) = next(iter(source.results.values())).values()
        source_steps = steps_to_share(source_runs, optimum(next(iter(source.results))))
        print(f"source: {interval(source_steps, budget(source))}\n")
        warn_of_gaps([source, target])
        print_tables(target, budget(source))
        draw(target)


def warn_of_gaps(comparisons: Sequence[Comparison]) -> None:
    """Print the runs with fewer evaluations than epochs; a busy machine may have skipped some."""
    for comparison in comparisons:
        runs = (run for arms in comparison.results.values() for arm in arms.values() for run in arm)
        for run in runs:
            if len(curve(run, 1.0)[0]) < budget(comparison) // run.config["epoch"]:
                print(f"{run.run} lacks evaluations: remove the run and its task, and start again")


def optimum(env: str) -> float:
    """Return the optimal average reward of an environment."""
    with closing(registry.make(env)) as single:
        reward = gridcade.solve(single).average_reward
    assert reward is not None
    return reward


def budget(comparison: Comparison) -> int:
    """Return the number of training steps of each run."""
    assert comparison.study.steps is not None
    return comparison.study.steps


def curve(run: RunResult, best: float) -> tuple[Floats, Floats]:
    """Return the learning curve: steps, and the average reward as a share of the optimum."""
    key = "average_reward_mean"
    points = [(m["steps"], m[key] / best) for m in run.metrics if key in m]
    steps, shares = np.array(points, dtype=np.float64).T
    return steps, shares


def steps_to_share(runs: Runs, best: float) -> Floats:
    """Return the steps to the first evaluation at SHARE of the optimum, or infinity.  [seeds]."""
    curves = [curve(run, best) for run in runs]
    return np.array([min(x[y >= SHARE - 1e-9], default=math.inf) for x, y in curves])


def print_tables(target: Comparison, cost: int) -> None:
    """Print a table for each target maze; `cost` is the number of steps of a source run."""
    for env, arms in target.results.items():
        best = optimum(env)
        limit = budget(target)
        steps = {name: steps_to_share(runs, best) for name, runs in arms.items()}
        print(f"{env}\n")
        print("| arm | steps to 95 % | seeds | ratio to scratch | saved | pays from | mean share |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name, runs in arms.items():
            print("| " + " | ".join([name, *cells(name, steps, runs, best, limit, cost)]) + " |")
        print()


def cells(
    name: str,
    steps: Mapping[str, Floats],
    runs: Runs,
    best: float,
    limit: int,
    cost: int,
) -> list[str]:
    """Return the cells of an arm. A run that does not reach SHARE counts with all its steps.

    "Pays from" is the smallest number of mazes with which the saved steps make up for the `cost` of
    the source run. The mean share is the average reward as a share of the optimum `best`, averaged
    over all evaluations.
    """
    reached = f"{np.isfinite(steps[name]).sum()} of {len(runs)}"
    means = [float(curve(run, best)[1].mean()) for run in runs]
    area = with_interval(seed_interval(means, 0.95), "{:.2f}")
    ratio = saved = pays = ""
    if name != SCRATCH:
        own, scratch = (np.minimum(steps[n], limit) for n in (name, SCRATCH))
        logs = seed_interval(np.log(own / scratch), 0.95)
        ratio = "{:.2f} ({:.2f} to {:.2f})".format(*np.exp([logs.mean, logs.low, logs.high]))
        gap = seed_interval(scratch - own, 0.95)
        saved = with_interval(gap, "{:,.0f}")
        if gap.low > 0:
            most, mean, least = (math.ceil(cost / x) for x in (gap.low, gap.mean, gap.high))
            pays = f"{mean} mazes ({least} to {most})"
    return [interval(steps[name], limit), reached, ratio, saved, pays, area]


def interval(steps: Floats, limit: int) -> str:
    """Format the mean and its interval; a run that did not reach SHARE counts as `limit` steps."""
    return with_interval(seed_interval(np.minimum(steps, limit), 0.95, (0, limit)), "{:,.0f}")


def draw(target: Comparison) -> None:
    """Draw the mean learning curves, one panel for each target maze."""
    with matplotlib.rc_context(RC_PARAMS):
        figure = matplotlib.figure.Figure(figsize=(7.2, 3.6), layout="constrained", facecolor=PAPER)
        panels = figure.subplots(1, len(target.results), sharey=True)
        for axes, (env, arms) in zip(panels, target.results.items(), strict=True):
            plot(axes, arms, optimum(env))
            axes.set_title(f"{Path(env.partition('?')[0]).stem} maze", fontsize=9, color=INK)
        panels[0].set_ylabel("average reward / optimum")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.savefig(FIGURE, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        print(FIGURE)


def plot(axes: Axes, arms: Mapping[str, Runs], best: float) -> None:
    """Plot the mean curve of each arm with its pointwise 95 % interval."""
    for i, (name, runs) in enumerate(arms.items()):
        xs, ys = zip(*(curve(run, best) for run in runs), strict=True)
        band = mean_curve(xs, ys, 0.95, (0, 1))
        color, dash = PALETTE[i], DASHES[i % len(DASHES)]
        axes.plot(band.x, band.mean, color=color, linestyle=dash, label=name)
        shown = np.isfinite(band.low)
        axes.fill_between(
            band.x, band.low, band.high, where=shown, color=color, alpha=0.13, linewidth=0
        )
    axes.axhline(SHARE, color=INK, linewidth=0.6, linestyle=DASHES[2])
    axes.set_xlabel("steps")
    axes.set_ylim(0, 1.02)


if __name__ == "__main__":
    main()
