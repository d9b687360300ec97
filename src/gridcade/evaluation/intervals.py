"""Confidence intervals of expected values, from episodes or from streams of rewards.

Each interval covers the expected value with its confidence level under the conditions that its
docstring names. A `note` says when the sample suggests that they do not hold. The number of
samples must be fixed in advance: if sampling stops when an interval looks narrow, the interval
covers too rarely.

Returns are undiscounted returns of whole episodes, [episodes]; lengths are those of the same
episodes in steps, [episodes]; a confidence level is between 0 and 1. All functions raise InputError
for samples that are empty, have another shape or are not finite, and for other confidence levels.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv, ndtri, stdtrit

from gridcade.errors import InputError

Floats = NDArray[np.float64]
TwoValues = tuple[float, float]  # the only values that a return can take

TOLERANCE = 1e-9  # relative; samples that differ by less are equal
MIN_SAMPLES_FOR_TWO = 10  # with fewer, two distinct values are no evidence of only two


@dataclass(frozen=True)
class Estimate:
    """An estimate of an expected value and its interval, infinite if the samples are too few."""

    mean: float
    low: float
    high: float
    method: str  # "t", "ratio", "cycles", "wilson", "wilson ratio" …
    note: str | None = None  # why the interval may not hold
    least: float = -math.inf  # the smallest value that is possible
    most: float = math.inf  # the largest one
    samples_needed: int = 0  # for a reliable interval, if skewed samples are too few; else 0

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def uncut_half_width(self) -> float:
        """Roughly half the width before `within` cut the interval to the possible values."""
        if self.least < self.low and self.high < self.most:
            return self.half_width
        return max(self.mean - self.low, self.high - self.mean)

    def within(self, least: float, most: float) -> "Estimate":
        """Return the estimate with its interval cut to the values that are possible."""
        low, high = max(self.low, least), min(self.high, most)
        return replace(
            self, low=min(low, self.mean), high=max(high, self.mean), least=least, most=most
        )

    def without_interval(self, method: str = "", note: str | None = None) -> "Estimate":
        """Return the estimate with an infinite interval, and another method or note if given."""
        method, note = method or self.method, note or self.note
        return replace(self, low=-math.inf, high=math.inf, method=method, note=note)

    def covers(self, value: float) -> bool:
        """Return whether a value lies in the interval, up to rounding errors."""
        slack = TOLERANCE * max(abs(value), abs(self.mean))
        return self.low - slack <= value <= self.high + slack


def return_interval(
    returns: ArrayLike, confidence: float, two_returns: TwoValues | None = None
) -> Estimate:
    """Estimate the expected return of an episode, with the interval that fits the sample.

    Pass `two_returns` if the task allows only two returns. Otherwise, if the sample has two
    distinct returns, the interval assumes that no others are possible; if it has one, the interval
    has width 0. In both cases a note warns of other returns.
    """
    values = _validate(returns, confidence)
    two = two_returns or _two_distinct_values(values)
    if two is None:
        return mean_interval(values, confidence, "returns")
    estimate = two_valued_interval(values, min(two), max(two), confidence)
    if two_returns:
        return estimate
    return replace(estimate, note=_two_values_note(values.size, confidence))


def average_reward_interval(
    returns: ArrayLike,
    lengths: ArrayLike,
    confidence: float,
    two_returns: TwoValues | None = None,
    max_length: float | None = None,
) -> Estimate:
    """Estimate the average reward per step of an episodic task, with the interval that fits.

    For `two_returns` see `return_interval`, for `max_length` see `two_valued_ratio_interval`.
    """
    values, steps = _validate_episodes(returns, lengths, confidence)
    two = two_returns or _two_distinct_values(values)
    if two is None:
        estimate = ratio_interval(values, steps, confidence)
        if values.size == 1 or len(_distinct(values)) > 1:
            return estimate
        return replace(estimate, note=alike_note(values.size, "returns", confidence))
    estimate = two_valued_ratio_interval(values, steps, two, confidence, max_length)
    if two_returns:
        return estimate
    return replace(estimate, note=_two_values_note(values.size, confidence))


def mean_interval(samples: ArrayLike, confidence: float, name: str = "samples") -> Estimate:
    """Return Student's t interval of the mean of independent samples, [samples].

    `name` is the plural noun by which notes refer to the samples.
    """
    values = _validate(samples, confidence)
    mean = float(values.mean())
    return _t_interval(mean, values - mean, 1.0, confidence, "t", name)


def moments_interval(count: int, total: float, squared_total: float, confidence: float) -> Estimate:
    """Return Student's t interval from the number of samples, their sum and sum of squares."""
    mean = total / count
    if count == 1:
        return Estimate(mean, -math.inf, math.inf, "t")
    variance = max(squared_total - count * mean * mean, 0.0) / (count - 1)
    half = _t_quantile(count - 1, confidence) * math.sqrt(variance / count)
    return Estimate(mean, mean - half, mean + half, "t")


