"""How well a sample of episodes or rewards pins down what a policy is worth: intervals.

Each interval covers the expected value as often as it says, under the conditions its docstring
names; a `note` tells where the sample shows that they may not hold. Fix the number of samples
beforehand: stopping once an interval looks narrow spoils its coverage.

Totals are undiscounted returns of whole episodes, [episodes]; durations are their lengths in
steps, [episodes]; a confidence is between 0 and 1. Numbers that are not, no samples, and
samples that are not finite raise InputError.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv, ndtri, stdtrit

from gridcade.errors import InputError

Floats = NDArray[np.float64]
Values = tuple[float, float]  # the two values that a return can take

TOLERANCE = 1e-9  # relative; samples that differ by less are equal
FEW = 10  # samples below which two values seen say little about how many there are
TWO = "only two different returns were seen"


@dataclass(frozen=True)
class Estimate:
    """An expected value and an interval for it, infinite where the samples are too few."""

    mean: float
    low: float
    high: float
    method: str  # "t", "ratio", "batch means", "wilson", "wilson ratio" …
    note: str | None = None  # why the interval may not hold

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


def return_interval(totals: ArrayLike, confidence: float, values: Values | None = None) -> Estimate:
    """Expected return of an episode, by the interval that fits.

    Give `values` where the task lets a return take only these two. Else, if two are seen, they
    are taken to be all, and if one is, the interval has no width; a note calls it in question.
    """
    returns = _checked(totals, confidence)
    seen = values or _two_seen(returns)
    if seen is None:
        return mean_interval(returns, confidence, "returns")
    estimate = two_valued_interval(returns, min(seen), max(seen), confidence)
    return estimate if values else replace(estimate, note=_rarer(TWO, returns.size, confidence))


def average_reward_interval(
    totals: ArrayLike,
    durations: ArrayLike,
    confidence: float,
    values: Values | None = None,
    longest: float | None = None,
) -> Estimate:
    """Expected average reward of an episodic task, by the interval that fits.

    `values` as for `return_interval`, `longest` as for `two_valued_ratio_interval`.
    """
    returns, lengths = _pairs(totals, durations, confidence)
    seen = values or _two_seen(returns)
    if seen is None:
        estimate = ratio_interval(returns, lengths, confidence)
        if returns.size == 1 or len(_distinct(returns)) > 1:
            return estimate
        alike = f"all {returns.size} returns are equal"
        return replace(estimate, note=_rarer(alike, returns.size, confidence))
    estimate = two_valued_ratio_interval(returns, lengths, seen, confidence, longest)
    return estimate if values else replace(estimate, note=_rarer(TWO, returns.size, confidence))


def mean_interval(samples: ArrayLike, confidence: float, what: str = "samples") -> Estimate:
    """Student's t interval from independent samples, [samples], called `what` in notes."""
    values = _checked(samples, confidence)
    mean = float(values.mean())
    return _t_interval(mean, values - mean, 1.0, confidence, "t", what)


def moments_interval(count: int, total: float, squares: float, confidence: float) -> Estimate:
    """Student's t interval from the count, the sum and the sum of squares of samples."""
    mean = total / count
    if count == 1:
        return Estimate(mean, -math.inf, math.inf, "t")
    variance = max(squares - count * mean * mean, 0.0) / (count - 1)
    half = _quantile(count - 1, confidence) * math.sqrt(variance / count)
    return Estimate(mean, mean - half, mean + half, "t")


def ratio_interval(totals: ArrayLike, durations: ArrayLike, confidence: float) -> Estimate:
    """Expected average reward E[G] / E[L] by renewal reward, from returns G and lengths L.

    A t interval of the residuals Z = G - (sum G / sum L) L over the mean length (Cochran 1977,
    Sampling Techniques, chapter 6). Averaging G / L over episodes would estimate something else.
    """
    returns, lengths = _pairs(totals, durations, confidence)
    mean = float(returns.sum() / lengths.sum())
    residuals = returns - mean * lengths
    return _t_interval(
        mean, residuals, float(lengths.mean()), confidence, "ratio", "average rewards"
    )


