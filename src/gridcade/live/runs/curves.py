"""The learning curves of a run: a page gets only the lines that it does not have yet."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from gridcade.training.run_folder import Run

MAX_POINTS = 1000  # entries of one answer with an evaluation, and as many without


class Curves(Struct):
    """New metrics of a run."""

    version: str  # identifies the metrics file and its size
    start: int  # number of lines before the first entry
    lines: int  # number of lines of the whole file
    entries: Sequence[Mapping[str, Any]]  # as in metrics.jsonl


def read_curves(run: Run, after: int = 0, version: str = "") -> Curves:
    """Read the metrics of a run that a page does not have yet, thinned out if there are many.

    Args:
        run: the run.
        after: number of lines that the page has.
        version: `version` of the curves that the page has; empty if it has none.
    """
    file, size = _identity(run.path / "metrics.jsonl")
    if version == f"{file}-{size}":
        return Curves(version, after, after, ())
    entries = run.metrics()
    # Resuming replaces the file, because it drops the lines after the checkpoint.
    start = after if version.startswith(f"{file}-") and after <= len(entries) else 0
    return Curves(f"{file}-{size}", start, len(entries), thin_out(entries[start:], MAX_POINTS))


def thin_out(entries: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Thin out entries evenly, to at most `most` with and `most` without an evaluation.

    The last entry is kept in any case.
    """
    evaluated = [i for i, entry in enumerate(entries) if "exact" in entry]
    others = [i for i, entry in enumerate(entries) if "exact" not in entry]
    kept = {len(entries) - 1} if entries else set()
    for indices in (evaluated, others):
        kept.update(indices[:: max(1, math.ceil(len(indices) / most))])
    return [entries[i] for i in sorted(kept)]


def _identity(file: Path) -> tuple[str, int]:
    """Return the inode of a file, which changes when the file is replaced, and its size."""
    try:
        status = os.stat(file)
    except OSError:
        return "none", 0
    return f"{status.st_ino:x}", status.st_size
