"""A lane: edits keep values with their cells, and steps are those of training."""

import json
from pathlib import Path

import numpy as np
import pytest

from gridcade.agents.base import Tensors
from gridcade.envs.map_writer import world_text
from gridcade.envs.maps import MAPS, World, parse_world
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.action_values import action_values, optimal_actions
from gridcade.live.world.lane import Lane
from gridcade.live.world.learners import AGENTS, LEARNERS, PLANNERS
from gridcade.live.world.messages import Edit, Open, Redraw, Settings
from gridcade.training.config import to_dict

WINDY = """
title: Windy
slip: 0.1
wind: 0 0 1 0
legend:
    P: reward -2, to T
    T: floor
    o: end, reward -1
map:
S..o
.P.T
..#G
"""


def lane(text: str = WINDY, agent: str = "q-learning", **parameters: str) -> Lane:
    return Lane(Open(world="mine", map=text, agent=agent, parameters=parameters))


def edited(lane: Lane, *cells: tuple[int, int, str]) -> None:
    lane.edit(Edit(cells=list(cells)))


@pytest.mark.parametrize("file", sorted(MAPS.glob("*.txt")), ids=lambda file: file.stem)
def test_a_written_map_is_read_as_the_same_world(file: Path) -> None:
    world = parse_world(file.read_text(encoding="utf-8"), str(file))
    assert_same(parse_world(world_text(world), str(file)), world)
    assert_same(parse_world(world_text(parse_world(WINDY))), parse_world(WINDY))


def assert_same(a: World, b: World) -> None:
    used = {symbol for row in b.rows for symbol in row}
    assert {s: a.legend[s] for s in used} == {s: b.legend[s] for s in used}
    for name in ("rows", "title", "about", "step_reward", "slip", "stray", "wind", "time_limit"):
        assert getattr(a, name) == getattr(b, name), name


def assert_equal_tensors(a: Tensors, b: Tensors) -> None:
    """Compare bit for bit, except the paths, which long advances do not record."""
    assert set(a) == set(b)
    for name in set(a) - {"path"}:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("criterion", ["discounted", "average-reward"])
def test_single_steps_are_those_of_training(criterion: str) -> None:
    """Steps that are shown one by one learn the same bits as steps in training."""
    one, other = (lane(criterion=criterion) for _ in range(2))
    for _ in range(300):
        update = one.step()
        assert dict(update.terms)["new Q(s,a)"] == one.learner.q[update.s, update.a]
    other.advance(300)
    assert_equal_tensors(one.learner.snapshot(), other.learner.snapshot())


@pytest.mark.parametrize("agent", AGENTS)
def test_values_stay_with_their_cells(agent: str) -> None:
    """A wall removes a state, so the indices of all later states change."""
    lane_ = lane(agent=agent)
    lane_.advance(2000)
    before = dict(zip(lane_.place.world.places(), lane_.learner.q.tolist(), strict=True))
    steps = lane_.learner.steps
    edited(lane_, (0, 1, "#"), (2, 2, "."))
    after = dict(zip(lane_.place.world.places(), lane_.learner.q.tolist(), strict=True))
    assert (0, 1) not in after
    assert after.pop((2, 2)) == [to_dict(lane_.learner.config)["initial_value"]] * 4
    assert after == {place: q for place, q in before.items() if place != (0, 1)}
    assert lane_.learner.steps == steps
    lane_.undo()
    again = dict(zip(lane_.place.world.places(), lane_.learner.q.tolist(), strict=True))
    assert set(again) == set(before)
    assert lane_.place.world == lane().place.world
    with pytest.raises(InputError, match="nothing to undo"):
        lane_.undo()


