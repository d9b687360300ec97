"""Edits of a world in text: each result is a valid map with the meaning that was drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcade.envs.gridworld import grid_model
from gridcade.envs.map_writer import world_text
from gridcade.envs.maps import MAPS, World, load_world, parse_world
from gridcade.errors import InputError
from gridcade.live.world import editing
from gridcade.live.world.lane import Lane
from gridcade.live.world.messages import Change, Edit, Open, Paint, Portal, Settings, decode

SMALL = """
legend:
    P: reward -2, to T
    T: floor
    o: end, reward -1
    C: reward -9, to S
map:
S..o
.P T
C.#G
"""
DRAWN = [SMALL, *(world_text(load_world(file.stem)) for file in sorted(MAPS.glob("*.txt")))]

places = st.tuples(st.integers(0, 3), st.integers(0, 4))
rewards = st.sampled_from([-2.5, 0.0, 1.0, 1 / 3])
changes = st.one_of(
    st.builds(
        lambda cells, symbol: Edit(cells=[(*cell, symbol) for cell in cells]),
        st.lists(places, min_size=1, max_size=4),
        st.sampled_from("#. SGPT"),
    ),
    st.builds(
        Paint,
        cells=st.lists(places, min_size=1, max_size=4),
        wall=st.booleans(),
        start=st.booleans(),
        end=st.booleans(),
        reward=rewards,
    ),
    st.builds(Portal, entrance=places, target=places, reward=rewards),
    st.builds(
        Settings,
        slip=st.none() | st.sampled_from([0.0, 0.1, 2 / 3]),
        step_reward=st.none() | rewards,
        wind=st.none() | st.lists(st.integers(0, 3), min_size=3, max_size=14),
        height=st.none() | st.integers(2, 14),
        width=st.none() | st.integers(2, 14),
    ),
)


def assert_same(a: World, b: World) -> None:
    used = {symbol for row in b.rows for symbol in row}
    assert {s: a.legend[s] for s in used} == {s: b.legend[s] for s in used}
    for name in ("rows", "title", "about", "step_reward", "slip", "stray", "wind", "time_limit"):
        assert getattr(a, name) == getattr(b, name), name


def changed(world: World, *requests: Change) -> World:
    for request in requests:
        world = editing.change(world, request)
    return world


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(DRAWN), st.lists(changes, max_size=12))
def test_an_edited_world_is_read_back_from_its_map_file(text: str, requests: list[Change]) -> None:
    world = parse_world(text)
    for request in requests:
        try:
            world = editing.change(world, request)
        except InputError:
            continue
        read = parse_world(world_text(world))
        assert_same(read, world)
        model, again = grid_model(world), grid_model(read)
        for name in ("offsets", "next_states", "probabilities", "rewards", "terminated", "start"):
            np.testing.assert_array_equal(getattr(model, name), getattr(again, name))


def test_a_lane_follows_its_edits_and_undo_takes_each_back() -> None:
    lane = Lane(Open(world="mine", map=SMALL, agent="q-learning"))
    requests: list[Change] = [
        Paint(cells=[(0, 1)], reward=0.5),
        Paint(cells=[(1, 0)], end=True, reward=-3.0),
        Portal(entrance=(2, 1), target=(1, 2), reward=0.25),
        Settings(wind=[0, 1, 0, 2], step_reward=-0.1),
        Settings(height=5, width=6),
        Paint(cells=[(4, 5)], start=True),
    ]
    drawn = [lane.place.world]
    for request in requests:
        lane.edit(request)
        drawn.append(lane.place.world)
        expected = grid_model(parse_world(lane.map_text()))
        np.testing.assert_array_equal(lane.place.model.rewards, expected.rewards)
        np.testing.assert_array_equal(lane.place.model.next_states, expected.next_states)
    assert lane.place.world.wind == (0, 1, 0, 2, 0, 0)
    for world in reversed(drawn[:-1]):
        lane.undo()
        assert lane.place.world == world


def test_a_portal_leads_to_the_cell_that_was_chosen() -> None:
    """Other cells with the same meaning as the target, drawn earlier or later, are no targets."""
    world = changed(
        parse_world("...\nS.G\n..."),
        Portal(entrance=(0, 0), target=(2, 0)),
        Paint(cells=[(2, 2), (0, 2)]),
        Portal(entrance=(2, 1), target=(2, 0), reward=1.0),
    )
    for entrance in ((0, 0), (2, 1)):
        assert world.places(symbol=world.cell(*entrance).to) == [(2, 0)]
    # Portals still lead to the target when its meaning changes, but cannot lead to a wall.
    world = changed(world, Paint(cells=[(2, 0)], end=True, reward=2.0))
    assert (world.cell(2, 0).end, world.places(symbol=world.cell(0, 0).to)) == (True, [(2, 0)])
    with pytest.raises(InputError, match="the portal in row 1, column 1 leads to"):
        changed(world, Paint(cells=[(2, 0)], wall=True))


def test_portals_to_a_start_follow_when_the_start_is_moved() -> None:
    """In CliffWalk, the cliff leads to the start (`to S`)."""
    world = changed(
        load_world("CliffWalk"), Paint(cells=[(0, 0)], start=True), Paint(cells=[(3, 0)])
    )
    assert world.places(symbol=world.cell(3, 1).to) == [(0, 0)]


def test_a_world_has_a_time_limit_only_while_it_has_ends() -> None:
    world = load_world("CliffWalk")
    without = changed(world, Paint(cells=[(3, 11)]))
    assert without.time_limit is None
    assert changed(without, Paint(cells=[(0, 11)], end=True)).time_limit == 10 * 38


def test_sixty_kinds_of_cells_fit_and_one_more_does_not() -> None:
    world = parse_world("S" + "." * 69 + "\n" + "." * 69 + "G")
    for n in range(len(editing.NEW_SYMBOLS)):
        world = changed(world, Paint(cells=[(n % 2, 1 + n // 2)], reward=n + 1.0))
    with pytest.raises(InputError, match="no other kind"):
        changed(world, Paint(cells=[(0, 60)], reward=-1.0))
    replaced = changed(world, Paint(cells=[(0, 1)]), Paint(cells=[(0, 1)], reward=-1.0))
    assert replaced.cell(0, 1).reward == -1


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Paint(cells=[(0, 0)]), "needs a start"),
        (Paint(cells=[(0, 1), (1, 0), (2, 0)], wall=True), "no end can be reached"),
        (Paint(cells=[(0, 1)], wall=True, reward=1.0), "a wall cannot have other properties"),
        (Paint(cells=[(0, 1)], start=True, end=True), "both a start and an end"),
        (Paint(cells=[(3, 0)]), "row 4, column 1 lies outside the world"),
        (Portal(entrance=(0, 1), target=(0, 1)), "another cell"),
        (Portal(entrance=(0, 1), target=(2, 2)), "row 3, column 3 is a wall"),
        (Portal(entrance=(0, 1), target=(1, 1)), "row 2, column 2 is a portal"),
        (Portal(entrance=(1, 3), target=(0, 1)), "a portal leads to row 2, column 4"),
        (Portal(entrance=(0, 0), target=(0, 1)), "needs a start"),
        (Settings(wind=[1, 2]), "wind has 2 numbers; it must have 4"),
        (Settings(slip=0.9, stray=0.3), "must be 1 or less"),
    ],
    ids=str,
)
def test_an_impossible_change_says_why(request_: Change, message: str) -> None:
    world = parse_world(SMALL)
    with pytest.raises(InputError, match=message):
        editing.change(world, request_)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "paint", "cells": [[0, 0]], "reward": 1e9}',
        '{"type": "settings", "wind": [-1]}',
        '{"type": "settings", "height": 1000}',
        '{"type": "portal", "entrance": [0, 0], "target": [0]}',
    ],
)
def test_numbers_beyond_the_limits_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="message not understood"):
        decode(text)