def batch_means(rewards: ArrayLike, batches: int, confidence: float) -> Estimate:
    """Expected reward a step of a continuing task: a t interval over means of equal batches.

    Rewards are streams of successive steps, [streams, steps]; each stream makes that many
    batches, without its first steps where they do not divide it. It covers where a batch is much
    longer than the mixing time (Law 2015, Simulation Modeling and Analysis, section 9.5.3). Where
    neighbouring batches are correlated, a note tells, and the interval is over the streams' means,
    if there are several: those are independent. 20 to 30 batches in all are enough.
    """
    table = np.asarray(rewards, dtype=np.float64)
    if table.ndim != 2 or not table.size or not 1 <= batches <= table.shape[1]:
        raise InputError(f"rewards of shape {table.shape} do not make {batches} batches")
    streams, steps = table.shape
    means = table[:, steps % batches :].reshape(streams, batches, -1).mean(axis=2)
    estimate = replace(mean_interval(means.ravel(), confidence, "batches"), method="batch means")
    if batches == 1 or estimate.half_width == 0:
        return estimate
    offsets = means - estimate.mean  # [streams, batches]
    correlation = float((offsets[:, 1:] * offsets[:, :-1]).mean() / (offsets**2).mean())
    if correlation * math.sqrt(streams * (batches - 1)) < 2.33:  # above by chance 1 time in 100
        return estimate
    note = f"neighbouring batches are correlated ({correlation:.2f}): "
    if streams == 1:
        return replace(estimate, note=note + "take longer ones")
    over_streams = mean_interval(means.mean(axis=1), confidence, "streams")
    note += f"the interval is over the means of {streams} streams"
    notes = filter(None, (note, over_streams.note))
    return replace(over_streams, method="stream means", note="; ".join(notes))


def two_valued_interval(
    samples: ArrayLike, low_value: float, high_value: float, confidence: float
) -> Estimate:
    """Wilson's score interval, from independent samples, [samples], that take two known values.

    It holds where one value is too rare for the t interval: at 95 % and a probability of 0.014 it
    covers 94.8 % with 100 samples and 96.9 % with 400, the t interval 75 % and 91 %. As counts are
    whole, coverage swings with the probability: from 92.7 % up with 100 samples.
    """
    values = _checked(samples, confidence)
    count = int(_is_high(values, low_value, high_value).sum())
    shares = count / values.size, *_wilson(count, values.size, confidence)
    mean, low, high = (low_value + (high_value - low_value) * share for share in shares)
    return Estimate(mean, low, high, "wilson")


def two_valued_ratio_interval(
    totals: ArrayLike,
    durations: ArrayLike,
    values: Values,
    confidence: float,
    longest: float | None = None,
) -> Estimate:
    """Expected average reward E[G] / E[L] where a return takes two values, a and b, maybe rarely.

    If b has probability p, and episodes that return a and b have mean lengths l_a and l_b, it is
    (a (1 - p) + b p) / (l_a (1 - p) + l_b p). This is monotone in p: Wilson's limits for p give
    limits, and account for all that length and return have to do with each other. What lengths
    vary among episodes of equal return is uncorrelated with that. Its squared error, taken at
    each limit, is added: the method of variance estimates recovery (MOVER; Zou & Donner 2008,
    Statistics in Medicine 27:1693). MOVER for the ratio of the two means (Donner & Zou 2012)
    needs their correlation, which cannot be estimated from a rare outcome.

    Where a value was never seen, nor was the length of its episodes: any up to `longest`, such as
    the time limit, is allowed for, or up to the longest seen. Where rare episodes last many times
    longer as well, too few show how long, and coverage suffers; a note mostly tells.
    """
    returns, lengths = _pairs(totals, durations, confidence)
    size, mean_length, (a, b) = returns.size, float(lengths.mean()), sorted(values)
    is_b = _is_high(returns, a, b)  # [episodes]
    count = int(is_b.sum())
    kinds = [kind for kind in (lengths[~is_b], lengths[is_b]) if kind.size]
    mean_lengths = [(float(kinds[0].mean()), float(kinds[-1].mean()))]  # of a and b
    note = None
    if len(kinds) == 1 and a < b:
        unseen = 0.0, max(longest or 0.0, float(lengths.max()))
        mean_lengths = [(u, mean_length) if count else (mean_length, u) for u in unseen]
        note = f"no return of {a if count else b:g} was seen: the interval allows for rare ones"

    def gain(p: float, lengths_ab: tuple[float, float]) -> float:
        return (a + (b - a) * p) / (lengths_ab[0] * (1 - p) + lengths_ab[1] * p)

    mean = gain(count / size, mean_lengths[0])
    freedom = size - len(kinds)
    if freedom == 0:
        return Estimate(mean, -math.inf, math.inf, "wilson ratio", note)
    limits = [gain(p, pair) for p in _wilson(count, size, confidence) for pair in mean_lengths]
    low, high = min(mean, *limits), max(mean, *limits)
    variance = sum(float(((kind - kind.mean()) ** 2).sum()) for kind in kinds) / freedom
    error = _quantile(freedom, confidence) * math.sqrt(variance / size) / mean_length  # relative
    if error * abs(mean) > min(mean - low, high - mean):
        note = note or _skewed(lengths - mean_length, "lengths")
    below, above = math.hypot(mean - low, error * low), math.hypot(high - mean, error * high)
    return Estimate(mean, mean - below, mean + above, "wilson ratio", note)


