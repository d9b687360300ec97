"""Models that forbid actions in some states, compared with every policy that is allowed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dense import Bools, Dense, all_policies, dense_totals, random_model, random_policy, same
from numpy.typing import NDArray

from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.action_values import action_values, optimal_actions
from gridcade.exact.chains import reachable_states
from gridcade.exact.planning import (
    first_plan,
    has_converged,
    policy_iteration_sweep,
    value_iteration_sweep,
)
from gridcade.exact.solver import Criterion

CRITERIA: tuple[Criterion, ...] = ("return", "discounted", "average-reward")


def forbidding(seed: int) -> Model:
    """A small model whose forbidden actions pay much, so that taking one changes the values."""
    rng = np.random.default_rng(seed)
    states, actions = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    model = random_model(rng, states, actions, ending=float(rng.choice([0.05, 0.4])))
    allowed = rng.random((states, actions)) < 0.6
    allowed[np.arange(states), rng.integers(actions, size=states)] = True
    rewards = np.where(allowed.ravel()[model.rows], model.rewards, 1000.0)
    return replace(model, rewards=rewards, allowed=allowed)


def allowed_policies(model: Model) -> list[NDArray[np.float64]]:
    """Every deterministic policy that takes only allowed actions."""
    assert model.allowed is not None
    return [policy for policy in all_policies(model) if not policy[~model.allowed].any()]


def best_by_enumeration(model: Model, criterion: Criterion) -> float:
    """The largest value of an allowed policy; for `return`, of a policy that is sure to end."""
    values = []
    for policy in allowed_policies(model):
        value = solver.policy_value(model, policy, discount=0.9)
        if criterion != "return" or np.isfinite(value.episode_length or np.inf):
            values.append(value.by(criterion))
    return max(values, default=-np.inf)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_optimum_is_the_best_of_the_allowed_policies(criterion: Criterion) -> None:
    solved = 0
    for seed in range(50):
        model = forbidding(seed)
        try:
            solution = solver.solve(model, criterion, discount=0.9)
        except InputError:  # no policy is sure to end, or the return is unbounded
            assert criterion == "return"
            continue
        solved += 1
        assert model.allowed is not None
        assert not solution.policy[~model.allowed].any(), seed
        best = best_by_enumeration(model, criterion)
        assert solution.value == pytest.approx(best, rel=1e-8, abs=1e-8), seed
        values = action_values(model, solution)
        assert (values[~model.allowed] == -np.inf).all()
        assert not optimal_actions(values)[~model.allowed].any()
    assert solved > 15


@pytest.mark.parametrize("sweep", [value_iteration_sweep, policy_iteration_sweep])
def test_planning_ends_at_the_optimum_of_the_allowed_actions(sweep: Any) -> None:
    for seed in range(10):
        model = forbidding(seed)
        assert model.allowed is not None
        before, plan = first_plan(model), sweep(model, first_plan(model), 0.9)
        while not has_converged(before, plan):
            before, plan = plan, sweep(model, plan, 0.9)
            assert not plan.policy[~model.allowed].any()
        expected = solver.solve(model, "discounted", discount=0.9).values
        np.testing.assert_allclose(plan.values, expected, atol=1e-7)


def test_only_allowed_actions_reach_states() -> None:
    for seed in range(20):
        model = forbidding(seed)
        assert model.allowed is not None
        np.testing.assert_allclose(model.uniform.sum(axis=1), 1)
        assert ((model.uniform > 0) == model.allowed).all()
        reached: Bools = model.start > 0
        onward = (Dense.of(model).onward * model.allowed[:, :, None]).sum(axis=1)
        for _ in range(model.num_states):
            reached = reached | (reached @ onward > 0)
        np.testing.assert_array_equal(reachable_states(model), reached)


def test_allowed_actions_are_validated() -> None:
    model = random_model(np.random.default_rng(0), 3, 2, 0.3)
    nothing = np.array([[True, True], [False, False], [True, False]])
    with pytest.raises(ValueError, match="state 1 has no allowed action"):
        replace(model, allowed=nothing)
    with pytest.raises(ValueError, match=r"of shape \(2, 3\); they must be bool of shape \(3, 2\)"):
        replace(model, allowed=np.ones((2, 3), dtype=bool))
    with pytest.raises(ValueError, match="are int64"):
        replace(model, allowed=np.ones((3, 2), dtype=np.int64))


def test_a_model_that_allows_everything_equals_the_model_without_masks() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        model = random_model(rng, 6, 3, 0.2)
        masked = replace(model, allowed=np.ones((6, 3), dtype=bool))
        for criterion in CRITERIA[1:]:
            one, other = (solver.solve(m, criterion) for m in (model, masked))
            np.testing.assert_array_equal(one.values, other.values)
            np.testing.assert_array_equal(one.policy, other.policy)


def test_a_policy_that_ignores_the_masks_still_has_its_value() -> None:
    for seed in range(10):
        model = forbidding(seed)
        policy = random_policy(np.random.default_rng(seed), model)
        expected, _ = dense_totals(Dense.of(model), policy)
        value = solver.policy_value(model, policy)
        assert model.continuing or same(value.expected_return, expected)


def test_taxi_allows_what_its_own_mask_allows() -> None:
    env = registry.make("Taxi")
    model = registry.known_model(env)
    assert model is not None
    assert model.allowed is not None
    for seed in range(5):
        state, info = env.reset(seed=seed)
        np.testing.assert_array_equal(model.allowed[state], info["action_mask"].astype(bool))
        for action in (0, 1, 2, 3):
            state, _, _, _, info = env.step(action)
            np.testing.assert_array_equal(model.allowed[state], info["action_mask"].astype(bool))
    masked = solver.policy_value(model, model.uniform, time_limit=200)
    unmasked = solver.policy_value(model, np.full((500, 6), 1 / 6), time_limit=200)
    assert masked.expected_return is not None
    assert unmasked.expected_return is not None
    assert masked.expected_return > unmasked.expected_return + 500  # no illegal pickups


def test_a_task_that_only_forbidden_actions_end_is_continuing() -> None:
    """State 0 has a reward of 1 a step, and a forbidden action that would end the episode."""
    table = {0: {0: [(1.0, 0, 1.0, False)], 1: [(1.0, 0, 1000.0, True)]}}
    free = Model.from_table(table, [1.0])
    assert not free.continuing
    masked = replace(free, allowed=np.array([[True, False]]))
    assert masked.continuing
    assert solver.solve(masked).average_reward == 1.0
