"""A lane restores an earlier moment bit for bit, and repeats the same future from there."""

import numpy as np
import pytest

from gridcade.agents.base import Tensors
from gridcade.errors import InputError
from gridcade.live.world.lane import Lane
from gridcade.live.world.learners import LEARNERS
from gridcade.live.world.messages import Edit, Open

MAP = "slip: 0.1\nmap:\nS...\n.##.\n...G"
WALL = Edit(cells=[(0, 1, "#")])


def lane(agent: str = "q-learning") -> Lane:
    return Lane(Open(world="mine", map=MAP, agent=agent, seed=3))


def assert_equal(a: Tensors, b: Tensors) -> None:
    assert set(a) == set(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def moment_at(lane_: Lane, steps: int) -> int:
    """Return the number of the last moment at these steps in the present branch."""
    return next(m.number for m in reversed(lane_.history.moments) if m.steps == steps)


@pytest.mark.parametrize("agent", LEARNERS)
def test_the_past_is_restored_and_its_future_repeated_bit_for_bit(agent: str) -> None:
    lane_ = lane(agent)
    lane_.advance(2)
    lane_.record()
    past, exact = lane_.learner.snapshot(), lane_.exact()
    lane_.advance(2)
    future = lane_.learner.snapshot()
    lane_.record()
    assert lane_.go_to(0, moment_at(lane_, 2)) is False
    assert_equal(lane_.learner.snapshot(), past)
    assert lane_.exact() == exact
    assert not lane_.history.is_newest

    lane_.advance(2)
    lane_.record()
    assert_equal(lane_.learner.snapshot(), future)
    assert lane_.history.branch == 1
    assert (lane_.history.branches[1].parent, lane_.history.branches[1].fork) == (0, 2)


def test_an_edit_of_the_past_makes_a_branch_and_keeps_the_first_future() -> None:
    lane_ = lane()
    lane_.advance(500)
    lane_.record()
    past = lane_.learner.snapshot()
    lane_.advance(500)
    future, picture = lane_.learner.snapshot(), lane_.picture_message(False, 0.0, lane_.exact())
    lane_.go_to(0, 1)
    assert_equal(lane_.learner.snapshot(), past)
    lane_.edit(WALL)
    lane_.advance(500)
    assert lane_.history.branch == 1
    assert [m.steps for m in lane_.history.moments] == [0, 500, 500]
    other = lane_.learner.snapshot()
    assert other["agent.q"].shape != future["agent.q"].shape

    assert lane_.go_to(0, None) is True  # another world
    assert_equal(lane_.learner.snapshot(), future)
    assert lane_.picture_message(False, 0.0, lane_.exact()) == picture
    assert lane_.go_to(1, None) is True
    assert_equal(lane_.learner.snapshot(), other)


def test_edits_and_their_undoing_are_moments() -> None:
    """A return to a moment also restores its list of undos."""
    lane_ = lane()
    first = lane_.place.world
    lane_.advance(100)
    lane_.edit(WALL)
    lane_.advance(100)
    lane_.undo()
    lane_.advance(100)
    lane_.record()
    assert [m.steps for m in lane_.history.moments] == [0, 100, 100, 200, 200, 300]
    assert [m.edited for m in lane_.history.moments] == [True, False, True, False, True, False]
    lane_.go_to(0, moment_at(lane_, 100))
    assert lane_.place.world.rows[0] == "S#.."
    lane_.undo()
    assert lane_.place.world is first
    lane_.go_to(0, moment_at(lane_, 0))
    assert lane_.place.world is first
    with pytest.raises(InputError, match="nothing to undo"):
        lane_.undo()
