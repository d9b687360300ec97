"""The worlds of Sutton & Barto (2018), compared with the numbers that the book prints."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from gridcade.envs import registry
from gridcade.envs.book.gamblers_problem import GamblersProblem
from gridcade.envs.book.jacks_car_rental import one_location
from gridcade.envs.book.maximization_bias import LEFT, A, B, MaximizationBias
from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import RENDER_PIXELS, Model, TabularEnv
from gridcade.errors import InputError
from gridcade.exact.action_values import action_values, optimal_actions
from gridcade.exact.chains import Chain, expected_totals, possible_outcomes
from gridcade.exact.model_check import check_model
from gridcade.exact.solver import solve
from gridcade.exact.values import two_possible_returns
from gridcade.viewing.text_pictures import arrow_panel

Floats = NDArray[np.float64]


def make_world(name: str, **arguments: Any) -> TabularEnv:
    env = registry.make(name, **arguments).unwrapped
    assert isinstance(env, TabularEnv)
    return env


def optimal_values(model: Model) -> tuple[Floats, NDArray[np.bool_]]:
    """The optimal undiscounted action values, and which actions are optimal.  [states, actions]."""
    values = action_values(model, solve(model, "return"))
    return values, optimal_actions(values)


# --- example 4.1 ---


def test_the_random_policy_of_example_4_1_has_the_values_of_figure_4_1() -> None:
    env = make_world("Grid4x4")
    chain = Chain.of(env.model, env.model.uniform)
    values = expected_totals(chain.transitions, chain.rewards).reshape(4, 4)
    book = [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]
    np.testing.assert_allclose(values, book, atol=1e-9)


# --- example 6.7 ---


@pytest.mark.parametrize("actions", [2, 10, 100])
def test_left_has_a_value_of_a_tenth_less_than_right(actions: int) -> None:
    env = MaximizationBias(actions)
    values, best = optimal_values(env.model)
    assert values[A, :2].tolist() == pytest.approx([-0.1, 0.0])
    assert np.flatnonzero(best[A]).tolist() == [1]
    np.testing.assert_allclose(values[B], -0.1)
    assert best[B].all()
    assert np.isinf(values[A, 2:]).all()


def test_the_rewards_in_b_are_normal() -> None:
    env = MaximizationBias()
    env.reset(seed=0)
    rewards = []
    for i in range(2000):
        _, info = env.reset()
        assert info["action_mask"].tolist() == [True] * 2 + [False] * 8
        _, reward, terminated, _, info = env.step(LEFT)
        assert (reward, terminated, info["action_mask"].all()) == (0.0, False, True)
        _, reward, terminated, _, _ = env.step(i % 10)
        assert terminated
        rewards.append(reward)
    assert stats.kstest(rewards, stats.norm(-0.1, 1).cdf).pvalue > 1e-3


def test_too_few_actions_are_an_input_error() -> None:
    with pytest.raises(InputError, match="actions is 1; it must be an integer, 2 or greater"):
        MaximizationBias(actions=1)


def test_random_rewards_are_distinguished_from_certain_ones() -> None:
    """Random rewards make returns and outcomes uncertain, and a declared model must have them."""
    env = make_world("MaximizationBias")
    model, certain = env.model, replace(env.model, deviations=None)
    assert two_possible_returns(certain) == (-0.1, 0.0)
    assert two_possible_returns(model) is None
    left = np.eye(model.num_actions)[[0, 0, LEFT, 0]]
    assert possible_outcomes(certain, left).deterministic
    outcomes = possible_outcomes(model, left)
    assert (outcomes.rewards, outcomes.fixed_rewards) == ((-0.1, 0.0), (0.0,))
    assert not outcomes.deterministic
    assert check_model(env, model).never == 0
    with pytest.raises(InputError, match=r"0 with reward -0.1 and terminated \(1\)"):
        check_model(env, certain)
    with pytest.raises(InputError, match=r"0 with reward -0.1 ± 0.01 and terminated"):
        check_model(env, replace(model, deviations=np.full_like(model.rewards, 0.01)))


@pytest.mark.parametrize(
    ("deviations", "message"),
    [
        ([1.0], r"float64 of shape \(1,\); they must be float64 of shape \(40,\)"),
        (np.ones(40, dtype=np.float32), "the standard deviations are float32"),
        (np.full(40, -1.0), "negative or not finite"),
        (np.full(40, np.nan), "negative or not finite"),
    ],
)
def test_invalid_deviations_are_rejected(deviations: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(MaximizationBias().model, deviations=np.asarray(deviations))


# --- example 4.3 ---


def test_the_largest_stake_is_optimal_against_the_odds_and_so_are_those_of_the_book() -> None:
    """Dubins & Savage (1965); the stakes of figure 4.3 lead to the nearest multiple of 25."""
    goal, heads = 100, 0.4
    env = make_world("GamblersProblem")
    capital = np.arange(1, goal)
    boldly = np.minimum(capital, goal - capital)
    wins = np.zeros((goal + 1, goal + 1))
    wins[capital, capital + boldly] = heads
    wins[capital, capital - boldly] += 1 - heads
    won = np.linalg.solve(np.eye(goal + 1) - wins, np.eye(goal + 1)[goal])
    solution = solve(env.model, "return")
    np.testing.assert_allclose(solution.values[1:-1], won[1:-1], atol=1e-12)
    assert won[[25, 50, 75]] == pytest.approx([0.16, 0.4, 0.64])
    assert solution.value == pytest.approx(won[1:-1].mean())
    _, best = optimal_values(env.model)
    nearest = 25 * np.round(capital / 25)
    book = np.where(capital % 25 == 0, boldly, np.abs(capital - nearest)).astype(int)
    assert best[capital, book].all()
    assert best[capital, boldly].all()
    assert best[capital, 0].all()  # to wait changes nothing
    assert not best[50, 1:50].any()
    assert env.model.allowed is not None
    assert env.model.allowed.sum(axis=1).tolist() == [1, *(boldly + 1), 1]


def test_the_smallest_stake_is_optimal_with_the_odds() -> None:
    """The gambler's ruin: staking 1 wins with probability (1 - r^s) / (1 - r^goal), r = q / p."""
    env = make_world("GamblersProblem", heads=0.55, goal=30)
    ratio, capital = 0.45 / 0.55, np.arange(1, 30)
    won = (1 - ratio**capital) / (1 - ratio**30)
    np.testing.assert_allclose(solve(env.model, "return").values[1:-1], won, rtol=1e-9)
    _, best = optimal_values(env.model)
    assert best[capital, 1].all()
    assert not best[5, 2:].any()


