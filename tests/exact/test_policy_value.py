"""Exact values of a policy, compared with dense methods that share no code, and simulations."""

import math

import numpy as np
import pytest
from dense import (
    Dense,
    Floats,
    dense_gain,
    dense_totals,
    long_run,
    random_model,
    random_policy,
    same,
    uniform,
)
from scipy.sparse import csr_array

from gridcade.envs.gridworld import GridWorld, grid_model
from gridcade.envs.maps import parse_world
from gridcade.envs.riverswim import RiverSwim
from gridcade.envs.tabular import Model, Outcome
from gridcade.errors import InputError
from gridcade.exact import chains, solver
from simulation import Simulator

UP = 0


def test_policy_value_agrees_with_dense_methods_on_random_models() -> None:
    seen = {"ends": 0, "finite": 0, "inf": 0, "-inf": 0, "nan": 0}
    for seed in range(220):
        rng = np.random.default_rng(seed)
        size, ending = int(rng.integers(1, 9)), float(rng.choice([0.02, 0.1, 0.3]))
        model = random_model(rng, size, int(rng.integers(1, 4)), ending)
        dense, policy = Dense.of(model), random_policy(rng, model)
        value = solver.policy_value(model, policy, discount=0.9)
        transitions, _, rewards = dense.under(policy)
        by_solve = np.linalg.solve(np.eye(size) - 0.9 * transitions, rewards)
        assert same(value.discounted_return, float(dense.start @ by_solve)), seed
        gain = float(dense.start @ dense_gain(dense, policy))
        assert same(value.average_reward, gain), seed
        if model.continuing:
            assert value.expected_return is value.episode_length is None
            continue
        total, length = dense_totals(dense, policy)
        assert same(value.expected_return, total), seed
        assert same(value.episode_length, length), seed
        if math.isfinite(length):
            seen["ends"] += 1
            assert same(value.average_reward, total / length), seed  # renewal reward
        else:
            seen["finite" if math.isfinite(total) else str(total)] += 1
    assert min(seen.values()) > 2, seen


def test_gain_and_bias_solve_the_evaluation_equations_of_multichain_models() -> None:
    counts = set()
    for seed in range(100):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(1, 12))
        chain = np.zeros((size, size))
        for row in chain:
            row[rng.integers(size, size=rng.integers(1, 3))] = rng.random()
            row /= row.sum()
        rewards = rng.normal(size=size)
        gains, bias = chains.gain_and_bias(csr_array(chain), rewards, np.ones(size))
        np.testing.assert_allclose(gains, long_run(chain) @ rewards, atol=1e-8)
        np.testing.assert_allclose(chain @ gains, gains, atol=1e-8)
        np.testing.assert_allclose(bias + gains, rewards + chain @ bias, atol=1e-8)
        counts.add(len(np.unique(gains.round(8))))
    assert len(counts) > 2


# The states after the first step: "end" ends at once with reward 3, the others never end.
FATES: dict[str, dict[int, list[Outcome]]] = {
    "end": {0: [(1.0, 0, 3.0, True)]},
    "rest": {1: [(1.0, 1, 0.0, False)]},
    "earn": {1: [(1.0, 1, 1.0, False)]},
    "pay": {1: [(1.0, 1, -1.0, False)]},
    "swing": {1: [(1.0, 2, 1.0, False)], 2: [(1.0, 1, -1.0, False)]},
    "cancel": {1: [(0.1, 1, -0.1, False), (0.2, 1, -0.3, False), (0.7, 1, 0.1, False)]},
}


def fates(*names: str) -> Model:
    """A first step with reward 2 that leads to each of the fates with equal probability."""
    table: dict[int, dict[int, list[Outcome]]] = {0: {0: []}}
    for name in names:
        first = len(table)
        table[0][0].append((1 / len(names), first, 2.0, False))
        states = FATES[name]
        low = min(states)
        for s in sorted(states):
            table[len(table)] = {
                0: [(p, t - low + first, r, end) for p, t, r, end in states[s]],
            }
    # A state that is never reached gives the model an end.
    table[len(table)] = {0: [(1.0, 0, 0.0, True)]}
    return Model.from_table(table, np.eye(len(table))[0])


