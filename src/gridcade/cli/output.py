"""What the command line prints: tables, sentences and JSON."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env
from gridcade.evaluation.result import Evaluation, finite
from gridcade.exact.solver import Solution
from gridcade.formatting import format_number
from gridcade.printing import print_parts
from gridcade.training.run_folder import Run
from gridcade.training.trainer import used_up
from gridcade.watch.text_pictures import arrow_panel, color_depth

MAX_STATES_LISTED = 64  # a solution with more states is not listed state by state
FILE_COLUMNS, FILE_ROWS = 100, 60  # size of a drawn policy where the output is no terminal

# Names of runs and environments can contain brackets and colons, which are not markup.
out = Console(highlight=False, markup=False, emoji=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)


def metrics_text(metrics: dict[str, Any]) -> str:
    """An epoch's metrics in one line: of training, and of the evaluation if one took place."""
    training_return, evaluation = metrics.get("training_return_mean"), evaluation_text(metrics)
    if training_return is None:
        return evaluation
    parts = [f"training return {format_number(training_return)}"]
    return "  ".join(parts + ([f"evaluated: {evaluation}"] if evaluation else []))


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
        print(f"last epoch: {metrics_text(metrics[-1])}")
    print(f"run folder: {run.path}")
    print(f"evaluate:   gridcade evaluate {run.path}")
    print(f"watch:      gridcade watch {run.path}")
    return True


def show_evaluation(result: Evaluation, as_json: bool = False) -> None:
    """Print an evaluation: a table, or one JSON object."""
    if as_json:
        print(json.dumps(result.as_dict()))
        return
    print_parts(out, result.parts())


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
