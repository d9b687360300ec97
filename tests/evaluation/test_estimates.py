"""Estimates from whole episodes and from streams: how often their intervals cover the truth."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from worlds import uniform_runner, world_model, write_maps

from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.evaluation.estimates import (
    Episodes,
    Estimates,
    estimate_from_episodes,
    estimate_from_streams,
)
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.policies import UniformPolicy
from gridcade.evaluation.streams import STREAMS, play_streams
from gridcade.exact.solver import policy_value
from gridcade.exact.values import two_possible_returns
from gridcade.experience.vector import make_vector
from simulation import Simulator

Floats = NDArray[np.float64]

REPLICATIONS = 1000
STREAM_STEPS = 120  # of each of 8 streams
STREAM_DISCOUNT = 0.9
# The zero-inflated interval of a discounted return covers more often than its level: see there.
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
        )
        for i in range(0, REPLICATIONS * size, size)
    )
    two_returns = two_possible_returns(model)
    return coverage(
        (estimate_from_episodes(e, 0.95, two_returns, limit) for e in replications), exact
    )


@pytest.mark.parametrize(
    ("world", "size"), [("goal", 100), ("rare", 100), ("rare", 400), ("costs", 60)]
)
def test_intervals_of_episodic_tasks_cover(world: str, size: int) -> None:
    """At 95 %, over replications of whole evaluations, simulated from the model."""
    model, limit = world_model(world)
    value = policy_value(model, uniform(model), 0.99, limit)
    assert world != "rare" or (value.expected_return or 0) < 0.02
    rng = np.random.default_rng(1)
    returns, discounted, lengths = Simulator(model, uniform(model)).episodes(
        rng, REPLICATIONS * size, 0.99, limit
    )
    sample = Episodes(returns, lengths, discounted, np.zeros(len(returns), dtype=bool))
    shares = episode_coverage(sample, model, limit, size)
    assert (shares >= MIN_COVERAGE).all(), shares
    assert (shares <= MAX_COVERAGE).all(), shares


@pytest.mark.slow
@pytest.mark.parametrize(("world", "size"), [("goal", 100), ("costs", 60)])
def test_intervals_of_played_episodes_cover(maps: Path, world: str, size: int) -> None:
    """The same with episodes that are played in environments, each with its own seed."""
    model, limit = world_model(world)
    sample = uniform_runner(str(maps / f"{world}.txt"), 100).run(
        REPLICATIONS * size, 0, "evaluation"
    )
    shares = episode_coverage(sample, model, limit, size)
    assert (shares >= MIN_COVERAGE).all(), shares
    assert (shares <= MAX_COVERAGE).all(), shares


def stream_coverage(streams: Iterable[Floats], model: Model) -> Floats:
    """Coverage of the average reward and the discounted return of streams."""
    value = policy_value(model, uniform(model), STREAM_DISCOUNT)
    exact = None, value.average_reward, value.discounted_return, None
    estimates = (estimate_from_streams(s, 0.95, STREAM_DISCOUNT) for s in streams)
    return coverage(estimates, exact)[1:3]


def test_intervals_of_continuing_tasks_cover() -> None:
    model, _ = world_model("portal")
    simulator = Simulator(model, uniform(model))
    rewards = simulator.streams(np.random.default_rng(0), REPLICATIONS * STREAMS, STREAM_STEPS)
    shares = stream_coverage(rewards.reshape(REPLICATIONS, STREAMS, STREAM_STEPS), model)
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
    estimate = estimate_from_episodes(sample, 0.95, (0, 1)).average_reward
    assert estimate.low < exact < estimate.high
    assert (sample.returns / sample.lengths).mean() > estimate.high
