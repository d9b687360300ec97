"""The exact answers agree with published numbers, and with dense methods that share no code."""

import itertools
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

from gridcade.envs import registry
from gridcade.envs.gridworld import GridWorld, grid_model
from gridcade.envs.maps import Cell, World, parse_world
from gridcade.envs.maze import draw_maze
from gridcade.envs.riverswim import LEFT, RIGHT, RiverSwim
from gridcade.envs.tabular import Model, Outcome
from gridcade.errors import InputError
from gridcade.exact import solver

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UP, MOVE_RIGHT, DOWN, MOVE_LEFT = range(4)


# --- dense methods, to compare with ---


@dataclass
class Dense:
    """A model as arrays over everything."""

    onward: Floats  # [states, actions, states]: without what ends
    ends: Floats  # [states, actions]
    rewards: Floats  # [states, actions]
    start: Floats  # [states]

    @classmethod
    def of(cls, model: Model) -> "Dense":
        states, actions = model.num_states, model.num_actions
        dense = cls(
            np.zeros((states, actions, states)),
            np.zeros((states, actions)),
            np.zeros((states, actions)),
            model.start,
        )
        for s, row in model.table().items():
            for a, outcomes in row.items():
                for p, s_next, reward, terminated in outcomes:
                    dense.rewards[s, a] += p * reward
                    if terminated:
                        dense.ends[s, a] += p
                    else:
                        dense.onward[s, a, s_next] += p
        return dense

    @property
    def restarted(self) -> Floats:
        """Transitions with every end leading to the start.  [states, actions, states]."""
        return self.onward + self.ends[:, :, None] * self.start

    def under(self, policy: Floats) -> tuple[Floats, Floats, Floats]:
        """Transitions, ends and rewards of a policy."""
        return (
            np.einsum("sa,sat->st", policy, self.onward),
            (policy * self.ends).sum(axis=1),
            (policy * self.rewards).sum(axis=1),
        )


def long_run(chain: Floats) -> Floats:
    """The limiting average of a chain's powers, of a period or none (through the lazy chain)."""
    power = (np.eye(len(chain)) + chain) / 2
    for _ in range(50):
        power = power @ power
        power /= power.sum(axis=1, keepdims=True)
    return power


def dense_gain(dense: Dense, policy: Floats) -> Floats:
    """The average reward from each state, ends leading to the start.  [states]."""
    transitions, ends, rewards = dense.under(policy)
    return np.asarray(long_run(transitions + np.outer(ends, dense.start)) @ rewards)


def dense_totals(dense: Dense, policy: Floats) -> tuple[float, float]:
    """Expected return and length, with a state for what has ended, by the deviation matrix."""
    transitions, ends, rewards = dense.under(policy)
    size = len(rewards) + 1
    chain = np.zeros((size, size))
    chain[:-1, :-1], chain[:-1, -1], chain[-1, -1] = transitions, ends, 1.0
    limit = long_run(chain)
    start, paid = np.append(dense.start, 0.0), np.append(rewards, 0.0)
    deviation = np.linalg.solve(np.eye(size) - chain + limit, np.eye(size) - limit)
    stays = np.flatnonzero((start @ limit > 1e-9)[:-1])
    if not stays.size:
        steps = np.append(np.ones(size - 1), 0.0)
        return float(start @ deviation @ paid), float(start @ deviation @ steps)
    if not paid[stays].any():
        return float(start @ deviation @ paid), math.inf
    gains = (limit @ paid)[stays]
    if gains.max() > 1e-9 and gains.min() > -1e-9:
        return math.inf, math.inf
    if gains.min() < -1e-9 and gains.max() < 1e-9:
        return -math.inf, math.inf
    return math.nan, math.inf


def random_model(
    rng: np.random.Generator,
    states: int,
    actions: int,
    ending: float,
    *,
    branches: int = 2,
    traps: int = 0,
    rewards: tuple[float, ...] = (-1.0, 0.0, 0.0, 1.0),
) -> Model:
    """A model of few outcomes, so that there are loops and ties; traps stay for nothing."""
    table: dict[int, dict[int, list[Outcome]]] = {}
    for s in range(states):
        table[s] = {}
        for a in range(actions):
            weights = rng.integers(1, 4, size=rng.integers(1, branches + 1))
            table[s][a] = [
                (
                    float(w / weights.sum()),
                    int(rng.integers(states)),
                    float(rng.choice(rewards)),
                    bool(rng.random() < ending),
                )
                for w in weights
            ]
            if s < traps:
                table[s][a] = [(1.0, s, 0.0, False)]
    start = rng.integers(0, 3, size=states).astype(float)
    start[rng.integers(states)] += 1
    return Model.from_table(table, start / start.sum())


