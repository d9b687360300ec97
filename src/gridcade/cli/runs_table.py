"""The table of `gridcade list runs`, which shows how runs of one agent and environment differ."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gridcade.cli.output import out
from gridcade.errors import InputError
from gridcade.formatting import format_number
from gridcade.training.run_folder import Run
from gridcade.training.run_names import RUNS
from gridcade.training.run_summary import RunSummary, summarize

SortKey = Literal["date", "name", "score", "steps"]
# Fields that do not change what is learned, follow from other fields, or have a column.
NO_DIFFERENCE = {"format", "agent", "env", "steps", "minutes", "epoch"} | {
    f"evaluation_{name}" for name in ("every", "episodes")
}
DIFFERENCES_WIDTH = 30  # columns, unless a name is longer


def read_runs() -> list[RunSummary]:
    """Read the runs under runs/. A line on stderr names each folder that cannot be read."""
    runs = []
    for file in sorted(RUNS.glob("*/config.toml")):
        try:
            runs.append(summarize(Run(file.parent)))
        except InputError as error:
            print(f"gridcade: {error}", file=sys.stderr)
    return runs


def print_runs(runs: Iterable[RunSummary], sort: SortKey) -> None:
    """Print a table with one group per agent and environment; the first run's group comes first."""
    groups: dict[str, list[RunSummary]] = {}
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
                *map(format_number, _means(run)),
            )
    out.print(table)


def _by_score(run: RunSummary) -> tuple[float, ...]:
    """Sort by return, then by average reward, then newest first.

    Scores that print alike are equal, so that rounding errors do not order runs. Runs without a
    score, for example because the policy never ends an episode, rank last.
    """
    printed = [format_number(score).replace(",", "") for score in _means(run)]
    scores = [float("-inf") if text == "-" else float(text) for text in printed]
    return *(-score for score in scores), -run.trained.timestamp()


def _means(run: RunSummary) -> list[float | None]:
    """Return the return and the average reward of the last evaluation."""
    return [None if score is None else score.mean for score in run.scores.values()]


SORT_KEYS: dict[SortKey, Callable[[RunSummary], Any]] = {
    "date": lambda run: -run.trained.timestamp(),
    "name": lambda run: run.name,
    "score": _by_score,
    "steps": lambda run: -run.steps,
}


def _differences(run: RunSummary, group: list[RunSummary]) -> str:
    """List the preset, seed and hyperparameters of a run that differ from those of its group.

    Hyperparameters are compared between runs with the same preset. The seed is left out if the
    run's name contains it.
    """
    same_preset = [other for other in group if other.fields["preset"] == run.fields["preset"]]
    compared = dict.fromkeys(("preset", "seed"), group)
    compared |= {key: same_preset for key in run.fields if key not in compared}
    if f"s{run.fields['seed']}" in run.name.split("-"):
        del compared["seed"]
    return ", ".join(
        f"{key} {_value_text(run.fields[key])}"
        for key, others in compared.items()
        if key not in NO_DIFFERENCE and any(o.fields.get(key) != run.fields[key] for o in others)
    )


def _value_text(value: Any) -> str:
    """Format a value of a config on one line; a schedule as `1 to 0.1 in 50,000 steps`."""
    if isinstance(value, float):
        return format_number(value)
    if not isinstance(value, dict) or "initial" not in value:
        return str(value)
    text = _value_text(value["initial"])
    if value.get("steps") and value.get("final", value["initial"]) != value["initial"]:
        text += f" to {_value_text(value['final'])} in {value['steps']:,} steps"
    return text + (f" / N^{value['power']:g}" if value.get("power") else "")
