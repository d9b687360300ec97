"""Draw figures 4.1, 4.2 and 4.3 of Sutton & Barto (2018), which show planning.

python benchmarks/studies/sutton-barto/chapter_4.py [4-1 …]

Writes docs/textbook/figures/figure-4-1.svg and so on, and prints the numbers in the figures.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import matplotlib
import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

import gridcade
from gridcade.envs import registry
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.exact.action_values import optimal_actions
from gridcade.exact.planning import first_plan, policy_iteration_sweep
from gridcade.exact.policy_iteration import backup
from gridcade.report.drawing import INK, MUTED, PALETTE, PAPER, RC_PARAMS, plot_style

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OUT = Path(__file__).parents[3] / "docs" / "textbook" / "figures"
ARROWS = ((0, -0.3), (0.3, 0), (0, 0.3), (-0.3, 0))  # up, right, down, left, in cells
SHOWN_SWEEPS = (0, 1, 2, 3, 10)  # of figure 4.1, besides the last one
JACKS_DISCOUNT = 0.9
MOST_CARS, MOST_MOVED = 20, 5
GAMBLERS_SWEEPS = (1, 2, 3, 32)  # of figure 4.3, besides the last one


def main() -> None:
    """Draw all figures, or those named as arguments, such as 4-3."""
    figures: dict[str, Callable[[], matplotlib.figure.Figure]] = {
        "4-1": figure_4_1,
        "4-2": figure_4_2,
        "4-3": figure_4_3,
    }
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or figures:
        with matplotlib.rc_context(RC_PARAMS):
            figure = figures[name]()
            file = OUT / f"figure-{name}.svg"
            figure.savefig(file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
            print(file)


def known_model(name: str) -> Model:
    """Return the exact model of a world."""
    with closing(registry.make(name)) as env:
        model = registry.known_model(env)
    assert model is not None
    return model


# ---- figure 4.1: iterative policy evaluation of the random policy in a 4x4 gridworld


def figure_4_1() -> matplotlib.figure.Figure:
    """Draw the values of the random policy after some sweeps, and the greedy policy for them."""
    model = known_model("Grid4x4")
    env = registry.make("Grid4x4").unwrapped
    assert isinstance(env, TabularEnv)
    ends = {int(s) for s in np.unique(model.next_states[model.terminated])}
    sweeps = list(gridcade.sweeps("Grid4x4", "policy-evaluation"))
    shown = [*(sweeps[k] for k in SHOWN_SWEEPS), sweeps[-1]]
    figure = matplotlib.figure.Figure(figsize=(5.6, 4.1), layout="constrained")
    panels = figure.subplots(2, 3).flat
    for axes, sweep in zip(panels, shown, strict=True):
        q = backup(model, model.rewards, sweep.values, 1.0)
        _plot_values(axes, env.places, sweep.values, q, ends)
        number = "∞" if sweep is sweeps[-1] else sweep.number
        axes.set_title(f"k = {number}", fontsize=9, color=INK)
        print("4.1, k =", number, np.round(sweep.values, 2).tolist())
    return figure


def _plot_values(axes: Axes, places: Ints, values: Floats, q: Floats, ends: set[int]) -> None:
    """Draw a cell for each state: its value, and an arrow for each greedy action."""
    axes.set(xlim=(-0.5, 3.5), ylim=(3.5, -0.5), aspect="equal", xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for edge in np.arange(-0.5, 4):
        axes.plot([edge, edge], [-0.5, 3.5], color=MUTED, linewidth=0.6, clip_on=False)
        axes.plot([-0.5, 3.5], [edge, edge], color=MUTED, linewidth=0.6, clip_on=False)
    best = optimal_actions(q)
    for s, (row, column) in enumerate(places):
        if s in ends:
            axes.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color="#dfe2e6")
        text = f"{values[s] + 0.0:.1f}"  # adding 0 turns -0 into 0
        axes.text(column, row, text, ha="center", va="center", fontsize=7)
        for a in np.flatnonzero(best[s]):
            if s not in ends:
                x, y = ARROWS[a]
                axes.annotate(
                    "",
                    (column + 1.62 * x, row + 1.5 * y),
                    (column + 1.1 * x, row + 0.7 * y),
                    arrowprops={
                        "arrowstyle": "-|>,head_length=0.15,head_width=0.1",
                        "color": PALETTE[0],
                        "linewidth": 0.8,
                        "shrinkA": 0,
                        "shrinkB": 0,
                    },
                )


# ---- figure 4.2: policy iteration in Jack's car rental


def figure_4_2() -> matplotlib.figure.Figure:
    """Draw the policies of policy iteration, starting with no moved cars, and the final values."""
    model = known_model("JacksCarRental")
    move_nothing = np.eye(model.num_actions)[np.full(model.num_states, MOST_MOVED)]
    plans = [first_plan(model)._replace(policy=move_nothing)]
    while len(plans) < 2 or (plans[-1].policy != plans[-2].policy).any():
        plans.append(policy_iteration_sweep(model, plans[-1], JACKS_DISCOUNT))
    policies = [plan.policy.argmax(axis=1) - MOST_MOVED for plan in plans[:-1]]
    values = plans[-1].values.reshape(MOST_CARS + 1, -1)
    print("4.2, policies:", len(policies), "values:", values.min(), "to", values.max())
    figure = matplotlib.figure.Figure(figsize=(5.6, 4.1), layout="constrained")
    panels = list(figure.subplots(2, 3, sharex=True, sharey=True).flat)
    for k, (axes, policy) in enumerate(zip(panels, policies, strict=False)):
        _plot_moves(axes, policy.reshape(values.shape))
        axes.set_title(f"π{'₀₁₂₃₄'[k]}", fontsize=9, color=INK)
    axes = panels[-1]
    axes.imshow(values, origin="lower", cmap="Blues", vmin=values.min() - 100)
    lines = axes.contour(values, levels=range(420, 620, 40), colors=INK, linewidths=0.6)
    axes.clabel(lines, fontsize=6)
    axes.set_title("v of π₄", fontsize=9, color=INK)
    for axes in panels:
        axes.grid(visible=False)
        axes.set(xticks=[0, 10, 20], yticks=[0, 10, 20])
    figure.supxlabel("#Cars at second location", fontsize=9, color=MUTED)
    figure.supylabel("#Cars at first location", fontsize=9, color=MUTED)
    return figure


def _plot_moves(axes: Axes, moves: Ints) -> None:
    """Draw how many cars a policy moves, [cars at first location, cars at second location]."""
    axes.imshow(moves, origin="lower", cmap="PuOr", vmin=-MOST_MOVED - 2, vmax=MOST_MOVED + 2)
    for move in np.unique(moves):
        rows, columns = np.nonzero(moves == move)
        middle = len(rows) // 2
        order = np.argsort(rows - columns if move else rows + columns, kind="stable")
        at = int(order[middle])
        color = PAPER if abs(move) == MOST_MOVED else INK
        axes.text(
            columns[at], rows[at], str(move), ha="center", va="center", fontsize=7, color=color
        )


# ---- figure 4.3: value iteration in the gambler's problem


def figure_4_3() -> matplotlib.figure.Figure:
    """Draw the values after some sweeps, and all optimal stakes."""
    model = known_model("GamblersProblem")
    sweeps = list(gridcade.sweeps("GamblersProblem", "value-iteration", "return"))
    capital = np.arange(1, model.num_states - 1)
    figure = matplotlib.figure.Figure(figsize=(5.6, 5.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    numbers = [k for k in GAMBLERS_SWEEPS if k < len(sweeps) - 1]
    shown = [*((f"sweep {k}", sweeps[k]) for k in numbers), ("final", sweeps[-1])]
    for i, (label, sweep) in enumerate(shown):
        style = plot_style(i)
        top.plot(
            capital, sweep.values[1:-1], color=style.color, linestyle=style.dashes, label=label
        )
        print("4.3,", label, {c: round(float(sweep.values[c]), 4) for c in (25, 50, 75)})
    top.legend()
    top.set_ylabel("Value estimates")
    best = optimal_actions(backup(model, model.rewards, sweeps[-1].values, 1.0))
    best[:, 0] = False  # staking nothing is equally good, but does not end the episode
    states, stakes = np.nonzero(best[1:-1])
    bottom.scatter(states + 1, stakes, s=5, color=PALETTE[5], label="every optimal stake")
    smallest = best[1:-1].argmax(axis=1)
    bottom.plot(capital, smallest, color=INK, linewidth=0.9, label="the smallest one")
    bottom.legend(loc="upper left")
    bottom.set(xlabel="Capital", ylabel="Final policy (stake)", xlim=(0, 100))
    print("4.3, sweeps:", len(sweeps) - 1, "smallest stakes:", smallest.tolist())
    return figure


if __name__ == "__main__":
    main()
