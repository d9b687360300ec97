"""Checks of the arguments of environments."""

from bisect import bisect_right
from collections.abc import Callable
from typing import TypeGuard

from gridcade.errors import InputError

MOST_OUTCOMES = 10_000_000  # of a model, which needs about 1 GB, and more while it is built


def is_integer(value: object) -> TypeGuard[int]:
    """Whether a value is an integer; booleans are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is an integer or a float; booleans are not."""
    return is_integer(value) or isinstance(value, float)


def check_integer(name: str, value: object, least: int) -> None:
    """Raise InputError if an argument is not an integer, or is less than `least`."""
    if not is_integer(value) or value < least:
        raise InputError(f"{name} is {value}; it must be an integer, {least} or greater")


def check_size(name: str, value: int, least: int, outcomes: Callable[[int], int]) -> None:
    """Check the argument that sets the size of a world, before its model is built.

    Args:
        name: name of the argument.
        value: its value.
        least: its smallest possible value.
        outcomes: returns the number of outcomes of the model for a value; it increases with the
            value.

    Raises:
        InputError: the value is not an integer, too small, or the model would be too large.
    """
    check_integer(name, value, least)
    if outcomes(value) > MOST_OUTCOMES:
        largest = bisect_right(range(MOST_OUTCOMES), MOST_OUTCOMES, key=outcomes) - 1
        raise InputError(
            f"{name} is {value}; it must be {largest:,} or less, because a model may have at most "
            f"{MOST_OUTCOMES:,} outcomes"
        )
