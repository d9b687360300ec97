"""Sweeps: a list as the value of a hyperparameter makes one contender per value."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_origin, get_type_hints

from gridcade.aliases import field_name
from gridcade.errors import InputError
from gridcade.study.brackets import PART
from gridcade.study.contender import ContenderSpec


def expand_sweeps(contenders: Iterable[ContenderSpec]) -> tuple[ContenderSpec, ...]:
    """Replace each contender that has a list as a hyperparameter by one contender per value.

    A hyperparameter that is a list itself, such as `hidden`, is swept by a list of lists.

    Raises:
        InputError: a list is empty, or a contender has two lists.
    """
    return tuple(part for spec in contenders for part in _expand(spec))


def _expand(spec: ContenderSpec) -> list[ContenderSpec]:
    kind = spec.kind
    hints = get_type_hints(kind.config) if kind else {}
    lists = {
        name: value
        for name, value in spec.hyperparameters.items()
        if _is_sweep(value, get_origin(hints.get(name)) is tuple)
    }
    if not lists:
        return [spec]
    if len(lists) > 1:
        raise InputError(
            f"{spec.label}: {' and '.join(lists)} are lists; a sweep is over one hyperparameter"
        )
    (name, values), *_ = lists.items()
    if not values:
        raise InputError(f"{spec.label}: {name} is an empty list; a sweep needs one or more values")
    sweep, rest = _without_list(spec.label, name)
    return [
        replace(
            spec,
            name=f"{sweep}[{','.join([*rest, f'{name}={_label(value)}'])}]",
            hyperparameters=spec.hyperparameters | {name: value},
            sweep=f"{sweep}[{','.join(rest)}]" if rest else sweep,
            swept=name,
        )
        for value in values
    ]


def _without_list(label: str, name: str) -> tuple[str, list[str]]:
    """Split `q-learning[discount=0.9,step_size=(0.1,0.5)]` into its policy and other changes."""
    head, bracket, changes = label.partition("[")
    if not bracket:
        return label, []
    parts = [part.strip() for part in PART.findall(changes.removesuffix("]"))]
    return head, [part for part in parts if field_name(part.partition("=")[0].strip()) != name]


def _is_sweep(value: Any, is_list: bool) -> bool:
    """Return whether a value is a list of values; `is_list`: a value is itself a list."""
    if not isinstance(value, list):
        return False
    return all(isinstance(item, list) for item in value) if is_list else True


def _label(value: Any) -> str:
    """Format a value as users write it in brackets."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_label(item)}" for key, item in value.items())
    if isinstance(value, list):
        return f"({','.join(map(_label, value))})"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def swept_number(spec: ContenderSpec) -> float | None:
    """Return the value of the swept hyperparameter; None if it is not a number."""
    value = spec.hyperparameters.get(spec.swept)
    return float(value) if isinstance(value, int | float) else None