def random_policy(rng: np.random.Generator, model: Model) -> Floats:
    """Random probabilities, some of them 0."""
    table = rng.random((model.num_states, model.num_actions))
    table *= rng.random(table.shape) < 0.6
    table[np.arange(len(table)), rng.integers(model.num_actions, size=len(table))] += 0.1
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def all_policies(model: Model) -> list[Floats]:
    """Every deterministic policy."""
    choices = itertools.product(range(model.num_actions), repeat=model.num_states)
    return [np.eye(model.num_actions)[list(actions)] for actions in choices]


def uniform(model: Model) -> Floats:
    """The policy that takes each action as often."""
    return np.full((model.num_states, model.num_actions), 1 / model.num_actions)


def minimise(costs: Floats, rows: Floats, least: Floats) -> Floats:
    """The x of least cost with rows x >= least, by linear programming."""
    found = linprog(costs, -rows, -least, bounds=(None, None))
    assert found.success
    return np.asarray(found.x)


def same(one: float | None, other: float) -> bool:
    """Whether two numbers agree; infinite ones and nan included."""
    return one is not None and bool(np.isclose(one, other, rtol=1e-7, atol=1e-8, equal_nan=True))


# --- known answers ---


def test_russell_and_norvigs_utilities() -> None:
    env = GridWorld("RussellNorvig4x3")
    values = solver.solve(env.model, "return").values
    told = [0.812, 0.868, 0.918, 0, 0.762, 0.660, 0, 0.705, 0.655, 0.611, 0.388]  # 0: the ends
    np.testing.assert_allclose(values, told, atol=0.0005)


@pytest.mark.parametrize(
    ("name", "best", "length"),
    [
        ("CliffWalk", -13, 13),
        ("CliffWalking", -13, 13),  # toy_text's
        ("WindyGrid", -15, 15),
        ("DynaMaze", 1, 14),
        ("FrozenLake?is_slippery=false", 1, 6),
        ("FrozenLake?map_name=8x8&is_slippery=false", 1, 14),
    ],
)
def test_the_best_return_and_the_shortest_way_to_it(name: str, best: float, length: float) -> None:
    model = registry.known_model(registry.make(name))
    assert model is not None
    solution = solver.solve(model, "return")
    assert solution.value == pytest.approx(best, abs=1e-9)
    value = solver.policy_value(model, solution.policy, discount=0.9)
    assert value.expected_return == pytest.approx(best, abs=1e-9)
    assert value.episode_length == pytest.approx(length, abs=1e-9)
    assert value.average_reward == solution.average_reward == pytest.approx(best / length, abs=1e-9)
    assert solution.criterion == "return"
    assert solution.discount is None
    assert solution.bias is None


def test_the_best_return_on_the_slippery_lake_of_toy_text() -> None:
    model = registry.known_model(registry.make("FrozenLake"))
    assert model is not None
    assert solver.solve(model, "return").value == pytest.approx(14 / 17, abs=1e-9)  # 0.8235


def test_dyna_maze_is_worth_its_discounted_way() -> None:
    solution = solver.solve(GridWorld("DynaMaze").model, "discounted", discount=0.95)
    assert solution.value == pytest.approx(0.95**13, abs=1e-9)
    assert (solution.criterion, solution.discount) == ("discounted", 0.95)


def test_near_and_far_have_different_best_policies() -> None:
    env = GridWorld("NearAndFar")
    start = env.world.places(symbol="S")[0]
    s, gamma = env.world.places().index(start), 0.99
    far, near = solver.solve(env.model), solver.solve(env.model, "discounted", discount=gamma)
    assert far.criterion == "average-reward"
    assert far.policy[s, MOVE_RIGHT] == near.policy[s, DOWN] == 1
    assert far.value == far.average_reward == pytest.approx(11 / 40, abs=1e-9)
    assert near.average_reward == pytest.approx(1 / 4, abs=1e-9)
    assert near.value == pytest.approx(gamma**3 / (1 - gamma**4), abs=1e-9)
    worth = solver.policy_value(env.model, far.policy, discount=gamma).discounted_return
    assert worth == pytest.approx(11 * gamma**39 / (1 - gamma**40), abs=1e-9)
    assert worth < near.value
    patient = solver.solve(env.model, "discounted", discount=0.9999)
    assert patient.policy[s, MOVE_RIGHT] == 1


@pytest.mark.parametrize("length", [3, 6, 12, 20])
def test_river_swims_gain_by_detailed_balance(length: int) -> None:
    model = RiverSwim(length=length).model
    # Swimming up is a birth-and-death chain: what goes up between two states comes down.
    weights = [1.0]
    for s in range(1, length):
        up, down = (0.6 if s == 1 else 0.35), (0.4 if s == length - 1 else 0.05)
        weights.append(weights[-1] * up / down)
    gain = weights[-1] / sum(weights)
    swimming = np.eye(2)[[RIGHT] * length]
    assert solver.policy_value(model, swimming).average_reward == pytest.approx(gain, abs=1e-12)
    solution = solver.solve(model, "average-reward")
    assert (solution.policy == swimming).all()
    assert solution.value == solution.average_reward == pytest.approx(gain, abs=1e-12)
    np.testing.assert_allclose(solution.values, gain)
    drifting = solver.policy_value(model, np.eye(2)[[LEFT] * length])
    assert drifting.average_reward == pytest.approx(0.005, abs=1e-12)


