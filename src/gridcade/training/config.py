"""What a training run is asked to do, and its form as TOML."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from gridcade.errors import InputError, unknown
from gridcade.seeding import check_seed

T = TypeVar("T")


@dataclass(frozen=True)
class RunConfig:
    """What a training run is asked to do.

    Raises:
        InputError: a value out of its range.
    """

    agent: str
    env: str
    preset: str = ""
    seed: int = 0
    steps: int | None = None  # over all environments; None: no bound
    minutes: float | None = None  # of training, over all sessions; None: no bound
    epoch: int = 1000  # steps
    evaluation_episodes: int = 20  # where the policy's exact value cannot be had
    evaluation_every: int = 1  # epochs
    envs: int = 1  # side by side
    init_from: str = ""  # an agent whose layers, where they fit, are what this one starts with
    hyperparameters: dict[str, Any] = field(default_factory=dict)  # of the agent

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_seed(self.seed)
        for name in ("steps", "epoch", "evaluation_episodes", "evaluation_every", "envs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it takes 1 or more")
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise InputError(f"minutes is {self.minutes}; it takes more than 0")
        if self.steps is None and self.minutes is None:
            raise InputError("a run takes steps, minutes, or both")


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file.

    Raises:
        InputError: it cannot be read, or is not TOML; with the line and column.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read '{file}': {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def from_dict(values: Mapping[str, Any], kind: type[T], where: str) -> T:
    """Values as a dataclass; a wrong name, type or range is an InputError that says where."""
    check_names(values, kind, where)
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error}") from None


def check_names(values: Mapping[str, Any], kind: Any, where: str) -> None:
    """Raise InputError, with the nearest name, where a dataclass has no such field."""
    hints = get_type_hints(kind)
    names = {f.name for f in fields(kind)}
    for name, value in values.items():
        if name not in names:
            raise InputError(f"{where}: {unknown('field', name, names)}")
        if is_dataclass(hints[name]) and isinstance(value, Mapping):
            check_names(value, hints[name], f"{where}, {name}")


def to_dict(value: Any) -> dict[str, Any]:
    """A dataclass as plain dicts and lists, without what is None: TOML has no word for it."""

    def tidy(item: Any) -> Any:
        if isinstance(item, dict):
            return {k: tidy(v) for k, v in item.items() if v is not None}
        return [tidy(v) for v in item] if isinstance(item, list | tuple) else item

    tidied: dict[str, Any] = tidy(asdict(value))
    return tidied


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """What differs between two configs, one line a field: `name: old -> new`."""

    def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        items: dict[str, Any] = {}
        for key, entry in value.items():
            if isinstance(entry, Mapping):
                items |= flat(entry, f"{prefix}{key}.")
            else:
                items[prefix + key] = entry
        return items

    a, b = flat(to_dict(old)), flat(to_dict(new))
    return [
        f"{key}: {a.get(key, 'none')} -> {b.get(key, 'none')}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    ]
