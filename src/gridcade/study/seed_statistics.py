"""What the seeds of trainings tell of algorithms: arrays in, numbers out.

The sampling unit is the training seed: a score is what one run's final policy is worth, such as its
mean return over evaluation episodes. Runs of different algorithms are not paired, whatever seeds
they share. Where all runs play the same evaluation episodes, what seeds tell is about these
episodes: play so many that this does not matter, or take exact values as scores. With 5 seeds or
fewer show every one: no interval says more.

Scores on several environments are a sequence with one array an environment, [seeds of it]; scores
on one environment are such a sequence of length one. Scores of environments that are taken
together are on one scale, such as `gridcade.report.atari_scores.normalised`. Scores that are missing, of
another shape, or not finite raise InputError.

Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice,
arXiv 2108.13264.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import nctdtr, stdtr, stdtrit

from gridcade.errors import InputError
from gridcade.evaluation.intervals import TOLERANCE, Estimate, check_confidence, mean_interval

Floats = NDArray[np.float64]
Scores = Sequence[ArrayLike] | Floats  # one array an environment, [seeds of it]
Curves = Sequence[ArrayLike] | Floats  # one array a seed, [points of it]
Statistic = Callable[[Sequence[Floats]], Floats]  # of arrays [..., seeds of it]; one number a row

RESAMPLES = 10_000
FEW_SEEDS = 10  # with fewer, a bootstrap interval is noted
MOST_SEEDS = 1000  # that `seeds_needed` looks for


@dataclass(frozen=True)
class Band:
    """A curve with a pointwise interval: [points] each, infinite where the seeds are too few."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Side:
    """One side of a difference: what is known of a contender's mean score."""

    mean: float
    error: float  # standard error of the mean; infinite where it is not known
    freedom: float  # degrees of freedom of that error; infinite where it is known exactly
    seeds: int = 0  # 0: a policy that is fixed, which no more seeds would make surer

    @classmethod
    def of_seeds(cls, scores: ArrayLike) -> "Side":
        """A contender that learns, by the scores of its runs, [seeds]."""
        estimate = mean_interval(scores, 0.95)
        seeds = np.size(scores)
        return replace(cls.of_interval(estimate, 0.95, seeds), seeds=seeds)

    @classmethod
    def of_interval(cls, estimate: Estimate, confidence: float, samples: int) -> "Side":
        """A policy that is fixed, by its interval from that many episodes (or batches).

        Half the interval's length over Student's quantile is taken for the error.
        """
        check_confidence(confidence)
        if samples < 2 or not math.isfinite(estimate.half_width):
            return cls(estimate.mean, math.inf, 0)
        quantile = float(stdtrit(samples - 1, (1 + confidence) / 2))
        return cls(estimate.mean, estimate.half_width / quantile, samples - 1)

    @classmethod
    def exact(cls, value: float) -> "Side":
        """A policy whose expected score is known, such as an optimal one."""
        return cls(value, 0.0, math.inf)


@dataclass(frozen=True)
class Difference:
    """How much better one side is than the other, and how rarely chance alone shows as much."""

    estimate: Estimate
    p_value: float  # two-sided; 1 where nothing can be told


def interquartile_mean(scores: Scores) -> Floats:
    """The mean of the middle half of all runs on all environments (Agarwal et al. 2021).

    Of n runs the n // 4 best and the n // 4 worst are left out. An environment with more seeds
    weighs more. Scores may have leading axes, [..., seeds of it]: there is one mean for each.
    """
    runs = np.sort(np.concatenate(_checked(scores), axis=-1), axis=-1)
    cut = runs.shape[-1] // 4
    mean: Floats = runs[..., cut : runs.shape[-1] - cut].mean(axis=-1)
    return mean


def stratified_bootstrap(
    scores: Scores,
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float,
    resamples: int = RESAMPLES,
) -> Estimate:
    """A statistic of all runs, with a percentile interval (Agarwal et al. 2021).

    The seeds of each environment are drawn anew, with replacement. `statistic` takes a sequence of
    arrays [..., seeds of it], as `interquartile_mean` does. Where an environment has one seed, the
    interval is infinite.

    It covers too rarely with few seeds. Of normal scores on one environment, that of the
    interquartile mean at 95 % covers 74 % of the time with 3 seeds, 90 % with 5 and 93 % with 10;
    on seven environments together 86 %, 91 % and 93 %. A note tells of fewer than 10, and of
    resamples that all agree, as on scores that are all equal.
    """
    strata = _strata(scores)
    low, high = _percentiles(strata, statistic, rng, confidence, resamples)
    seeds = min(s.size for s in strata)
    note = None
    if low == high:
        note = "all resamples agree: the interval allows for nothing that was not seen"
    elif 1 < seeds < FEW_SEEDS:
        note = f"{seeds} seeds: bootstrap intervals of fewer than {FEW_SEEDS} cover too rarely"
    return Estimate(float(statistic(strata)), float(low), float(high), "bootstrap", note)