def ratio_interval(
    returns: ArrayLike, lengths: ArrayLike, confidence: float, name: str = "average rewards"
) -> Estimate:
    """Estimate the average reward E[G] / E[L] from returns G and lengths L (renewal reward).

    This is a t interval of the residuals Z = G - (sum G / sum L) L, divided by the mean length
    (Cochran 1977, Sampling Techniques, chapter 6). The mean of G / L over episodes would estimate a
    different quantity. `name` is the plural noun by which notes refer to the samples.
    """
    values, steps = _validate_episodes(returns, lengths, confidence)
    mean = float(values.sum() / steps.sum())
    residuals = values - mean * steps
    return _t_interval(mean, residuals, float(steps.mean()), confidence, "ratio", name)


def corrected_ratio_interval(
    returns: ArrayLike, lengths: ArrayLike, confidence: float, name: str
) -> Estimate:
    """Estimate the average reward E[G] / E[L] by a t interval that is corrected for skewness.

    Hall's monotone cubic transformation removes the skewness of the residuals of `ratio_interval`
    from their t statistic (Hall 1992, Journal of the Royal Statistical Society B 54:221). The
    interval is longer on the side where rare large values are missing from the sample.
    """
    values, steps = _validate_episodes(returns, lengths, confidence)
    estimate = ratio_interval(values, steps, confidence, name)
    size, mean = values.size, estimate.mean
    if not 0 < estimate.half_width < math.inf:
        return estimate
    skewness = _skewness(values - mean * steps)
    q = _t_quantile(size - 1, confidence) / math.sqrt(size)
    scale = estimate.half_width / q

    def untransform(x: float) -> float:
        if abs(skewness) < TOLERANCE:
            return x
        return 3 / skewness * (math.cbrt(1 + skewness * (x - skewness / (6 * size))) - 1)

    low, high = mean - scale * untransform(q), mean - scale * untransform(-q)
    return replace(estimate, low=low, high=high, method="corrected ratio", samples_needed=0)


def two_valued_interval(
    samples: ArrayLike, low_value: float, high_value: float, confidence: float
) -> Estimate:
    """Return Wilson's score interval from independent samples, [samples], of two known values.

    It also holds if one value is too rare for the t interval: at 95 % and a probability of 0.014
    it covers 94.8 % with 100 samples and 96.9 % with 400, the t interval 75 % and 91 %. Because
    counts are integers, coverage varies with the probability: from 92.7 % up with 100 samples.
    """
    values = _validate(samples, confidence)
    count = int(_is_high(values, low_value, high_value).sum())
    shares = count / values.size, *_wilson_limits(count, values.size, confidence)
    mean, low, high = (low_value + (high_value - low_value) * share for share in shares)
    return Estimate(mean, low, high, "wilson")


