"""The learning curves of a run, of which a page asks for what it does not have yet."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from gridcade.training.run_folder import Run

MAX_POINTS = 1000  # that are sent at once with an evaluation, and as many without one


class Curves(Struct):
    """New metrics of a run."""

    version: str  # of the metrics file
    start: int  # lines before the first entry
    lines: int  # of the whole file
    entries: Sequence[Mapping[str, Any]]  # as in metrics.jsonl


def read_curves(run: Run, after: int = 0, version: str = "") -> Curves:
    """Read the metrics of a run that a page does not have yet, thinned out if there are many.

    Args:
        run: the run.
        after: lines that the page has.
        version: that of the curves which the page has; empty: none.
    """
    file, size = _identity(run.path / "metrics.jsonl")
    if version == f"{file}-{size}":
        return Curves(version, after, after, ())
    entries = run.metrics()
    # Resuming replaces the file, because it drops the lines after the checkpoint.
    start = after if version.startswith(f"{file}-") and after <= len(entries) else 0
    return Curves(f"{file}-{size}", start, len(entries), thin_out(entries[start:], MAX_POINTS))


def thin_out(entries: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Leave out entries at equal distances; at most `most` with and without evaluation remain.

    The last entry remains besides.
    """
    evaluated = [i for i, entry in enumerate(entries) if "exact" in entry]
    others = [i for i, entry in enumerate(entries) if "exact" not in entry]
    kept = {len(entries) - 1} if entries else set()
    for indices in (evaluated, others):
        kept.update(indices[:: max(1, math.ceil(len(indices) / most))])
    return [entries[i] for i in sorted(kept)]


def _identity(file: Path) -> tuple[str, int]:
    """What tells a file from one that replaced it, and its size in bytes."""
    try:
        status = os.stat(file)
    except OSError:
        return "none", 0
    return f"{status.st_ino:x}", status.st_size
