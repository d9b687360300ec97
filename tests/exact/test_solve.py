"""Optimal policies, compared with published numbers, linear programs and exhaustive search."""

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
from dense import (
    Dense,
    Floats,
    all_policies,
    dense_gain,
    dense_totals,
    long_run,
    random_model,
    random_policy,
    same,
)
from scipy.optimize import linprog

from gridcade.envs import registry
from gridcade.envs.gridworld import GridWorld, grid_model
from gridcade.envs.maps import Cell, World, parse_world
from gridcade.envs.maze import draw_maze
from gridcade.envs.riverswim import LEFT, RIGHT, RiverSwim
from gridcade.envs.tabular import Model, Outcome
from gridcade.errors import InputError
from gridcade.exact import solver

MOVE_RIGHT, DOWN = 1, 2


def minimize(costs: Floats, rows: Floats, least: Floats) -> Floats:
    """The x with the least cost such that rows @ x >= least, by linear programming."""
    found = linprog(costs, -rows, -least, bounds=(None, None))
    assert found.success
    return np.asarray(found.x)


# --- known answers ---


def test_optimal_values_equal_russell_and_norvigs_utilities() -> None:
    env = GridWorld("RussellNorvig4x3")
    values = solver.solve(env.model, "return").values
    published = [0.812, 0.868, 0.918, 0, 0.762, 0.660, 0, 0.705, 0.655, 0.611, 0.388]  # 0: ends
    np.testing.assert_allclose(values, published, atol=0.0005)


@pytest.mark.parametrize(
    ("name", "best", "length"),
    [
        ("CliffWalk", -13, 13),
        ("CliffWalking", -13, 13),  # of Gymnasium's toy text
        ("WindyGrid", -15, 15),
        ("DynaMaze", 1, 14),
        ("FrozenLake?is_slippery=false", 1, 6),
        ("FrozenLake?map_name=8x8&is_slippery=false", 1, 14),
    ],
)
def test_optimal_return_and_shortest_episode(name: str, best: float, length: float) -> None:
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


def test_optimal_return_of_slippery_frozen_lake() -> None:
    model = registry.known_model(registry.make("FrozenLake"))
    assert model is not None
    assert solver.solve(model, "return").value == pytest.approx(14 / 17, abs=1e-9)  # 0.8235


def test_discounted_value_of_dyna_maze() -> None:
    solution = solver.solve(GridWorld("DynaMaze").model, "discounted", discount=0.95)
    assert solution.value == pytest.approx(0.95**13, abs=1e-9)
    assert (solution.criterion, solution.discount) == ("discounted", 0.95)


def test_criteria_have_different_optimal_policies_in_near_and_far() -> None:
    env = GridWorld("NearAndFar")
    start = env.world.places(symbol="S")[0]
    s, gamma = env.world.places().index(start), 0.99
    far, near = solver.solve(env.model), solver.solve(env.model, "discounted", discount=gamma)
    assert far.criterion == "average-reward"
    assert far.policy[s, MOVE_RIGHT] == near.policy[s, DOWN] == 1
    assert far.value == far.average_reward == pytest.approx(11 / 40, abs=1e-9)
    assert near.average_reward == pytest.approx(1 / 4, abs=1e-9)
    assert near.value == pytest.approx(gamma**3 / (1 - gamma**4), abs=1e-9)
    value = solver.policy_value(env.model, far.policy, discount=gamma).discounted_return
    assert value == pytest.approx(11 * gamma**39 / (1 - gamma**40), abs=1e-9)
    assert value < near.value
    patient = solver.solve(env.model, "discounted", discount=0.9999)
    assert patient.policy[s, MOVE_RIGHT] == 1


@pytest.mark.parametrize("length", [3, 6, 12, 20])
def test_river_swim_average_reward_by_detailed_balance(length: int) -> None:
    model = RiverSwim(length=length).model
    # Swimming up is a birth-death chain: between two states, the flow up equals the flow down.
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


# --- optimal policies of random models ---


