"""What the command line prints: tables, sentences and JSON."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridcade import api
from gridcade.agents import SB3
from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env
from gridcade.evaluation.evaluate import Evaluation, finite
from gridcade.evaluation.intervals import Estimate
from gridcade.exact.solver import Solution
from gridcade.exact.values import ExactValues
from gridcade.formatting import format_number
from gridcade.training.run_folder import Run
from gridcade.training.trainer import used_up
from gridcade.watch.text_pictures import arrow_panel, color_depth

MAX_STATES_LISTED = 64  # a solution with more states is not listed state by state
FILE_COLUMNS, FILE_ROWS = 100, 60  # size of a drawn policy where the output is no terminal

# Names of runs and environments can contain brackets and colons, which are not markup.
out = Console(highlight=False, markup=False, emoji=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)


def metrics_text(metrics: dict[str, Any], short: bool = False, width: int = 0) -> str:
    """The returns of an epoch in one line: while exploring, and of the greedy policy.

    Args:
        metrics: the epoch's metrics.
        short: leave out the average reward of the greedy policy.
        width: columns of the first part, so that lines below each other are aligned.
    """
    training = metrics.get("training_return_mean"), metrics.get("training_average_reward")
    exploring = "return" if training[0] is not None else "average reward"  # no episode ended
    values = [format_number(value) for value in training if value is not None]
    parts = [f"while exploring: {exploring} {values[0]}".ljust(width)] if values else []
    if greedy := evaluation_text(metrics, first_only=short):
        parts.append(f"greedy: {greedy}")
    return "  ".join(parts)


def evaluation_text(metrics: dict[str, Any], first_only: bool = False) -> str:
    """The values of an epoch's evaluation: return and average reward, or only the first."""
    keys = {"return": "return_mean", "average reward": "average_reward_mean"}
    values = {name: metrics.get(key) for name, key in keys.items()}
    parts = [
        f"{name} {format_number(value)}" for name, value in values.items() if value is not None
    ]
    return "  ".join(parts[:1] if first_only else parts)


def show_run(run: Run) -> bool:
    """Print a run's result, and the commands that use it; returns whether its budget is used up."""
    steps = run.last_checkpoint()
    seconds = run.load_checkpoint(steps)[2]["seconds"]
    if not used_up(run.settings, steps, seconds):
        print(f"stopped after {steps:,} steps; the checkpoint is saved")
        print(f"continue:   gridcade resume {run.path}")
        return False
    speed = f" ({steps / seconds:,.0f} per second)" if seconds > 0 else ""
    settings = run.settings
    print(f"{settings.agent} on {settings.env}: {steps:,} steps in {seconds:.1f} s{speed}")
    if metrics := run.metrics():
        line = f"last epoch: {metrics_text(metrics[-1])}"
        if out.is_terminal and len(line) > out.width:
            line = f"last epoch: {metrics_text(metrics[-1], short=True)}"
        print(line)
    print(f"run folder: {run.path}")
    print(f"evaluate:   gridcade evaluate {run.path}")
    print(f"watch:      gridcade watch {run.path}")
    if reason := api.shortfall(run):
        print_line(f"{reason} Train longer:")
        print(f"            {_longer_training(run)}")
    return True


def _longer_training(run: Run) -> str:
    """The command that trains an agent for ten times its budget."""
    settings = run.settings
    longer = f"--minutes {10 * settings.minutes:g}" if settings.minutes is not None else ""
    longer = f"--steps {10 * settings.steps:_}" if settings.steps is not None else longer
    if settings.agent.startswith(SB3):  # cannot resume
        return f"gridcade train {settings.agent} '{settings.env}' {longer}"
    return f"gridcade resume {run.path} {longer}"


def show_evaluation(result: Evaluation, as_json: bool = False) -> None:
    """Print an evaluation: a table, or one JSON object."""
    if as_json:
        print(json.dumps(result.as_dict()))
        return
    episodes = "" if result.episodes is None else f"{result.episodes:,} episodes, "
    heading = (
        (result.policy, "bold"),
        " on ",
        (result.env, "bold"),
        f": {episodes}{result.steps:,} steps, seed {result.seed}",
        f", epsilon {result.epsilon:g}" if result.epsilon else "",
        ", stochastic" if result.stochastic else "",
    )
    print_line(Text.assemble(*heading))
    out.print(_estimates_table(result))
    if result.exact is not None:
        out.print()
        out.print(_exact_table(result.exact))
    if result.truncated:
        out.print(f"{100 * result.truncated:.3g} % of the episodes were truncated")
    for note in result.notes:
        print_line(f"note: {note}")