# --- evaluation ---


def test_a_random_policy_on_a_random_model_by_dense_methods() -> None:
    seen = {"ends": 0, "finite": 0, "inf": 0, "-inf": 0, "nan": 0}
    for seed in range(400):
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


def test_gain_and_bias_solve_the_evaluation_equations_of_chains_of_many_classes() -> None:
    counts = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(1, 12))
        chain = np.zeros((size, size))
        for row in chain:
            row[rng.integers(size, size=rng.integers(1, 3))] = rng.random()
            row /= row.sum()
        rewards = rng.normal(size=size)
        gains, bias = solver.gain_and_bias(csr_array(chain), rewards, np.ones(size))
        np.testing.assert_allclose(gains, long_run(chain) @ rewards, atol=1e-8)
        np.testing.assert_allclose(chain @ gains, gains, atol=1e-8)
        np.testing.assert_allclose(bias + gains, rewards + chain @ bias, atol=1e-8)
        counts.add(len(np.unique(gains.round(8))))
    assert len(counts) > 2


# State 0 chooses a fate; "0" ends at once for the reward 3, the others never end.
FATES: dict[str, dict[int, list[Outcome]]] = {
    "end": {0: [(1.0, 0, 3.0, True)]},
    "rest": {1: [(1.0, 1, 0.0, False)]},
    "earn": {1: [(1.0, 1, 1.0, False)]},
    "pay": {1: [(1.0, 1, -1.0, False)]},
    "swing": {1: [(1.0, 2, 1.0, False)], 2: [(1.0, 1, -1.0, False)]},
    "cancel": {1: [(0.1, 1, -0.1, False), (0.2, 1, -0.3, False), (0.7, 1, 0.1, False)]},
}


def fates(*names: str) -> Model:
    """Begin in a state that is left for one of the fates, evenly, with the reward 2."""
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
    # A state that never starts, so that the model has an end.
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
def test_episodes_that_may_never_end(
    names: list[str], expected_return: float, length: float, gain: float
) -> None:
    model = fates(*names)
    value = solver.policy_value(model, uniform(model))
    assert same(value.expected_return, expected_return)
    assert value.episode_length == pytest.approx(length)
    assert value.average_reward == pytest.approx(gain, abs=1e-12)


def test_episodes_beyond_any_number_count_as_endless() -> None:
    # Always up, in a field where a move strays: to come down to the goal takes 1e40 steps.
    rows = ["." * 40] * 40
    rows[0], rows[30] = "S" + "." * 39, "." * 20 + "G" + "." * 19
    model = grid_model(parse_world("step reward: -1\nstray: 0.2\nmap:\n" + "\n".join(rows)))
    value = solver.policy_value(model, np.eye(4)[[UP] * model.num_states])
    assert (value.expected_return, value.episode_length) == (-math.inf, math.inf)
    assert value.average_reward == pytest.approx(-1)
    assert value.discounted_return == pytest.approx(-100)


@pytest.mark.parametrize("chance", [1e-16, 1e-20, 1e-300])
def test_a_probability_below_all_precision_is_none(chance: float) -> None:
    loop: dict[int, dict[int, list[Outcome]]] = {
        0: {0: [(1.0, 1, 1.0, False)], 1: [(1.0, 0, 5.0, True)]},
        1: {0: [(1.0, 0, 2.0, False)], 1: [(1.0, 0, 5.0, True)]},
    }
    model = Model.from_table(loop, [1.0, 0.0])
    never = solver.policy_value(model, [[1.0, 0.0], [1.0, 0.0]])
    assert solver.policy_value(model, [[1.0, chance], [1.0, chance]]) == never
    assert (never.expected_return, never.episode_length) == (math.inf, math.inf)
    assert never.average_reward == pytest.approx(1.5)


def test_a_continuing_task_has_no_return_and_no_length() -> None:
    for model in (RiverSwim().model, GridWorld("NearAndFar").model):
        value = solver.policy_value(model, uniform(model))
        assert value.expected_return is None
        assert value.episode_length is None
        assert math.isfinite(value.average_reward)


def test_single_precision_policies_are_policies() -> None:
    model = GridWorld("FourRooms").model
    policy = random_policy(np.random.default_rng(0), model)
    exact = solver.policy_value(model, policy)
    value = solver.policy_value(model, policy.astype(np.float32))
    assert value.average_reward == pytest.approx(exact.average_reward, rel=1e-5)
    assert value.average_reward == pytest.approx(1 / (value.episode_length or 0), rel=1e-9)


# --- time limits ---