def test_optimal_discounted_values_agree_with_linear_programming() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        model = random_model(rng, int(rng.integers(1, 12)), int(rng.integers(1, 5)), 0.1)
        dense, gamma = Dense.of(model), float(rng.choice([0.0, 0.5, 0.9, 0.99]))
        size = model.num_states
        rows = (np.eye(size)[:, None] - gamma * dense.onward).reshape(-1, size)
        found = minimize(np.ones(size), rows, dense.rewards.ravel())
        solution = solver.solve(model, "discounted", discount=gamma)
        np.testing.assert_allclose(solution.values, found, atol=1e-6)
        assert solution.value == pytest.approx(dense.start @ solution.values)
        value = solver.policy_value(model, solution.policy, discount=gamma)
        assert same(value.discounted_return, solution.value), seed
        assert value.average_reward == solution.average_reward


def test_optimal_average_reward_agrees_with_linear_programming() -> None:
    """Puterman (1994), section 9.3: the linear program of multichain models."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ending = float(rng.choice([0.0, 0.05, 0.3]))
        model = random_model(rng, int(rng.integers(1, 10)), int(rng.integers(1, 4)), ending)
        dense, size = Dense.of(model), model.num_states
        onward = dense.restarted.reshape(-1, size)
        present = np.repeat(np.eye(size), model.num_actions, axis=0)
        rows = np.block([[present - onward, np.zeros_like(onward)], [present, present - onward]])
        least = np.concatenate([np.zeros(len(onward)), dense.rewards.ravel()])
        costs = np.append(np.ones(size), np.zeros(size))
        found = minimize(costs, rows, least)[:size]
        solution = solver.solve(model, "average-reward")
        np.testing.assert_allclose(solution.values, found, atol=1e-6, err_msg=f"{seed}")
        assert same(solution.value, float(model.start @ solution.values)), seed
        assert same(solution.average_reward, solution.value), seed
        gains = dense_gain(dense, solution.policy)
        np.testing.assert_allclose(gains, solution.values, atol=1e-8)


def test_optimal_average_reward_agrees_with_exhaustive_search() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        model = random_model(rng, int(rng.integers(1, 5)), 2, float(rng.choice([0.0, 0.1, 0.3])))
        dense = Dense.of(model)
        best = np.max([dense_gain(dense, policy) for policy in all_policies(model)], axis=0)
        np.testing.assert_allclose(solver.solve(model, "average-reward").values, best, atol=1e-8)


def test_optimal_bias_satisfies_the_optimality_equation() -> None:
    for seed in range(40):
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


def best_return_by_search(model: Model) -> tuple[float, float] | str:
    """The best return of policies that end, and the fewest steps to it; or the error's message."""
    dense, size = Dense.of(model), model.num_states
    ends_from = np.zeros(size, dtype=bool)
    endless = np.zeros(size)  # best average reward of policies that stay forever
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
        return "no policy is sure to end"
    if (endless[ends_from] > 1e-9).any():
        return "unbounded"
    best = max(total for total, _ in results)
    return best, min(length for total, length in results if total > best - 1e-9)


def test_optimal_return_agrees_with_exhaustive_search() -> None:
    seen = {"solved": 0, "no policy is sure to end": 0, "unbounded": 0}
    for seed in range(100):
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
        expected = best_return_by_search(model)
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


