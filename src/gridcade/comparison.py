"""What a study found: every contender's runs on every environment, and what follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridcade.study import Study


@dataclass(frozen=True)
class Outcome:
    """One run of a contender on an environment, or the one evaluation of a policy that is fixed."""

    seed: int | None  # of the training; None: nothing was trained
    evaluation: Mapping[str, Any]  # the last one, as `Evaluation.as_dict` tells it
    metrics: tuple[Mapping[str, Any], ...] = ()  # of the training, one an epoch
    config: Mapping[str, Any] = field(default_factory=dict)  # of the run, plain; empty if none
    sessions: tuple[Mapping[str, Any], ...] = ()  # provenance of each session
    run: Path | None = None  # the run folder


@dataclass(frozen=True)
class Failure:
    """A task that failed as often as it is tried."""

    contender: str
    env: str
    seed: int | None
    reason: str  # the last error, in one line


@dataclass(frozen=True)
class Comparison:
    """All that a study found.  `outcomes[env][contender]` are in the order of their seeds."""

    study: Study
    outcomes: Mapping[str, Mapping[str, tuple[Outcome, ...]]]
    failures: tuple[Failure, ...] = ()
