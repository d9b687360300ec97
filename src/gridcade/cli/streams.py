"""The standard streams: characters that they cannot show, and streams that are full or closed."""

import codecs
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO

from gridcade.errors import InputWarning

PLAIN = {  # replacements for characters that a stream cannot encode; "?" for all others
    **{"…": "~", "·": ".", "•": "*", "−": "-", "–": "-", "—": "-", "×": "x", "≈": "~", "±": "~"},
    **{"‘": "'", "’": "'", "′": "'", "“": '"', "”": '"', "←": "<", "→": ">", "↑": "^", "↓": "v"},
    **{"▀": '"', "█": "#", "●": "*", "○": "o", "│": "|", "─": "-", "╭": "+", "╰": "+", "\xa0": " "},
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace characters by others of the same width: an error handler for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in text), error.end


codecs.register_error("gridcade-plain", _plain)


def prepare() -> None:
    """Replace characters that the output cannot encode, and open streams that are closed.

    If a stream stayed closed, a file that is opened later would get its descriptor; and without a
    standard error, `print(…, file=sys.stderr)` would print on the standard output.

    Raises:
        SystemExit: the standard output is closed.
    """
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:
        mode = "r" if name == "stdin" else "w"
        setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if "stdout" in closed:
        print("gridcade: the standard output is closed", file=sys.stderr)
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="gridcade-plain")


def lost_output() -> OSError | None:
    """Return why the standard output cannot be written, and discard its contents; else None."""
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"\n")  # an unbuffered stream has nothing left to flush
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


@contextmanager
def warnings_on_one_line() -> Iterator[None]:
    """Print each InputWarning once, on a line of the standard error."""
    seen: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, InputWarning):
            show_other(message, category, filename, lineno, file, line)
        elif str(message) not in seen:
            seen.add(str(message))
            print(f"gridcade: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        show_other = warnings.showwarning
        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = show
        yield
