"""Statistics over training seeds: intervals, tests, aggregates and mean learning curves.

The sampling unit is the training seed: a score is the value of one run's final policy, such as its
mean return over evaluation episodes. Runs of different algorithms are not paired, even if they have
the same seed. If all runs are evaluated on the same episodes, the statistics are conditional on
these episodes: use enough episodes that this does not matter, or exact values. With 5 seeds or
fewer, show every score: an interval adds little.

Scores on several environments are a sequence of arrays, one per environment, [seeds]; scores on
one environment are such a sequence of length one. Scores of environments that are aggregated must
be on a common scale, such as human-normalized scores. Functions raise InputError for scores that
are missing, not finite, or of another shape.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, nctdtr, stdtr, stdtrit

from gridcade.errors import InputError
from gridcade.evaluation.intervals import TOLERANCE, Estimate, check_confidence, mean_interval

Floats = NDArray[np.float64]
ScoreArrays = Sequence[ArrayLike] | Floats  # one array per environment, [seeds]
CurveArrays = Sequence[ArrayLike] | Floats  # one array per seed, [points]
Statistic = Callable[[Sequence[Floats]], Floats]  # arrays [..., seeds] -> array [...]

RESAMPLES = 10_000
FEW_SEEDS = 10  # with fewer seeds, a bootstrap interval gets a note
MAX_SEEDS = 1000  # largest result of `seeds_needed`


@dataclass(frozen=True)
class Band:
    """A curve with an interval at each point, [points] each; infinite: no interval."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class MeanScore:
    """A contender's mean score and the uncertainty of that mean."""

    mean: float
    standard_error: float  # infinite if it is unknown
    degrees_of_freedom: float  # those of the standard error; infinite for an exact value
    seeds: int = 0  # 0 for a fixed policy, to which no seeds can be added
    scores: tuple[float, ...] = ()  # one for each seed; for a fixed policy, its mean

    @classmethod
    def from_seeds(cls, scores: ArrayLike) -> "MeanScore":
        """Return the mean of a trained contender's scores, [seeds]."""
        estimate = mean_interval(scores, 0.95)
        values = np.asarray(scores, dtype=np.float64)
        known = cls.from_interval(estimate, 0.95, values.size)
        return replace(known, seeds=values.size, scores=tuple(values.tolist()))

    @classmethod
    def from_interval(cls, estimate: Estimate, confidence: float, samples: int) -> "MeanScore":
        """Return the mean of a fixed policy from its interval over `samples` episodes or cycles.

        The standard error is half the width of the interval over Student's quantile.
        """
        check_confidence(confidence)
        if samples < 2 or not math.isfinite(estimate.half_width):
            return cls(estimate.mean, math.inf, 0)
        quantile = float(stdtrit(samples - 1, (1 + confidence) / 2))
        error = estimate.uncut_half_width / quantile
        return cls(estimate.mean, error, samples - 1, scores=(estimate.mean,))

    @classmethod
    def exact(cls, value: float) -> "MeanScore":
        """Return the mean of a fixed policy whose expected score is known exactly."""
        return cls(value, 0.0, math.inf, scores=(value,))


@dataclass(frozen=True)
class Difference:
    """The difference between two mean scores, and the p-value of a test against 0.

    The estimate's method is `welch`, `sign test`, `exact` (both means are exact), or `none` (a
    standard error is unknown). Only `welch` has an interval of positive width.
    """

    estimate: Estimate
    p_value: float  # two-sided; 1 if the standard error is unknown


