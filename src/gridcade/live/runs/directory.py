"""The tables that the Runs page shows of the runs below a directory, as JSON."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from msgspec import Struct

from gridcade.envs import registry
from gridcade.errors import InputError, one_line, unknown
from gridcade.formatting import shell_command
from gridcade.live.run_files import REPORT, Found, find_files
from gridcade.live.runs.unreadable import UNREADABLE
from gridcade.study.plan import read_sessions
from gridcade.study.runner import STUDY_FILE
from gridcade.study.study import read_study
from gridcade.training.run_folder import PROVENANCE, Run
from gridcade.training.run_names import RUNS
from gridcade.training.run_summary import (
    Bytes,
    RunSummary,
    Score,
    State,
    bytes_on_disk,
    file_sizes,
    summarize,
)

MAX_AGE = 1.0  # seconds before the directory is searched again


class Removal(Struct):
    """A part of a run that a person may remove, and the command that removes it."""

    part: str  # "replay" or "run"
    bytes: int
    command: str


class RunRow(Struct):
    """A run in the table."""

    name: str
    agent: str
    env: str
    state: State
    steps: int
    total_steps: int | None
    total_minutes: float | None
    seconds: float
    started: str  # time of the first session, in ISO 8601; empty if it is unknown
    scores: Mapping[str, Score | None]
    exact: bool  # whether the scores are exact
    checkpoints: int
    damaged: int  # unreadable checkpoints, newer than the last one that can be read
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
    """All runs, studies and videos below the directory."""

    directory: str
    example: str  # a command that trains a run in it
    runs: list[RunRow]
    unreadable: list[UnreadableRun]
    studies: list[StudyRow]
    videos: list[str]
    complete: bool  # whether all folders were searched


class ReadRun(NamedTuple):
    """Everything that was read from a run, and the modification times of its files then."""

    version: list[int]  # modification times in nanoseconds
    summary: RunSummary
    started: str
    size: Bytes


class RunsDirectory:
    """The runs, studies and videos below a directory, which may change at any time.

    Args:
        root: the directory; it need not exist.
    """

    def __init__(self, root: Path):
        self.root = root
        self._found, self._found_at = Found(), -math.inf
        self._read: dict[str, ReadRun] = {}  # by name
        self._plays: dict[str, bool] = {}  # environment -> whether the Arcade page can show it

    def found(self) -> Found:
        """Return the contents of the directory, which was searched at most MAX_AGE ago."""
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
        """Return the table of all runs, studies and videos."""
        found = self.found()
        runs: list[RunRow] = []
        unreadable: list[UnreadableRun] = []
        read = {}
        for name, path in found.runs.items():
            try:
                read[name] = self._summary(name, path)
                runs.append(self._row(name, read[name]))
            except UNREADABLE as error:
                unreadable.append(UnreadableRun(name, one_line(error)))
        self._read = read
        return RunsTable(
            directory=str(self.root),
            example=self._example(),
            runs=runs,
            unreadable=unreadable,
            studies=[row for item in found.studies.items() if (row := _study_row(*item, found))],
            videos=[name for name in found.files if not name.endswith(REPORT)],
            complete=found.complete,
        )

    def _example(self) -> str:
        words = ["gridcade", "train", "q-learning", "FourRooms"]
        out = [] if self.root == RUNS else ["--out", str(self.root / "FourRooms-q-learning-s0")]
        return shell_command(*words, *out)

    def _summary(self, name: str, path: Path) -> ReadRun:
        """Read a run, or return the last result if its files have not changed since then."""
        parts = ("", "config.toml", "metrics.jsonl", "checkpoints", "evaluation")
        version = [_modified(path / part) for part in parts]
        known = self._read.get(name)
        if known is not None and known.version == version:
            return known
        sessions = read_sessions(path / PROVENANCE)
        started = str(sessions[0]["started"]) if sessions else ""
        return ReadRun(version, summarize(Run(path)), started, bytes_on_disk(path))

    def _row(self, name: str, read: ReadRun) -> RunRow:
        summary, size = read.summary, read.size
        run, settings, state = summary.run, summary.settings, summary.state
        return RunRow(
            name=name,
            agent=settings.agent,
            env=settings.env,
            state=state,
            steps=summary.steps,
            total_steps=settings.steps,
            total_minutes=settings.minutes,
            seconds=summary.seconds,
            started=read.started,
            scores=summary.scores,
            exact=summary.exact,
            checkpoints=len(run.checkpoints()),
            damaged=len(run.damaged()),
            evaluations=sum(1 for _ in run.path.glob("evaluation/*.json")),
            bytes=size,
            removals=_removals(run, state, size),
            plays=run.trusted and self._can_play(run.env),
        )

    def _can_play(self, env: str) -> bool:
        if env not in self._plays:
            self._plays[env] = registry.draws_pictures(env)
        return self._plays[env]


def _removals(run: Run, state: State, size: Bytes) -> list[Removal]:
    """Return the parts of a run that may be removed; none while it is in training."""
    if state == "training":
        return []
    path = run.path.absolute()
    parts = [("run", path, size.total)]
    if size.replay and state == "finished":
        parts.insert(0, ("replay", path / "replay", size.replay))
    return [Removal(part, n, shell_command("rm", "-r", p)) for part, p, n in parts]


def _study_row(name: str, path: Path, found: Found) -> StudyRow | None:
    """Return the row of a study in the table; None if its file cannot be read."""
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
    """Return when a file or folder was modified, in nanoseconds; 0 if it does not exist."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
