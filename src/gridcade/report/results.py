"""The results of a comparison as files for other programs: results.json and results.csv."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gridcade.errors import InputError
from gridcade.evaluation.result import finite
from gridcade.files import write_text
from gridcade.report.analysis import analyze
from gridcade.report.learning import LearningSpeed, learning_speeds
from gridcade.report.verdicts import verdict_sentences
from gridcade.study.comparison import Comparison


def write_results(comparison: Comparison, out: Path) -> None:
    """Write OUT/results.json, with verdicts and learning speeds, and OUT/results.csv.

    Raises:
        InputError: the files cannot be written.
    """
    results = comparison.as_dict() | {
        "verdicts": verdict_sentences(comparison),
        "learning_speed": _learning_speed(comparison),
    }
    table = io.StringIO()
    rows = list(comparison.rows())
    writer = csv.DictWriter(table, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        write_text(out / "results.json", json.dumps(results, indent=2) + "\n")
        write_text(out / "results.csv", table.getvalue())
    except OSError as error:
        raise InputError(f"cannot write the results into '{out}': {error.strerror}") from None


def _learning_speed(comparison: Comparison) -> dict[str, dict[str, dict[str, Any]]]:
    """Return how fast each contender learns on each environment, with JSON types."""
    study = comparison.study

    def as_dict(speed: LearningSpeed) -> dict[str, Any]:
        plain = asdict(speed)
        del plain["contender"]
        for key, estimate in (("steps", speed.steps), ("area", speed.area)):
            if estimate is not None:
                ends = {end: finite(getattr(estimate, end)) for end in ("low", "high")}
                plain[key] = {"mean": estimate.mean} | ends
        return plain

    return {
        analysis.env: {speed.contender: as_dict(speed) for speed in speeds}
        for analysis in analyze(comparison)
        if (speeds := learning_speeds(analysis, study.threshold, study.confidence))
    }
