"""What the Runs page shows of the runs below a directory, as tables for JSON."""

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from msgspec import Struct

from gridcade.envs import registry
from gridcade.errors import InputError, unknown
from gridcade.serve.run_files import REPORT, Found, find_files
from gridcade.study.runner import STUDY_FILE
from gridcade.study.study import read_study
from gridcade.study.task import one_line
from gridcade.training.run_folder import Run
from gridcade.training.run_summary import (
    Bytes,
    RunSummary,
    Score,
    State,
    bytes_on_disk,
    file_sizes,
    summarize,
)

MAX_AGE = 1.0  # seconds for which the folders that were found are not looked for again
MAX_POINTS = 1000  # of a learning curve that is sent at once
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError)  # damaged files


class Removal(Struct):
    """A part of a run that could be removed, and the command that does it."""

    part: str  # replay or run
    bytes: int
    command: str


class RunRow(Struct):
    """A run in the table."""

    name: str
    agent: str
    env: str
    seed: int
    state: State
    steps: int
    total_steps: int | None
    total_minutes: float | None
    seconds: float
    trained: str  # time of the last checkpoint, in ISO 8601
    scores: Mapping[str, Score | None]
    exact: bool
    checkpoints: int
    evaluations: int
    bytes: Bytes
    removals: list[Removal]
    plays: bool  # whether the Arcade page can show the run


class UnreadableRun(Struct):
    """A run folder that cannot be read."""

    name: str
    reason: str


class StudyRow(Struct):
    """A study in the table."""

    name: str
    contenders: list[str]
    environments: list[str]
    seeds: int
    report: str  # name of the report's file; empty if there is none yet
    bytes: int  # without its runs


class RunsTable(Struct):
    """Everything below the directory."""

    directory: str
    runs: list[RunRow]
    unreadable: list[UnreadableRun]
    studies: list[StudyRow]
    videos: list[str]
    complete: bool


class Curves(Struct):
    """New metrics of a run."""

    run: str
    version: str  # of the metrics file
    start: int  # lines before the first entry
    lines: int  # of the whole file
    entries: Sequence[Mapping[str, Any]]  # as in metrics.jsonl