def rarely_paid_interval(samples: ArrayLike, most: float, confidence: float) -> Estimate:
    """Expected value of samples that are 0 or lie between 0 and `most`, maybe rarely: [samples].

    Such are discounted returns where a task pays once, at an episode's end. Of the probability p of
    pay and its mean m, Wilson's and the t limits are joined by MOVER for a product (Zou & Donner
    2008). With a single payment all means are allowed for, and with none all up to `most`: where
    those are the rule, it covers more often than it says (98 % of the time with p n = 1.3).
    """
    shares = _checked(samples, confidence) / most  # 0 to 1
    paid = shares[shares != 0]
    size, count = shares.size, paid.size
    p, (p_low, p_high) = count / size, _wilson(count, size, confidence)
    m = float(paid.mean()) if count else 1.0
    m_low, m_high = 0.0, 1.0
    if count > 1:
        half = _quantile(count - 1, confidence) * float(paid.std(ddof=1)) / math.sqrt(count)
        m_low, m_high = max(m - half, 0.0), min(m + half, 1.0)
    low = p * m - math.hypot((p - p_low) * m, p * (m - m_low))
    high = p * m + math.hypot((p_high - p) * m, p * (m_high - m))
    limits = sorted(most * limit for limit in (max(low, 0.0), min(high, p_high)))
    note = None if count else "nothing was paid: the interval allows for rare pay"
    return Estimate(most * p * m, limits[0], limits[1], "wilson product", note)


def episodes_needed(
    pilot: ArrayLike, precision: float, confidence: float, durations: ArrayLike | None = None
) -> int | None:
    """How many fresh episodes make the half-width about `precision` times the absolute mean.

    `pilot` holds the returns of a pilot sample; with their `durations`, the answer is for the
    gain. It is None where the pilot cannot tell: one episode, no variance, or a mean of 0.
    """
    if not 0 < precision < math.inf:
        raise InputError(f"the relative precision is {precision}; it takes more than 0")
    if durations is None:
        estimate = mean_interval(pilot, confidence)
    else:
        estimate = ratio_interval(pilot, durations, confidence)
    half, mean, size = estimate.half_width, abs(estimate.mean), np.size(pilot)
    if not 0 < half < math.inf or mean <= TOLERANCE * half:
        return None
    deviation = half * math.sqrt(size) / _quantile(size - 1, confidence)
    z = float(ndtri((1 + confidence) / 2))
    number = (z * deviation / (precision * mean)) ** 2
    return max(2, math.ceil(number + (z * z + 1) / 2))  # as t^2 = z^2 (1 + (z^2 + 1) / 2n + ...)


