"""Sweeps of planning end at the exact solution, with every method and criterion."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from test_allowed_actions import CRITERIA, forbidding

import gridcade
from gridcade.envs import registry
from gridcade.envs.gridworld import grid_model
from gridcade.envs.maps import parse_world
from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.solver import Criterion
from gridcade.exact.sweeps import Method, Sweep, sweeps

DRAWN = {
    "windy": "slip: 0.1\nwind: 0 0 1 0\nlegend:\n P: reward -2, to T\n T: floor\n"
    " o: end, reward -1\nmap:\nS..o\n.P.T\n..#G",
    # Walking forever costs nothing and an end costs 1; the return counts only policies that end.
    "toll": "legend:\n o: end, reward -1\nmap:\nS..o",
    # No policy ends from the pit, but no policy has to enter the pit.
    "pit": "legend:\n p: to z\n z: floor\nmap:\nS.G\n.p#\n##z",
}
WORLDS = [*DRAWN, "masked", "FourRooms", "CliffWalk", "SlipperyLake", "RiverSwim", "Taxi"]


def model_of(name: str) -> Model:
    if name == "masked":
        return forbidding(3)
    if name in DRAWN:
        return grid_model(parse_world(DRAWN[name]))
    model = registry.known_model(registry.make(name))
    assert model is not None
    return model


def last_of(model: Model, method: Method, criterion: Criterion, discount: float = 0.9) -> Sweep:
    *before, last = sweeps(model, method, criterion, discount)
    assert [sweep.number for sweep in before] == list(range(last.number))
    assert not any(sweep.converged for sweep in before)
    assert last.converged
    return last


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("method", ["value-iteration", "policy-iteration"])
def test_the_limit_is_the_exact_solution(method: Method, name: str, criterion: Criterion) -> None:
    model = model_of(name)
    try:
        solution = solver.solve(model, criterion, 0.9)
    except InputError as error:
        with pytest.raises(InputError, match=str(error)):
            sweeps(model, method, criterion, 0.9)
        return
    last = last_of(model, method, criterion)
    np.testing.assert_allclose(last.values, solution.values, atol=1e-6)
    assert last.value == pytest.approx(solution.value, abs=1e-6)
    assert last.error < 1e-6
    assert model.allowed is None or not (last.policy > 0)[~model.allowed].any()
    if criterion == "average-reward":
        exact = solver.policy_value(model, last.policy).average_reward
        assert exact == pytest.approx(solution.value, abs=1e-6)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", ["windy", "masked", "SlipperyLake", "RiverSwim"])
def test_policy_evaluation_ends_at_the_values_of_the_policy(
    name: str, criterion: Criterion
) -> None:
    model = model_of(name)
    rng = np.random.default_rng(0)
    policy = rng.dirichlet(np.ones(model.num_actions), model.num_states) * (model.uniform > 0)
    policy /= policy.sum(axis=1, keepdims=True)
    if criterion == "return" and model.continuing:
        with pytest.raises(InputError, match="may never end; use the criterion"):
            sweeps(model, "policy-evaluation", criterion)
        return
    *_, last = sweeps(model, "policy-evaluation", criterion, 0.9, policy)
    exact = solver.policy_value(model, policy, 0.9).by(criterion)
    assert last.value == pytest.approx(exact, abs=1e-6)
    assert np.array_equal(last.policy, policy)


def test_policy_evaluation_has_the_sweeps_of_figure_4_1() -> None:
    """The random policy in the 4 x 4 gridworld: sweeps 1, 2, 3 and the limit."""
    world = parse_world("step reward: -1\nlegend:\n T: end\nmap:\nTS..\n....\n....\n...T")
    values = [sweep.values[1:].round(1) for sweep in sweeps(grid_model(world), "policy-evaluation")]
    states = [world.places().index(place) - 1 for place in ((0, 1), (0, 2), (0, 3), (1, 2))]
    first = [values[k][states].tolist() for k in (0, 1, 2, 3)]
    assert first == [[0] * 4, [-1] * 4, [-1.8, -2, -2, -2], [-2.4, -2.9, -3, -3]]
    assert values[-1][states].tolist() == [-14, -20, -22, -20]


def test_values_of_undiscounted_planning_never_pass_the_optimum() -> None:
    """Where walking forever costs nothing, value iteration begins with the values of a policy."""
    model = model_of("toll")
    for sweep in sweeps(model, "value-iteration", "return"):
        assert (sweep.values <= solver.solve(model, "return").values + 1e-12).all()


def test_a_chain_with_a_period_converges() -> None:
    """Two states in turn, with rewards 0 and 2: without the transformation the gains alternate."""
    model = model_of("RiverSwim")
    two = replace(
        model,
        offsets=np.array([0, 1, 2]),
        next_states=np.array([1, 0]),
        probabilities=np.ones(2),
        rewards=np.array([0.0, 2.0]),
        terminated=np.zeros(2, bool),
        start=np.array([1.0, 0.0]),
    )
    assert last_of(two, "value-iteration", "average-reward").values == pytest.approx([1, 1])


def test_bad_input_is_one_line() -> None:
    model = model_of("CliffWalk")
    with pytest.raises(InputError, match="did you mean value-iteration"):
        sweeps(model, "value-iterations")  # type: ignore[arg-type]  # a wrong type on purpose
    with pytest.raises(InputError, match="only policy-evaluation takes one"):
        sweeps(model, "value-iteration", policy=model.uniform)
    with pytest.raises(InputError, match="did you mean return"):
        sweeps(model, "policy-evaluation", "returns")  # type: ignore[arg-type]  # a wrong type on purpose
    with pytest.raises(InputError, match="less than 1"):
        gridcade.sweeps("CliffWalk", discount=1)
    with pytest.raises(InputError, match="no effect on the return"):
        gridcade.sweeps("CliffWalk", discount=0.5)
    with pytest.raises(InputError, match="unknown method 'None'"):
        gridcade.sweeps("CliffWalk", None)  # type: ignore[arg-type]  # a wrong type on purpose
    with pytest.raises(InputError, match="policy"):
        gridcade.sweeps("CliffWalk", "policy-evaluation", policy=model.uniform)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="model of 'CartPole-v1' is not known"):
        gridcade.sweeps("CartPole")


def test_the_sweeps_of_the_api_evaluate_policies_and_print() -> None:
    *_, last = gridcade.sweeps("FrozenLake-v1", "policy-evaluation", policy="optimal")
    assert last.value == pytest.approx(gridcade.solve("FrozenLake-v1").value)
    assert str(last).startswith("policy evaluation on FrozenLake-v1: return\nsweep ")
    first, *_ = gridcade.sweeps("RiverSwim", discount=0.9, criterion="discounted")
    lines = str(first).splitlines()
    assert lines[0] == "value iteration on RiverSwim: return discounted by 0.9"
    assert lines[1].startswith("sweep 0   value 0   error ")
    assert lines[3].split() == ["·"] * 6
    assert set(get_args(Method)) == {"value-iteration", "policy-iteration", "policy-evaluation"}
