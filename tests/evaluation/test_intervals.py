"""Intervals: compared with scipy, by their symmetries, and by how often they cover the value."""

import math
from collections.abc import Callable, Iterable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from gridcade.errors import InputError
from gridcade.evaluation.intervals import (
    Estimate,
    average_reward_interval,
    episodes_needed,
    mean_interval,
    ratio_interval,
    return_interval,
    two_valued_interval,
    two_valued_ratio_interval,
    zero_inflated_interval,
)

Floats = NDArray[np.float64]

REPLICATIONS = 1500
MIN, MAX = 0.93, 0.97  # coverage of an interval at 95 %

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
samples = st.lists(numbers, min_size=2, max_size=30)
confidences = st.floats(0.5, 0.999)
episodes = st.lists(st.tuples(numbers, st.integers(1, 500)), min_size=2, max_size=30)
rare_episodes = st.lists(st.tuples(st.booleans(), st.integers(1, 500)), min_size=8, max_size=40)
two_values = st.sampled_from([(0.0, 1.0), (-1.0, 0.0), (-1.0, 1.0), (2.0, 5.0), (-3.0, -1.0)])


def coverage(estimates: Iterable[Estimate], truth: float) -> float:
    return float(np.mean([e.low <= truth <= e.high for e in estimates]))


def close(estimate: Estimate, *expected: float) -> bool:
    return [estimate.mean, estimate.low, estimate.high] == pytest.approx(
        expected, rel=1e-9, abs=1e-12
    )


def counted(count: int, size: int) -> Floats:
    return np.repeat([1.0, 0.0], [count, size - count])


def exact_coverage(interval: Callable[[Floats], Estimate], probability: float, size: int) -> float:
    """Coverage of an interval from 0s and 1s, summed over all counts."""
    covered = [
        e.low <= probability <= e.high
        for e in (interval(counted(count, size)) for count in range(size + 1))
    ]
    return float(stats.binom.pmf(np.arange(size + 1), size, probability) @ covered)


def wilson(values: Floats) -> Estimate:
    return two_valued_interval(values, 0, 1, 0.95)


def t_interval(values: Floats) -> Estimate:
    return mean_interval(values, 0.95)


# ---- values


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("size", [2, 3, 30])
def test_mean_interval_equals_students(size: int, confidence: float) -> None:
    values = np.random.default_rng(size).normal(3, 2, size)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    low, high = float(expected.low), float(expected.high)
    estimate = mean_interval(values, confidence)
    assert close(estimate, values.mean(), low, high)
    assert estimate.half_width == pytest.approx((high - low) / 2)
    assert estimate.method == "t"


def test_ratio_interval_by_hand() -> None:
    # rho = 6 / 12; Z = 1 - 1, 2 - 2, 0 - 1.5, 3 - 1.5; s^2 = 4.5 / 3; mean length 3
    estimate = ratio_interval([1, 2, 0, 3], [2, 4, 3, 3], 0.95)
    half = 3.182446305 * math.sqrt(1.5) / (3 * 2)
    assert [estimate.mean, estimate.half_width] == pytest.approx([0.5, half])
    assert estimate.method == "ratio"


def test_ratio_of_one_step_episodes_is_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=40)
    mean = mean_interval(values, 0.9)
    assert close(ratio_interval(values, np.ones(40), 0.9), mean.mean, mean.low, mean.high)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(
    ("count", "size"), [(0, 9), (4, 9), (9, 9), (0, 100), (30, 100), (100, 100)]
)
def test_two_valued_interval_equals_wilsons(count: int, size: int, confidence: float) -> None:
    expected = stats.binomtest(count, size).proportion_ci(confidence, "wilson")
    estimate = two_valued_interval(counted(count, size), 0, 1, confidence)
    assert close(estimate, count / size, expected.low, expected.high)
    assert estimate.method == "wilson"


def test_limit_of_the_smallest_counts_equals_poissons() -> None:
    for count in 1, 2, 3:  # Brown, Cai & DasGupta 2001, section 4.1.1
        poisson = stats.chi2.ppf(0.05, 2 * count) / 2 / 100
        rare = two_valued_interval(counted(count, 100), 0, 1, 0.95)
        common = two_valued_interval(counted(100 - count, 100), 0, 1, 0.95)
        score = stats.binomtest(count, 100).proportion_ci(0.95, "wilson")
        assert close(rare, count / 100, poisson, score.high)
        assert close(common, 1 - count / 100, 1 - score.high, 1 - poisson)