def test_a_time_limit_by_dense_propagation() -> None:
    for seed in range(100):
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


def simulate(
    rng: np.random.Generator, model: Model, policy: Floats, limit: int, gamma: float, episodes: int
) -> Floats:
    """Return, discounted return and length of many episodes at once.  [3, episodes]."""
    table = model.table()
    shape = (model.num_states, model.num_actions, int(np.diff(model.offsets).max()))
    chances, after = np.zeros(shape), np.zeros(shape, dtype=int)
    rewards, ends = np.zeros(shape), np.zeros(shape, dtype=bool)
    for s, a, k in np.ndindex(*shape):
        if k < len(table[s][a]):
            chances[s, a, k], after[s, a, k], rewards[s, a, k], ends[s, a, k] = table[s][a][k]
    sums, policy_sums = chances.cumsum(axis=2), policy.cumsum(axis=1)
    states = rng.choice(model.num_states, size=episodes, p=model.start)
    samples, alive = np.zeros((3, episodes)), np.ones(episodes, dtype=bool)
    for t in range(limit):
        u, w = rng.random((2, episodes, 1)) * (1 - 1e-12)
        a = (policy_sums[states] > u).argmax(axis=1)
        k = (sums[states, a] > w).argmax(axis=1)
        reward = rewards[states, a, k] * alive
        samples += np.stack([reward, gamma**t * reward, alive])
        alive &= ~ends[states, a, k]
        states = after[states, a, k]
    return samples


@pytest.mark.parametrize(
    ("name", "limit"), [("FourRooms", 60), ("RussellNorvig4x3", 15), ("SlipperyLake", 400)]
)
def test_a_time_limit_by_simulation(name: str, limit: int) -> None:
    model = GridWorld(name).model
    rng = np.random.default_rng(7)
    policy, episodes, gamma = random_policy(rng, model), 20_000, 0.95
    value = solver.policy_value(model, policy, discount=gamma, time_limit=limit)
    samples = simulate(rng, model, policy, limit, gamma, episodes)
    errors = samples.std(axis=1, ddof=1) / math.sqrt(episodes)
    expected = [value.expected_return, value.discounted_return, value.episode_length]
    for mean, error, exact in zip(samples.mean(axis=1), errors, expected, strict=True):
        assert exact is not None
        assert abs(mean - exact) < 5 * error
    returns, _, lengths = samples
    ratio = returns.sum() / lengths.sum()
    error = (returns - ratio * lengths).std(ddof=1) / (lengths.mean() * math.sqrt(episodes))
    assert abs(ratio - value.average_reward) < 5 * error


def test_a_time_limit_that_is_never_reached_changes_nothing() -> None:
    model = GridWorld("RussellNorvig4x3").model
    free = solver.policy_value(model, uniform(model))
    limited = solver.policy_value(model, uniform(model), time_limit=100_000)
    for name in ("expected_return", "discounted_return", "episode_length", "average_reward"):
        assert getattr(limited, name) == pytest.approx(getattr(free, name), abs=1e-9)


def test_a_time_limit_makes_every_episode_end() -> None:
    model = fates("earn")
    value = solver.policy_value(model, uniform(model), time_limit=10)
    assert (value.expected_return, value.episode_length) == (2 + 9, 10)
    assert value.average_reward == 1.1


# --- optimal policies ---


def test_the_best_discounted_policy_by_linear_programming() -> None:
    for seed in range(120):
        rng = np.random.default_rng(seed)
        model = random_model(rng, int(rng.integers(1, 12)), int(rng.integers(1, 5)), 0.1)
        dense, gamma = Dense.of(model), float(rng.choice([0.0, 0.5, 0.9, 0.99]))
        size = model.num_states
        rows = (np.eye(size)[:, None] - gamma * dense.onward).reshape(-1, size)
        found = minimise(np.ones(size), rows, dense.rewards.ravel())
        solution = solver.solve(model, "discounted", discount=gamma)
        np.testing.assert_allclose(solution.values, found, atol=1e-6)
        assert solution.value == pytest.approx(dense.start @ solution.values)
        value = solver.policy_value(model, solution.policy, discount=gamma)
        assert same(value.discounted_return, solution.value), seed
        assert value.average_reward == solution.average_reward


def test_the_best_gain_by_linear_programming() -> None:
    """Puterman (1994), section 9.3: the linear programme of chains of many classes."""
    for seed in range(150):
        rng = np.random.default_rng(seed)
        ending = float(rng.choice([0.0, 0.05, 0.3]))
        model = random_model(rng, int(rng.integers(1, 10)), int(rng.integers(1, 4)), ending)
        dense, size = Dense.of(model), model.num_states
        onward = dense.restarted.reshape(-1, size)
        present = np.repeat(np.eye(size), model.num_actions, axis=0)
        rows = np.block([[present - onward, np.zeros_like(onward)], [present, present - onward]])
        least = np.concatenate([np.zeros(len(onward)), dense.rewards.ravel()])
        costs = np.append(np.ones(size), np.zeros(size))
        found = minimise(costs, rows, least)[:size]
        solution = solver.solve(model, "average-reward")
        np.testing.assert_allclose(solution.values, found, atol=1e-6, err_msg=f"{seed}")
        assert same(solution.value, float(model.start @ solution.values)), seed
        assert same(solution.average_reward, solution.value), seed
        gains = dense_gain(dense, solution.policy)
        np.testing.assert_allclose(gains, solution.values, atol=1e-8)