def test_a_forbidden_stake_counts_as_the_largest_allowed_one() -> None:
    env = GamblersProblem(heads=0.5, goal=10)
    env.reset(seed=0)
    for s, stake in ((2, 5), (9, 3)):
        assert {s_next for _, s_next, _, _ in env.P[s][stake]} == ({4, 0} if s == 2 else {10, 8})


# --- example 4.2 ---


def enumerated_location(capacity: int, requests: float, returns: float) -> tuple[Floats, Floats]:
    """A day at one place, from all numbers of requests and returns below 60."""
    counts = range(60)
    asked, back = (
        [math.exp(-m) * m**k / math.factorial(k) for k in counts] for m in (requests, returns)
    )
    evenings, rented = np.zeros((capacity + 1, capacity + 1)), np.zeros(capacity + 1)
    for n in range(capacity + 1):
        for x in counts:
            rented[n] += asked[x] * min(x, n)
            for y in counts:
                evenings[n, min(max(n - x, 0) + y, capacity)] += asked[x] * back[y]
    return evenings, rented


def test_jacks_optimal_policy_is_that_of_an_independent_policy_iteration() -> None:
    """Policy iteration as in section 4.3, with a table for each place and no array of the model."""
    discount, size = 0.9, 21
    places = [enumerated_location(20, *means) for means in ((3.0, 3.0), (4.0, 2.0))]

    def look_ahead(values: Floats) -> Floats:
        after = places[0][0] @ values @ places[1][0].T  # by the cars in the morning
        earned = 10 * (places[0][1][:, None] + places[1][1][None])
        q = np.full((size, size, 11), -np.inf)
        first, second = np.mgrid[:size, :size]
        for cars in range(-5, 6):
            there = (-second <= cars) & (cars <= first)
            m = np.minimum(first - cars, 20)[there], np.minimum(second + cars, 20)[there]
            q[there, cars + 5] = earned[m] - 2 * abs(cars) + discount * after[m]
        return q

    policy, values = np.zeros((size, size), dtype=int), np.zeros((size, size))
    policy += 5
    for _ in range(10):
        for _ in range(30):  # evaluates the policy, precisely enough for the next improvement
            q = look_ahead(values)
            values = np.take_along_axis(q, policy[..., None], axis=2)[..., 0]
        if (look_ahead(values).argmax(axis=2) == policy).all():
            break
        policy = look_ahead(values).argmax(axis=2)
    env = make_world("JacksCarRental")
    solution = solve(env.model, "discounted", discount)
    np.testing.assert_array_equal(solution.policy.argmax(axis=1).reshape(size, size), policy)
    assert (policy.max() - 5, policy.min() - 5) == (5, -4)  # as in figure 4.2
    best = look_ahead(solution.values.reshape(size, size)).max(axis=2)
    np.testing.assert_allclose(best.ravel(), solution.values, rtol=1e-12)