@pytest.mark.parametrize(
    ("names", "expected_return", "length", "gain"),
    [
        (["end"], 5.0, 2.0, 2.5),
        (["rest"], 2.0, math.inf, 0.0),
        (["end", "rest"], 3.5, math.inf, 0.0),
        (["earn"], math.inf, math.inf, 1.0),
        (["pay"], -math.inf, math.inf, -1.0),
        (["end", "earn"], math.inf, math.inf, 1.0),
        (["rest", "pay"], -math.inf, math.inf, -0.5),
        (["swing"], math.nan, math.inf, 0.0),
        (["earn", "pay"], math.nan, math.inf, 0.0),
        (["earn", "swing"], math.inf, math.inf, 0.5),
        (["pay", "swing", "rest"], -math.inf, math.inf, -1 / 3),
        (["cancel"], 2.0, math.inf, 0.0),
    ],
)
def test_values_of_episodes_that_may_never_end(
    names: list[str], expected_return: float, length: float, gain: float
) -> None:
    model = fates(*names)
    value = solver.policy_value(model, uniform(model))
    assert same(value.expected_return, expected_return)
    assert value.episode_length == pytest.approx(length)
    assert value.average_reward == pytest.approx(gain, abs=1e-12)


def test_extremely_long_episodes_count_as_endless() -> None:
    # Always up, in a field where moves stray: reaching the goal below takes 1e40 steps.
    rows = ["." * 40] * 40
    rows[0], rows[30] = "S" + "." * 39, "." * 20 + "G" + "." * 19
    model = grid_model(parse_world("step reward: -1\nstray: 0.2\nmap:\n" + "\n".join(rows)))
    value = solver.policy_value(model, np.eye(4)[[UP] * model.num_states])
    assert (value.expected_return, value.episode_length) == (-math.inf, math.inf)
    assert value.average_reward == pytest.approx(-1)
    assert value.discounted_return == pytest.approx(-100)


@pytest.mark.parametrize("probability", [1e-16, 1e-20, 1e-300])
def test_probability_below_machine_precision_counts_as_zero(probability: float) -> None:
    table: dict[int, dict[int, list[Outcome]]] = {
        0: {0: [(1.0, 1, 1.0, False)], 1: [(1.0, 0, 5.0, True)]},
        1: {0: [(1.0, 0, 2.0, False)], 1: [(1.0, 0, 5.0, True)]},
    }
    model = Model.from_table(table, [1.0, 0.0])
    never = solver.policy_value(model, [[1.0, 0.0], [1.0, 0.0]])
    assert solver.policy_value(model, [[1.0, probability], [1.0, probability]]) == never
    assert (never.expected_return, never.episode_length) == (math.inf, math.inf)
    assert never.average_reward == pytest.approx(1.5)


def test_continuing_task_has_no_return_and_no_length() -> None:
    for model in (RiverSwim().model, GridWorld("NearAndFar").model):
        value = solver.policy_value(model, uniform(model))
        assert value.expected_return is None
        assert value.episode_length is None
        assert math.isfinite(value.average_reward)


def test_single_precision_policy_is_accepted() -> None:
    model = GridWorld("FourRooms").model
    policy = random_policy(np.random.default_rng(0), model)
    exact = solver.policy_value(model, policy)
    value = solver.policy_value(model, policy.astype(np.float32))
    assert value.average_reward == pytest.approx(exact.average_reward, rel=1e-5)
    assert value.average_reward == pytest.approx(1 / (value.episode_length or 0), rel=1e-9)


def test_rounding_that_makes_the_average_reward_impossible_is_an_error() -> None:
    """The policy leaves pairs of states with probability 1e-18, and 1 - 1e-18 rounds to 1."""
    table: dict[int, dict[int, list[Outcome]]] = {
        0: {0: [(0.5, 1, 0.0, False), (0.5, 3, 0.0, False)]}
    }
    for first, leave, reward in ((1, 1e-9, 1.0), (3, 2e-9, 0.0)):
        for state, other, ends in ((first, first + 1, False), (first + 1, first, True)):
            stays = (1 - leave, first, reward, False)
            table[state] = {0: [stays, (leave, other, reward, ends)]}
    model = Model.from_table(table, np.eye(5)[0])
    with pytest.raises(InputError, match="too long to be solved"):
        solver.policy_value(model, np.ones((5, 1)))


# --- time limits ---


def test_time_limit_agrees_with_dense_propagation() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        model = random_model(rng, int(rng.integers(1, 9)), 2, 0.3)
        if model.continuing:
            continue
        policy, limit = random_policy(rng, model), int(rng.integers(1, 30))
        transitions, _, rewards = Dense.of(model).under(policy)
        total = discounted = length = 0.0
        for t in range(limit):
            alive = model.start @ np.linalg.matrix_power(transitions, t)
            total += float(alive @ rewards)
            discounted += 0.9**t * float(alive @ rewards)
            length += float(alive.sum())
        value = solver.policy_value(model, policy, discount=0.9, time_limit=limit)
        assert same(value.expected_return, total), seed
        assert same(value.discounted_return, discounted), seed
        assert same(value.episode_length, length), seed
        assert same(value.average_reward, total / length), seed