def two_valued_ratio_interval(
    returns: ArrayLike,
    lengths: ArrayLike,
    two_returns: TwoValues,
    confidence: float,
    max_length: float | None = None,
) -> Estimate:
    """Estimate the average reward E[G] / E[L] if returns take two values, of which one may be rare.

    If the return is b with probability p and else a, and episodes with these returns have mean
    lengths l_b and l_a, the average reward is (a (1 - p) + b p) / (l_a (1 - p) + l_b p). It is
    monotone in p, so Wilson's limits of p give limits of the average reward, which include the
    whole dependence of length on return. The lengths of episodes of equal return vary too. This
    error is uncorrelated with that of p, and its square is added at each limit: the method of
    variance estimates recovery (MOVER; Zou & Donner 2008, Statistics in Medicine 27:1693). MOVER
    for the ratio of the two means (Donner & Zou 2012) needs their correlation, which cannot be
    estimated from a rare outcome.

    If a return was never seen, the length of its episodes is unknown, and the interval allows for
    any length up to `max_length` (such as the time limit), or up to the longest one seen. If rare
    episodes also last many times longer, the sample has too few of them to estimate their length,
    and the interval covers too rarely; a note usually says so.
    """
    values, steps = _validate_episodes(returns, lengths, confidence)
    size, mean_length, (a, b) = values.size, float(steps.mean()), sorted(two_returns)
    is_b = _is_high(values, a, b)  # [episodes]
    count = int(is_b.sum())
    groups = [group for group in (steps[~is_b], steps[is_b]) if group.size]  # lengths by return
    mean_lengths = [(float(groups[0].mean()), float(groups[-1].mean()))]  # for the returns a and b
    note = None
    if len(groups) == 1 and a < b:
        possible = 0.0, max(max_length or 0.0, float(steps.max()))  # lengths for the unseen return
        mean_lengths = [(u, mean_length) if count else (mean_length, u) for u in possible]
        note = _unseen_return_note(a if count else b, (a, b), size)

    def average_reward(p: float, lengths_ab: tuple[float, float]) -> float:
        return (a + (b - a) * p) / (lengths_ab[0] * (1 - p) + lengths_ab[1] * p)

    mean = average_reward(count / size, mean_lengths[0])
    degrees = size - len(groups)
    if degrees == 0:
        return Estimate(mean, -math.inf, math.inf, "wilson ratio", note)
    limits_of_p = _wilson_limits(count, size, confidence)
    limits = [average_reward(p, pair) for p in limits_of_p for pair in mean_lengths]
    low, high = min(mean, *limits), max(mean, *limits)
    variance = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / degrees
    needed = 0
    relative_error = _t_quantile(degrees, confidence) * math.sqrt(variance / size) / mean_length
    if relative_error * abs(mean) > min(mean - low, high - mean):
        needed = _samples_needed(steps - mean_length)
    below = math.hypot(mean - low, relative_error * low)
    above = math.hypot(high - mean, relative_error * high)
    return Estimate(mean, mean - below, mean + above, "wilson ratio", note, samples_needed=needed)


def zero_inflated_interval(
    samples: ArrayLike, bound: float, confidence: float, name: str = "samples"
) -> Estimate:
    """Estimate the mean of samples, [samples], that are 0 or lie between 0 and `bound`.

    Discounted returns are such samples if a task pays once, at the end of an episode. The limits of
    the probability p of a nonzero sample (Wilson's) and of the mean m of those (Student's t) are
    combined by MOVER for a product (Zou & Donner 2008). With one nonzero sample or none, the
    interval allows for every m up to `bound`; if such samples are usual, it covers more often than
    its confidence level (99.4 % instead of 95 % with p n = 1.3). If the nonzero samples are skewed
    and few, it covers too rarely (86 % with 10 episodes of random play in FourRooms). So the result
    extends to the farther limits of this interval and of the one that is corrected for skewness,
    which together cover 94 % there.

    `name` is the plural noun by which notes refer to the samples.
    """
    shares = _validate(samples, confidence) / bound  # 0 to 1
    nonzero = shares[shares != 0]
    size, count = shares.size, nonzero.size
    p, (p_low, p_high) = count / size, _wilson_limits(count, size, confidence)
    m = float(nonzero.mean()) if count else 1.0
    m_low, m_high = 0.0, 1.0
    if count > 1:
        half = _t_quantile(count - 1, confidence) * float(nonzero.std(ddof=1)) / math.sqrt(count)
        m_low, m_high = max(m - half, 0.0), min(m + half, 1.0)
    low = p * m - math.hypot((p - p_low) * m, p * (m - m_low))
    high = p * m + math.hypot((p_high - p) * m, p * (m_high - m))
    if count > 1 and np.ptp(shares) > 0:
        corrected = corrected_ratio_interval(shares, np.ones(size), confidence, name)
        low, high = min(low, corrected.low), max(high, corrected.high)
    limits = sorted(bound * limit for limit in (max(low, 0.0), max(p * m, min(high, p_high))))
    note = None if count else f"All {name} were 0; the interval allows for rare other ones."
    return Estimate(bound * p * m, limits[0], limits[1], "wilson product", note)


