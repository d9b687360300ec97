"""Compilation by numba, with its types kept for the reader and the checker."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile to machine code when first called: cached on disk, and free of Python's lock.

    The cache knows a function by its own file: what compiled functions call stays in that file, or
    a change there would go unseen. A division by zero gives infinity, as in NumPy: checking for it
    costs a third of the speed.
    """
    jit = numba.njit(cache=True, nogil=True, error_model="numpy")
    jitted: Callable[P, R] = jit(function)
    return jitted
