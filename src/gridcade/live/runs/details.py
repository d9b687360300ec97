"""Everything about a few runs side by side: config, provenance, evaluations."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gridcade.errors import InputError
from gridcade.formatting import shell_command
from gridcade.study.plan import read_sessions
from gridcade.training.config import read_toml
from gridcade.training.run_folder import PROVENANCE, Run
from gridcade.training.side_by_side import SettingRow, side_by_side

MAX_COMPARED = 8  # runs
MAX_EVALUATIONS = 20  # of each run, the newest ones
# Fields of a session that are not compared as a whole: `libraries` is compared name by name.
SESSION_FIELDS = ("command", "started", "seed", "libraries")


class SavedEstimate(Struct):
    """An estimate of `gridcade evaluate`."""

    mean: float | None
    low: float | None = None
    high: float | None = None


class SavedEvaluation(Struct):
    """The fields that the page shows of a result of `gridcade evaluate`."""

    policy: str
    env: str
    steps: int
    seed: int
    discount: float
    episodes: int | None = None
    epsilon: float = 0.0
    stochastic: bool = False
    confidence: float = 0.95
    expected_return: SavedEstimate | None = None
    average_reward: SavedEstimate | None = None
    discounted_return: SavedEstimate | None = None
    episode_length: SavedEstimate | None = None
    exact: dict[str, float | None] | None = None
    notes: list[str] = []
    saved: str = ""  # time in ISO 8601


class RunSession(Struct):
    """A session of training."""

    started: str
    command: str


class RunDetails(Struct):
    """The commands, sessions and evaluations of one run."""

    name: str
    evaluate: str  # the command that evaluates the run
    resume: str  # the command that resumes it
    sessions: list[RunSession]
    evaluations: list[SavedEvaluation]


class RunComparison(Struct):
    """Runs side by side."""

    runs: list[RunDetails]
    settings: list[SettingRow]
    hyperparameters: list[SettingRow]
    provenance: list[SettingRow]  # of the last sessions


def compare_runs(runs: Sequence[tuple[str, Run]]) -> RunComparison:
    """Compare the settings of runs side by side, without loading their agents.

    Args:
        runs: names and runs.

    Raises:
        InputError: there are too many runs, or a file cannot be read.
    """
    if len(runs) > MAX_COMPARED:
        raise InputError(f"{len(runs)} runs are chosen; at most {MAX_COMPARED} can be compared")
    sessions = [_sessions(run) for _, run in runs]
    configs = [read_toml(run.path / "config.toml") for _, run in runs]
    last: list[dict[str, Any]] = [each[-1] if each else {} for each in sessions]
    return RunComparison(
        runs=[
            RunDetails(
                name,
                shell_command("gridcade", "evaluate", run.path),
                shell_command("gridcade", "resume", run.path),
                [RunSession(str(s.get("started", "")), str(s.get("command", ""))) for s in each],
                read_evaluations(run.path),
            )
            for (name, run), each in zip(runs, sessions, strict=True)
        ],
        settings=side_by_side([_without(asdict(r.settings), "format") for _, r in runs]),
        hyperparameters=side_by_side([c.get("hyperparameters", {}) for c in configs]),
        provenance=side_by_side(
            [_without(s, *SESSION_FIELDS) | _table(s.get("libraries")) for s in last]
        ),
    )


def _without(table: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in names}


def _table(value: object) -> dict[str, Any]:
    """Return a value of a file if it is a table, otherwise an empty table."""
    return value if isinstance(value, dict) else {}


def _sessions(run: Run) -> list[dict[str, Any]]:
    return [s for s in read_sessions(run.path / PROVENANCE) if isinstance(s, dict)]


def read_evaluations(path: Path) -> list[SavedEvaluation]:
    """Read the newest results of `gridcade evaluate`; damaged files are skipped."""
    evaluations = []
    for file in sorted(path.glob("evaluation/*.json"), reverse=True)[:MAX_EVALUATIONS]:
        try:
            evaluation = msgspec.json.decode(file.read_bytes(), type=SavedEvaluation)
            saved = datetime.strptime(file.stem, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
        except (OSError, ValueError):
            continue
        evaluation.saved = saved.isoformat(timespec="seconds")
        evaluations.append(evaluation)
    return evaluations
