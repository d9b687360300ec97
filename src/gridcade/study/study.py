"""A study: who is compared, on which environments, with how much training and how many seeds."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from gridcade import agents
from gridcade.agents import AgentKind
from gridcade.errors import InputError, unknown
from gridcade.evaluation.intervals import check_confidence
from gridcade.seeding import check_seed
from gridcade.training.config import check_names, from_dict, read_toml, to_dict

Criterion = Literal["return", "average-reward"]
LONGEST_NAME = 100  # characters, of a study's folder
GROWING = ("contenders", "environments", "seeds", "criterion")  # change no run that is there


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
    evaluation_every: int | None = None
    """Epochs from one evaluation of a run to the next; None: as the preset has it."""
    init_from: str = ""
    """A run or an agent that comes trained, from whose layers each run starts; empty: none."""

    @property
    def label(self) -> str:
        """What it is called in the study."""
        return self.name or self.policy

    @property
    def kind(self) -> AgentKind | None:
        """The agent that it names; None: a policy that learns nothing here."""
        agent = self.policy in agents.AGENTS
        if agent or (self.policy.startswith("sb3-") and not os.path.exists(self.policy)):
            return agents.find(self.policy)
        return None


@dataclass(frozen=True)
class Study:
    """What is compared with what. Every contender gets the same budget and the same evaluation.

    Raises:
        InputError: a field is out of its range, or two contenders have one name.
    """

    contenders: tuple[Entry, ...]
    environments: tuple[str, ...]
    steps: int | None = None
    """Steps of training, a run."""
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
        if self.steps is None and self.minutes is None and any(e.kind for e in self.contenders):
            raise InputError("a study takes steps, minutes, or both")
        check_seed(self.evaluation_seed)
        check_confidence(self.confidence)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for TOML and JSON, without what is empty or None."""
        told = to_dict(self)
        told["contenders"] = [
            {key: value for key, value in entry.items() if value or value == 0}
            for entry in told["contenders"]
        ]
        return told


def read_study(file: str | Path) -> Study:
    """A study from its TOML file.

    Raises:
        InputError: it cannot be read, or is no study; with the field's name.
    """
    values = read_toml(Path(file))
    entries = values.get("contenders")
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            check_names(entry, Entry, f"{file}, contenders[{number}]")
    study: Study = from_dict(values, Study, str(file))
    return study


def from_words(
    contenders: Sequence[str],
    environments: Sequence[str],
    presets: Sequence[str] = (),
    **given: Any,
) -> tuple[Study, str]:
    """A study as a command line words it, and a name for its folder.

    Args:
        contenders: policies, `dqn:two-core` for an agent with a preset; or one study file.
        environments: their names.
        presets: `CONTENDER=NAME`, or `NAME` for every agent that has none yet.
        given: fields of the study; None: its own default.

    Raises:
        InputError: a study file and words beside it, a preset of a contender that there is not,
            or whatever `Study` and `read_study` raise.
    """
    said = {key: value for key, value in given.items() if value is not None}
    if len(contenders) == 1 and contenders[0].endswith(".toml"):
        if also := [*(["env"] if environments else []), *(["preset"] if presets else []), *said]:
            raise InputError(f"{contenders[0]} is the whole study: leave out --{also[0]}")
        return read_study(contenders[0]), Path(contenders[0]).stem
    entries: dict[str, Entry] = {}
    for word in contenders:
        policy, colon, preset = word.partition(":")
        if os.path.exists(word) or not colon:
            policy, preset = word, ""
        if word in entries:
            raise InputError(f"'{word}' is named twice; with another preset it is {word}:PRESET")
        entries[word] = Entry(policy, name=word if preset else "", preset=preset)
    for word in presets:
        label, _, preset = word.rpartition("=")
        if label and label not in entries:
            raise unknown("contender", label, entries)
        for name, entry in entries.items():
            if name == label or (not label and entry.kind and not entry.preset):
                entries[name] = replace(entry, preset=preset)
    name = "-".join(slug(word) for word in (*environments, *entries))
    return Study(tuple(entries.values()), tuple(environments), **said), name[:LONGEST_NAME]


def slug(name: str) -> str:
    """A name as that of a folder: `Maze?size=9` -> `Maze-size=9`."""
    return re.sub(r"[^A-Za-z0-9._=+-]+", "-", name).strip("-.") or "-"


def differences(old: Study, new: Study) -> list[str]:
    """What two studies want otherwise of the runs that both have: `steps: 5 -> 10`, one line each.

    Seeds, contenders or environments that one has besides are no difference, nor is the criterion.
    """
    labels = {entry.label for entry in old.contenders} & {entry.label for entry in new.contenders}
    trained = any(entry.kind for entry in new.contenders if entry.label in labels)
    left_out = GROWING if trained else (*GROWING, "steps", "minutes")

    def told(study: Study) -> dict[str, Any]:
        fields = study.as_dict()
        entries = zip(study.contenders, fields["contenders"], strict=True)
        shared = {f"contender {one.label}": kept for one, kept in entries if one.label in labels}
        return {key: value for key, value in fields.items() if key not in left_out} | shared

    a, b = told(old), told(new)
    return [
        f"{key}: {a.get(key, 'none')} -> {b.get(key, 'none')}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    ]
