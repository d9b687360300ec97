"""Compilation with numba; the functions keep their types for readers and type checkers."""

import zlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

import numba
from numba.extending import is_jitted

from gridcade.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function to machine code on its first call.

    The machine code is cached on disk and runs without Python's global interpreter lock. Division
    by zero gives infinity, as in NumPy, because a check would cost a third of the speed. Calls
    between compiled functions are inlined, because their tuples of arrays are slow to pass on.
    """
    return _compile(function)


def compiled_in_place(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that makes no arrays, but changes its arguments in place.

    Then numba need not count references to arrays in tuples, which would take most of the time.
    """
    return _compile(function, _nrt=False)


def compiled_any_order(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that may add numbers in any order, so that sums use vector units."""
    return _compile(function, fastmath={"reassoc", "contract"})


def _compile(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    # numba caches a function under its qualified name until its own file changes. A checksum in the
    # name makes numba compile again if this file changes, or a file whose compiled functions it
    # calls.
    function.__qualname__ += f"-{zlib.crc32(_dependencies(function)):08x}"
    jit = numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True, **options)
    jitted: Callable[P, R] = jit(function)
    return jitted


def compiled_with(function: Callable[P, R], **functions: Callable[..., Any]) -> Callable[P, R]:
    """Compile a copy of a function, in which the given names mean the given compiled functions.

    The names are global, because numba inlines such functions. Functions as arguments or in
    closures would work too, but numba does not find their callers in its cache again.
    """
    assert isinstance(function, FunctionType)  # noqa: S101 - for the type checker
    scope = {**function.__globals__, **functions}
    return compiled_in_place(FunctionType(function.__code__, scope, function.__name__))


def _dependencies(function: Callable[..., object]) -> bytes:
    """Return the source of the other files with compiled functions that a function calls."""
    sources = [Path(__file__).read_bytes()]
    for name in function.__code__.co_names:
        called: Any = function.__globals__.get(name)
        if is_jitted(called):
            file = called.py_func.__code__.co_filename
            if file != function.__code__.co_filename:
                sources.append(Path(file).read_bytes())
            # The name distinguishes functions of one file, and its checksum covers the files that
            # the called function depends on.
            sources.append(called.py_func.__qualname__.encode())
            if called.py_func.__closure__:
                raise InputError(
                    f"{called.py_func.__name__} uses variables of the function around it, so numba "
                    "could load machine code for other values of them from its cache: make them "
                    "hyperparameters"
                )
    return b"".join(sources)