def test_two_valued_ratio_of_equal_lengths_equals_wilsons() -> None:
    returns = 3 * counted(7, 60) - 1
    expected = two_valued_interval(returns, -1, 2, 0.95)
    estimate = two_valued_ratio_interval(returns, np.full(60, 5), (-1, 2), 0.95)
    assert close(estimate, expected.mean / 5, expected.low / 5, expected.high / 5)


def test_two_valued_ratio_of_equal_returns_is_the_ratio_interval() -> None:
    lengths = np.random.default_rng(2).geometric(0.1, 80)
    expected = ratio_interval(np.full(80, 2.0), lengths, 0.95)
    estimate = two_valued_ratio_interval(np.full(80, 2.0), lengths, (2, 2), 0.95)
    assert close(estimate, expected.mean, expected.low, expected.high)


def test_ratio_intervals_agree_for_large_samples() -> None:
    rng = np.random.default_rng(3)
    wins = rng.random(40_000) < 0.4
    lengths = rng.geometric(np.where(wins, 0.05, 0.1))
    plain = ratio_interval(wins, lengths, 0.95)
    estimate = two_valued_ratio_interval(wins, lengths, (0, 1), 0.95)
    assert estimate.mean == pytest.approx(plain.mean)
    assert estimate.half_width == pytest.approx(plain.half_width, rel=0.01)


# ---- edges


@pytest.mark.parametrize(
    "estimate",
    [
        mean_interval([4], 0.95),
        ratio_interval([8], [2], 0.95),
        return_interval([4], 0.95),
        average_reward_interval([8], [2], 0.95),
        two_valued_ratio_interval([8], [2], (0, 8), 0.95),
    ],
)
def test_one_sample_has_an_infinite_interval(estimate: Estimate) -> None:
    assert (estimate.mean, estimate.low, estimate.high) == (4, -math.inf, math.inf)
    assert estimate.half_width == math.inf


def test_known_values_limit_the_interval_of_one_sample() -> None:
    expected = stats.binomtest(1, 1).proportion_ci(0.95, "wilson")
    assert two_valued_interval([1], 0, 1, 0.95).high == 1
    assert two_valued_interval([1], 0, 1, 0.95).low == pytest.approx(
        min(expected.low, 0.05129329438755058)
    )


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e-300, 1e300])
def test_equal_returns_have_no_width_and_a_note(value: float) -> None:
    estimate = return_interval([value] * 100, 0.95)
    assert estimate.low == estimate.mean == estimate.high == pytest.approx(value, rel=1e-12, abs=0)
    assert estimate.note == "All 100 returns were alike; up to 3 % of future ones may differ."


def test_probability_of_unseen_values_follows_from_the_sample_size() -> None:
    share = 0.0295
    assert (1 - share) ** 100 == pytest.approx(0.05, abs=1e-3)
    assert "up to 3 % of" in (return_interval([0] * 100, 0.95).note or "")
    assert "up to 0.3 % of" in (return_interval([0] * 1000, 0.95).note or "")


def test_equal_returns_of_known_values_have_no_note() -> None:
    assert return_interval([2] * 9, 0.95, (2, 2)) == Estimate(2, 2, 2, "wilson")
    assert return_interval([0] * 100, 0.95, (0, 1)).high == pytest.approx(0.0369935)
    assert return_interval([0] * 100, 0.95, (1, 0)).note is None


def test_returns_that_differ_by_rounding_are_equal() -> None:
    returns = [0.1 + 0.2, 0.3] * 20
    assert "All 40 returns were alike" in (return_interval(returns, 0.95).note or "")
    assert "All 40 returns were alike" in (
        average_reward_interval(returns, [3] * 40, 0.95).note or ""
    )


def test_average_reward_without_variance_has_a_note() -> None:
    estimate = ratio_interval([3, 6, 9], [1, 2, 3], 0.95)
    assert estimate.low == estimate.mean == estimate.high == 3
    assert "All 3 average rewards were alike" in (estimate.note or "")


