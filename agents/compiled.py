"""Compilation with numba that keeps the types of functions for readers and type checkers."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba.extending import is_jitted

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function to machine code on its first call.

    The machine code is cached on disk and runs without Python's global interpreter lock. Division
    by zero gives infinity, as in NumPy, because a check would cost a third of the speed.
    """
    # numba caches a function under its qualified name until its own file changes. The name gets a
    # checksum of the other files whose compiled functions it calls, so that a change there counts.
    if dependencies := _dependencies(function):
        function.__qualname__ += f"-{zlib.crc32(dependencies):08x}"
    jit = numba.njit(cache=True, nogil=True, error_model="numpy")
    jitted: Callable[P, R] = jit(function)
    return jitted


def _dependencies(function: Callable[..., object]) -> bytes:
    """Return the source of the other files with compiled functions that a function calls."""
    sources = []
    for name in function.__code__.co_names:
        called: Any = function.__globals__.get(name)
        if is_jitted(called):
            file = called.py_func.__code__.co_filename
            if file != function.__code__.co_filename:
                sources.append(Path(file).read_bytes())
            # The checksum in its name stands for the files that the called function depends on.
            sources.append(called.py_func.__qualname__.partition("-")[2].encode())
    return b"".join(sources)