def test_optimal_return_agrees_with_linear_programming() -> None:
    """The linear program maximizes the reward of flows from the starts to the ends."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rewards = (-3.0, -1.0, -0.5)
        model = random_model(rng, 15, 4, 0.3, branches=4, rewards=rewards)
        dense, size = Dense.of(model), model.num_states
        rows = (np.eye(size)[:, None] - dense.onward).reshape(-1, size).T
        found = linprog(-dense.rewards.ravel(), A_eq=rows, b_eq=model.start, bounds=(0, None))
        if found.status == 2:  # infeasible
            with pytest.raises(InputError, match="no policy is sure to end"):
                solver.solve(model, "return")
        else:
            best = -float(found.fun or 0)
            assert solver.solve(model, "return").value == pytest.approx(best, abs=1e-6)


def test_optimal_policy_leaves_loops_without_reward() -> None:
    # A ring of ten cells without rewards, and one exit that pays 1.
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
    # The same ring with rewards on its upper half that equal the costs on the lower one.
    for s in range(10):
        pay = 1.0 if s < 5 else -1.0
        table[s][0] = [(1.0, (s + 1) % 10, pay, False)]
        table[s][1] = [(1.0, (s - 1) % 10, -1.0 if 0 < s < 6 else 1.0, False)]
    model = Model.from_table(table, np.eye(10)[0])
    solution = solver.solve(model, "return")
    value = solver.policy_value(model, solution.policy)
    assert solution.value == value.expected_return == pytest.approx(5.5)
    assert value.episode_length == 6


def test_shortest_of_equal_returns_is_chosen() -> None:
    # End at once without reward, or with reward 1 after three or after two moves.
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
def test_small_near_reward_does_not_hide_the_best_average_reward(length: int, bait: float) -> None:
    # With a discount of 0.99 the near reward is better. Some policies take 1e20 steps to leave a
    # bank.
    table = RiverSwim(length=length).model.table()
    table[0][LEFT] = [(1.0, 0, bait, False)]
    model = Model.from_table(table, np.eye(length)[0])
    solution = solver.solve(model, "average-reward")
    best = solver.policy_value(model, np.eye(2)[[RIGHT] * length]).average_reward
    assert solution.value == pytest.approx(best, abs=1e-12)
    assert (solution.policy[:, RIGHT] == 1).all()


def test_rare_transitions_do_not_blur_the_best_average_reward() -> None:
    # Some states are left once in a million steps.
    for seed in range(60):
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


def test_reward_that_can_be_collected_forever() -> None:
    # Stay for 1 a step, or leave for 5 and start again: the better choice depends on the length of
    # the way.
    for walk, best in ((1, 5 / 2), (3, 5 / 4), (4, 1.0), (9, 1.0)):
        table: dict[int, dict[int, list[Outcome]]] = {
            s: {a: [(1.0, s + 1, 0.0, False)] for a in range(2)} for s in range(walk)
        }
        table[walk] = {0: [(1.0, walk, 1.0, False)], 1: [(1.0, walk, 5.0, True)]}
        model = Model.from_table(table, np.eye(walk + 1)[0])
        solution = solver.solve(model, "average-reward")
        assert solution.value == solution.average_reward == pytest.approx(best)
        if walk != 4:  # a tie
            assert solution.policy[walk].tolist() == ([0, 1] if walk < 4 else [1, 0])
        with pytest.raises(InputError, match="can collect rewards forever"):
            solver.solve(model, "return")


def test_values_are_nan_where_no_policy_is_sure_to_end() -> None:
    # A pit without an exit lies beside the way.
    drawn = parse_world("legend:\n  p: to o\n  o: floor\nmap:\nS.G\n#p#\n###\n#o#")
    model = grid_model(drawn)
    values = solver.solve(model, "return").values
    states = drawn.places()
    assert values[states.index((0, 0))] == 1
    assert math.isnan(values[states.index((3, 1))])
    trapped = Model.from_table(model.table(), np.eye(model.num_states)[states.index((3, 1))])
    with pytest.raises(InputError, match="no policy is sure to end from every start"):
        solver.solve(trapped, "return")


@pytest.mark.parametrize("cost", [1e3, 1e9, 1e10])
def test_large_cost_that_is_avoided_does_not_blur_the_values(cost: float) -> None:
    """The way to the goal pays 1 and the near end nothing, whatever the pit costs."""
    drawn = f"legend:\n  n: end\n  X: end, reward -{cost:g}\nmap:\nnS.G\n##.#\n##X#"
    model = grid_model(parse_world(drawn))
    assert solver.solve(model, "return").value == pytest.approx(1)
    assert solver.solve(model, "discounted", 0.9).value == pytest.approx(0.9)
    assert solver.solve(model, "average-reward").value == pytest.approx(1 / 2)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_values_scale_with_the_rewards(factor: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        model = random_model(rng, 7, 3, 0.2, rewards=(-1.0, -0.5, 0.0, 0.1))
        scaled = Model(**{**fields_of(model), "rewards": model.rewards * factor})
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


def fields_of(model: Model) -> dict[str, Any]:
    """The fields of a model."""
    names = ("offsets", "next_states", "probabilities", "rewards", "terminated", "start")
    return {name: getattr(model, name) for name in names}


def test_constant_added_to_rewards_is_added_to_the_average_reward() -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        model = random_model(rng, 7, 3, 0.2)
        richer = Model(**{**fields_of(model), "rewards": model.rewards + 2.5})
        usual, found = solver.solve(model, "average-reward"), solver.solve(richer, "average-reward")
        np.testing.assert_allclose(found.values, usual.values + 2.5, atol=1e-8)


def test_no_random_policy_beats_the_optimal_one() -> None:
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
def test_large_maze_is_solved_in_seconds(loops: float) -> None:
    world = draw_maze(49, 1, loops)  # 99 cells a side
    model = grid_model(world)
    away = steps_to(world, (97, 97))
    moves = np.array([away[place] for place in world.places()])
    began = time.thread_time()  # CPU time, which other processes do not slow down
    by_return = solver.solve(model, "return")
    discounted = solver.solve(model, "discounted", discount=0.99)
    average = solver.solve(model, "average-reward")
    assert time.thread_time() - began < 30
    np.testing.assert_allclose(by_return.values, -moves, rtol=1e-9)
    np.testing.assert_allclose(discounted.values, -(1 - 0.99**moves) / (1 - 0.99), rtol=1e-9)
    assert average.value == pytest.approx(-1)  # of every policy
    assert solver.policy_value(model, by_return.policy).episode_length == away[1, 1]


@pytest.mark.parametrize("side", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_slippery_field_is_solved_in_seconds(side: int) -> None:
    rows = ["." * side] * side
    rows[0] = "S" + rows[0][1:]
    goal = 3 * side // 5
    rows[goal] = "." * goal + "G" + "." * (side - goal - 1)
    legend = {"S": Cell(start=True), ".": Cell(), "G": Cell(end=True, reward=1.0)}
    model = grid_model(World(tuple(rows), legend, slip=0.2))
    assert model.num_states == side**2
    began = time.thread_time()
    best = solver.solve(model, "average-reward")
    fastest = solver.solve(model, "return")
    discounted = solver.solve(model, "discounted", discount=0.99)
    assert time.thread_time() - began < 30
    # Every episode that ends pays 1, so the shortest episodes have the best average reward.
    length = solver.policy_value(model, fastest.policy).episode_length
    assert fastest.value == pytest.approx(1)
    assert best.value == pytest.approx(1 / (length or 0), rel=1e-7)
    following = np.where(model.terminated, 0.0, discounted.values[model.next_states])
    terms = model.probabilities * (model.rewards + 0.99 * following)
    backups = np.bincount(model.rows, terms).reshape(-1, 4).max(axis=1)
    np.testing.assert_allclose(discounted.values, backups, atol=2e-9)


def gauntlet(length: int, slip: float) -> Model:
    """A corridor between two cliffs; a slip leads back to the start and costs 99."""
    pits, way = "#" + "C" * length + "#", "S" + "." * length + "G"
    settings = f"step reward: -1\nslip: {slip}\nlegend:\n  C: to S, reward -99\n  G: end\nmap:\n"
    return grid_model(parse_world(settings + "\n".join([pits, way, pits])))


@pytest.mark.parametrize(("length", "slip"), [(10, 0.2), (60, 0.05), (60, 0.1), (200, 0.05)])
def test_gauntlet_that_is_rarely_survived_is_solved(length: int, slip: float) -> None:
    model = gauntlet(length, slip)  # one try in 28,000 survives the last gauntlet
    solution = solver.solve(model, "return")
    # A move succeeds with probability q and else leads back to the start, so the value of a cell
    # is `value + slope * V(start)`.
    q, value, slope = 1 - slip, 0.0, 0.0
    for _ in range(length):
        value, slope = q * (value - 1) + slip * -100, q * slope + slip
    start = (value - 1 / q) / q**length  # a slip at the start stays there
    assert solution.value == pytest.approx(start, rel=1e-9)
    assert solution.value == solver.policy_value(model, solution.policy).expected_return


@pytest.mark.parametrize(("length", "slip"), [(100, 0.6), (400, 0.1), (1000, 0.05)])
def test_episodes_that_are_too_long_are_an_error(length: int, slip: float) -> None:
    with pytest.raises(InputError, match="the episodes are too long to be solved"):
        solver.solve(gauntlet(length, slip), "return")


# --- bad input ---


def test_wrong_criterion_is_an_error() -> None:
    model = RiverSwim().model
    with pytest.raises(InputError, match="a continuing task has no return"):
        solver.solve(model, "return")
    wrong: Any = "avarage"
    with pytest.raises(
        InputError, match="unknown criterion 'avarage'; did you mean average-reward"
    ):
        solver.solve(model, wrong)
