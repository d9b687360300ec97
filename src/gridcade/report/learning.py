"""How fast contenders learn: learning curves, the area below them, and steps to a threshold."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcade.evaluation.intervals import TOLERANCE, Estimate
from gridcade.report.analysis import EnvironmentAnalysis, score_scale
from gridcade.study.comparison import RunResult
from gridcade.study.seed_statistics import Band, mean_curve, seed_interval

Floats = NDArray[np.float64]
Curve = tuple[Floats, Floats]  # x and y, [points] each


@dataclass(frozen=True)
class LearningCurves:
    """The learning curves of a contender: one per seed, and their mean where they overlap."""

    contender: str
    seeds: tuple[Curve, ...]
    band: Band


@dataclass(frozen=True)
class LearningSpeed:
    """How fast a contender learns, from the evaluations of its greedy policy during training."""

    contender: str
    threshold: float | None  # a score between random play and a reference; None: none is known
    reference: str  # such as "the optimum"; empty: none is known
    # Steps to the first evaluation at or above the threshold; None: a run did not reach it.
    steps: Estimate | None
    reached: int  # number of runs that reached the threshold
    runs: int
    area: Estimate | None  # area below the curve divided by its length: mean score in training


def learning_curves(
    analysis: EnvironmentAnalysis, x: str, y: str, confidence: float, unit: float = 1.0
) -> tuple[LearningCurves, ...]:
    """Return the learning curves of all contenders that have the metrics.

    Args:
        analysis: the analysis of the environment.
        x: an increasing metric: `steps` or `seconds`.
        y: another metric; epochs without it are skipped.
        confidence: confidence level of the intervals.
        unit: size of one unit of x, such as 60 for minutes.
    """
    curves = []
    for scores in analysis.scores:
        seeds = tuple(_seed_curves(scores.results, x, y, unit))
        if seeds:
            xs, ys = zip(*seeds, strict=True)
            band = mean_curve(xs, ys, confidence, scores.possible)
            curves.append(LearningCurves(scores.contender, seeds, band))
    return tuple(curves)


def learning_speeds(
    analysis: EnvironmentAnalysis, share: float, confidence: float
) -> tuple[LearningSpeed, ...]:
    """Return how fast each contender with a learning curve learns.

    The threshold lies at a share of the way from random play (0) to the optimum, or to a human's
    score on Atari games (1). Areas are over the range of steps that all curves share. Both are as
    coarse as the evaluations during training.

    Args:
        analysis: the analysis of the environment.
        share: share of the way, 0 to 1.
        confidence: confidence level of the intervals over seeds.
    """
    curves = {
        s.contender: tuple(_seed_curves(s.results, "steps", analysis.names.greedy, 1.0))
        for s in analysis.scores
    }
    points = [xs for seeds in curves.values() for xs, _ in seeds]
    if not points:
        return ()
    start, end = max(xs[0] for xs in points), min(xs[-1] for xs in points)
    possible = {s.contender: s.possible for s in analysis.scores}
    scale = score_scale(analysis)
    threshold = None if scale is None else scale.zero + share * (scale.one - scale.zero)
    reference = "" if scale is None else scale.reference
    return tuple(
        _learning_speed(name, seeds, threshold, reference, (start, end), confidence, possible[name])
        for name, seeds in curves.items()
        if seeds
    )


def _learning_speed(
    contender: str,
    curves: Sequence[Curve],
    threshold: float | None,
    reference: str,
    span: tuple[float, float],
    confidence: float,
    possible: tuple[float, float],
) -> LearningSpeed:
    least = math.inf if threshold is None else threshold - TOLERANCE * abs(threshold)
    first = [float(xs[ys >= least][0]) for xs, ys in curves if (ys >= least).any()]
    complete = len(first) == len(curves)
    evaluated = min(xs[0] for xs, _ in curves), max(xs[-1] for xs, _ in curves)
    areas = [_mean_height(curve, *span) for curve in curves if span[0] < span[1]]
    return LearningSpeed(
        contender=contender,
        threshold=threshold,
        reference=reference,
        steps=seed_interval(first, confidence, evaluated) if complete else None,
        reached=len(first),
        runs=len(curves),
        area=seed_interval(areas, confidence, possible) if span[0] < span[1] else None,
    )


def _mean_height(curve: Curve, start: float, end: float) -> float:
    """Return the mean of a curve, which is linear between its points, from `start` to `end`."""
    xs, ys = curve
    grid = np.unique(np.concatenate([[start, end], xs[(start < xs) & (xs < end)]]))
    return float(np.trapezoid(np.interp(grid, xs, ys), grid) / (end - start))


def _seed_curves(results: Sequence[RunResult], x: str, y: str, unit: float) -> Iterator[Curve]:
    for result in results:
        # Epochs that took no measurable time have the same x; the last one counts.
        present = [m for m in result.metrics if m.get(x) is not None and m.get(y) is not None]
        points = {m[x] / unit: m[y] for m in sorted(present, key=lambda m: m[x])}
        if points:
            yield np.array([*points], dtype=np.float64), np.array([*points.values()], float)
