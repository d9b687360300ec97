"""Finds where an error arose in code that is not ours, for one-line messages."""

import os
import sysconfig
from inspect import isfunction, unwrap
from traceback import walk_tb
from types import CodeType
from typing import Any

LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
# Modules of Gymnasium that call an environment; its own environments are in the others.
CALLERS = ("gymnasium.core", "gymnasium.envs.registration", "gymnasium.utils", "gymnasium.wrappers")


def place_of(error: BaseException, package: str = "") -> str:
    """Find the line at which code of an environment failed: `my_env.py:31, in step`.

    Args:
        error: the error.
        package: first part of the name of the module that defines the environment. The innermost
            line in this package counts; without one, the innermost outside installed libraries.

    Returns:
        The place; empty if there is no such line.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(error.filename)}:{error.lineno}"
    frames = [
        (frame.f_code, line, str(frame.f_globals.get("__name__", "")))
        for frame, line in walk_tb(error.__traceback__)
    ]
    frames = [f for f in frames if not f[2].startswith(("gridcade.", *CALLERS))]
    theirs = [f for f in frames if package and f[2].partition(".")[0] == package]
    outside = [f for f in frames if not f[0].co_filename.startswith((*LIBRARIES, "<frozen"))]
    for code, line, _ in reversed(theirs or outside):
        inside = "" if code.co_name.startswith("<") else f", in {code.co_name}"
        return f"{shown(code.co_filename)}:{line}{inside}"
    return ""


def place_of_method(owner: type, name: str) -> str:
    """Find the definition of a method: `my_env.py:20, in step`; empty if it has no source."""
    method: Any = getattr(owner, name, None)
    code = unwrap(method).__code__ if isfunction(method) else None
    if not isinstance(code, CodeType):
        return ""
    return f"{shown(code.co_filename)}:{code.co_firstlineno}, in {code.co_name}"


def shown(file: str) -> str:
    """Shorten the path of a file that is below the current directory."""
    below = f"{os.getcwd()}{os.sep}"
    return file.removeprefix(below)