def test_two_distinct_values_are_assumed_to_be_all_with_a_note() -> None:
    returns, lengths = counted(3, 50), np.arange(1, 51)
    known = return_interval(returns, 0.95, (0, 1))
    guessed = return_interval(returns, 0.95)
    assert known.method == guessed.method == "wilson"
    assert (known.low, known.high) == (guessed.low, guessed.high)
    assert known.note is None
    assert "Only two different returns" in (guessed.note or "")
    ratio = average_reward_interval(returns, lengths, 0.95)
    assert ratio.method == "wilson ratio"
    assert "Only two different returns" in (ratio.note or "")
    assert average_reward_interval(returns, lengths, 0.95, (0, 1)).note is None


def test_few_samples_are_not_assumed_to_have_two_values() -> None:
    assert return_interval([1.5, 2.5], 0.95).method == "t"
    assert average_reward_interval([1.5, 2.5, 2.5], [1, 2, 3], 0.95).method == "ratio"


def test_equal_returns_with_different_lengths_have_a_width_and_a_note() -> None:
    estimate = average_reward_interval(np.ones(30), np.arange(1, 31), 0.95)
    assert estimate.method == "ratio"
    assert estimate.half_width > 0
    assert "All 30 returns were alike" in (estimate.note or "")


def test_interval_allows_for_lengths_of_unseen_episodes() -> None:
    # 100 wins after 10 steps each; a loss may take as long as the time limit
    wins, lengths = np.ones(100), np.full(100, 10.0)
    estimate = average_reward_interval(wins, lengths, 0.95, (0, 1), max_length=50)
    share = 1 - 0.0369935  # Wilson's limit
    assert estimate.low == pytest.approx(share / (10 * share + 50 * (1 - share)), rel=1e-4)
    assert estimate.high == pytest.approx(1 / 10)
    assert "No episode failed; " in (estimate.note or "")
    assert estimate.low < average_reward_interval(wins, lengths, 0.95, (0, 1)).low
    # A loss may also take no time at all, which matters if losses pay as well.
    paid = average_reward_interval(wins + 1, lengths, 0.95, (1, 2), max_length=50)
    assert paid.high == pytest.approx((1 + share) / (10 * share), rel=1e-4)


def test_skewed_samples_need_more_episodes() -> None:
    rng = np.random.default_rng(4)
    rare = np.where(rng.random(400) < 0.01, 50.0, rng.normal(size=400))
    needed = return_interval(rare, 0.95).samples_needed
    assert needed > 400
    assert average_reward_interval(rare, np.ones(400), 0.95).samples_needed == needed
    assert return_interval(rng.normal(size=400), 0.95).samples_needed == 0
    assert return_interval(rare * 1e-120, 0.95).samples_needed == needed
    assert return_interval(rare * 1e120, 0.95).samples_needed == needed


