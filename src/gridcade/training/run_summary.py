"""Summaries of runs for tables: settings, state, last score, and size on disk."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from gridcade.training.config import RunSettings, read_toml, used_up
from gridcade.training.run_folder import Run

SCORES = ("return", "average_reward")
State = Literal["training", "stopped", "finished"]
VIDEOS = (".mp4", ".webp")


@dataclass(frozen=True)
class Score:
    """The value of a greedy policy, with its interval; low and high are None without one."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Bytes:
    """The bytes that a run takes on disk."""

    replay: int
    checkpoints: int
    videos: int
    rest: int

    @property
    def total(self) -> int:
        """The bytes of all parts."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class RunSummary:
    """What tables of runs show about one run."""

    run: Run
    hyperparameters: Mapping[str, Any]  # as in config.toml
    steps: int  # of the last checkpoint
    trained: datetime  # time of the last checkpoint
    scores: Mapping[str, Score | None]  # of the last evaluation, by the names of SCORES
    exact: bool  # whether the scores are exact

    @property
    def settings(self) -> RunSettings:
        """The settings of the run."""
        return self.run.settings

    @property
    def name(self) -> str:
        """The path of the run folder."""
        return str(self.run.path)

    @property
    def title(self) -> str:
        """Agent and environment."""
        return f"{self.settings.agent} on {self.settings.env}"

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Settings and hyperparameters by name."""
        return vars(self.settings) | dict(self.hyperparameters)

    @cached_property
    def seconds(self) -> float:
        """Seconds of training until the last checkpoint; InputError if it is not readable."""
        return self.run.load_loop_state(self.steps)["seconds"]

    @property
    def state(self) -> State:
        """Whether the budget is used up, or a process trains the run now, or neither."""
        if used_up(self.settings, self.steps, self.seconds):
            return "finished"
        return "training" if self.run.training else "stopped"


def summarize(run: Run) -> RunSummary:
    """Read the summary of a run, without loading its agent.

    Raises:
        InputError: the run has no checkpoint, or a file of it cannot be read.
    """
    steps = run.last_checkpoint()
    evaluation: Mapping[str, Any] = next(
        (m for m in reversed(run.metrics()) if any(_scores(m).values())), {}
    )
    return RunSummary(
        run=run,
        hyperparameters=read_toml(run.path / "config.toml").get("hyperparameters", {}),
        steps=steps,
        trained=datetime.fromtimestamp(run.checkpoint(steps).stat().st_mtime),
        scores=_scores(evaluation),
        exact=bool(evaluation.get("exact")),
    )


def _scores(metrics: Mapping[str, Any]) -> dict[str, Score | None]:
    """Return the scores of an epoch; None without an evaluation, or if the task has none."""
    return {
        name: Score(mean, metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))
        if (mean := metrics.get(f"{name}_mean")) is not None
        else None
        for name in SCORES
    }


def bytes_on_disk(folder: Path) -> Bytes:
    """Add up the sizes of the files in a run folder. Files that vanish meanwhile are skipped."""
    sizes = dict.fromkeys((field.name for field in fields(Bytes)), 0)
    for file, size in file_sizes(folder):
        part = file.relative_to(folder).parts[0]
        kind = part if part in ("replay", "checkpoints") else "rest"
        sizes["videos" if file.suffix in VIDEOS else kind] += size
    return Bytes(**sizes)


def file_sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files below a folder, and their sizes in bytes; links are not followed."""
    for parent, _, names in os.walk(folder):
        for name in names:
            file = Path(parent, name)
            try:
                yield file, file.lstat().st_size
            except OSError:
                continue
