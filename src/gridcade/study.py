"""A study: who is compared, on which environments, with how much training and how many seeds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gridcade.errors import InputError
from gridcade.run import convert, read_toml
from gridcade.statistics import check_confidence
from gridcade.streams import check_seed

Criterion = Literal["return", "average-reward"]


@dataclass(frozen=True)
class Entry:
    """A contender, as a study names it."""

    policy: str
    """An agent's name (dqn, sb3-dqn, …), random, optimal, one that comes trained, or a run."""
    name: str = ""
    """What it is called in the study; empty: as its policy."""
    preset: str = ""
    """Of the agent; empty: its default one."""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    """Laid over the preset."""
    envs: int | None = None
    """Environments side by side; None: as the preset has it."""

    @property
    def label(self) -> str:
        """What it is called in the study."""
        return self.name or self.policy


@dataclass(frozen=True)
class Study:
    """What is compared with what. Every contender gets the same budget and the same evaluation.

    Raises:
        InputError: a field is out of its range, or two contenders have one name.
    """

    contenders: tuple[Entry, ...]
    environments: tuple[str, ...]
    steps: int | None = None
    """Decisions of training, a run."""
    minutes: float | None = None
    """Of training, a run."""
    seeds: int = 5
    """Runs of a contender that learns, an environment: seeds 0, 1, …"""
    episodes: int = 100
    """Of the final evaluation of a run, the same for all."""
    evaluation_seed: int = 1_000_000
    """Of those episodes, which no training has seen."""
    criterion: Criterion = "return"
    """What decides who is better."""
    confidence: float = 0.95
    """Of the intervals."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("contenders", "environments"):
            if not getattr(self, name):
                raise InputError(f"a study takes one or more {name}")
        labels = [entry.label for entry in self.contenders]
        for what, names in (("contenders", labels), ("environments", list(self.environments))):
            if twice := sorted({n for n in names if names.count(n) > 1}):
                raise InputError(f"two {what} are called '{twice[0]}'")
        for name in ("steps", "seeds", "episodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it takes 1 or more")
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise InputError(f"minutes is {self.minutes}; it takes more than 0")
        if self.steps is None and self.minutes is None:
            raise InputError("a study takes steps, minutes, or both")
        check_seed(self.evaluation_seed)
        check_confidence(self.confidence)


def read_study(file: str | Path) -> Study:
    """A study from its TOML file.

    Raises:
        InputError: it cannot be read, or is no study; with the field's name.
    """
    study: Study = convert(read_toml(Path(file)), Study, str(file))
    return study
