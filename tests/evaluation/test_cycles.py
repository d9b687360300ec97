"""Continuing tasks: cycles between the visits of a state, and coverage of their intervals."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from worlds import Predictor

from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.evaluation.cycles import (
    MIN_CYCLES,
    Streams,
    average_reward_of_streams,
    regeneration_state,
    split_cycles,
)
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.intervals import Estimate, corrected_ratio_interval
from gridcade.evaluation.policies import UniformPolicy, optimal_policy
from gridcade.evaluation.streams import STREAMS
from gridcade.exact.chains import possible_outcomes
from gridcade.exact.solver import policy_value, solve
from simulation import Simulator

Floats = NDArray[np.float64]


def cycle_model(length: int, stay: float = 0.0) -> Model:
    """A cycle that pays 2 in its third state and 1 in its last one, and may stay in a state."""
    rewards = np.zeros(length)
    rewards[[2, -1]] = 2.0, 1.0
    table = {}
    for s in range(length):
        outcomes = [(1 - stay, (s + 1) % length, float(rewards[s]), False)]
        outcomes += [(stay, s, float(rewards[s]), False)] if stay else []
        table[s] = {0: outcomes}
    return Model.from_table(table, np.eye(length)[0])


def random_model(size: int, concentration: float) -> Model:
    rng = np.random.default_rng(size)
    matrix = 0.999 * rng.dirichlet(np.full(size, concentration), size) + 0.001 / size
    table = {
        s: {0: [(float(p), n, float(rng.normal()), False) for n, p in enumerate(row)]}
        for s, row in enumerate(matrix)
    }
    return Model.from_table(table, np.eye(size)[0])


def world(name: str, policy: str) -> tuple[Model, Floats]:
    model = registry.known_model(registry.make(name))
    assert model is not None
    if policy == "random":
        return model, np.full((model.num_states, model.num_actions), 1 / model.num_actions)
    return model, solve(model, "average-reward").policy


def one_action(model: Model) -> tuple[Model, Floats]:
    return model, np.ones((model.num_states, 1))


def estimates(
    model: Model, table: Floats, steps: int, replications: int
) -> tuple[list[Estimate], float]:
    """Estimates from simulated streams, and the exact average reward."""
    length = steps // STREAMS
    rng = np.random.default_rng(steps)
    rewards, states = Simulator(model, table).streams(rng, replications * STREAMS, 2 * length)
    outcomes = possible_outcomes(model, table)
    found = []
    for i in range(0, len(rewards), STREAMS):
        streams = Streams(rewards[i : i + STREAMS], states[i : i + STREAMS], length)
        found.append(average_reward_of_streams(streams, 0.95, outcomes)[0])
    return found, policy_value(model, table).average_reward


def covers(estimate: Estimate, truth: float) -> bool:
    slack = 1e-12 * abs(truth)
    return estimate.low - slack <= truth <= estimate.high + slack


def test_cycles_by_hand() -> None:
    states = np.array([[0, 1, 2, 1, 0, 1, 2], [2, 1, 0, 0, 1, 2, 1]])
    rewards = np.array([[5.0, 1, 2, 3, 4, 6], [7.0, 1, 1, 1, 8, 9]])
    assert regeneration_state(states[:, :4]) == 0
    streams = Streams(rewards, states, 3)
    assert regeneration_state(states[:, :3]) == 1
    cycles = split_cycles(streams)
    assert cycles is not None
    assert cycles.lengths.tolist() == [2, 3]
    assert cycles.sums.tolist() == [1 + 2, 1 + 1 + 1]
    # No stream of three steps comes back to the state.
    assert split_cycles(Streams(rewards[:, :3], states[:, :4], 4)) is None


def test_the_estimate_treats_cycles_as_episodes() -> None:
    model, table = world("RiverSwim", "optimal")
    rewards, states = Simulator(model, table).streams(np.random.default_rng(0), STREAMS, 2000)
    streams = Streams(rewards, states, 1000)
    cycles = split_cycles(streams)
    assert cycles is not None
    estimate, count = average_reward_of_streams(streams, 0.9, possible_outcomes(model, table))
    expected = corrected_ratio_interval(cycles.sums, cycles.lengths, 0.9, "cycles")
    assert (estimate.mean, estimate.low, estimate.high) == (
        expected.mean,
        expected.low,
        expected.high,
    )
    assert count == cycles.lengths.size > 1000


@pytest.mark.parametrize(
    "model",
    [
        world("NearAndFar", "optimal"),
        one_action(cycle_model(7)),
        one_action(cycle_model(40)),
    ],
)
@pytest.mark.parametrize("steps", [400, 1003, 2000])
def test_a_period_is_measured_exactly(model: tuple[Model, Floats], steps: int) -> None:
    """With every budget, an incomplete cycle does not count."""
    (found,), truth = estimates(*model, steps, 1)
    assert covers(found, truth)
    assert found.half_width == 0
    assert found.note is None


@pytest.mark.parametrize(
    ("model", "steps", "refused"),
    [
        (world("RiverSwim", "optimal"), 500, 0.1),
        (world("RiverSwim", "optimal"), 5000, 0.0),
        (one_action(cycle_model(7, 0.03)), 1000, 0.0),
        (one_action(cycle_model(40, 0.03)), 5000, 0.0),
        (one_action(random_model(5, 1.0)), 500, 0.1),
        (one_action(random_model(20, 0.05)), 2000, 0.1),
    ],
)
def test_intervals_cover(model: tuple[Model, Floats], steps: int, refused: float) -> None:
    """At 95 %, without infinite intervals; also on periodic and nearly periodic chains."""
    found, truth = estimates(*model, steps, 500)
    given = [e for e in found if math.isfinite(e.half_width)]
    assert len(given) >= (1 - refused) * len(found)
    assert 0.93 <= np.mean([covers(e, truth) for e in given]) <= 0.97


def test_no_interval_where_a_large_reward_was_not_received() -> None:
    """Random play on RiverSwim rarely reaches the reward of 1, which dominates its mean."""
    found, truth = estimates(*world("RiverSwim", "random"), 1000, 300)
    missed = [e for e in found if not covers(e, truth)]
    assert len(missed) < 0.05 * len(found)
    notes = [e.note or "" for e in found]
    assert any("can receive a reward of 1, but did not in" in note for note in notes)


def test_no_interval_from_a_few_cycles() -> None:
    (found,), truth = estimates(*one_action(cycle_model(40, 1e-6)), 320, 1)
    assert not math.isfinite(found.half_width)
    assert found.mean == pytest.approx(truth, rel=1e-4)
    assert found.note == (
        f"No interval of the average reward: it needs {MIN_CYCLES} returns to the state that "
        "is visited most, and there were 8; about 4,000 steps may be enough."
    )
    (found,), _ = estimates(*one_action(cycle_model(7, 1e-9)), 5000, 1)
    assert "cycles were equal, but other cycles are possible" in (found.note or "")


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_no_interval_where_streams_end_in_different_classes(share: float) -> None:
    """Two classes of states that never meet: more steps do not help, and no interval is given."""
    table = {
        0: {0: [(1 - share, 1, 0.0, False), (share, 2, 0.0, False)]},
        1: {0: [(0.5, 1, 0.0, False), (0.5, 1, 0.1, False)]},
        2: {0: [(1.0, 2, 1.0, False)]},
    }
    model, policy = one_action(Model.from_table(table, np.eye(3)[0]))
    found, _ = estimates(model, policy, 4000, 50)
    assert all(math.isinf(e.half_width) for e in found)
    assert "chance decides in which of 2 groups of states the policy stays" in (found[0].note or "")


def test_states_that_were_not_visited_are_noted() -> None:
    """The interval cannot allow for the rewards of a rare excursion."""
    table = {
        0: {0: [(0.5, 0, 0.0, False), (0.5 - 1e-7, 1, 1.0, False), (1e-7, 2, 0.0, False)]},
        1: {0: [(1.0, 0, 0.0, False)]},
        2: {0: [(1e-3, 0, 0.0, False), (1 - 1e-3, 2, 1.0, False)]},
    }
    (found,), _ = estimates(*one_action(Model.from_table(table, np.eye(3)[0])), 4000, 1)
    assert found.note == (
        "1 of 3 states that the policy can reach were not visited; the interval does not allow for "
        "them."
    )


def test_played_streams_give_cycles() -> None:
    env = registry.make("NearAndFar")
    result = evaluate_policy(optimal_policy(env), "NearAndFar", steps=2000)
    assert result.exact is not None
    assert covers(result.average_reward, result.exact.average_reward)
    assert result.cycles == STREAMS * 7  # the eighth begins after the 250 steps of each stream
    assert 2000 <= result.steps <= 2000 + STREAMS * 40
    coordinates = evaluate_policy(
        UniformPolicy(4), "NearAndFar?observation=coordinates", steps=4000
    )
    numbers = evaluate_policy(UniformPolicy(4), "NearAndFar", steps=4000)
    assert coordinates.average_reward == numbers.average_reward
    assert coordinates.cycles == numbers.cycles


def test_a_policy_with_an_inner_state_has_no_interval() -> None:
    """Parts of equal length would alias with the period of the policy."""
    result = evaluate_policy(Predictor(has_state=True), "RiverSwim", steps=8000)
    assert result.cycles is None
    assert math.isinf(result.average_reward.half_width)
    assert "the policy has an inner state" in " ".join(result.notes)