def test_the_best_gain_by_trying_every_policy() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        model = random_model(rng, int(rng.integers(1, 5)), 2, float(rng.choice([0.0, 0.1, 0.3])))
        dense = Dense.of(model)
        best = np.max([dense_gain(dense, policy) for policy in all_policies(model)], axis=0)
        np.testing.assert_allclose(solver.solve(model, "average-reward").values, best, atol=1e-8)


def test_the_bias_of_the_best_gain_satisfies_the_optimality_equation() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        model = random_model(rng, 6, 3, 0.0)
        dense, solution = Dense.of(model), solver.solve(model, "average-reward")
        assert solution.bias is not None
        scores = dense.rewards + dense.onward @ solution.bias
        keeps = dense.onward @ solution.values >= solution.values[:, None] - 1e-8
        assert (dense.onward @ solution.values <= solution.values[:, None] + 1e-8).all()
        best = np.where(keeps, scores, -np.inf).max(axis=1)
        np.testing.assert_allclose(solution.bias + solution.values, best, atol=1e-7)


def closed_under(transitions: Floats, ends: Floats, start: Floats) -> bool:
    """Whether every state that is reached can still reach an end."""
    size = len(start)
    steps = np.eye(size) + (transitions > 0)
    reach = (np.linalg.matrix_power(steps, size) > 0).astype(float)
    reached, can_end = start @ reach > 0, reach @ ends > 0
    return not (reached & ~can_end).any()


def best_return_by_trying(model: Model) -> tuple[float, float] | str:
    """The best return of a policy that ends, and the shortest way to it; or why there is none."""
    dense, size = Dense.of(model), model.num_states
    ends_from = np.zeros(size, dtype=bool)
    endless = np.zeros(size)  # the best gain of staying for ever, where a policy stays
    results = []
    for policy in all_policies(model):
        transitions, ends, rewards = dense.under(policy)
        ends_from |= [closed_under(transitions, ends, one) for one in np.eye(size)]
        chain = np.zeros((size + 1, size + 1))
        chain[:-1, :-1], chain[:-1, -1], chain[-1, -1] = transitions, ends, 1.0
        limit = long_run(chain)
        gains = limit @ np.append(rewards, 0.0)
        endless = np.maximum(endless, np.where(np.diag(limit) > 1e-9, gains, 0.0)[:-1])
        if closed_under(transitions, ends, model.start):
            results.append(dense_totals(dense, policy))
    if not results:
        return "no policy ends"
    if (endless[ends_from] > 1e-9).any():
        return "no bound"
    best = max(total for total, _ in results)
    return best, min(length for total, length in results if total > best - 1e-9)


def test_the_best_return_by_trying_every_policy() -> None:
    seen = {"solved": 0, "no policy ends": 0, "no bound": 0}
    for seed in range(300):
        rng = np.random.default_rng(seed)
        size, actions = [(1, 3), (2, 3), (3, 3), (4, 2), (5, 2)][seed % 5]
        branches, ending = int(rng.integers(1, 3)), float(rng.choice([0.1, 0.3, 0.5]))
        rewards = (0.0, 0.0, 0.0, -1.0, 1.0) if rng.random() < 0.5 else (0.0, -1.0, -2.0, 1.0)
        traps = int(rng.integers(2)) if size > 2 else 0
        model = random_model(
            rng, size, actions, ending, branches=branches, traps=traps, rewards=rewards
        )
        if model.continuing:
            continue
        expected = best_return_by_trying(model)
        if isinstance(expected, str):
            with pytest.raises(InputError, match=expected):
                solver.solve(model, "return")
            seen[expected] += 1
            continue
        solution = solver.solve(model, "return")
        value = solver.policy_value(model, solution.policy)
        assert same(solution.value, expected[0]), seed
        assert same(value.expected_return, expected[0]), seed
        assert same(value.episode_length, expected[1]), seed
        assert solution.average_reward == value.average_reward
        seen["solved"] += 1
    assert min(seen.values()) > 5, seen