@pytest.mark.parametrize("capacity", [1, 3, 20])
def test_jacks_model_has_the_distributions_of_an_enumeration(capacity: int) -> None:
    model = make_world("JacksCarRental", capacity=capacity).model
    sums = np.add.reduceat(model.probabilities, model.offsets[:-1])
    np.testing.assert_allclose(sums, 1, atol=1e-14)
    assert (model.probabilities > 0).all()
    assert model.continuing
    for place, means in enumerate(((3.0, 3.0), (4.0, 2.0))):
        for found, expected in zip(
            one_location(capacity, *means), enumerated_location(capacity, *means), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=str(place))


def test_jacks_moves_stay_within_the_cars_that_are_there() -> None:
    env = make_world("JacksCarRental")
    model = env.model
    assert model.allowed is not None
    first, second = np.divmod(np.arange(441), 21)
    for action, cars in enumerate(range(-5, 6)):
        np.testing.assert_array_equal(model.allowed[:, action], (cars <= first) & (-cars <= second))
    rows = model.probabilities.reshape(441, 11, 441)
    s = 2 * 21 + 4  # two cars at the first location
    np.testing.assert_array_equal(rows[s, 10], rows[s, 7])  # a forbidden 5 is 2
    empty, full = 0, 20 * 21 + 20
    assert model.rewards.reshape(441, 11, 441)[empty, 5, 0] == 0.0
    np.testing.assert_array_equal(rows[full, 6], rows[19 * 21 + 20, 5])  # the 21st car disappears


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("GamblersProblem", {"heads": 1}, "heads is 1; it must be a number between 0 and 1"),
        ("GamblersProblem", {"goal": 1}, "goal is 1; it must be an integer, 2 or greater"),
        ("JacksCarRental", {"capacity": 0}, "capacity is 0; it must be an integer, 1 or greater"),
        ("JacksCarRental", {"time_limit": 5}, "a continuing task: it must not have a time limit"),
    ],
)
def test_invalid_arguments_are_input_errors(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_world(name, **arguments)


# --- pictures ---

SMALL = [
    "BlockingMaze",
    "DeepSea?size=4",
    "GamblersProblem?goal=12",
    "JacksCarRental?capacity=3",
    "MaximizationBias",
]


@pytest.mark.parametrize("name", SMALL)
def test_each_state_has_a_picture_and_a_text_of_its_own(name: str) -> None:
    drawn, written = (make_world(name, render_mode=mode) for mode in ("rgb_array", "ansi"))
    pictures, texts = set(), set()
    for env in (drawn, written):
        env.reset(seed=0)
    for s in range(drawn.model.num_states):
        drawn.state = written.state = s
        pictures.add(np.asarray(drawn.render()).tobytes())
        texts.add(written.render())
    assert len(pictures) == len(texts) == drawn.model.num_states


@pytest.mark.parametrize("name", SMALL)
def test_values_and_policies_change_the_picture(name: str) -> None:
    env = make_world(name, render_mode="rgb_array")
    env.reset(seed=0)
    solution = solve(env.model, "discounted", 0.9)
    pictures = []
    for overlay in (None, Overlay(solution.values), Overlay(policy=solution.policy)):
        env.overlay = overlay
        pictures.append(np.asarray(env.render()))
    shapes = {picture.shape for picture in pictures}
    assert len(shapes) == 1
    assert max(*shapes.pop()[:2]) <= RENDER_PIXELS
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[0] != pictures[2]).any()


def test_text_shows_stakes_and_moved_cars() -> None:
    env = make_world("JacksCarRental", capacity=3, render_mode="ansi")
    env.reset(seed=0)
    env.overlay = Overlay(policy=np.eye(11)[[3] * 16])
    assert env.render() == " -2 -2 -2 -2\n -2  @ -2 -2\n -2 -2 -2 -2\n -2 -2 -2 -2"
    gambler = make_world("GamblersProblem", goal=6)
    lines = arrow_panel(
        gambler, Overlay(policy=np.eye(4)[[0, 1, 2, 3, 2, 1, 0]]), None, 6, 9, "none"
    )
    assert [line.split() for line in lines] == [["0", "1"], ["2", "3"], ["2", "1"], ["G"]]