def seed_interval(
    scores: ArrayLike, confidence: float, possible: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """Return the mean of all seeds' scores, [seeds], with Student's t interval.

    A single score has no interval. Nor have equal scores, because they do not prove that the spread
    is 0.

    Args:
        scores: one for each seed.
        confidence: confidence level of the interval.
        possible: the smallest and the largest score that are possible, which limit the interval.
    """
    estimate = mean_interval(scores, confidence, "runs")
    if estimate.half_width == 0:
        return estimate.without_interval("alike")
    return estimate if math.isinf(estimate.half_width) else estimate.within(*possible)


def interquartile_mean(scores: ScoreArrays) -> Floats:
    """Return the mean of the middle half of all runs (Agarwal et al. 2021).

    The n // 4 best and the n // 4 worst of n runs are dropped. An environment with more seeds has
    more weight. Scores may have leading axes, [..., seeds]; the result then has the shape [...].
    """
    runs = np.sort(np.concatenate(_check_scores(scores), axis=-1), axis=-1)
    dropped = runs.shape[-1] // 4
    mean: Floats = runs[..., dropped : runs.shape[-1] - dropped].mean(axis=-1)
    return mean


def stratified_bootstrap(
    scores: ScoreArrays,
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Return a statistic of all runs with its bootstrap interval (Agarwal et al. 2021).

    The seeds of each environment are resampled with replacement, and the interval is between two
    percentiles. `statistic` maps a sequence of arrays [..., seeds] to an array [...], as
    `interquartile_mean` does. The interval is infinite if an environment has a single seed, or if
    all resamples agree, as with equal scores.

    The interval covers too rarely if there are few seeds. For normal scores on one environment,
    the 95 % interval of the interquartile mean covers 74 % of the time with 3 seeds, 90 % with 5
    and 93 % with 10; on seven environments 86 %, 91 % and 93 %. The estimate has a note if there
    are fewer than 10 seeds.
    """
    strata = _sorted_strata(scores)
    low, high = _percentiles(strata, statistic, rng, confidence, resamples)
    seeds = min(stratum.size for stratum in strata)
    note = None
    mean = float(statistic(strata))
    if np.isfinite(low) and high - low <= TOLERANCE * max(abs(low), abs(high)):
        note = "runs with equal scores have no interval"
        return Estimate(mean, -math.inf, math.inf, "bootstrap", note)
    if 1 < seeds < FEW_SEEDS:
        note = f"with {seeds} seeds, fewer than {FEW_SEEDS}, bootstrap intervals cover too rarely"
    return Estimate(mean, float(low), float(high), "bootstrap", note)


def performance_profile(
    scores: ScoreArrays,
    thresholds: ArrayLike,
    rng: np.random.Generator,
    confidence: float,
    resamples: int = RESAMPLES,
) -> Band:
    """Return the fraction of runs that score above each threshold, averaged over environments.

    This is the run-score distribution of Agarwal et al. (2021). The band is 0 to 1 if an
    environment has a single seed, and has no width at a threshold above or below all runs.

    Args:
        scores: scores, one array per environment, [seeds].
        thresholds: the x of the band, [points].
        rng: random generator of the bootstrap.
        confidence: confidence level of the band, at each point.
        resamples: number of bootstrap resamples.
    """
    strata, x = _sorted_strata(scores), _check_points(thresholds, "thresholds")

    def fractions_above(runs: Sequence[Floats]) -> Floats:
        above = [np.mean([(r > t).mean(axis=-1) for r in runs], axis=0) for t in x]
        return np.stack(above, axis=-1)

    low, high = _percentiles(strata, fractions_above, rng, confidence, resamples)
    return Band(x, fractions_above(strata), np.clip(low, 0, 1), np.clip(high, 0, 1))


def probability_of_improvement(
    x: ScoreArrays,
    y: ScoreArrays,
    rng: np.random.Generator,
    confidence: float,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Return the probability that a run of X scores higher than one of Y (Agarwal et al. 2021).

    It is averaged over environments. A tie counts half: this is Mann & Whitney's U over the number
    of pairs. The seeds of X and Y are resampled independently. The interval is 0 to 1 if either has
    a single seed on an environment.

    If all resamples agree, for example because every run of X scores higher than every run of Y,
    the interval is that of k pairs of runs that all agree, with k seeds on each side. In this
    example, the lower limit is the p with p^k = (1 - confidence) / 2. With several environments,
    (1 - confidence) / 2 is divided by their number (Bonferroni's correction).
    """
    if len(x) != len(y):
        raise InputError(f"X has scores on {len(x)} environments, Y on {len(y)}")

    def improvement(runs: Sequence[Floats]) -> Floats:
        pairs = zip(runs[: len(x)], runs[len(x) :], strict=True)
        mean: Floats = np.mean([_probability_above(a, b) for a, b in pairs], axis=0)
        return mean

    estimate = stratified_bootstrap([*x, *y], improvement, rng, confidence, resamples)
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(x, y, strict=True)]
    if math.isinf(estimate.half_width) and min(min(a.size, b.size) for a, b in pairs) > 1:
        limits = np.mean([_limits_of_agreement(a, b, confidence, len(x)) for a, b in pairs], axis=0)
        low, high = limits.tolist()
        return replace(estimate, low=low, high=high, method="sign test", note=None)
    return replace(estimate, low=max(estimate.low, 0.0), high=min(estimate.high, 1.0))


def difference(a: MeanScore, b: MeanScore, confidence: float) -> Difference:
    """Return the mean of A minus that of B, and test it by Welch's t-test or by a sign test.

    Welch's degrees of freedom are Satterthwaite's. Between two exact values the difference is
    exact, and the p-value is 0 or 1. With a single seed on a side, the interval is infinite and the
    p-value is 1.

    If all runs of two contenders have one of two scores, such as success and failure, the p-value
    is at least that of Fisher's exact test.

    If all seeds of a side have the same score (up to rounding), their spread may still not be 0,
    and a t-test would be wrong. Against a fixed policy, it would be wrong even if only most seeds
    have the same score, because the mean then depends on rare scores. In these cases, a sign test
    decides whether a run of A scores higher than a run of B more often than lower. With k seeds on
    each side, its p-value is at least 2^(1 - k). The sign test says nothing about the difference of
    the means, so there is no interval.
    """
    check_confidence(confidence)
    gap = a.mean - b.mean
    error = math.hypot(a.standard_error, b.standard_error)
    if math.isinf(error):
        return Difference(Estimate(gap, -math.inf, math.inf, "none"), 1.0)
    if math.isinf(a.degrees_of_freedom) and math.isinf(b.degrees_of_freedom):
        return Difference(Estimate(gap, gap, gap, "exact"), 1.0 if _equal(a, b) else 0.0)
    if _needs_sign_test(a, b):
        return Difference(Estimate(gap, -math.inf, math.inf, "sign test"), _sign_test(a, b))
    freedom = _welch_degrees_of_freedom(a, b)
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p_value = max(2 * float(stdtr(freedom, -abs(gap) / error)), _fisher_test(a, b))
    return Difference(Estimate(gap, gap - half, gap + half, "welch"), p_value)


def holm(p_values: ArrayLike) -> Floats:
    """Adjust p-values, [tests], for multiple testing (Holm 1979). The order is kept.

    If tests with an adjusted p-value of at most alpha are called significant, the probability of
    one or more false positives is at most alpha, however the tests depend on each other.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise InputError(
            f"p_values is {p_values!r}; it must be one dimension of numbers between 0 and 1"
        )
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)).clip(max=1)
    return adjusted


def seeds_needed(
    a: MeanScore, b: MeanScore, power: float = 0.8, confidence: float = 0.95
) -> int | None:
    """Return the seeds per contender with which the test detects the observed difference.

    For Welch's test, the result follows from the noncentral t distribution and the observed
    spreads; for a sign test, it assumes that all further runs agree too. MAX_SEEDS means that many
    or more. The result is for a study with new seeds, and is as uncertain as the observed
    difference. It is for one test: with Holm's correction for m tests, a `confidence` of
    1 - 0.05 / m is conservative.

    The result is None if there is no difference, a spread is unknown (one seed), both policies are
    fixed, or a sign test is needed and not all runs agree.
    """
    check_confidence(confidence)
    if not 0 < power < 1:
        raise InputError(f"power is {power}; it must be between 0 and 1, exclusive")
    if not a.seeds + b.seeds or _equal(a, b):
        return None
    if math.isinf(math.hypot(a.standard_error, b.standard_error)):
        return None
    if _needs_sign_test(a, b):
        agree = all(sign == 1 for sign in _signs(a, b))
        return math.ceil(1 - math.log2(1 - confidence)) if agree else None

    def has_power(seeds: int) -> bool:
        x, y = _with_seeds(a, seeds), _with_seeds(b, seeds)
        error = math.hypot(x.standard_error, y.standard_error)
        freedom = _welch_degrees_of_freedom(x, y)
        critical = stdtrit(freedom, (1 + confidence) / 2)
        return bool(nctdtr(freedom, abs(a.mean - b.mean) / error, critical) <= 1 - power)

    return 2 + bisect_left(range(2, MAX_SEEDS), True, key=has_power)


def mean_curve(
    x: CurveArrays,
    y: CurveArrays,
    confidence: float,
    possible: tuple[float, float] = (-math.inf, math.inf),
    max_points: int = 200,
) -> Band:
    """Return the mean of several curves, with a t interval at each point where they differ.

    The result has the x of all curves, or `max_points` evenly spaced x if there are more. It covers
    the range that all curves share, and is empty if they share none. Curves are interpolated
    linearly.

    Args:
        x: increasing, [points] for each seed; steps or seconds.
        y: values at x, [points] for each seed.
        confidence: confidence level of the intervals.
        possible: the smallest and the largest y that are possible, which limit the intervals.
        max_points: maximum number of points of the result.
    """
    if not len(x) or len(x) != len(y):
        raise InputError(f"there are {len(x)} x and {len(y)} y; give one x and one y for each seed")
    curves = [
        (_check_points(a, f"x of curve {i}"), _check_points(b, f"y of curve {i}"))
        for i, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    for i, (a, b) in enumerate(curves):
        if a.size != b.size or not (np.diff(a) > 0).all():
            raise InputError(f"curve {i}: x must increase, and have as many points as y")
    start, end = max(a[0] for a, _ in curves), min(a[-1] for a, _ in curves)
    grid = np.unique(np.concatenate([a for a, _ in curves]))
    grid = grid[(start <= grid) & (grid <= end)]
    if grid.size > max_points:
        grid = np.linspace(start, end, max_points)
    table = np.stack([np.interp(grid, a, b) for a, b in curves])  # [seeds, points]
    points = [seed_interval(column, confidence, possible) for column in table.T]
    mean, low, high = (np.array([getattr(e, k) for e in points]) for k in ("mean", "low", "high"))
    return Band(grid, mean, low, high)


def band_of_moments(
    x: Floats, mean: Floats, deviation: Floats, seeds: int, confidence: float
) -> Band:
    """Return the mean curve with a t interval at each point where the seeds differ.

    Args:
        x: [points].
        mean: over the seeds, at each x.
        deviation: sample standard deviation over the seeds, at each x.
        seeds: number of seeds.
        confidence: confidence level of the intervals.
    """
    check_confidence(confidence)
    half = np.full(len(x), math.inf)
    if seeds > 1:
        quantile = float(stdtrit(seeds - 1, (1 + confidence) / 2))
        half[deviation > 0] = quantile * deviation[deviation > 0] / math.sqrt(seeds)
    return Band(x, mean, mean - half, mean + half)


def _check_points(values: ArrayLike, name: str) -> Floats:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or not points.size or not np.isfinite(points).all():
        raise InputError(f"{name} has shape {points.shape}; it must be finite numbers, [points]")
    return points


def _check_scores(scores: ScoreArrays) -> list[Floats]:
    """Return scores as arrays, [..., seeds] for each environment."""
    arrays = [np.asarray(s, dtype=np.float64) for s in scores]
    if not arrays:
        raise InputError("scores is empty; it must have one array per environment")
    for i, array in enumerate(arrays):
        if not array.ndim or not array.size:
            raise InputError(
                f"the scores on environment {i} have shape {array.shape}; give one or more scores"
            )
        if not np.isfinite(array).all():
            raise InputError(f"a score on environment {i} is not finite")
    return arrays


def _sorted_strata(scores: ScoreArrays) -> list[Floats]:
    """Return sorted scores, [seeds] for each environment, so that resamples ignore their order."""
    arrays = _check_scores(scores)
    for i, array in enumerate(arrays):
        if array.ndim != 1:
            raise InputError(
                f"the scores on environment {i} have shape {array.shape}; it must be [seeds]"
            )
    return [np.sort(array) for array in arrays]


def _percentiles(
    strata: Sequence[Floats],
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float,
    resamples: int,
) -> tuple[Floats, Floats]:
    """Return the bootstrap limits of a statistic, in the shape of the statistic."""
    check_confidence(confidence)
    if resamples < 1:
        raise InputError(f"resamples is {resamples}; it must be 1 or greater")
    resampled = [s[rng.integers(s.size, size=(resamples, s.size))] for s in strata]
    values = statistic(resampled)  # [resamples, ...]
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    if min(s.size for s in strata) == 1:
        return np.full_like(low, -np.inf), np.full_like(high, np.inf)
    return low, high


def _probability_above(x: Floats, y: Floats) -> Floats:
    """Return how often an entry of x [..., n] is above one of y [..., m]; ties count half."""
    signs = [_signs_of_pairs(x, y[..., [j]]).mean(axis=(-1, -2)) for j in range(y.shape[-1])]
    probability: Floats = (1 + np.mean(signs, axis=0)) / 2
    return probability


def _with_seeds(score: MeanScore, seeds: int) -> MeanScore:
    """Return a mean score with another number of seeds and the same spread between them."""
    if not score.seeds:
        return score
    error = score.standard_error * math.sqrt(score.seeds / seeds)
    return MeanScore(score.mean, error, seeds - 1, seeds)


def _welch_degrees_of_freedom(a: MeanScore, b: MeanScore) -> float:
    """Return Satterthwaite's degrees of freedom; one standard error or both must be positive."""
    error = math.hypot(a.standard_error, b.standard_error)
    return 1 / sum((s.standard_error / error) ** 4 / s.degrees_of_freedom for s in (a, b))


def _needs_sign_test(a: MeanScore, b: MeanScore) -> bool:
    """Return whether a t-test would be wrong, because runs have the same score."""
    constant = [s.standard_error <= _rounding_error(a, b) for s in (a, b)]
    learning = [s for s in (a, b) if s.seeds]
    if all(constant) or any(c and s.seeds for c, s in zip(constant, (a, b), strict=True)):
        return True
    if len(learning) != 1 or not learning[0].scores:
        return False
    return most_common(learning[0].scores)[1] > learning[0].seeds / 2


def most_common(scores: Sequence[float]) -> tuple[float, int]:
    """Return the most common score, up to rounding errors, and how many runs have it."""
    ordered = np.sort(scores)
    differs = np.diff(ordered) > TOLERANCE * np.abs(ordered).max()
    groups = np.split(ordered, np.flatnonzero(differs) + 1)
    largest = max(groups, key=len)
    return float(largest[0]), len(largest)


def _fisher_test(a: MeanScore, b: MeanScore) -> float:
    """Return the p-value of Fisher's exact test if all runs have one of two scores; otherwise 0."""
    if not (a.seeds and b.seeds and a.scores and b.scores):
        return 0.0
    scores = np.concatenate([a.scores, b.scores])
    low, high = scores.min(), scores.max()
    is_high = scores > (low + high) / 2
    if np.abs(scores - np.where(is_high, high, low)).max() > _rounding_error(a, b):
        return 0.0
    from scipy import stats  # takes long to import

    highs = [int(is_high[: a.seeds].sum()), int(is_high[a.seeds :].sum())]
    table = np.array([[k, s.seeds - k] for k, s in zip(highs, (a, b), strict=True)])
    return float(stats.fisher_exact(table)[1])


def _sign_test(a: MeanScore, b: MeanScore) -> float:
    """Return the two-sided p-value of a sign test, in the direction of the means' difference.

    If one side is the estimate of a fixed policy, its error may hide the true sign. So the p-value
    includes the probability that this error is as large as the distance from the other side's
    median score.
    """
    signs = [] if _equal(a, b) else _signs(a, b)
    wins, losses = signs.count(1), signs.count(-1)
    p_value = 2 * float(bdtrc(wins - 1, wins + losses, 0.5)) if wins else 1.0
    for fixed, other in ((a, b), (b, a)):
        if not fixed.seeds and other.seeds and fixed.standard_error > 0:
            distance = abs(float(np.median(other.scores)) - fixed.mean)
            p_value += 2 * float(stdtr(fixed.degrees_of_freedom, -distance / fixed.standard_error))
    return min(1.0, p_value)


def _signs(a: MeanScore, b: MeanScore) -> list[int]:
    """Return the sign of the difference in each pair of runs; 1: the same as that of the means.

    One side is a fixed policy, or its runs are equal, so it does not matter which runs form pairs.
    If one side has more runs, only those that agree least with the means count.
    """
    higher, lower = (a, b) if a.mean >= b.mean else (b, a)
    pairs = int(min(s.seeds or s.degrees_of_freedom + 1 for s in (a, b)))
    low = sorted(higher.scores)[:pairs] if higher.seeds else [higher.mean] * pairs
    high = sorted(lower.scores)[-pairs:] if lower.seeds else [lower.mean] * pairs
    differences = np.subtract(low, high)
    signs = np.where(np.abs(differences) <= _rounding_error(a, b), 0, np.sign(differences))
    return [int(sign) for sign in signs]


def _limits_of_agreement(
    x: Floats, y: Floats, confidence: float, environments: int
) -> tuple[float, float]:
    """Return the limits of the probability of improvement on one environment.

    They are 0 and 1 unless all runs agree.
    """
    limit = ((1 - confidence) / 2 / environments) ** (1 / min(x.size, y.size))
    signs = _signs_of_pairs(x, y)
    if (signs == 1).all():
        return limit, 1.0
    if (signs == -1).all():
        return 0.0, 1.0 - limit
    return 0.0, 1.0


def _signs_of_pairs(x: Floats, y: Floats) -> Floats:
    """Return the signs of x [..., n] minus y [..., m], 0 up to rounding.  [..., n, m]."""
    gaps = x[..., :, None] - y[..., None, :]
    tolerance = TOLERANCE * max(float(np.abs(x).max()), float(np.abs(y).max()))
    return np.where(np.abs(gaps) <= tolerance, 0.0, np.sign(gaps))


def _rounding_error(a: MeanScore, b: MeanScore) -> float:
    """Return the largest difference that rounding alone may cause."""
    return TOLERANCE * max(abs(a.mean), abs(b.mean))


def _equal(a: MeanScore, b: MeanScore) -> bool:
    return abs(a.mean - b.mean) <= _rounding_error(a, b)