def _estimates_table(result: Evaluation) -> Table:
    """The estimates with their intervals, beside the exact values."""
    exact = result.exact
    rows: dict[str, tuple[Estimate | None, float | None]] = {
        "average reward": (result.average_reward, exact.average_reward if exact else None),
        "return": (result.expected_return, exact.expected_return if exact else None),
        f"discounted by {result.discount:g}": (result.discounted_return, None),
        "episode length": (result.episode_length, None),
    }
    table = number_table("expected", "estimate", f"{100 * result.confidence:g} % interval", "exact")
    for name, (estimate, value) in rows.items():
        if estimate is not None:
            interval = f"{format_number(estimate.low)} to {format_number(estimate.high)}"
            table.add_row(name, format_number(estimate.mean), interval, format_number(value))
    return table


def _exact_table(exact: ExactValues) -> Table:
    """The policy's exact values without a time limit, beside the optimum."""
    rows = {
        "average reward": (
            exact.unlimited_average_reward,
            exact.optimal_average_reward,
            exact.gap_average_reward,
        ),
        "return": (exact.unlimited_return, exact.optimal_return, exact.gap_return),
    }
    table = number_table("exact, without limit", "this policy", "optimum", "gap")
    for name, values in rows.items():
        if values[0] is not None:
            table.add_row(name, *map(format_number, values))
    return table


def show_solution(name: str, env: Env, solution: Solution, as_json: bool = False) -> None:
    """Print an optimal policy and its value: a drawing or a list of states, or one JSON object."""
    if as_json:
        print(json.dumps(_solution_dict(name, solution)))
        return
    criterion = {
        "return": "expected return",
        "discounted": f"expected return discounted by {solution.discount}",
        "average-reward": "expected average reward",
    }[solution.criterion]
    value = (format_number(solution.value), "bold")
    print_line(Text.assemble((name, "bold"), f": the optimal {criterion} is ", value))
    if solution.criterion != "average-reward":
        out.print(
            f"expected average reward of that policy: {format_number(solution.average_reward)}"
        )
    world = env.unwrapped
    if isinstance(world, TabularEnv):
        _draw_policy(world, solution)
    elif len(solution.values) <= MAX_STATES_LISTED:
        for state, (value, row) in enumerate(zip(solution.values, solution.policy, strict=True)):
            action = int(row.argmax())
            print(f"state {state:>3}  value {format_number(float(value)):>10}  action {action}")


def _solution_dict(name: str, solution: Solution) -> dict[str, Any]:
    """Convert a solution to JSON types."""
    return {
        "env": name,
        "criterion": solution.criterion,
        "discount": solution.discount,
        "value": finite(solution.value),
        "values": [finite(value) for value in solution.values.tolist()],
        "policy": solution.policy.tolist(),
        "average_reward": finite(solution.average_reward),
    }


def _draw_policy(world: TabularEnv, solution: Solution) -> None:
    """Draw a policy as arrows over the values of the states."""
    values = solution.values
    if solution.bias is not None:
        values = solution.bias
        print("relative values: differences to the value of the first recurrent state")
    width, height = world.world.width, world.world.height
    columns = out.width if out.is_terminal else max(FILE_COLUMNS, 2 * width)
    rows = max(out.height - 4 if out.is_terminal else FILE_ROWS, 20, height)  # long output scrolls
    if (hidden := width - columns // 2) > 0:
        print(f"{hidden} of {width} columns do not fit into this terminal")
    overlay = Overlay(values, solution.policy)
    print("\n".join(arrow_panel(world, overlay, None, columns, rows, color_depth(sys.stdout))))


def print_line(text: str | Text) -> None:
    """Print text, wrapped on a terminal and on one line in a file."""
    out.print(text, soft_wrap=not out.is_terminal)


def number_table(first: str, *columns: str) -> Table:
    """An empty table: a column of names, and columns of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(first, min_width=20)
    for column in columns:
        table.add_column(column, justify="right", min_width=10)
    return table
