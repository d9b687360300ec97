"""The metrics of a run: a file with one JSON object a line, one for each epoch."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Metrics = dict[str, Any]  # numbers by name; `exact` is a bool, and None where a task has no value


def read_metrics(file: Path) -> list[Metrics]:
    """Read the metrics; empty if there is no file.

    A person may have edited the file, and a killed process may have left half a line: lines that
    are no metrics are left out, and values that are not finite numbers are None.
    """
    return [metrics for _, metrics in _lines(file) if metrics is not None]


def lines_until(file: Path, steps: int) -> str:
    """The lines of a file of metrics, without the epochs that ended after a number of steps.

    Lines that are no metrics stay, except after the last epoch.
    """
    kept: list[str] = []
    last = 0  # the number of lines until the last epoch
    for line, metrics in _lines(file):
        if metrics is not None and metrics["steps"] > steps:
            continue
        kept.append(line + "\n")
        if metrics is not None:
            last = len(kept)
    return "".join(kept[:last])


def _lines(file: Path) -> Iterator[tuple[str, Metrics | None]]:
    """Yield the lines of a file, and the metrics in each; None: it has none."""
    for raw in file.read_bytes().splitlines() if file.is_file() else []:
        line = raw.decode(errors="replace")
        yield line, _parse(line)


def _parse(line: str) -> Metrics | None:
    """The metrics of a line; None if it has none, or no number of steps."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or type(entry.get("steps")) is not int:
        return None
    return {name: value if _is_finite(value) else None for name, value in entry.items()}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
