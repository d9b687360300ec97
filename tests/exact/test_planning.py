"""Planning sweep by sweep: it ends at the exact solution, and its sums equal the book's."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gridcade.envs import registry
from gridcade.envs.gridworld import grid_model
from gridcade.envs.maps import parse_world
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.action_values import action_values, optimal_actions
from gridcade.exact.planning import (
    PlanningConfig,
    first_plan,
    has_converged,
    policy_iteration_sweep,
    policy_iteration_terms,
    value_iteration_sweep,
    value_iteration_terms,
)

SWEEPS = {"value": value_iteration_sweep, "policy": policy_iteration_sweep}
TERMS = {"value": value_iteration_terms, "policy": policy_iteration_terms}
MOST_SWEEPS = {"value": 3000, "policy": 15}
WINDY = "slip: 0.1\nwind: 0 0 1 0\nlegend:\n P: reward -2, to T\n T: floor\n o: end, reward -1\n"


def model_of(name: str) -> Model:
    if name == "drawn":
        return grid_model(parse_world(f"{WINDY}map:\nS..o\n.P.T\n..#G"))
    env = registry.make(name).unwrapped
    assert isinstance(env, TabularEnv)
    return env.model


@pytest.mark.parametrize("discount", [0.0, 0.9, 0.99])
@pytest.mark.parametrize("name", ["drawn", "FourRooms", "RiverSwim", "CliffWalk"])
@pytest.mark.parametrize("kind", SWEEPS)
def test_planning_ends_at_the_solution(kind: str, name: str, discount: float) -> None:
    model = model_of(name)
    solution = solver.solve(model, "discounted", discount)
    plan, sweeps = first_plan(model), 0
    while True:
        before, plan, sweeps = plan, SWEEPS[kind](model, plan, discount), sweeps + 1
        if has_converged(before, plan):
            break
        assert sweeps < MOST_SWEEPS[kind]
    np.testing.assert_allclose(plan.values, solution.values, atol=1e-7)
    best = optimal_actions(action_values(model, solution))
    assert not (plan.policy > 0)[~best].any()


def naive_value_iteration(model: Model, values: list[float], discount: float) -> list[float]:
    """One sweep as in the box of section 4.4, but from the old values of all states."""
    table = model.table()
    return [
        max(
            sum(p * (r + discount * (0 if end else values[s_next])) for p, s_next, r, end in row)
            for row in table[s].values()
        )
        for s in table
    ]


def test_sweeps_equal_those_of_a_naive_loop() -> None:
    model = model_of("drawn")
    plan, values = first_plan(model), [0.0] * model.num_states
    for _ in range(30):
        plan = value_iteration_sweep(model, plan, 0.9)
        values = naive_value_iteration(model, values, 0.9)
        np.testing.assert_allclose(plan.values, values, rtol=1e-12)


def test_policy_iteration_evaluates_its_policy_and_improves_it() -> None:
    """From the uniformly random policy on, the values never fall."""
    model = model_of("drawn")
    plan = first_plan(model)
    previous = -np.inf
    for _ in range(6):
        policy = plan.policy
        plan = policy_iteration_sweep(model, plan, 0.9)
        exact = solver.policy_value(model, policy, 0.9).discounted_return
        assert float(model.start @ plan.values) == pytest.approx(exact, rel=1e-12)
        assert exact >= previous - 1e-12
        previous = exact


@pytest.mark.parametrize("kind", SWEEPS)
def test_the_numbers_of_an_equation_are_correct(kind: str) -> None:
    """The sum in the equation gives the new value."""
    model = model_of("drawn")
    model = replace(model, rewards=np.round(model.rewards, 2))
    plan, complete = first_plan(model), 0
    for _ in range(8):
        before, plan = plan, SWEEPS[kind](model, plan, 0.9)
        update = TERMS[kind](model, before, plan, 0.9)
        change = np.abs(plan.values - before.values)
        assert change[update.s] == change.max()
        numbers = dict(update.terms)
        assert numbers["new V(s)"] == plan.values[update.s]
        assert numbers["new V(s)"] - numbers["V(s)"] == numbers["change of V(s)"]
        if "…" in update.filled:  # a random policy has many outcomes
            continue
        complete += 1
        new, total = re.split("[←=]", update.filled.replace("−", "-").replace("·", "*"))
        written = sum(
            float(p) * (float(r) + float(gamma) * float(v))
            for p, r, gamma, v in re.findall(
                r"(\S+) \* \[\(?(.*?)\)? \+ (\S+) \* \(?(.*?)\)?\]", total
            )
        )
        assert written == pytest.approx(float(new), abs=2e-3)
        assert all(0 <= s < model.num_states for s in update.next_states)
    assert complete >= 2


def test_a_discount_of_1_is_refused() -> None:
    with pytest.raises(InputError, match="less than 1"):
        PlanningConfig(discount=1)
