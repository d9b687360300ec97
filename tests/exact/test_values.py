"""Which criteria tell policies and states apart, compared with exhaustive search."""

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from dense import Dense, all_policies, dense_gain, dense_totals, random_model, uniform

from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.solver import Criterion
from gridcade.exact.values import exact_values, informative_criteria


def known(name: str) -> Model:
    model = registry.known_model(registry.make(name))
    assert model is not None
    return model


@pytest.mark.parametrize(
    ("name", "uninformative"),
    [
        ("FourRooms", {"return"}),  # 1 at the goal, nothing else
        ("DynaMaze", {"return"}),
        ("Maze", {"average-reward"}),  # every step costs 1
        ("WindyGrid", {"average-reward"}),
        ("CliffWalk", set()),  # the cliff costs 100
        ("FrozenLake", set()),
        ("RiverSwim", set()),
    ],
)
def test_criteria_that_tell_policies_apart(name: str, uninformative: set[Criterion]) -> None:
    model = known(name)
    informative = informative_criteria(model)
    defined = set(get_args(Criterion)) - ({"return"} if model.continuing else set())
    assert set(informative) == defined
    assert {criterion for criterion, tells in informative.items() if not tells} == uninformative


def test_informative_criteria_agree_with_exhaustive_search() -> None:
    seen: dict[tuple[str, bool], int] = {}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        ending = float(rng.choice([0.0, 0.3, 0.6]))
        model = random_model(rng, int(rng.integers(1, 4)), 2, ending)
        potential = rng.normal(size=model.num_states)
        shaped = potential[model.next_states] - potential[model.rows // 2]  # telescopes
        rewards = {
            0: model.rewards,
            1: np.full(len(model.rewards), -1.0),
            2: np.where(model.terminated, 1.0, 0.0),
            3: np.where(model.terminated, -potential[model.rows // 2], shaped),
        }[seed % 4]
        model = replace(model, rewards=rewards)
        dense, policies = Dense.of(model), all_policies(model)
        values: dict[str, list[float]] = {
            "average-reward": [float(model.start @ dense_gain(dense, p)) for p in policies],
            "discounted": [solver.policy_value(model, p, 0.9).discounted_return for p in policies],
        }
        informative = informative_criteria(model, 0.9)
        total, length = dense_totals(dense, uniform(model))
        if "return" in informative and math.isfinite(length):
            # The uniform policy takes every action, so its value is lower if any action is worse.
            values["return"] = [total, solver.solve(model, "return").value]
        for criterion, found in values.items():
            tells = informative[criterion]  # type: ignore[index]
            assert tells == (max(found) - min(found) > 1e-8), (seed, criterion)
            seen[criterion, tells] = seen.get((criterion, tells), 0) + 1
    assert min(seen.values()) >= 2, seen
    assert len(seen) == 6


def test_a_return_without_a_lower_bound_is_informative() -> None:
    assert informative_criteria(known("CliffWalk"))["return"]


def test_wrong_discount_is_an_error() -> None:
    with pytest.raises(InputError, match="discount is 1"):
        informative_criteria(known("FourRooms"), 1.0)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        (
            "FourRooms",
            "The return does not tell policies apart here: every policy that is sure to end has 1. "
            "Compare the average reward or the discounted return.",
        ),
        (
            "Maze",
            "The average reward does not tell policies apart here: every policy has -1. "
            "Compare the return or the discounted return.",
        ),
    ],
)
def test_exact_values_note_criteria_that_do_not_tell_policies_apart(name: str, note: str) -> None:
    model = known(name)
    assert note in exact_values(model, uniform(model), None, 0.99)[1]


def test_world_in_which_nothing_can_be_compared_is_noted() -> None:
    model = known("FourRooms")
    model = replace(model, rewards=np.zeros(len(model.rewards)))
    notes = exact_values(model, uniform(model), None, 0.99)[1]
    assert [note.rpartition(" has ")[2] for note in notes] == ["0."] * 3


@pytest.mark.parametrize("name", ["RussellNorvig4x3", "CliffWalk", "RiverSwim"])
def test_exact_values_equal_those_of_the_solver(name: str) -> None:
    model, limit = known(name), None if name == "RiverSwim" else 30
    found, _ = exact_values(model, uniform(model), limit, 0.9)
    limited = solver.policy_value(model, uniform(model), 0.9, limit)
    unlimited = solver.policy_value(model, uniform(model), 0.9)
    assert found.discounted_return == limited.discounted_return
    assert found.episode_length == limited.episode_length
    assert found.unlimited_discounted_return == unlimited.discounted_return
    best = solver.solve(model, "discounted", 0.9)
    assert found.optimal_discounted_return == best.value
    assert found.gap_discounted_return == best.value - unlimited.discounted_return > 0
    assert exact_values(model, best.policy, limit, 0.9)[0].gap_discounted_return == 0


@pytest.mark.parametrize(
    ("name", "criterion", "differ"),
    [
        ("FourRooms", "return", False),  # though the value of the goal itself is 0
        ("FourRooms", "discounted", True),
        ("FourRooms", "average-reward", True),
        ("Maze", "return", True),
        ("Maze", "average-reward", False),
        ("RiverSwim", "average-reward", True),
    ],
)
def test_criteria_under_which_the_values_of_states_differ(
    name: str, criterion: Criterion, differ: bool
) -> None:
    model = known(name)
    solution = solver.solve(model, criterion)
    assert solver.tells_states_apart(model, solution) == differ


def test_no_value_is_negative_zero() -> None:
    solution = solver.solve(known("Maze"), "average-reward")
    assert solution.bias is not None
    for values in (solution.values, solution.bias):
        assert not np.signbit(values[values == 0]).any()
