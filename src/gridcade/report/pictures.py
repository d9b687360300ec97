"""The figures of a report: what each shows, in ink, and in words for those who do not see it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from gridcade.evaluation.intervals import Estimate
from gridcade.formatting import number
from gridcade.report import findings, words
from gridcade.report.figures import (
    FEW_SEEDS,
    ROW,
    Look,
    Picture,
    draw,
    forest,
    learning,
    means,
    profiles,
    strip,
)
from gridcade.report.findings import Aggregate, Findings, Improvement

Looks = Mapping[str, Look]

CURVES = 3.3  # inches, the height of curves
AXES = 0.75  # inches, of what stands around rows
CLOCK = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def curves(name: str, found: Findings, confidence: float, looks: Looks) -> Iterator[Picture]:
    """Learning curves against steps and against the clock.

    Of the greedy policy as it was evaluated; and of the training itself, where that was measured
    more often.
    """
    epochs = [m for s in found.scores for o in s.outcomes for m in o.metrics]
    longest = max((m["seconds"] for m in epochs), default=0.0)
    clock = next((size, unit) for size, unit in CLOCK if longest >= 3 * size or size == 1)
    names, lines = found.names, levels(found)
    yield from _learning(f"{name}-curves", found, names.greedy, clock, lines, confidence, looks)
    if any(m.get(names.greedy) is None for m in epochs):
        yield from _learning(
            f"{name}-training", found, names.training, clock, (), confidence, looks
        )


def _learning(
    name: str,
    found: Findings,
    metric: str,
    clock: tuple[float, str],
    lines: Sequence[tuple[float, str]],
    confidence: float,
    looks: Looks,
) -> Iterator[Picture]:
    """A metric against steps and against the clock, where there is any of it."""
    greedy = metric == found.names.greedy
    what = found.names.words
    label = what if greedy else f"{what.removeprefix('expected ')} in training"
    for x, (size, unit) in (("steps", (1.0, "steps")), ("seconds", clock)):
        made = findings.curves(found, x, metric, confidence, size)
        if not made:
            return
        last = [
            f"{c.contender} {number(float(np.mean([ys[-1] for _, ys in c.seeds])))}" for c in made
        ]
        caption = (
            "The policy as it is evaluated" if greedy else "What training itself met, exploring"
        )
        caption += f", against {unit}"
        if any(len(c.seeds) > 1 for c in made):
            caption += f": mean over seeds with its {words.percent(confidence)} interval"
        if any(1 < len(c.seeds) <= FEW_SEEDS for c in made):
            caption += "; thin lines are single seeds"
        if x == "seconds":
            caption += ". The clock runs through evaluations and checkpoints as well"
        yield draw(
            f"{name}-{x}",
            "",
            f"{label.capitalize()} on {found.env} against {unit}. Last: {words.listing(last)}.",
            f"{caption}.",
            CURVES,
            partial(learning, curves=made, looks=looks, x=unit, y=label, lines=lines),
        )


def levels(found: Findings) -> tuple[tuple[float, str], ...]:
    """What scores stand beside, as far as it is known: the optimum, random play, a human."""
    lines = [] if found.optimum is None else [(found.optimum, "optimum")]
    if found.published is not None and found.criterion == "return":
        year = found.published.nature2015
        lines += [(year.random, "random"), (year.human, "human")]
    return tuple(lines)


def scores(name: str, found: Findings, confidence: float, looks: Looks) -> Picture:
    """Final scores, each run a point."""
    rows = [(s.contender, s.values, s.estimate) for s in found.scores]
    said = words.listing([f"{s.contender} {number(s.estimate.mean)}" for s in found.scores])
    several = any(len(s.values) > 1 for s in found.scores)
    points = "Each small point is a run; below them, their" if several else "The"
    return draw(
        f"{name}-scores",
        "",
        f"{found.names.words.capitalize()} on {found.env}. Means: {said}.",
        f"{points} mean with its {words.percent(confidence)} interval, where there is one.",
        AXES + 1.15 * ROW * len(rows),
        partial(strip, rows=rows, looks=looks, x=found.names.words, lines=levels(found)),
    )


def differences(name: str, found: Findings, confidence: float) -> Picture | None:
    """The difference of each pair; None where there is no pair."""
    rows = [
        (f"{v.better.contender} − {v.worse.contender}", v.difference, v.told(confidence))
        for v in found.verdicts
    ]
    if not rows:
        return None
    said = words.listing([f"{pair} {number(estimate.mean)}" for pair, estimate, _ in rows])
    return draw(
        f"{name}-differences",
        "",
        f"Differences of {found.names.words} on {found.env}: {said}.",
        f"Differences of means with {words.percent(confidence)} intervals, each by itself; filled "
        "where one is told from 0 after correction for all comparisons.",
        AXES + ROW * len(rows),
        partial(forest, rows=rows, x=f"difference of {found.names.words}"),
    )


def aggregate(made: Aggregate, confidence: float, looks: Looks) -> tuple[Picture, Picture]:
    """Interquartile means, and performance profiles."""
    rows = list(made.means.items())
    said = words.listing([f"{name} {number(estimate.mean)}" for name, estimate in rows])
    level, notes = words.percent(confidence), _notes(made.means.values())
    return (
        draw(
            "all-interquartile-mean",
            "Interquartile mean",
            f"Interquartile means: {said}.",
            f"The mean of the middle half of all runs, with a {level} interval by a bootstrap of "
            f"the seeds within each environment (Agarwal et al. 2021){notes}.",
            AXES + ROW * len(rows),
            partial(means, rows=rows, looks=looks, x=made.unit),
        ),
        draw(
            "all-performance-profiles",
            "Performance profiles",
            "The share of runs that score more than each score, a curve a contender.",
            f"The share of runs that score more, with pointwise {level} bands by the same "
            "bootstrap. A curve that lies above another throughout did better in these runs; where "
            "the bands overlap, that may be chance.",
            CURVES,
            partial(profiles, made=made, looks=looks),
        ),
    )


def improvement(made: Sequence[Improvement], confidence: float) -> Picture:
    """The probability of improvement of each pair."""
    rows = [
        (
            f"{i.first} over {i.second}",
            i.probability,
            i.probability.note is None and not i.probability.low <= 0.5 <= i.probability.high,
        )
        for i in made
    ]
    said = words.listing([f"{pair} {number(estimate.mean)}" for pair, estimate, _ in rows])
    level, notes = words.percent(confidence), _notes(i.probability for i in made)
    return draw(
        "all-probability-of-improvement",
        "Probability of improvement",
        f"Probabilities of improvement: {said}.",
        "How likely a run of the first scores higher than a run of the second, ties half, averaged "
        f"over environments, with {level} intervals by the same bootstrap, each by itself; filled "
        f"where one is without 0.5, of seeds enough{notes}.",
        AXES + ROW * len(rows),
        partial(forest, rows=rows, x="probability", zero=0.5),
    )


def _notes(estimates: Iterable[Estimate]) -> str:
    """What is to be known of intervals besides, each once, to end a sentence with."""
    notes = dict.fromkeys(estimate.note for estimate in estimates if estimate.note)
    return "".join(f"; {note}" for note in notes)