def performance_profile(
    scores: Scores,
    thresholds: ArrayLike,
    rng: np.random.Generator,
    confidence: float,
    resamples: int = RESAMPLES,
) -> Band:
    """The share of runs that score above each threshold, [points], averaged over environments.

    The run-score distribution of Agarwal et al. (2021). The band is 0 to 1 where an environment
    has one seed; where all runs lie on one side of a threshold, it has no width.
    """
    strata, x = _strata(scores), _line(thresholds, "thresholds")

    def shares(runs: Sequence[Floats]) -> Floats:
        above = [np.mean([(r > t).mean(axis=-1) for r in runs], axis=0) for t in x]
        return np.stack(above, axis=-1)

    low, high = _percentiles(strata, shares, rng, confidence, resamples)
    return Band(x, shares(strata), np.clip(low, 0, 1), np.clip(high, 0, 1))


def probability_of_improvement(
    x: Scores,
    y: Scores,
    rng: np.random.Generator,
    confidence: float,
    resamples: int = RESAMPLES,
) -> Estimate:
    """How likely a run of X scores higher than a run of Y, averaged over environments.

    A tie counts half: Mann & Whitney's U over the number of pairs (Agarwal et al. 2021). The seeds
    of X and of Y are drawn anew independently. The interval is 0 to 1 where either has one seed on
    an environment; where each run of one beats each of the other, it has no width, and a note.
    """
    if len(x) != len(y):
        raise InputError(f"X has scores on {len(x)} environments, Y on {len(y)}")

    def improvement(runs: Sequence[Floats]) -> Floats:
        pairs = zip(runs[: len(x)], runs[len(x) :], strict=True)
        mean: Floats = np.mean([_probability_above(a, b) for a, b in pairs], axis=0)
        return mean

    found = stratified_bootstrap([*x, *y], improvement, rng, confidence, resamples)
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))


def difference(a: Side, b: Side, confidence: float) -> Difference:
    """The mean of A less that of B, by Welch's t with Satterthwaite's degrees of freedom.

    Between fixed policies that are known without error it is exact, and p is 0 or 1. Seeds that
    all score alike, but for rounding, are no certainty: with such a side p is not below the least
    that a permutation test could give, 2 / C(n + m, n) of n and m seeds, or by flipped signs
    2^(1 - n) of n seeds against a policy that is fixed; and a note says where no side has a spread.
    With one seed on a side nothing can be told: the interval is infinite, p is 1.
    """
    check_confidence(confidence)
    gap, error = a.mean - b.mean, math.hypot(a.error, b.error)
    if math.isinf(error):
        return Difference(Estimate(gap, -math.inf, math.inf, "welch"), 1.0)
    if error <= _rounding(a, b):
        note = "all seeds of a contender score alike: the interval allows for no others"
        exact = Estimate(gap, gap, gap, "welch", note if a.seeds or b.seeds else None)
        return Difference(exact, 1.0 if _equal(a, b) else _least_p(a, b))
    freedom = _welch_freedom(a, b)
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p_value = max(2 * float(stdtr(freedom, -abs(gap) / error)), _least_p(a, b))
    return Difference(Estimate(gap, gap - half, gap + half, "welch"), p_value)


