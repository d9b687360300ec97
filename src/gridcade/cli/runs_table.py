"""The table of `gridcade list runs`, which shows how runs of one agent and environment differ."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gridcade.cli.output import out
from gridcade.errors import InputError
from gridcade.formatting import format_number
from gridcade.training.config import read_toml
from gridcade.training.run_folder import RUNS, Run

SortKey = Literal["date", "name", "score", "steps"]
SCORES = ("return_mean", "average_reward_mean")
# Fields that do not change what is learned, follow from others, or have a column.
NO_DIFFERENCE = {"format", "agent", "env", "steps", "minutes", "epoch"} | {
    f"evaluation_{name}" for name in ("every", "episodes")
}
DIFFERENCES_WIDTH = 30  # columns, unless a name is longer


@dataclass(frozen=True)
class ListedRun:
    """A run, as far as the table shows it."""

    name: str
    title: str  # agent and environment
    config: Mapping[str, Any]  # settings and hyperparameters by name
    steps: int  # taken
    trained: datetime  # time of the last checkpoint
    scores: tuple[float | None, ...]  # of the last evaluation: return, average reward


def read_runs() -> list[ListedRun]:
    """Read the runs under runs/. A line on stderr names each folder that cannot be read."""
    runs = []
    for file in sorted(RUNS.glob("*/config.toml")):
        try:
            run = Run(file.parent)
            steps = run.last_checkpoint()
        except InputError as error:
            print(f"gridcade: {error}", file=sys.stderr)
            continue
        evaluated = [m for m in run.metrics() if any(m.get(key) is not None for key in SCORES)]
        scores = tuple(evaluated[-1].get(key) if evaluated else None for key in SCORES)
        trained = datetime.fromtimestamp(run.checkpoint(steps).stat().st_mtime)
        hyperparameters = read_toml(file).get("hyperparameters", {})  # without loading the agent
        fields = vars(run.settings) | hyperparameters
        title = f"{run.settings.agent} on {run.settings.env}"
        runs.append(ListedRun(str(run.path), title, fields, steps, trained, scores))
    return runs


def print_runs(runs: Iterable[ListedRun], sort: SortKey) -> None:
    """Print a table with one group per agent and environment; the first run's group comes first."""
    groups: dict[str, list[ListedRun]] = {}
    for run in sorted(sorted(runs, key=lambda run: run.name), key=SORT_KEYS[sort]):
        groups.setdefault(run.title, []).append(run)
    if not groups:
        out.print("none yet", style="dim")
        return
    longest = max(len(run.name) for group in groups.values() for run in group)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("run", overflow="fold")
    table.add_column("trained", no_wrap=True)
    for name in ("steps", "return", "average\nreward"):
        table.add_column(name, justify="right", no_wrap=True)
    for title, group in groups.items():
        table.add_row(Text(title, "bold"))
        for run in group:
            cell: RenderableType = Text(run.name, overflow="fold")
            if differences := _differences(run, group):
                # The padding indents every line, also where a narrow terminal adds line breaks.
                details = Constrain(Text(differences), max(longest, DIFFERENCES_WIDTH) - 2)
                cell = Group(cell, Padding(details, (0, 0, 0, 2)))
            table.add_row(
                cell,
                f"{run.trained:%Y-%m-%d}",
                f"{run.steps:,}",
                *map(format_number, run.scores),
            )
    out.print(table)


def _by_score(run: ListedRun) -> tuple[float, ...]:
    """Sort by return, then by average reward, then newest first.

    Scores that print alike are equal, so that rounding errors do not order runs. A missing score,
    as of a policy that never ends, ranks last.
    """
    printed = [format_number(score).replace(",", "") for score in run.scores]
    scores = [float("-inf") if text == "-" else float(text) for text in printed]
    return *(-score for score in scores), -run.trained.timestamp()


SORT_KEYS: dict[SortKey, Callable[[ListedRun], Any]] = {
    "date": lambda run: -run.trained.timestamp(),
    "name": lambda run: run.name,
    "score": _by_score,
    "steps": lambda run: -run.steps,
}


def _differences(run: ListedRun, group: list[ListedRun]) -> str:
    """The preset and seed, where those of a group's runs differ, and the differing hyperparameters.

    Hyperparameters are compared between runs with the same preset. The seed is left out where the
    run's name has it.
    """
    same_preset = [other for other in group if other.config["preset"] == run.config["preset"]]
    compared = dict.fromkeys(("preset", "seed"), group)
    compared |= {key: same_preset for key in run.config if key not in compared}
    if f"s{run.config['seed']}" in run.name.split("-"):
        del compared["seed"]
    return ", ".join(
        f"{key} {_value_text(run.config[key])}"
        for key, others in compared.items()
        if key not in NO_DIFFERENCE and any(o.config.get(key) != run.config[key] for o in others)
    )


def _value_text(value: Any) -> str:
    """A value of a config on one line; a schedule as `1 to 0.1 in 50,000 steps`."""
    if isinstance(value, float):
        return format_number(value)
    if not isinstance(value, dict) or "initial" not in value:
        return str(value)
    text = _value_text(value["initial"])
    if value.get("steps") and value.get("final", value["initial"]) != value["initial"]:
        text += f" to {_value_text(value['final'])} in {value['steps']:,} steps"
    return text + (f" / N^{value['power']:g}" if value.get("power") else "")
