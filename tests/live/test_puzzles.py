"""The puzzles: the tempting policy is never the best one."""

import json

import numpy as np
import pytest

from gridcade.envs.gridworld import grid_model
from gridcade.envs.map_writer import world_text
from gridcade.envs.maps import parse_world
from gridcade.exact import solver
from gridcade.exact.action_values import action_values, optimal_actions
from gridcade.live.world.messages import Open, Predict
from gridcade.live.world.place import Place
from gridcade.live.world.prediction import prediction_message
from gridcade.live.world.puzzles import Puzzle, puzzles

VALUES = {  # by hand; in worlds with slips, confirmed by simulations of half a million steps
    "short-cut": (-14.960, -23.834),
    "near-or-far": (0.7 / (1 - 0.7**2), 5 * 0.7**5 / (1 - 0.7**6)),
    "near-or-far-again": (5 / 6, 1 / 2),
    "head-wind": (-9, -np.inf),
    "thin-ice": (1, 0.0772),
    "race": (1, 8 / 9),
}


@pytest.mark.parametrize("puzzle", puzzles().values(), ids=lambda puzzle: puzzle.name)
def test_the_tempting_policy_is_worth_less(puzzle: Puzzle) -> None:
    model = grid_model(puzzle.world)
    best = solver.solve(model, puzzle.criterion, puzzle.discount)
    tempting = puzzle.tempting_policy()
    optimum, value = VALUES[puzzle.name]
    assert best.value == pytest.approx(optimum, abs=1e-3)
    assert puzzle.value(tempting) == pytest.approx(value, abs=1e-3)
    assert value < optimum - 0.05
    # The tempting policy has an action that is not optimal, so it is not another optimal policy.
    wrong = (tempting > 0) & ~optimal_actions(action_values(model, best))
    assert wrong.any()
    assert "{" not in puzzle.lesson()
    assert not puzzle.world.notes
    assert parse_world(world_text(puzzle.world)).rows == puzzle.world.rows


def test_the_criterion_decides_which_treasure_is_better() -> None:
    """At the start, no action is optimal by both criteria."""
    hurry, patience = puzzles()["near-or-far"], puzzles()["near-or-far-again"]
    assert hurry.world.rows == patience.world.rows
    model = grid_model(hurry.world)
    start = int(model.start.argmax())
    chosen = [
        optimal_actions(action_values(model, solver.solve(model, p.criterion, p.discount)))[start]
        for p in (hurry, patience)
    ]
    assert not (chosen[0] & chosen[1]).any()


@pytest.mark.parametrize("puzzle", puzzles().values(), ids=lambda puzzle: puzzle.name)
def test_a_prediction_finds_the_mistakes_of_the_tempting_policy_and_explains_them(
    puzzle: Puzzle,
) -> None:
    place = Place.find(Open(world=puzzle.name, agent="q-learning"))
    actions: list[int | None] = puzzle.tempting_policy().argmax(axis=1).tolist()
    request = Predict(actions, puzzle.criterion, puzzle.discount)
    found = json.loads(prediction_message(place, request))
    assert found["wrong"]
    assert found["lesson"] == puzzle.lesson()
    other: solver.Criterion = "discounted"
    assert json.loads(prediction_message(place, Predict(actions, other, 0.5)))["lesson"] == ""
