"""Estimates from episodes and from streams: how often their intervals cover the exact value."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from worlds import env_model, uniform_runner, world_model, write_maps

from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.evaluation.cycles import Streams
from gridcade.evaluation.episodes import LONGEST_EPISODE
from gridcade.evaluation.estimates import (
    MIN_EPISODES,
    Episodes,
    Estimates,
    estimate_from_episodes,
    estimate_from_streams,
)
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.intervals import zero_inflated_interval
from gridcade.evaluation.policies import UniformPolicy
from gridcade.evaluation.streams import STREAMS, play_streams
from gridcade.exact.chains import Outcomes, possible_outcomes
from gridcade.exact.solver import policy_value
from gridcade.exact.values import two_possible_returns
from gridcade.experience.vector import make_vector
from simulation import Simulator

Floats = NDArray[np.float64]

REPLICATIONS = 1000
STREAM_STEPS = 120  # of each of 8 streams
STREAM_DISCOUNT = 0.9
# The zero-inflated interval of a discounted return covers more often than its level (see its
# docstring).
MAX_COVERAGE = np.array([0.97, 0.97, 0.985, 0.97])
MIN_COVERAGE = 0.93


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_maps(tmp_path_factory.mktemp("maps"))


def uniform(model: Model) -> Floats:
    return np.full((model.num_states, model.num_actions), 1 / model.num_actions)


def coverage(estimates: Iterable[Estimates], exact: tuple[float | None, ...]) -> Floats:
    """Share of the intervals that cover the exact values, in the order of the fields."""
    covered = []
    for e in estimates:
        values = (e.expected_return, e.average_reward, e.discounted_return, e.episode_length)
        covered.append(
            [
                v is not None and t is not None and v.low <= t <= v.high
                for v, t in zip(values, exact, strict=True)
            ]
        )
    assert len(covered) == REPLICATIONS
    return np.asarray(np.mean(covered, axis=0))


def episode_coverage(sample: Episodes, model: Model, limit: int | None, size: int) -> Floats:
    """Coverage of evaluations of `size` episodes each."""
    value = policy_value(model, uniform(model), 0.99, limit)
    exact = (
        value.expected_return,
        value.average_reward,
        value.discounted_return,
        value.episode_length,
    )
    replications = (
        Episodes(
            sample.returns[i : i + size],
            sample.lengths[i : i + size],
            sample.discounted_returns[i : i + size],
            sample.truncated[i : i + size],
            sample.step_rewards,
        )
        for i in range(0, REPLICATIONS * size, size)
    )
    two_returns = two_possible_returns(model)
    return coverage(
        (
            estimate_from_episodes(e, 0.95, 0.99, limit or LONGEST_EPISODE, two_returns)
            for e in replications
        ),
        exact,
    )


@pytest.mark.parametrize(
    ("world", "size"), [("goal", 100), ("rare", 100), ("rare", 400), ("costs", 60)]
)
def test_intervals_of_episodic_tasks_cover(world: str, size: int) -> None:
    """The level is 95 %; whole evaluations are simulated many times from the model."""
    model, limit = world_model(world)
    value = policy_value(model, uniform(model), 0.99, limit)
    assert world != "rare" or (value.expected_return or 0) < 0.02
    rng = np.random.default_rng(1)
    returns, discounted, lengths = Simulator(model, uniform(model)).episodes(
        rng, REPLICATIONS * size, 0.99, limit
    )
    sample = Episodes(
        returns, lengths, discounted, np.zeros(len(returns), dtype=bool), (-math.inf, math.inf)
    )
    shares = episode_coverage(sample, model, limit, size)
    assert (shares >= MIN_COVERAGE).all(), shares
    assert (shares <= MAX_COVERAGE).all(), shares


@pytest.mark.parametrize("size", [10, 20, 50])
def test_discounted_returns_of_few_skewed_episodes_cover(size: int) -> None:
    """Random play in FourRooms reaches the goal in half of the episodes, mostly late."""
    model, limit = env_model("FourRooms")
    rng = np.random.default_rng(size)
    _, discounted, _ = Simulator(model, uniform(model)).episodes(rng, 500 * size, 0.99, limit)
    truth = policy_value(model, uniform(model), 0.99, limit).discounted_return
    found = [zero_inflated_interval(d, 1.0, 0.95) for d in discounted.reshape(500, size)]
    assert 0.92 <= np.mean([e.low <= truth <= e.high for e in found]) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("world", "size"), [("goal", 100), ("costs", 60)])
def test_intervals_of_played_episodes_cover(maps: Path, world: str, size: int) -> None:
    """The same for episodes that are played in environments, each with its own seed."""
    model, limit = world_model(world)
    sample = uniform_runner(str(maps / f"{world}.txt"), 100).run(
        REPLICATIONS * size, 0, "evaluation"
    )
    shares = episode_coverage(sample, model, limit, size)
    assert (shares >= MIN_COVERAGE).all(), shares
    assert (shares <= MAX_COVERAGE).all(), shares


def stream_coverage(streams: Iterable[Streams], model: Model) -> Floats:
    """Coverage of the average reward and the discounted return of streams."""
    value = policy_value(model, uniform(model), STREAM_DISCOUNT)
    exact = None, value.average_reward, value.discounted_return, None
    outcomes = possible_outcomes(model, uniform(model))
    step_rewards = float(model.rewards.min()), float(model.rewards.max())
    estimates = (
        estimate_from_streams(s, 0.95, STREAM_DISCOUNT, outcomes, step_rewards) for s in streams
    )
    return coverage(estimates, exact)[1:2]


def test_intervals_of_continuing_tasks_cover() -> None:
    model, _ = world_model("portal")
    simulator = Simulator(model, uniform(model))
    rewards, states = simulator.streams(
        np.random.default_rng(0), REPLICATIONS * STREAMS, 2 * STREAM_STEPS
    )
    streams = (
        Streams(rewards[i : i + STREAMS], states[i : i + STREAMS], STREAM_STEPS)
        for i in range(0, len(rewards), STREAMS)
    )
    shares = stream_coverage(streams, model)
    assert (shares >= MIN_COVERAGE).all(), shares
    assert (shares <= 0.97).all(), shares


@pytest.mark.slow
def test_intervals_of_played_streams_cover(maps: Path) -> None:
    model, _ = world_model("portal")
    name = str(maps / "portal.txt")
    envs = make_vector(name, STREAMS)
    policy = EvaluatedPolicy(UniformPolicy(4), registry.make(name), 0.0, deterministic=True)
    steps = STREAMS * STREAM_STEPS
    streams = (play_streams(envs, policy, steps, s, "evaluation") for s in range(REPLICATIONS))
    shares = stream_coverage(streams, model)
    assert (shares >= MIN_COVERAGE).all(), shares
    assert (shares <= 0.97).all(), shares


def test_average_reward_is_not_the_mean_of_ratios(maps: Path) -> None:
    """Averaging return / length over episodes is far from the average reward per step."""
    model, _ = world_model("goal")
    exact = policy_value(model, uniform(model)).average_reward
    sample = uniform_runner(str(maps / "goal.txt"), 16).run(1000, 0, "evaluation")
    estimate = estimate_from_episodes(sample, 0.95, 0.99, 1000, (0, 1)).average_reward
    assert estimate.low < exact < estimate.high
    assert (sample.returns / sample.lengths).mean() > estimate.high


def sample_of(returns: list[float], lengths: list[float], reward: float = 1.0) -> Episodes:
    values = np.array(returns)
    step_rewards = (reward, reward) if reward else (-math.inf, math.inf)
    none = np.zeros(len(values), dtype=bool)
    return Episodes(values, np.array(lengths), 0.9 * values, none, step_rewards)


def test_a_few_episodes_have_no_intervals() -> None:
    sample = sample_of([3, 5000], [3, 5000])
    found = estimate_from_episodes(sample, 0.95, 0.99, 10_000)
    assert found.expected_return is not None
    assert found.expected_return.mean == 2501.5
    assert math.isinf(found.expected_return.half_width)
    assert math.isinf(found.average_reward.half_width)
    assert found.notes() == ["Intervals need 10 or more episodes; this sample has 2."]
    enough = estimate_from_episodes(sample_of([1, 2] * 5, [1, 2] * 5), 0.95, 0.99, 50)
    assert math.isfinite(enough.average_reward.half_width)
    assert MIN_EPISODES == 10


def test_intervals_stay_within_what_is_possible() -> None:
    """Each step of CartPole pays 1, and no episode lasts more than 500 steps."""
    lengths = [500.0] * 8 + [20.0, 15.0, 470.0]
    found = estimate_from_episodes(sample_of(lengths, lengths), 0.95, 0.99, 500)
    assert found.expected_return is not None
    assert found.episode_length is not None
    assert found.expected_return.high == found.episode_length.high == 500
    assert (found.average_reward.low, found.average_reward.high) == (1, 1)
    unknown = estimate_from_episodes(sample_of(lengths, lengths, reward=0), 0.95, 0.99, 500)
    assert unknown.expected_return is not None
    assert unknown.expected_return.high > 500
    # Short episodes: a length is at least 1, and so is a return of ones.
    short = [1.0] * 30 + [2.0, 40.0]
    found = estimate_from_episodes(sample_of(short, short), 0.95, 0.99, 500)
    assert found.episode_length is not None
    assert found.expected_return is not None
    assert found.episode_length.low == found.expected_return.low == 1
    # With a discount of 0.5, costs of 1 in each step add up to less than 2.
    costs = replace(
        sample_of([-2.0] * 30 + [-40.0], [2.0] * 30 + [40.0], 0),
        discounted_returns=np.array([-1.5] * 30 + [-1.99]),
    )
    found = estimate_from_episodes(costs, 0.95, 0.5, 100, None, (-1.0, -1.0))
    assert found.discounted_return is not None
    assert found.discounted_return.low >= -2
    assert found.average_reward.low == pytest.approx(-1)


def test_equal_episodes_have_one_note() -> None:
    found = estimate_from_episodes(sample_of([-13.0] * 100, [13.0] * 100, -1), 0.95, 0.99, 500)
    assert found.notes() == ["All 100 episodes were alike; up to 3 % of future ones may differ."]


def test_the_discounted_return_of_streams_allows_for_later_rewards() -> None:
    """Streams that are all alike would otherwise give an interval that excludes the value."""
    rewards, states = np.ones((STREAMS, 200)), np.zeros((STREAMS, 201), dtype=np.int64)
    found = estimate_from_streams(
        Streams(rewards, states, 100), 0.95, 0.9, Outcomes((1.0,), (1.0,), True, 1, 1), (1.0, 1.0)
    ).discounted_return
    assert found is not None
    assert found.low <= 10 * (1 + 1e-12)
    assert found.high >= 10 * (1 - 1e-12)
    assert rewards[0, :100] @ 0.9 ** np.arange(100) < 10 - 1e-4
    # Eight equal streams do not prove that all are equal.
    random = Outcomes((0.0, 1.0), (0.0, 1.0), False, 1, 1)
    streams = Streams(rewards, states, 100)
    found = estimate_from_streams(streams, 0.95, 0.9, random, (0.0, 1.0)).discounted_return
    assert found is not None
    assert math.isinf(found.half_width)


def test_skewed_estimates_have_one_note() -> None:
    lengths = [1.0] * 30 + [50.0, 2.0]
    returns = [-v for v in lengths]
    notes = estimate_from_episodes(sample_of(returns, lengths, 0), 0.95, 0.99, 500).notes()
    (note,) = [note for note in notes if "skewed" in note]
    assert note.startswith("The returns, discounted returns and lengths are skewed; for reliable")
