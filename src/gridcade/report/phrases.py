"""Phrases and numbers in the sentences, tables and figures of a report."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gridcade.evaluation.intervals import Estimate
from gridcade.formatting import format_number
from gridcade.report.analysis import ContenderScores
from gridcade.study.comparison import RunResult


def listing(names: Sequence[str]) -> str:
    """Join names: `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def count(quantity: float, noun: str) -> str:
    """Format a number with its noun: `1 seed`, `2,000,000 steps`, `0.5 minutes`."""
    digits = f"{int(quantity):,}" if quantity == int(quantity) else f"{quantity:g}"
    return f"{digits} {noun}{'' if quantity == 1 else 's'}"


def seed_count(scores: ContenderScores) -> str:
    """Format the number of seeds: `5`, `3 of 5` if others failed, `-` for a fixed policy."""
    total = len(scores.values)
    seeds = f"{total} of {total + scores.failed}" if scores.failed else str(total)
    return seeds if scores.learns else "-"


def percent(fraction: float) -> str:
    """Format a fraction in percent: `95 %`."""
    return f"{100 * fraction:.4g} %"


def interval(estimate: Estimate) -> str:
    """Format an interval: `0.08 to 0.15`, `exact`, `all equal`, or `-` if it is infinite."""
    if estimate.method == "alike":
        return "all equal"
    if not math.isfinite(estimate.half_width):
        return "-"
    exact = estimate.method == "exact"
    return "exact" if exact else f"{format_number(estimate.low)} to {format_number(estimate.high)}"


def with_interval(estimate: Estimate, form: str = "") -> str:
    """Format an estimate and its interval: `0.1 (0.08 to 0.15)`; `form` formats the numbers."""
    texts = (
        form.format(number) if form else format_number(number)
        for number in (estimate.mean, estimate.low, estimate.high)
    )
    mean, low, high = texts
    limits = f"{low} to {high}" if math.isfinite(estimate.half_width) else interval(estimate)
    return mean if limits == "-" else f"{mean} ({limits})"


def gap(optimum: float, value: float) -> str:
    """Format the distance from the optimum; a rounding error is 0."""
    return "0" if math.isclose(optimum, value, rel_tol=1e-9) else format_number(optimum - value)


def duration(seconds: float) -> str:
    """Format a duration: `40 s`, `12 min`, `3.4 h`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{format_number(seconds / size)} {unit}"
    return f"{format_number(seconds)} s"


def dates(results: Sequence[RunResult]) -> str:
    """Format the dates of all runs: `2025-01-31`, `2025-01-31 to 2025-02-02`; empty if unknown."""
    days = sorted(s["started"][:10] for r in results for s in r.sessions)
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""


def concurrency(session: Mapping[str, Any]) -> str:
    """Format how many runs a study's session ran at the same time: `2 runs (loky)`."""
    jobs, backend = session["jobs"], session["backend"]
    runs = "one run per worker" if jobs is None else count(jobs, "run")
    return f"{runs} ({backend})"