def test_the_best_return_by_linear_programming() -> None:
    """Flows from the starts to the ends, where each step may end."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rewards = (-3.0, -1.0, -0.5)
        model = random_model(rng, 15, 4, 0.3, branches=4, rewards=rewards)
        dense, size = Dense.of(model), model.num_states
        rows = (np.eye(size)[:, None] - dense.onward).reshape(-1, size).T
        found = linprog(-dense.rewards.ravel(), A_eq=rows, b_eq=model.start, bounds=(0, None))
        if found.status == 2:  # infeasible
            with pytest.raises(InputError, match="no policy ends"):
                solver.solve(model, "return")
        else:
            best = -float(found.fun or 0)
            assert solver.solve(model, "return").value == pytest.approx(best, abs=1e-6)


def test_loops_of_no_reward_do_not_keep_the_best_return_from_ending() -> None:
    # A ring of ten cells to walk round for nothing, and one way out with a reward.
    table: dict[int, dict[int, list[Outcome]]] = {
        s: {
            0: [(1.0, (s + 1) % 10, 0.0, False)],
            1: [(1.0, (s - 1) % 10, 0.0, False)],
            2: [(1.0, s, 0.0, False)],
            3: [(1.0, s, 1.0, True)] if s == 4 else [(1.0, s, 0.5, True)],
        }
        for s in range(10)
    }
    model = Model.from_table(table, np.eye(10)[0])
    solution = solver.solve(model, "return")
    np.testing.assert_allclose(solution.values, 1.0)
    assert solver.policy_value(model, solution.policy).episode_length == 5
    # The same where the ring pays on its upper half what it costs on the lower.
    for s in range(10):
        pay = 1.0 if s < 5 else -1.0
        table[s][0] = [(1.0, (s + 1) % 10, pay, False)]
        table[s][1] = [(1.0, (s - 1) % 10, -1.0 if 0 < s < 6 else 1.0, False)]
    model = Model.from_table(table, np.eye(10)[0])
    solution = solver.solve(model, "return")
    value = solver.policy_value(model, solution.policy)
    assert solution.value == value.expected_return == pytest.approx(5.5)
    assert value.episode_length == 6


def test_of_the_best_ways_the_shortest_is_taken() -> None:
    # Leave at once for nothing, or for 1 by a way of three moves or one of two.
    way: list[list[Outcome]] = [
        [(1.0, 1, 0.0, False)],
        [(1.0, 2, 0.0, False)],
        [(1.0, 0, 0.0, True)],
    ]
    on: list[Outcome] = [(1.0, 2, 0.0, False)]
    out: list[Outcome] = [(1.0, 0, 1.0, True)]
    for order in itertools.permutations(range(3)):
        table = {
            0: dict(enumerate(way[i] for i in order)),
            1: dict.fromkeys(range(3), on),
            2: dict.fromkeys(range(3), out),
        }
        model = Model.from_table(table, [1.0, 0.0, 0.0])
        solution = solver.solve(model, "return")
        assert solution.value == 1
        assert solver.policy_value(model, solution.policy).episode_length == 2


@pytest.mark.parametrize("length", [6, 15, 30, 60])
@pytest.mark.parametrize("bait", [0.05, 0.2, 0.4])
def test_a_bait_downstream_does_not_hide_the_best_gain(length: int, bait: float) -> None:
    # A discount of 0.99 takes the bait; some policies take 1e20 steps to leave a bank.
    table = RiverSwim(length=length).model.table()
    table[0][LEFT] = [(1.0, 0, bait, False)]
    model = Model.from_table(table, np.eye(length)[0])
    solution = solver.solve(model, "average-reward")
    best = solver.policy_value(model, np.eye(2)[[RIGHT] * length]).average_reward
    assert solution.value == pytest.approx(best, abs=1e-12)
    assert (solution.policy[:, RIGHT] == 1).all()


def test_rare_moves_do_not_blur_the_best_gain() -> None:
    # States that are left once in a million steps, for one another or for good.
    for seed in range(120):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(2, 5))
        table: dict[int, dict[int, list[Outcome]]] = {s: {} for s in range(size)}
        for s, a in itertools.product(range(size), range(2)):
            weights = 10.0 ** -rng.integers(0, 7, size=rng.integers(1, 4))
            table[s][a] = [
                (p, int(rng.integers(size)), float(rng.choice([-1.0, 0.0, 0.5])), False)
                for p in (weights / weights.sum()).tolist()
            ]
        model = Model.from_table(table, np.eye(size)[0])
        dense = Dense.of(model)
        best = max(float(dense_gain(dense, policy)[0]) for policy in all_policies(model))
        assert solver.solve(model, "average-reward").value == pytest.approx(best, abs=1e-6), seed


def test_a_reward_to_be_had_for_ever() -> None:
    # Wait for 1 each step, or leave for 5 and begin anew: the gain depends on how long it took.
    for walk, best in ((1, 5 / 2), (3, 5 / 4), (4, 1.0), (9, 1.0)):
        table: dict[int, dict[int, list[Outcome]]] = {
            s: {a: [(1.0, s + 1, 0.0, False)] for a in range(2)} for s in range(walk)
        }
        table[walk] = {0: [(1.0, walk, 1.0, False)], 1: [(1.0, walk, 5.0, True)]}
        model = Model.from_table(table, np.eye(walk + 1)[0])
        solution = solver.solve(model, "average-reward")
        assert solution.value == solution.average_reward == pytest.approx(best)
        if walk != 4:  # there it is a tie
            assert solution.policy[walk].tolist() == ([0, 1] if walk < 4 else [1, 0])
        with pytest.raises(InputError, match="rewards can be collected for ever"):
            solver.solve(model, "return")


def test_where_no_policy_ends_for_sure_the_values_are_nan() -> None:
    # A pit that is no end lies beside the way; an unlucky start is in it.
    drawn = parse_world("legend:\n  p: to o\n  o: floor\nmap:\nS.G\n#p#\n###\n#o#")
    model = grid_model(drawn)
    values = solver.solve(model, "return").values
    states = drawn.places()
    assert values[states.index((0, 0))] == 1
    assert math.isnan(values[states.index((3, 1))])
    trapped = Model.from_table(model.table(), np.eye(model.num_states)[states.index((3, 1))])
    with pytest.raises(InputError, match="no policy ends for sure from every start"):
        solver.solve(trapped, "return")


@pytest.mark.parametrize("cost", [1e3, 1e9, 1e10])
def test_a_pit_that_is_avoided_does_not_blur_the_rest(cost: float) -> None:
    """However much it would cost: the way to the goal pays 1, the near end nothing."""
    drawn = f"legend:\n  n: end\n  X: end, reward -{cost:g}\nmap:\nnS.G\n##.#\n##X#"
    model = grid_model(parse_world(drawn))
    assert solver.solve(model, "return").value == pytest.approx(1)
    assert solver.solve(model, "discounted", 0.9).value == pytest.approx(0.9)
    assert solver.solve(model, "average-reward").value == pytest.approx(1 / 2)


def test_gains_that_rounding_makes_impossible_are_told() -> None:
    """Pairs of states that are left with a probability of 1e-18: 1 less that is 1."""
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


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1e9])
def test_the_unit_of_reward_does_not_matter(factor: float) -> None:
    for seed in range(25):
        rng = np.random.default_rng(seed)
        model = random_model(rng, 7, 3, 0.2, rewards=(-1.0, -0.5, 0.0, 0.1))
        scaled = Model(**{**vars_of(model), "rewards": model.rewards * factor})
        for criterion in ("return", "discounted", "average-reward"):
            try:
                usual = solver.solve(model, criterion)
            except InputError as error:
                with pytest.raises(InputError, match=str(error)[:20]):
                    solver.solve(scaled, criterion)
                continue
            found = solver.solve(scaled, criterion)
            np.testing.assert_allclose(found.values / factor, usual.values, atol=1e-7)
            assert found.value / factor == pytest.approx(usual.value, abs=1e-7)


def vars_of(model: Model) -> dict[str, Any]:
    """The fields of a model."""
    names = ("offsets", "next_states", "probabilities", "rewards", "terminated", "start")
    return {name: getattr(model, name) for name in names}


def test_a_bonus_on_every_step_is_added_to_the_gain() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        model = random_model(rng, 7, 3, 0.2)
        richer = Model(**{**vars_of(model), "rewards": model.rewards + 2.5})
        usual, found = solver.solve(model, "average-reward"), solver.solve(richer, "average-reward")
        np.testing.assert_allclose(found.values, usual.values + 2.5, atol=1e-8)


def test_no_policy_beats_the_best_one() -> None:
    for name in ("FourRooms", "SlipperyLake", "RussellNorvig4x3"):
        model = GridWorld(name).model
        best = {
            criterion: solver.solve(model, criterion).value
            for criterion in ("return", "average-reward")
        }
        rng = np.random.default_rng(3)
        for _ in range(20):
            value = solver.policy_value(model, random_policy(rng, model))
            if value.expected_return is not None and math.isfinite(value.expected_return):
                assert value.expected_return <= best["return"] + 1e-9
            assert value.average_reward <= best["average-reward"] + 1e-9


# --- large worlds ---


def steps_to(world: World, goal: tuple[int, int]) -> dict[tuple[int, int], int]:
    """Moves from each place to a goal."""
    found, border = {goal: 0}, [goal]
    for row, column in border:
        for place in ((row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1)):
            if place not in found and not world.cell(*place).wall:
                found[place] = found[row, column] + 1
                border.append(place)
    return found


@pytest.mark.parametrize("loops", [0.0, 1.0])
def test_a_large_maze_is_solved_in_seconds(loops: float) -> None:
    world = draw_maze(49, 1, loops)  # 99 cells a side
    model = grid_model(world)
    away = steps_to(world, (97, 97))
    moves = np.array([away[place] for place in world.places()])
    began = time.perf_counter()
    by_return = solver.solve(model, "return")
    discounted = solver.solve(model, "discounted", discount=0.99)
    gain = solver.solve(model, "average-reward")
    assert time.perf_counter() - began < 30
    np.testing.assert_allclose(by_return.values, -moves, rtol=1e-9)
    np.testing.assert_allclose(discounted.values, -(1 - 0.99**moves) / (1 - 0.99), rtol=1e-9)
    assert gain.value == pytest.approx(-1)  # whatever is done
    assert solver.policy_value(model, by_return.policy).episode_length == away[1, 1]


def test_a_large_slippery_field_is_solved_in_seconds() -> None:
    rows = ["." * 100] * 100
    rows[0] = "S" + "." * 99
    rows[60] = "." * 60 + "G" + "." * 39
    legend = {"S": Cell(start=True), ".": Cell(), "G": Cell(end=True, reward=1.0)}
    model = grid_model(World(tuple(rows), legend, slip=0.2))
    assert model.num_states == 10_000
    began = time.perf_counter()
    best = solver.solve(model, "average-reward")
    fastest = solver.solve(model, "return")
    discounted = solver.solve(model, "discounted", discount=0.99)
    assert time.perf_counter() - began < 30
    # Every policy that ends is paid 1 an episode: the best gain and return are the shortest way's.
    length = solver.policy_value(model, fastest.policy).episode_length
    assert fastest.value == pytest.approx(1)
    assert best.value == pytest.approx(1 / (length or 0), rel=1e-7)
    following = np.where(model.terminated, 0.0, discounted.values[model.next_states])
    terms = model.probabilities * (model.rewards + 0.99 * following)
    backups = np.bincount(model.rows, terms).reshape(-1, 4).max(axis=1)
    np.testing.assert_allclose(discounted.values, backups, atol=2e-9)


def gauntlet(length: int, slip: float) -> Model:
    """A way between two cliffs; a slip leads back to the start and costs 99."""
    pits, way = "#" + "C" * length + "#", "S" + "." * length + "G"
    settings = f"step reward: -1\nslip: {slip}\nlegend:\n  C: to S, reward -99\n  G: end\nmap:\n"
    return grid_model(parse_world(settings + "\n".join([pits, way, pits])))


@pytest.mark.parametrize(("length", "slip"), [(10, 0.2), (60, 0.05), (60, 0.1), (200, 0.05)])
def test_a_gauntlet_that_is_seldom_survived_is_solved(length: int, slip: float) -> None:
    model = gauntlet(length, slip)  # the last is survived once in 28,000 tries
    solution = solver.solve(model, "return")
    # Ahead with probability q, else back to the start: a cell is worth `value + slope * V(start)`.
    q, value, slope = 1 - slip, 0.0, 0.0
    for _ in range(length):
        value, slope = q * (value - 1) + slip * -100, q * slope + slip
    start = (value - 1 / q) / q**length  # a slip at the start stays there
    assert solution.value == pytest.approx(start, rel=1e-9)
    assert solution.value == solver.policy_value(model, solution.policy).expected_return


@pytest.mark.parametrize(("length", "slip"), [(100, 0.6), (400, 0.1), (1000, 0.05)])
def test_episodes_that_are_too_long_to_solve_are_refused(length: int, slip: float) -> None:
    with pytest.raises(InputError, match="the episodes are too long to be solved"):
        solver.solve(gauntlet(length, slip), "return")


# --- what is refused ---


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
def test_a_table_that_is_no_policy_is_refused(policy: Floats) -> None:
    with pytest.raises(InputError, match="the policy"):
        solver.policy_value(GridWorld("RussellNorvig4x3").model, policy)


@pytest.mark.parametrize("discount", [1.0, 1.5, -0.1, math.nan])
def test_a_discount_outside_its_range_is_refused(discount: float) -> None:
    model = RiverSwim().model
    for call in (
        lambda: solver.policy_value(model, uniform(model), discount=discount),
        lambda: solver.solve(model, "discounted", discount=discount),
        lambda: solver.check_discount(discount),
    ):
        with pytest.raises(InputError, match="it takes 0 or more and less than 1"):
            call()


def test_a_time_limit_out_of_place_is_refused() -> None:
    river, rooms = RiverSwim().model, GridWorld("FourRooms").model
    with pytest.raises(InputError, match="a continuing task has no time limit"):
        solver.policy_value(river, uniform(river), time_limit=10)
    with pytest.raises(InputError, match="the time limit is 0; it takes 1 step or more"):
        solver.policy_value(rooms, uniform(rooms), time_limit=0)


def test_a_criterion_that_does_not_fit_is_refused() -> None:
    model = RiverSwim().model
    with pytest.raises(InputError, match="a continuing task has no return"):
        solver.solve(model, "return")
    wrong: Any = "avarage"
    with pytest.raises(
        InputError, match="unknown criterion 'avarage'; did you mean average-reward"
    ):
        solver.solve(model, wrong)