def test_a_learned_model_stays_with_its_cells() -> None:
    """Dyna-Q forgets the outcomes that led to a cell where a wall stands now."""

    def outcomes(lane_: Lane) -> dict[tuple[object, int], tuple[object, float]]:
        model, places = lane_.learner.snapshot(), lane_.place.world.places()
        tried = zip(*np.nonzero(model["agent.tried"]), strict=True)
        return {
            (places[s], int(a)): (
                places[model["agent.next_states"][s, a]],
                float(model["agent.rewards"][s, a]),
            )
            for s, a in tried
        }

    lane_ = lane(agent="dyna-q")
    lane_.advance(500)
    before = outcomes(lane_)
    assert any((0, 1) in (cell, leads_to) for (cell, _), (leads_to, _) in before.items())
    edited(lane_, (0, 1, "#"), (2, 2, "."))
    expected = {
        (cell, a): (leads_to, r)
        for (cell, a), (leads_to, r) in before.items()
        if (0, 1) not in (cell, leads_to)
    }
    assert outcomes(lane_) == expected
    observed = lane_.learner.snapshot()["agent.observed"][: len({cell for cell, _ in expected})]
    assert {lane_.place.world.places()[s] for s in observed} == {cell for cell, _ in expected}
    lane_.advance(500)


@pytest.mark.parametrize("agent", ["q-learning", "dyna-q"])
def test_the_policy_reroutes_around_a_wall(agent: str) -> None:
    lane_ = lane("map:\nS..\n.#.\n..G", agent=agent, epsilon="0.3")
    lane_.advance(20_000)
    found = lane_.exact()
    assert found is not None
    assert (found["gap"], found["wrong"]) == (0, 0)
    edited(lane_, (0, 2, "#"))
    lane_.advance(20_000)
    found = lane_.exact()
    assert found is not None
    assert (found["gap"], found["wrong"]) == (0, 0)
    assert lane_.learner.policy[0].tolist() == [0, 0, 1, 0]  # down


def test_a_lane_takes_over_the_map_of_another_lane() -> None:
    """Only the map changes; values stay with their cells."""
    one, other = lane(), lane(epsilon="0.5")
    for lane_ in (one, other):
        lane_.advance(1000)
    edited(one, (0, 1, "#"))
    one.edit(Settings(slip=1 / 3))
    q = dict(zip(other.place.world.places(), other.learner.q.tolist(), strict=True))
    other.edit(Redraw(map=one.map_text()))
    assert_same(other.place.world, one.place.world)
    assert other.answer.optima == one.answer.optima
    after = dict(zip(other.place.world.places(), other.learner.q.tolist(), strict=True))
    assert after == {place: row for place, row in q.items() if place != (0, 1)}
    with pytest.raises(InputError, match="column 2"):
        other.edit(Redraw(map="S?G"))


@pytest.mark.parametrize("agent", PLANNERS)
def test_a_planner_stops_at_the_optimum_and_goes_on_after_an_edit(agent: str) -> None:
    lane_ = lane(agent=agent, discount="0.9")
    assert lane_.learner.walk is None
    assert lane_.exact()["gap"] > 0
    for cells in [], [(0, 1, "#")], [(0, 1, ".")]:
        if cells:
            edited(lane_, *cells)
            assert not lane_.learner.converged
        update = lane_.step()
        assert dict(update.terms)["new V(s)"] == lane_.learner.values[update.s]
        lane_.advance(10_000)
        assert lane_.learner.converged
        assert lane_.exact()["gap"] == lane_.exact()["wrong"] == 0
        assert lane_.exact()["distance"] == pytest.approx(0, abs=1e-8)
    sweeps = lane_.learner.steps
    lane_.advance(1)
    assert lane_.learner.steps == sweeps < 1000
    with pytest.raises(InputError, match="no episodes"):
        lane_.finish_episode()


@pytest.mark.parametrize("agent", LEARNERS)
def test_values_of_every_learner_move_with_their_cells(agent: str) -> None:
    lane_ = lane(agent=agent)
    lane_.advance(40)
    policy = dict(zip(lane_.place.world.places(), lane_.learner.policy.tolist(), strict=True))
    edited(lane_, (0, 1, "#"))
    moved = dict(zip(lane_.place.world.places(), lane_.learner.policy.tolist(), strict=True))
    assert moved == {place: row for place, row in policy.items() if place != (0, 1)}