class RunsDirectory:
    """The runs, studies and videos below a directory, which may change at any time.

    Args:
        root: the directory; it need not exist.
    """

    def __init__(self, root: Path):
        self.root = root
        self._found, self._found_at = Found(), -math.inf
        self._read: dict[str, tuple[object, RunSummary, Bytes]] = {}  # run -> version and content
        self._plays: dict[str, bool] = {}  # environment -> whether the Arcade page can show it

    def found(self) -> Found:
        """The files below the directory, as they were at most MAX_AGE ago."""
        if monotonic() - self._found_at > MAX_AGE:
            self._found, self._found_at = find_files(self.root), monotonic()
        return self._found

    def run(self, name: str) -> Run:
        """Find a run by its name.

        Raises:
            InputError: there is no such run, or it cannot be read.
        """
        runs = self.found().runs
        if name not in runs:
            raise unknown("run", name, runs)
        return Run(runs[name])

    def file(self, name: str) -> Path:
        """Find a report or a video by its name.

        Raises:
            InputError: there is no such file in the directory.
        """
        file = self.found().files.get(name)
        if file is None or file.resolve() != self.root.resolve() / name:
            raise InputError(f"no report or video '{name}' in {self.root}")
        return file

    def table(self) -> RunsTable:
        """All runs, studies and videos."""
        found = self.found()
        runs: list[RunRow] = []
        unreadable: list[UnreadableRun] = []
        read = {}
        for name, path in found.runs.items():
            try:
                read[name] = self._summary(name, path)
                runs.append(self._row(name, *read[name][1:]))
            except UNREADABLE as error:
                unreadable.append(UnreadableRun(name, one_line(error)))
        self._read = read
        return RunsTable(
            directory=str(self.root),
            runs=runs,
            unreadable=unreadable,
            studies=[row for item in found.studies.items() if (row := _study_row(*item, found))],
            videos=[name for name in found.files if not name.endswith(REPORT)],
            complete=found.complete,
        )

    def _summary(self, name: str, path: Path) -> tuple[object, RunSummary, Bytes]:
        """Read a run, unless none of its files was replaced, added or removed since last time."""
        parts = ("", "config.toml", "metrics.jsonl", "checkpoints", "evaluation")
        version = [_modified(path / part) for part in parts]
        known = self._read.get(name)
        if known is not None and known[0] == version:
            return known
        return version, summarize(Run(path)), bytes_on_disk(path)

    def _row(self, name: str, summary: RunSummary, size: Bytes) -> RunRow:
        run, settings, state = summary.run, summary.settings, summary.state
        return RunRow(
            name=name,
            agent=settings.agent,
            env=settings.env,
            seed=settings.seed,
            state=state,
            steps=summary.steps,
            total_steps=settings.steps,
            total_minutes=settings.minutes,
            seconds=summary.seconds,
            trained=summary.trained.isoformat(timespec="seconds"),
            scores=summary.scores,
            exact=summary.exact,
            checkpoints=len(run.checkpoints()),
            evaluations=sum(1 for _ in run.path.glob("evaluation/*.json")),
            bytes=size,
            removals=_removals(run, state, size),
            plays=self._can_play(run.env),
        )

    def _can_play(self, env: str) -> bool:
        if env not in self._plays:
            self._plays[env] = registry.draws_pictures(env)
        return self._plays[env]

    def curves(self, name: str, after: int, version: str) -> Curves:
        """The metrics of a run that a page does not have yet, thinned out if there are many.

        Args:
            name: the run.
            after: lines that the page has.
            version: that of the curves which the page has; empty: none.

        Raises:
            InputError: there is no such run, or it cannot be read.
        """
        run = self.run(name)
        file, size = _identity(run.path / "metrics.jsonl")
        if version == f"{file}-{size}":
            return Curves(name, version, after, after, ())
        entries = run.metrics()
        # Resuming replaces the file, because it drops the lines after the checkpoint.
        start = after if version.startswith(f"{file}-") and 0 <= after <= len(entries) else 0
        new = thin_out(entries[start:], MAX_POINTS)
        return Curves(name, f"{file}-{size}", start, len(entries), new)


def thin_out(entries: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Leave out entries in equal distances; at most `most` with and without evaluation remain."""
    evaluated = [i for i, entry in enumerate(entries) if "exact" in entry]
    others = [i for i, entry in enumerate(entries) if "exact" not in entry]
    kept = {len(entries) - 1} if entries else set()
    for indices in (evaluated, others):
        kept.update(indices[:: max(1, math.ceil(len(indices) / most))])
    return [entries[i] for i in sorted(kept)]


def _removals(run: Run, state: State, size: Bytes) -> list[Removal]:
    """What could be removed of a run that nobody trains."""
    if state == "training":
        return []
    path = run.path.absolute()
    parts = [("run", path, size.total)]
    if size.replay and state == "finished":
        parts.insert(0, ("replay", path / "replay", size.replay))
    return [Removal(part, n, shlex.join(["rm", "-r", str(p)])) for part, p, n in parts]


def _study_row(name: str, path: Path, found: Found) -> StudyRow | None:
    """A study in the table; None if its file cannot be read."""
    try:
        study = read_study(path / STUDY_FILE)
    except UNREADABLE:
        return None
    report = f"{name}/{REPORT}".removeprefix("./")
    runs = path / "runs"
    return StudyRow(
        name=name,
        contenders=[spec.label for spec in study.contenders],
        environments=[*study.environments],
        seeds=study.seeds,
        report=report if report in found.files else "",
        bytes=sum(size for file, size in file_sizes(path) if not file.is_relative_to(runs)),
    )


def _modified(path: Path) -> int:
    """When a file or folder was changed, in nanoseconds; 0 if it does not exist."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _identity(file: Path) -> tuple[str, int]:
    """What tells a file from one that replaced it, and its size in bytes."""
    try:
        status = os.stat(file)
    except OSError:
        return "none", 0
    return f"{status.st_ino:x}", status.st_size
