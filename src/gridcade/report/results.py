"""The results of a comparison as files for other programs: results.json and results.csv."""

import csv
import io
import json
from pathlib import Path

from gridcade.errors import InputError
from gridcade.report.verdicts import verdict_sentences
from gridcade.study.comparison import Comparison
from gridcade.training.run_folder import write_text


def write_results(comparison: Comparison, out: Path) -> None:
    """Write OUT/results.json, with the verdicts as sentences, and OUT/results.csv.

    Raises:
        InputError: the files cannot be written.
    """
    results = comparison.as_dict() | {"verdicts": verdict_sentences(comparison)}
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