def test_an_unknown_learner_or_parameter_is_refused() -> None:
    with pytest.raises(InputError, match="value-iteration"):
        lane(agent="value-iteratio")
    with pytest.raises(InputError, match="unknown field 'discont'"):
        lane(agent="value-iteration", discont="0.9")
    with pytest.raises(InputError, match="less than 1"):
        lane(agent="value-iteration", discount="1")


def test_settings_change_the_model() -> None:
    lane_ = lane()
    lane_.edit(Settings(slip=0.4, step_reward=-1.0))
    expected = parse_world(WINDY.replace("slip: 0.1", "slip: 0.4\nstep reward: -1"))
    assert world_text(lane_.place.world) == world_text(parse_world(world_text(expected), "mine"))
    assert lane_.map_text() == world_text(lane_.place.world)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([(0, 0, ".")], "needs a start"),
        ([(1, 3, "#")], "the portal in row 2, column 2 leads to"),
        ([(9, 0, "#")], "row 10, column 1 lies outside"),
        ([(0, 1, "x")], "unknown symbol 'x'"),
    ],
)
def test_an_invalid_edit_changes_nothing(cells: list[tuple[int, int, str]], message: str) -> None:
    lane_ = lane()
    world = lane_.place.world
    with pytest.raises(InputError, match=message):
        edited(lane_, *cells)
    assert lane_.place.world == world
    with pytest.raises(InputError, match="slip"):
        lane_.edit(Settings(slip=0.9, stray=0.3))


def test_worlds_that_are_not_drawn_cannot_be_edited() -> None:
    river = Lane(Open(world="RiverSwim", agent="q-learning"))
    with pytest.raises(InputError, match="RiverSwim is not drawn in text"):
        edited(river, (0, 0, "#"))


@pytest.mark.parametrize("criterion", ["discounted", "return", "average-reward"])
def test_optimal_actions_keep_the_optimal_value(criterion: solver.Criterion) -> None:
    """A mixture of all optimal actions has the optimal value; other actions have lower values."""
    model = lane().place.model
    solution = solver.solve(model, criterion)
    values = action_values(model, solution)
    best = optimal_actions(values)
    assert best.any(axis=1).all()
    assert (best[np.arange(len(best)), solution.policy.argmax(axis=1)]).all()
    mixture = best / best.sum(axis=1, keepdims=True)
    names = {"discounted": "discounted_return", "return": "expected_return"}
    name = names.get(criterion, "average_reward")
    value = getattr(solver.policy_value(model, mixture), name)
    assert value == pytest.approx(solution.value)
    margin = np.where(best, -np.inf, values).max(axis=1) - np.where(best, values, -np.inf).max(
        axis=1
    )
    assert (margin < 0).all()


def test_a_world_with_too_many_states_is_refused_in_every_message() -> None:
    side = "." * 80
    large = f"map:\nS{side[1:]}\n" + f"{side}\n" * 79 + f"{side[1:]}G"
    with pytest.raises(InputError, match="mine has 6,480 states; the live page shows up to 5,000"):
        lane(large)
    lane_ = lane()
    world = lane_.place.world
    with pytest.raises(InputError, match="6,480 states"):
        lane_.edit(Redraw(map=large))
    assert lane_.place.world is world
    lane_.advance(100)


def test_with_discount_1_the_exact_values_have_discount_0_9999() -> None:
    lane_ = lane(discount="1")
    message = json.loads(lane_.world_message())
    assert message["discount"] == 0.9999
    assert lane_.exact()["distance"] is None
    model = lane_.place.model
    assert message["optimum"]["discounted_return"] == pytest.approx(
        solver.solve(model, "discounted", 0.9999).value
    )