def check_confidence(confidence: float) -> None:
    """Raise InputError unless it lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; it takes more than 0 and less than 1")


def _checked(samples: ArrayLike, confidence: float) -> Floats:
    values = np.asarray(samples, dtype=np.float64)
    check_confidence(confidence)
    if values.ndim != 1 or not values.size:
        raise InputError(f"the samples' shape is {values.shape}; it takes one dimension, not empty")
    if not np.isfinite(values).all():
        raise InputError(f"sample {int(np.isfinite(values).argmin())} is not finite")
    return values


def _quantile(freedom: int, confidence: float) -> float:
    return float(stdtrit(freedom, (1 + confidence) / 2))


def _pairs(totals: ArrayLike, durations: ArrayLike, confidence: float) -> tuple[Floats, Floats]:
    returns, lengths = _checked(totals, confidence), _checked(durations, confidence)
    if returns.size != lengths.size:
        raise InputError(f"{returns.size} returns, but {lengths.size} lengths")
    if lengths.min() <= 0:
        raise InputError(f"episode {int(lengths.argmin())} has length {lengths.min():g}")
    return returns, lengths


def _t_interval(
    mean: float, residuals: Floats, scale: float, confidence: float, method: str, what: str
) -> Estimate:
    """The interval mean -+ t s / (scale sqrt n), with what the residuals say against it."""
    size = residuals.size
    if size == 1:
        return Estimate(mean, -math.inf, math.inf, method)
    if np.abs(residuals).max() <= TOLERANCE * abs(mean) * scale:
        alike = f"all {size} {what} are equal"
        return Estimate(mean, mean, mean, method, _rarer(alike, size, confidence))
    deviation = math.sqrt(float((residuals**2).sum()) / (size - 1)) / scale
    half = _quantile(size - 1, confidence) * deviation / math.sqrt(size)
    return Estimate(mean, mean - half, mean + half, method, _skewed(residuals, what))


def _rarer(what: str, size: int, confidence: float) -> str:
    """The note on samples never seen: a share above this would have shown itself."""
    share = 1 - (1 - confidence) ** (1 / size)
    return f"{what}: rarer ones may exist (up to {100 * share:.2g} % at this confidence)"


def _skewed(residuals: Floats, what: str) -> str | None:
    """The note where a t interval needs more samples: 25 skewness^2 (Cochran 1977, p. 42).

    With fewer, intervals at 95 % may fail more than 6 % of the time. A small sample understates
    its skewness, so that no note is no proof.
    """
    unit = residuals / np.abs(residuals).max()  # whose cube neither over- nor underflows
    skewness = float((unit**3).mean() / (unit**2).mean() ** 1.5)
    enough = math.ceil(25 * skewness**2)
    if residuals.size >= enough:
        return None
    return f"the {what} are skewed: the interval needs {enough} or more of them to hold"


def _distinct(values: Floats) -> Floats:
    ordered = np.sort(values)
    apart = np.diff(ordered) > TOLERANCE * np.abs(ordered).max()
    return np.concatenate([ordered[:1], ordered[1:][apart]])


def _two_seen(values: Floats) -> Values | None:
    """The two values that all samples take, if there are samples enough to say so."""
    seen = _distinct(values)
    return (float(seen[0]), float(seen[1])) if len(seen) == 2 and values.size >= FEW else None


def _is_high(values: Floats, low: float, high: float) -> NDArray[np.bool_]:
    """Which samples take the high one of two values."""
    if not low <= high:
        raise InputError(f"the low value, {low:g}, is above the high one, {high:g}")
    is_high = values > (low + high) / 2
    strange = np.abs(values - np.where(is_high, high, low)) > TOLERANCE * max(abs(low), abs(high))
    if strange.any():
        raise InputError(f"sample {values[strange][0]:g} is neither {low:g} nor {high:g}")
    return is_high


def _wilson(count: int, size: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a probability, with Poisson's limit next to counts of 1 to 3.

    There Wilson's covers too rarely, 84 % at worst (Brown, Cai & DasGupta 2001, Statistical
    Science 16:101, section 4.1.1).
    """
    z = float(ndtri((1 + confidence) / 2))

    def lower(k: int) -> float:
        if k == 0:
            return 0.0
        p, shrink = k / size, 1 + z * z / size
        half = z * math.sqrt((p * (1 - p) + z * z / (4 * size)) / size)
        limit = (p + z * z / (2 * size) - half) / shrink
        poisson = float(gammaincinv(k, 1 - confidence)) / size
        return min(limit, poisson) if k <= (2 if size <= 50 else 3) else limit

    return lower(count), 1 - lower(size - count)