def episodes_needed(
    pilot: ArrayLike, precision: float, confidence: float, lengths: ArrayLike | None = None
) -> int | None:
    """Return how many new episodes make the half-width about `precision` times the absolute mean.

    `pilot` holds the returns of a pilot sample. With `lengths`, the result is for the average
    reward, otherwise for the expected return. It is None if the pilot sample has one episode, no
    variance, or a mean of 0, and so does not determine the number.
    """
    if not 0 < precision < math.inf:
        raise InputError(f"precision is {precision}; it must be greater than 0 and finite")
    if lengths is None:
        estimate = mean_interval(pilot, confidence)
    else:
        estimate = ratio_interval(pilot, lengths, confidence)
    half, mean, size = estimate.half_width, abs(estimate.mean), np.size(pilot)
    if not 0 < half < math.inf or mean <= TOLERANCE * half:
        return None
    deviation = half * math.sqrt(size) / _t_quantile(size - 1, confidence)
    z = float(ndtri((1 + confidence) / 2))
    number = (z * deviation / (precision * mean)) ** 2
    return max(2, math.ceil(number + (z * z + 1) / 2))  # as t^2 = z^2 (1 + (z^2 + 1) / 2n + ...)


def check_confidence(confidence: float) -> None:
    """Raise InputError unless a confidence level lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(
            f"confidence is {confidence}; it must be greater than 0 and less than 1, such as 0.95"
        )


def _validate(samples: ArrayLike, confidence: float) -> Floats:
    """Convert samples to an array, [samples], or raise InputError."""
    values = np.asarray(samples, dtype=np.float64)
    check_confidence(confidence)
    if values.ndim != 1 or not values.size:
        raise InputError(
            f"the samples have shape {values.shape}; they must have one dimension and not be empty"
        )
    if not np.isfinite(values).all():
        raise InputError(f"sample {int(np.isfinite(values).argmin())} is not finite")
    return values


def _validate_episodes(
    returns: ArrayLike, lengths: ArrayLike, confidence: float
) -> tuple[Floats, Floats]:
    """Convert returns and lengths to arrays, each [episodes], or raise InputError."""
    values, steps = _validate(returns, confidence), _validate(lengths, confidence)
    if values.size != steps.size:
        raise InputError(f"{values.size} returns do not match {steps.size} lengths")
    if steps.min() <= 0:
        shortest = int(steps.argmin())
        raise InputError(
            f"the length of episode {shortest} is {steps.min():g}; it must be positive"
        )
    return values, steps


def _t_quantile(degrees: int, confidence: float) -> float:
    """Return the two-sided quantile of Student's t distribution with these degrees of freedom."""
    return float(stdtrit(degrees, (1 + confidence) / 2))


