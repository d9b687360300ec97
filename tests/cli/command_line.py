"""Helpers for tests of the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SMALL = "RussellNorvig4x3"


class Result(NamedTuple):
    """What a command printed, and its exit code."""

    code: Any
    out: str
    err: str


Gridcade = Callable[..., Result]


def read_json(text: str) -> Any:
    """Parse one line of strict JSON, without NaN and Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert text.endswith("\n")
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=refuse)


def contents(path: Path) -> dict[str, bytes | None]:
    """Everything in a folder, with the contents of files; None for folders."""
    return {
        str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in path.rglob("*")
    }
