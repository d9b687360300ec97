"""Checks that observations fit their space. The bounds of a Box are not checked here."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces

from gridcade.envs.types import Space
from gridcade.errors import brief

Check: TypeAlias = Callable[[Any], str]


def observation_check(space: Space) -> Check:
    """Make a function that describes what is wrong with an observation; empty if nothing is.

    Arrays must have the shape of their space, a type that can be converted to its own, and no nan;
    whole numbers must be within their range. Spaces of text, graphs and sequences are not checked.
    """
    if isinstance(space, spaces.Box):
        return _box_check(space)
    if isinstance(space, spaces.Discrete):
        return _discrete_check(space)
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        return lambda value: "" if _contains(space, value) else _outside(value, space)
    if isinstance(space, spaces.Dict):
        return _dict_check({key: observation_check(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return _tuple_check([observation_check(part) for part in space.spaces])
    return lambda _: ""


def _box_check(space: spaces.Box) -> Check:
    shape, dtype = space.shape, space.dtype
    is_float = np.issubdtype(dtype, np.floating)

    def check(value: Any) -> str:
        if type(value) is not np.ndarray or value.shape != shape or value.dtype != dtype:
            try:
                value = np.asarray(value)
            except ValueError:  # rows of different lengths
                return f"is {brief(value)}, not an array"
            if value.shape != shape:
                return f"has the shape {value.shape}; its space has {shape}"
            if not _fits(value, dtype):
                return f"is of type {value.dtype}; its space is of {np.dtype(dtype)}"
        if is_float and value.dtype.kind == "f":
            flat = value.ravel()
            square = flat.dot(flat)  # nan if an element is; several times faster than np.isnan
            if square != square:
                return f"holds nan: {brief(value)}"
        return ""

    return check


def _fits(array: Any, dtype: Any) -> bool:
    """Whether an array can be converted to a type without a change of its meaning."""
    target = np.dtype(dtype)
    if array.dtype.kind in "bui" and target.kind in "bui":
        low, high = (0, 1) if target.kind == "b" else (np.iinfo(target).min, np.iinfo(target).max)
        return not array.size or bool(array.min() >= low and array.max() <= high)
    return np.can_cast(array.dtype, target, "same_kind")


def _discrete_check(space: spaces.Discrete) -> Check:
    low, high = int(space.start), int(space.start + space.n - 1)

    def check(value: Any) -> str:
        whole = isinstance(value, int | np.integer) or (
            isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "iu"
        )
        if whole and low <= value <= high:
            return ""
        return f"is {brief(value)}; its space has the whole numbers from {low} to {high}"

    return check


def _dict_check(checks: Mapping[str, Check]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, Mapping) or value.keys() != checks.keys():
            keys = list(value) if isinstance(value, Mapping) else value
            return f"is {brief(keys)}; its space has the keys {', '.join(map(str, checks))}"
        for key, part in checks.items():
            if problem := part(value[key]):
                return f"in '{key}' {problem}"
        return ""

    return check


def _tuple_check(checks: list[Check]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, tuple | list) or len(value) != len(checks):
            return f"is {brief(value)}; its space has {len(checks)} parts"
        for number, part in enumerate(checks):
            if problem := part(value[number]):
                return f"in part {number} {problem}"
        return ""

    return check


def _contains(space: Space, value: Any) -> bool:
    """Whether a space contains a value; False if Gymnasium fails on its type."""
    try:
        return bool(space.contains(np.asarray(value)))
    except (TypeError, ValueError):
        return False


def _outside(value: Any, space: Space) -> str:
    return f"is {brief(value)}; its space is {space}"
