"""Errors for invalid user input: one line that says what is wrong, where, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from textwrap import shorten


class InputError(ValueError):
    """The user's input is invalid. The command line prints the message and exits with code 2."""


class WriteError(InputError):
    """A file cannot be written, for example because the disk is full. A retry may succeed."""


class InputWarning(UserWarning):
    """Something that the user should know. The command line prints it on one line."""


class EnvError(InputError):
    """The code of somebody else's environment has failed. A retry may succeed."""


def brief(value: object) -> str:
    """Return the start of a value's `repr` on one line, for an error message."""
    return shorten(repr(value), 80, placeholder=" …")


def single_line(value: object) -> str:
    """Return a value's text on one line, for an error message."""
    return " ".join(str(value).split())


def one_line(error: BaseException) -> str:
    """Format an error on one line: `ZeroDivisionError: division by zero`.

    Of an `InputError`, only the text is returned.
    """
    text = single_line(error)
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Build the error for an unknown name; the message suggests the most similar known name."""
    names = sorted(known)
    by_lower_case = {n.lower(): n for n in names}
    similar = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.5)
    suggestions = [f"did you mean {by_lower_case[n]}?" for n in similar]
    hint = suggestions[0] if suggestions else f"known: {', '.join(names)}"
    return InputError(f"unknown {kind} '{name}'; {hint}")