def test_skewed_lengths_need_more_episodes_if_they_affect_the_ratio() -> None:
    rng = np.random.default_rng(4)
    won = rng.random(400) < 0.5
    lengths = np.where(rng.random(400) < 0.02, 5000, rng.geometric(0.1, 400))
    often = two_valued_ratio_interval(won, lengths, (0, 1), 0.95)
    assert often.samples_needed > 400
    lengths = np.minimum(lengths, 200)
    rarely = two_valued_ratio_interval(rng.random(400) < 0.01, lengths, (0, 1), 0.95)
    assert rarely.samples_needed == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: mean_interval([], 0.95), "not be empty"),
        (lambda: mean_interval([[1, 2]], 0.95), r"have shape \(1, 2\)"),
        (lambda: mean_interval([1, math.nan], 0.95), "sample 1 is not finite"),
        (lambda: return_interval([math.inf], 0.95), "sample 0 is not finite"),
        (lambda: mean_interval([1, 2], 0), "confidence is 0"),
        (lambda: mean_interval([1, 2], 1), "confidence is 1"),
        (lambda: mean_interval([1, 2], math.nan), "confidence is nan"),
        (lambda: ratio_interval([], [], 0.95), "not be empty"),
        (lambda: ratio_interval([1, 2], [1], 0.95), "2 returns do not match 1 lengths"),
        (lambda: average_reward_interval([1, 2], [1, 0], 0.95), "the length of episode 1 is 0"),
        (lambda: two_valued_interval([], 0, 1, 0.95), "not be empty"),
        (lambda: two_valued_interval([0, 0.5], 0, 1, 0.95), "0.5 is neither 0 nor 1"),
        (lambda: two_valued_interval([0, 1], 1, 0, 0.95), "the low value 1 is greater"),
        (lambda: average_reward_interval([0, 2], [1, 1], 0.95, (0, 1)), "2 is neither 0 nor 1"),
        (lambda: episodes_needed([], 0.1, 0.95), "not be empty"),
        (lambda: episodes_needed([1, 2], 0, 0.95), "precision is 0"),
    ],
)
def test_wrong_input_is_an_error(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


# ---- symmetries


@given(samples, confidences, st.integers(-40, 40), st.sampled_from([-8.0, -1.0, 0.25, 2.0]))
def test_mean_intervals_follow_their_samples(
    values: list[float], confidence: float, shift: int, scale: float
) -> None:
    one = mean_interval(values, confidence)
    other = mean_interval(scale * np.array(values) + shift, confidence)
    ends = sorted((scale * one.low + shift, scale * one.high + shift))
    tolerance = 1e-7 * max(1.0, np.abs(values).max())
    assert [other.mean, other.low, other.high] == pytest.approx(
        [scale * one.mean + shift, *ends], abs=tolerance
    )


@given(rare_episodes, two_values, confidences, st.sampled_from([-8.0, 0.25, 2.0]))
def test_average_rewards_follow_the_scale_of_rewards_and_time(
    pairs: list[tuple[bool, int]], values: tuple[float, float], confidence: float, scale: float
) -> None:
    a, b = values
    returns = np.array([b if won else a for won, _ in pairs])
    lengths = np.array([float(length) for _, length in pairs])
    scaled = (scale * a, scale * b)
    for one, other in (
        (
            ratio_interval(returns, lengths, confidence),
            ratio_interval(scale * returns, 2 * lengths, confidence),
        ),
        (
            two_valued_ratio_interval(returns, lengths, values, confidence),
            two_valued_ratio_interval(scale * returns, 2 * lengths, scaled, confidence),
        ),
    ):
        ends = sorted((scale / 2 * one.low, scale / 2 * one.high))
        assert close(other, scale / 2 * one.mean, *ends)


@given(rare_episodes, two_values, confidences, st.randoms(use_true_random=False))
def test_intervals_contain_the_mean_widen_with_confidence_and_ignore_order(
    pairs: list[tuple[bool, int]],
    values: tuple[float, float],
    confidence: float,
    shuffler: Random,
) -> None:
    def intervals(episodes: list[tuple[bool, int]], confidence: float) -> list[Estimate]:
        returns = np.array([values[won] for won, _ in episodes])
        lengths = np.array([length for _, length in episodes])
        return [
            mean_interval(lengths, confidence),
            ratio_interval(returns, lengths, confidence),
            two_valued_interval(returns, *values, confidence),
            two_valued_ratio_interval(returns, lengths, values, confidence),
            return_interval(returns, confidence),
            average_reward_interval(returns, lengths, confidence),
        ]

    shuffled = list(pairs)
    shuffler.shuffle(shuffled)
    for estimate, wider, reordered in zip(
        intervals(pairs, confidence),
        intervals(pairs, (1 + confidence) / 2),
        intervals(shuffled, confidence),
        strict=True,
    ):
        assert estimate.low <= estimate.mean <= estimate.high
        assert wider.low <= estimate.low + 1e-12
        assert wider.high >= estimate.high - 1e-12
        assert close(reordered, estimate.mean, estimate.low, estimate.high)


@given(episodes, confidences)
def test_average_reward_lies_within_its_interval(
    pairs: list[tuple[float, int]], confidence: float
) -> None:
    returns, lengths = zip(*pairs, strict=True)
    estimate = average_reward_interval(returns, lengths, confidence)
    assert estimate.low <= estimate.mean <= estimate.high
    assert estimate.mean == pytest.approx(sum(returns) / sum(lengths), abs=1e-6)


# ---- coverage


def test_mean_interval_covers() -> None:
    values = np.random.default_rng(10).normal(2, 3, (REPLICATIONS, 12))
    assert MIN < coverage((mean_interval(x, 0.95) for x in values), 2) < MAX
    mixed = np.random.default_rng(11).integers(-20, 3, (REPLICATIONS, 40))
    assert 0.88 < coverage((return_interval(x, 0.9) for x in mixed), -9) < 0.92


def correlated_episodes(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    """Geometric lengths of mean 10; steps pay 0.6 and noise, the last one 5 more: 1.1 per step."""
    lengths = np.asarray(rng.geometric(0.1, (REPLICATIONS, size)), dtype=np.float64)
    return lengths * 0.6 + rng.normal(size=lengths.shape) * np.sqrt(lengths) + 5, lengths


def test_ratio_interval_covers_if_lengths_and_returns_are_correlated() -> None:
    returns, lengths = correlated_episodes(np.random.default_rng(12), 200)
    pairs = list(zip(returns, lengths, strict=True))
    assert MIN < coverage((ratio_interval(g, n, 0.95) for g, n in pairs), 1.1) < MAX
    averaged = coverage((mean_interval(g / n, 0.95) for g, n in pairs), 1.1)
    assert averaged < 0.1  # the mean of G / L is a different quantity


@pytest.mark.parametrize(
    ("probability", "size"),
    [(0.014, 100), (0.014, 400), (0.05, 100), (0.3, 50), (0.5, 100)],
)
def test_two_valued_interval_covers(probability: float, size: int) -> None:
    exact = exact_coverage(wilson, probability, size)
    assert MIN < exact < MAX
    drawn = np.random.default_rng(size).random((REPLICATIONS, size)) < probability
    estimates = (two_valued_interval(5.0 * x - 4, -4, 1, 0.95) for x in drawn)
    assert coverage(estimates, 5 * probability - 4) == pytest.approx(exact, abs=0.015)


def test_the_coverages_in_the_docstring_are_correct() -> None:
    assert exact_coverage(wilson, 0.014, 100) == pytest.approx(0.948, abs=5e-4)
    assert exact_coverage(wilson, 0.014, 400) == pytest.approx(0.969, abs=5e-4)
    assert exact_coverage(t_interval, 0.014, 100) == pytest.approx(0.755, abs=5e-4)
    assert exact_coverage(t_interval, 0.014, 400) == pytest.approx(0.914, abs=5e-4)


@pytest.mark.parametrize(("size", "least"), [(30, 0.915), (50, 0.915), (100, 0.926), (400, 0.927)])
def test_two_valued_interval_covers_for_all_probabilities(size: int, least: float) -> None:
    """Coverage is smallest just beside a limit of one of the intervals."""
    estimates = [wilson(counted(k, size)) for k in range(size + 1)]
    lows, highs = np.array([[e.low, e.high] for e in estimates]).T

    def coverages(probabilities: Floats) -> Floats:
        p = probabilities[:, None]
        weights = stats.binom.pmf(np.arange(size + 1), size, p)
        return np.asarray((weights * ((lows <= p) & (p <= highs))).sum(axis=1))

    beside = np.concatenate([lows - 1e-9, highs + 1e-9])
    assert coverages(beside[(beside > 0) & (beside < 1)]).min() > least
    assert 0.95 < coverages(np.linspace(0, 1, 2001)).mean() < 0.96


def test_unknown_rare_value_is_missed() -> None:
    # Nearly a quarter of all samples of 100 contain no reward at all.
    drawn = np.random.default_rng(14).random((REPLICATIONS, 100)) < 0.014
    estimates = [return_interval(x, 0.95) for x in drawn]
    assert 0.65 < coverage(estimates, 0.014) < 0.75
    assert all(e.note for e in estimates)
    assert MIN < coverage((return_interval(x, 0.95, (0, 1)) for x in drawn), 0.014) < MAX


@pytest.mark.parametrize("size", [100, 400])
@pytest.mark.parametrize(
    ("probability", "values", "lengths"),
    [
        (0.014, (0, 1), (20, 60)),
        (0.014, (0, 1), (20, 5)),
        (0.014, (-1, 0), (20, 60)),
        (0.014, (-1, 1), (20, 5)),
        (0.3, (-1, 1), (20, 60)),
        (0.986, (-1, 0), (20, 60)),
    ],
)
def test_two_valued_ratio_interval_covers(
    probability: float, values: tuple[float, float], lengths: tuple[float, float], size: int
) -> None:
    a, b = values
    rng = np.random.default_rng(size)
    high = rng.random((REPLICATIONS, size)) < probability
    durations = rng.geometric(1 / np.where(high, lengths[1], lengths[0]))
    returns = np.where(high, b, a)
    truth = np.array([1 - probability, probability])
    average_reward = float(truth @ values / (truth @ lengths))
    pairs = list(zip(returns, durations, strict=True))
    estimates = (average_reward_interval(g, n, 0.95, (a, b)) for g, n in pairs)
    assert MIN < coverage(estimates, average_reward) < MAX
    if (probability, values, size) == (0.014, (0, 1), 100):
        assert coverage((ratio_interval(g, n, 0.95) for g, n in pairs), average_reward) < 0.8


@pytest.mark.parametrize("size", [100, 400])
@pytest.mark.parametrize("probability", [0.02, 0.3, 0.98])
def test_two_valued_ratio_interval_covers_under_a_time_limit(probability: float, size: int) -> None:
    # Wins end an episode early; losses are truncated after 50 steps.
    rng = np.random.default_rng(size + 1)
    won = rng.random((REPLICATIONS, size)) < probability
    durations = np.where(won, 10 + rng.geometric(0.2, won.shape), 50)
    average_reward = probability / (15 * probability + 50 * (1 - probability))
    estimates = (
        average_reward_interval(g, n, 0.95, (0, 1), max_length=50)
        for g, n in zip(won, durations, strict=True)
    )
    assert MIN < coverage(estimates, average_reward) < MAX


# ---- planning


@pytest.mark.parametrize("precision", [0.01, 0.05, 0.2])
def test_planned_number_gives_the_precision(precision: float) -> None:
    pilot = np.random.default_rng(15).normal(5, 2, 500)
    number = episodes_needed(pilot, precision, 0.95)
    assert number is not None
    deviation = pilot.std(ddof=1)

    def relative(n: int) -> float:
        return float(stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n) / pilot.mean())

    assert relative(number + 1) < precision < relative(number - 2)


def test_planned_number_for_the_average_reward() -> None:
    returns, lengths = correlated_episodes(np.random.default_rng(16), 4000)
    number = episodes_needed(returns[0], 0.02, 0.95, lengths[0])
    assert number is not None
    assert number < (episodes_needed(returns[0], 0.02, 0.95) or 0)
    estimate = ratio_interval(returns[1, :number], lengths[1, :number], 0.95)
    assert estimate.half_width / estimate.mean == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize("pilot", [[3], [3, 3, 3], [-1, 1], [0, 0], [0.1, 0.2, -0.3]])
def test_pilot_that_does_not_determine_a_number(pilot: list[float]) -> None:
    assert episodes_needed(pilot, 0.1, 0.95) is None
    assert episodes_needed(pilot, 0.1, 0.95, [1] * len(pilot)) is None


def test_planned_number_is_at_least_two() -> None:
    assert episodes_needed([100, 100.1], 0.9, 0.5) == 2


@pytest.mark.parametrize(("p", "size"), [(0.013, 100), (0.013, 400), (0.3, 50), (0.95, 100)])
@pytest.mark.parametrize("bound", [1.0, -2.0])
def test_zero_inflated_interval_covers(p: float, size: int, bound: float) -> None:
    """Discounted returns gamma^L of rare successes; a t interval covers 75 % of the time."""
    rng = np.random.default_rng(1)
    lengths = rng.geometric(0.2, (REPLICATIONS, size)) + 2
    samples = bound * np.where(rng.random((REPLICATIONS, size)) < p, 0.9**lengths, 0.0)
    truth = bound * p * 0.9**2 * (0.2 * 0.9 / (1 - 0.8 * 0.9))
    estimates = [zero_inflated_interval(row, bound, 0.95) for row in samples]
    upper = 0.997 if p * size < 2 else 0.985  # see the docstring
    assert 0.93 <= coverage(estimates, truth) <= upper
    assert all(e.low <= e.mean <= e.high for e in estimates)
    if size == 100 and p < 0.1:
        assert coverage((mean_interval(row, 0.95) for row in samples), truth) < 0.85