def _t_interval(
    mean: float, residuals: Floats, scale: float, confidence: float, method: str, name: str
) -> Estimate:
    """Return the interval mean ± t s / (scale √n), with the number of samples that it needs."""
    size = residuals.size
    if size == 1:
        return Estimate(mean, -math.inf, math.inf, method)
    if np.abs(residuals).max() <= TOLERANCE * abs(mean) * scale:
        return Estimate(mean, mean, mean, method, alike_note(size, name, confidence))
    deviation = math.sqrt(float((residuals**2).sum()) / (size - 1)) / scale
    half = _t_quantile(size - 1, confidence) * deviation / math.sqrt(size)
    needed = _samples_needed(residuals)
    return Estimate(mean, mean - half, mean + half, method, samples_needed=needed)


def alike_note(size: int, name: str, confidence: float) -> str:
    """State that all samples were alike, and how many future samples may still differ.

    If a larger share of samples differed, the sample would have had one of them with a probability
    above the confidence level.
    """
    return (
        f"All {size:,} {name} were alike; up to {_unseen_percent(size, confidence)} % of future "
        "ones may differ."
    )


def _unseen_return_note(unseen: float, returns: TwoValues, size: int) -> str:
    """State that no episode had one of the two returns, and that it may be rare."""
    outcome, plural = f"returned {unseen:g}", f"returns of {unseen:g}"
    if returns[0] == 0:  # the task pays at success only
        outcome, plural = ("failed", "failures") if unseen == 0 else ("succeeded", "successes")
    return (
        f"No episode {outcome}; the intervals allow for {plural} too rare to appear in {size:,} "
        "episodes."
    )


def _two_values_note(size: int, confidence: float) -> str:
    """State that only two returns were seen, and how many future returns may still differ."""
    return (
        f"Only two different returns were seen; up to {_unseen_percent(size, confidence)} % of "
        "future ones may differ from both."
    )


def _unseen_percent(size: int, confidence: float) -> str:
    return f"{100 * (1 - (1 - confidence) ** (1 / size)):.2g}"


def _skewness(residuals: Floats) -> float:
    """Return the skewness of a sample from its residuals, which must not all be 0."""
    unit = residuals / np.abs(residuals).max()  # the cube then neither overflows nor underflows
    return float((unit**3).mean() / (unit**2).mean() ** 1.5)


def _samples_needed(residuals: Floats) -> int:
    """Return how many samples a t interval needs, 25 skewness^2; 0 if the sample has as many.

    With fewer, intervals at 95 % may miss more than 6 % of the time (Cochran 1977, p. 42). A small
    sample underestimates its skewness, so 0 proves nothing.
    """
    enough = math.ceil(25 * _skewness(residuals) ** 2)
    return 0 if residuals.size >= enough else enough


def _distinct(values: Floats) -> Floats:
    """Return the distinct values, in order, up to rounding errors."""
    ordered = np.sort(values)
    differs = np.diff(ordered) > TOLERANCE * np.abs(ordered).max()
    return np.concatenate([ordered[:1], ordered[1:][differs]])


def _two_distinct_values(values: Floats) -> TwoValues | None:
    """Return the two distinct values of a sample, if it has exactly two and is large enough."""
    distinct = _distinct(values)
    if len(distinct) != 2 or values.size < MIN_SAMPLES_FOR_TWO:
        return None
    return float(distinct[0]), float(distinct[1])


def _is_high(values: Floats, low: float, high: float) -> NDArray[np.bool_]:
    """Return which samples equal the high value; raise InputError if one equals neither value."""
    if not low <= high:
        raise InputError(f"the low value {low:g} is greater than the high value {high:g}")
    is_high = values > (low + high) / 2
    errors = np.abs(values - np.where(is_high, high, low))
    is_neither = errors > TOLERANCE * max(abs(low), abs(high))
    if is_neither.any():
        raise InputError(f"sample {values[is_neither][0]:g} is neither {low:g} nor {high:g}")
    return is_high


def _wilson_limits(count: int, size: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a probability, with Poisson's limit for small counts.

    For counts of 1 to 3 (1 and 2 in up to 50 samples) Wilson's limit covers too rarely, 84 % at
    worst (Brown, Cai & DasGupta 2001, Statistical Science 16:101, section 4.1.1).
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
