"""The metrics of a run: a file with one JSON object per line, one line per epoch."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Metrics = dict[str, Any]  # name -> number, None if the task has no such value; `exact` is a bool


def read_metrics(file: Path) -> list[Metrics]:
    """Read the metrics; empty if there is no file.

    A person may have edited the file, and a killed process may have left half a line: lines that
    are not metrics are left out, and values that are not finite numbers are None.
    """
    return [metrics for _, metrics in _lines(file) if metrics is not None]


def lines_until(file: Path, steps: int) -> str:
    """Return the lines of a file of metrics, without epochs that ended after a number of steps.

    Lines that are not metrics are kept, except those after the last epoch.
    """
    kept: list[str] = []
    last = 0  # number of lines up to the last epoch
    for line, metrics in _lines(file):
        if metrics is not None and metrics["steps"] > steps:
            continue
        kept.append(line + "\n")
        if metrics is not None:
            last = len(kept)
    return "".join(kept[:last])


def _lines(file: Path) -> Iterator[tuple[str, Metrics | None]]:
    """Yield each line of a file with its metrics; None if it holds no metrics."""
    for raw in file.read_bytes().splitlines() if file.is_file() else []:
        line = raw.decode(errors="replace")
        yield line, _parse(line)


def _parse(line: str) -> Metrics | None:
    """Parse the metrics of a line; None if it holds no metrics, or no number of steps."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or type(entry.get("steps")) is not int:
        return None
    return {name: value if _is_finite(value) else None for name, value in entry.items()}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