def holm(p_values: ArrayLike) -> Floats:
    """P-values, [tests], adjusted for their number, in the given order (Holm 1979).

    Calling those at most alpha significant errs in any of them with a probability of at most alpha,
    whatever the tests have to do with each other.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"p-values lie between 0 and 1, in one dimension: not {p_values!r}")
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)).clip(max=1)
    return adjusted


def seeds_needed(a: Side, b: Side, power: float = 0.8, confidence: float = 0.95) -> int | None:
    """Seeds a contender for Welch's test to tell a difference as large as the one seen.

    By the noncentral t distribution, spreads as they were seen; MOST_SEEDS stands for that many or
    more. It is a plan for fresh seeds, as uncertain as the difference itself, of one test alone:
    under Holm's correction of m tests, a `confidence` of 1 - 0.05 / m is on the safe side. None
    where it cannot be said: no difference, a spread that one seed cannot tell, nothing to train.
    """
    check_confidence(confidence)
    if not 0 < power < 1:
        raise InputError(f"power is {power}; it takes more than 0 and less than 1")
    if _equal(a, b) or math.isinf(math.hypot(a.error, b.error)) or not a.seeds + b.seeds:
        return None

    def told(seeds: int) -> bool:
        x, y = _with_seeds(a, seeds), _with_seeds(b, seeds)
        error = math.hypot(x.error, y.error)
        if _least_p(x, y) > 1 - confidence:
            return False
        if error <= _rounding(x, y):
            return True
        freedom = _welch_freedom(x, y)
        critical = stdtrit(freedom, (1 + confidence) / 2)
        return bool(nctdtr(freedom, abs(a.mean - b.mean) / error, critical) <= 1 - power)

    return 2 + bisect_left(range(2, MOST_SEEDS), True, key=told)


def curve(x: Curves, y: Curves, confidence: float, points: int = 200) -> Band:
    """The mean over seeds of curves, and its t interval at each point.

    Args:
        x: of each seed, [points of it], increasing: steps or seconds.
        y: of each seed, at its x.
        confidence: of the intervals.
        points: how many x there are at most.

    The x are all those of the seeds, or that many evenly spaced where they are more, from the
    largest first x to the smallest last one: between its points a curve is taken to be straight,
    and beyond them nothing is said. There are none where no x has been reached by every seed.
    """
    if not len(x) or len(x) != len(y):
        raise InputError(f"there are no curves: {len(x)} x, {len(y)} y")
    seeds = [
        (_line(a, f"x of curve {i}"), _line(b, f"y of curve {i}"))
        for i, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    for i, (a, b) in enumerate(seeds):
        if a.size != b.size or not (np.diff(a) > 0).all():
            raise InputError(f"curve {i}: x increases, and has as many points as y")
    start, end = max(a[0] for a, _ in seeds), min(a[-1] for a, _ in seeds)
    grid = np.unique(np.concatenate([a for a, _ in seeds]))
    grid = grid[(start <= grid) & (grid <= end)]
    if grid.size > points:
        grid = np.linspace(start, end, points)
    table = np.stack([np.interp(grid, a, b) for a, b in seeds])  # [seeds, points]
    found = [mean_interval(column, confidence) for column in table.T]
    mean, low, high = (np.array([getattr(e, k) for e in found]) for k in ("mean", "low", "high"))
    return Band(grid, mean, low, high)


def _line(values: ArrayLike, what: str) -> Floats:
    line = np.asarray(values, dtype=np.float64)
    if line.ndim != 1 or not line.size or not np.isfinite(line).all():
        raise InputError(f"{what} has shape {line.shape}: it takes finite numbers, [points]")
    return line


def _checked(scores: Scores) -> list[Floats]:
    """Scores as arrays [..., seeds of it]."""
    arrays = [np.asarray(s, dtype=np.float64) for s in scores]
    if not arrays:
        raise InputError("there are no scores")
    for i, array in enumerate(arrays):
        if not array.ndim or not array.size:
            raise InputError(f"the scores on environment {i} have shape {array.shape}: give some")
        if not np.isfinite(array).all():
            raise InputError(f"a score on environment {i} is not finite")
    return arrays


def _strata(scores: Scores) -> list[Floats]:
    """Scores as sorted arrays, [seeds of it]: their order shall not change what is drawn."""
    arrays = _checked(scores)
    for i, array in enumerate(arrays):
        if array.ndim != 1:
            raise InputError(
                f"the scores on environment {i} have shape {array.shape}: give [seeds]"
            )
    return [np.sort(array) for array in arrays]


def _percentiles(
    strata: Sequence[Floats],
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float,
    resamples: int,
) -> tuple[Floats, Floats]:
    """The limits of a statistic under resampling, of the shape that it has."""
    check_confidence(confidence)
    if resamples < 1:
        raise InputError(f"resamples is {resamples}; it takes 1 or more")
    drawn = [s[rng.integers(s.size, size=(resamples, s.size))] for s in strata]
    found = statistic(drawn)  # [resamples, ...]
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail], axis=0)
    if min(s.size for s in strata) == 1:
        return np.full_like(low, -np.inf), np.full_like(high, np.inf)
    return low, high


def _probability_above(x: Floats, y: Floats) -> Floats:
    """How often an entry of x, [..., seeds], is above one of y, [..., seeds]; ties half."""
    signs = [np.sign(x - y[..., j, None]).mean(axis=-1) for j in range(y.shape[-1])]
    share: Floats = (1 + np.mean(signs, axis=0)) / 2
    return share


def _with_seeds(side: Side, seeds: int) -> Side:
    """A side with that many seeds and the same spread; a policy that is fixed stays as it is."""
    if not side.seeds:
        return side
    error = side.error * math.sqrt(side.seeds / seeds)
    return Side(side.mean, error, seeds - 1, seeds)


def _welch_freedom(a: Side, b: Side) -> float:
    """Satterthwaite's degrees of freedom of two errors that are not both 0."""
    error = math.hypot(a.error, b.error)
    return 1 / sum((s.error / error) ** 4 / s.freedom for s in (a, b))


def _least_p(a: Side, b: Side) -> float:
    """The least p-value of a permutation test, where seeds without spread ask for one; else 0."""
    if all(s.error > _rounding(a, b) for s in (a, b) if s.seeds):
        return 0.0
    if a.seeds and b.seeds:
        return 2 / math.comb(a.seeds + b.seeds, a.seeds)
    return 2.0 ** (1 - max(a.seeds, b.seeds))


def _rounding(a: Side, b: Side) -> float:
    """What an error or a difference may be by rounding alone."""
    return TOLERANCE * max(abs(a.mean), abs(b.mean))


def _equal(a: Side, b: Side) -> bool:
    return abs(a.mean - b.mean) <= _rounding(a, b)
