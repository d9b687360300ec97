"""Compilation by numba, with its types kept for the reader and the checker."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile to machine code when first called: cached on disk, and free of Python's lock."""
    jitted: Callable[P, R] = numba.njit(cache=True, nogil=True)(function)
    return jitted