def test_steps_in_a_circle_are_counted_without_being_taken() -> None:
    """The time limit is about 10^12 steps, which would take days one by one."""
    limit, gamma, lengths = 10**12 + 7, 0.9, set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(2, 30))
        following, rewards = rng.integers(size, size=size), rng.integers(-3, 5, size)
        steps = enumerate(zip(following.tolist(), rewards.tolist(), strict=True))
        table = {s: {0: [(1.0, after, float(r), False)]} for s, (after, r) in steps}
        table[size] = {0: [(1.0, 0, 0.0, True)]}  # is never reached
        path, state = [], 0
        while state not in path:
            path.append(state)
            state = int(following[state])
        first, paid = path.index(state), rewards[path]
        circle = paid[first:]
        circles, left = divmod(limit - first, len(circle))
        model = Model.from_table(table, np.eye(size + 1)[0])
        value = solver.policy_value(model, uniform(model), gamma, time_limit=limit)
        total = paid[:first].sum() + circles * circle.sum() + circle[:left].sum()
        assert value.expected_return == pytest.approx(total, rel=1e-12)
        assert value.episode_length == limit
        weights = gamma ** np.arange(len(path))
        weights[first:] /= 1 - gamma ** len(circle)
        assert value.discounted_return == pytest.approx(weights @ paid, rel=1e-12, abs=1e-12)
        lengths.add(len(circle))
    assert {1, 2, 3, 4} < lengths


@pytest.mark.parametrize(
    ("name", "limit"), [("FourRooms", 60), ("RussellNorvig4x3", 15), ("SlipperyLake", 400)]
)
def test_time_limit_agrees_with_simulation(name: str, limit: int) -> None:
    model = GridWorld(name).model
    rng = np.random.default_rng(7)
    policy, episodes, gamma = random_policy(rng, model), 20_000, 0.95
    value = solver.policy_value(model, policy, discount=gamma, time_limit=limit)
    samples = Simulator(model, policy).episodes(rng, episodes, gamma, limit)
    errors = samples.std(axis=1, ddof=1) / math.sqrt(episodes)
    expected = [value.expected_return, value.discounted_return, value.episode_length]
    for mean, error, exact in zip(samples.mean(axis=1), errors, expected, strict=True):
        assert exact is not None
        assert abs(mean - exact) < 5 * error
    returns, _, lengths = samples
    ratio = returns.sum() / lengths.sum()
    error = (returns - ratio * lengths).std(ddof=1) / (lengths.mean() * math.sqrt(episodes))
    assert abs(ratio - value.average_reward) < 5 * error


def test_time_limit_that_is_never_reached_changes_nothing() -> None:
    model = GridWorld("RussellNorvig4x3").model
    free = solver.policy_value(model, uniform(model))
    limited = solver.policy_value(model, uniform(model), time_limit=100_000)
    for name in ("expected_return", "discounted_return", "episode_length", "average_reward"):
        assert getattr(limited, name) == pytest.approx(getattr(free, name), abs=1e-9)


def test_time_limit_makes_endless_episode_finite() -> None:
    model = fates("earn")
    value = solver.policy_value(model, uniform(model), time_limit=10)
    assert (value.expected_return, value.episode_length) == (2 + 9, 10)
    assert value.average_reward == 1.1


# --- bad input ---


@pytest.mark.parametrize(
    "policy",
    [
        np.full((4, 2), 0.5),
        np.full(4, 1.0),
        np.tile([1.5, -0.5, 0.0, 0.0], (11, 1)),
        np.full((11, 4), 0.25001),
        np.full((11, 4), math.nan),
        np.zeros((11, 4)),
    ],
)
def test_table_that_is_no_policy_is_an_error(policy: Floats) -> None:
    with pytest.raises(InputError, match="the policy"):
        solver.policy_value(GridWorld("RussellNorvig4x3").model, policy)


@pytest.mark.parametrize("discount", [1.0, 1.5, -0.1, math.nan])
def test_discount_outside_its_range_is_an_error(discount: float) -> None:
    model = RiverSwim().model
    for call in (
        lambda: solver.policy_value(model, uniform(model), discount=discount),
        lambda: solver.solve(model, "discounted", discount=discount),
        lambda: solver.check_discount(discount),
    ):
        with pytest.raises(InputError, match="it must be at least 0 and less than 1"):
            call()


def test_wrong_time_limit_is_an_error() -> None:
    river, rooms = RiverSwim().model, GridWorld("FourRooms").model
    with pytest.raises(InputError, match="a continuing task cannot have a time limit"):
        solver.policy_value(river, uniform(river), time_limit=10)
    with pytest.raises(InputError, match="time_limit is 0; it must be an integer, 1 or greater"):
        solver.policy_value(rooms, uniform(rooms), time_limit=0)
