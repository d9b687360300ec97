"""Mazes: every one is solvable, and depends only on its size, seed and loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcade.envs.maps import World
from gridcade.envs.maze import Maze, draw_maze
from gridcade.errors import InputError

# Every property holds for each maze, so a few of each size suffice.
few_examples = settings(max_examples=30)
SIZES = st.integers(2, 9)
SEEDS = st.integers(0, 2**32)


def reached(world: World) -> set[tuple[int, int]]:
    """The places that can be reached from the upper left corner."""
    seen, border = {(1, 1)}, [(1, 1)]
    while border:
        row, column = border.pop()
        for place in ((row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1)):
            if place not in seen and not world.cell(*place).wall:
                seen.add(place)
                border.append(place)
    return seen


def passages(world: World) -> int:
    """The number of open places between two rooms."""
    return sum((r + c) % 2 for r, c in world.places())


@few_examples
@given(SIZES, SEEDS, st.floats(0, 1))
def test_every_room_can_be_reached_from_the_start(size: int, seed: int, loops: float) -> None:
    world = draw_maze(size, seed, loops)
    assert reached(world) == set(world.places())
    rooms = {(r, c) for r, c in world.places() if r % 2 and c % 2}
    assert len(rooms) == size**2


@few_examples
@given(SIZES, SEEDS)
def test_a_maze_without_loops_is_a_tree(size: int, seed: int) -> None:
    assert (
        passages(draw_maze(size, seed, 0.0)) == size**2 - 1
    )  # and it is connected, as tested above


@few_examples
@given(SIZES, SEEDS, st.floats(0, 1))
def test_loops_is_the_fraction_of_the_remaining_walls_that_is_open(
    size: int, seed: int, loops: float
) -> None:
    walls_left = 2 * size * (size - 1) - (size**2 - 1)
    opened = passages(draw_maze(size, seed, loops)) - (size**2 - 1)
    assert opened == round(loops * walls_left)


@few_examples
@given(SIZES, SEEDS, st.floats(0, 1))
def test_the_outer_wall_the_pillars_the_start_and_the_goal_are_in_place(
    size: int, seed: int, loops: float
) -> None:
    grid = np.array([list(row) for row in draw_maze(size, seed, loops).rows])
    assert grid.shape == (2 * size + 1, 2 * size + 1)
    assert (grid[::2, ::2] == "#").all()
    for edge in (grid[0], grid[-1], grid[:, 0], grid[:, -1]):
        assert (edge == "#").all()
    assert (grid[1, 1], grid[-2, -2]) == ("S", "G")
    assert (grid == "S").sum() == (grid == "G").sum() == 1


@few_examples
@given(SIZES, SEEDS, st.floats(0, 1))
def test_the_same_arguments_draw_the_same_maze(size: int, seed: int, loops: float) -> None:
    assert draw_maze(size, seed, loops) == draw_maze(size, seed, loops)


def test_different_seeds_draw_different_mazes() -> None:
    assert len({draw_maze(8, seed, 0.0).rows for seed in range(60)}) == 60
    # With two rooms per side, the path goes around clockwise or counterclockwise.
    assert len({draw_maze(2, seed, 0.0).rows for seed in range(20)}) == 2


def test_each_move_costs_one_and_the_goal_terminates() -> None:
    env = Maze(size=3, seed=1)
    rewards = {
        r for row in env.P.values() for cell in row.values() for _, _, r, end in cell if not end
    }
    assert rewards == {-1.0}
    goal = env.world.places().index((5, 5))
    entering = {
        (p, r, end)
        for s, row in env.P.items()
        for cell in row.values()
        for p, s_next, r, end in cell
        if s_next == goal != s
    }
    assert entering == {(1.0, -1.0, True)}
    assert env.time_limit == 10 * env.model.num_states


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 1}, "size is 1; it must be an integer, 2 or greater"),
        ({"size": 10**9}, "size is 1000000000; it must be 791 or less, because a model may have"),
        ({"size": 2.5}, "size is 2.5"),
        ({"size": "big"}, "size is big"),
        ({"seed": -1}, "seed is -1; it must be an integer, 0 or greater"),
        ({"seed": None}, "seed is None"),
        ({"loops": 1.1}, "loops is 1.1; it must be a number from 0 to 1"),
        ({"loops": float("nan")}, "loops is nan"),
        ({"loops": "some"}, "loops is some"),
        ({"time_limit": 0}, "time_limit is 0"),
    ],
)
def test_an_invalid_argument_is_an_input_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Maze(**arguments)
