"""Random mazes of any size, generated from a seed; every maze is solvable."""

from typing import Any

import numpy as np

from gridcade.envs.arguments import check_integer, check_size, is_number
from gridcade.envs.gridworld import GridWorld
from gridcade.envs.maps import DEFAULT_LEGEND, STEPS_PER_CELL, Cell, World
from gridcade.errors import InputError

ABOUT = (
    "Generated from a seed, at any size, always solvable; each move costs 1. "
    "Arguments: size, seed, loops"
)


class Maze(GridWorld):
    """A random maze: the start is in the upper left corner, the goal in the lower right corner.

    A randomized depth-first search opens walls until the rooms form a spanning tree, so every room
    can be reached from every other one. Each move costs 1.

    Args:
        size: rooms per side, 2 or greater; the drawing has 2 * size + 1 cells per side.
        seed: the seed that generates the maze, 0 or greater.
        loops: fraction of the remaining inner walls to open, from 0 to 1; these create loops.
        **options: see `TabularEnv`.

    Raises:
        InputError: an argument is invalid.
    """

    def __init__(self, size: int = 8, seed: int = 0, loops: float = 0.0, **options: Any):
        # At most, all cells within the outer wall are floor; each of four actions has one outcome.
        check_size("size", size, 2, lambda size: 4 * (2 * size - 1) ** 2)
        check_integer("seed", seed, 0)
        if not is_number(loops) or not 0 <= loops <= 1:
            raise InputError(f"loops is {loops}; it must be a number from 0 to 1")
        super().__init__(draw_maze(size, seed, loops), **options)


def draw_maze(size: int, seed: int, loops: float) -> World:
    """Draw a random maze; for the arguments see `Maze`."""
    rng = np.random.default_rng(seed)
    side = 2 * size + 1
    grid = np.full((side, side), "#")
    grid[1::2, 1::2] = "."
    path = [(0, 0)]  # from the first room to the current one
    visited = {(0, 0)}
    while path:
        row, column = path[-1]
        neighbors = ((row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1))
        unvisited = [
            (r, c)
            for r, c in neighbors
            if 0 <= r < size and 0 <= c < size and (r, c) not in visited
        ]
        if not unvisited:
            path.pop()
            continue
        r, c = unvisited[rng.integers(len(unvisited))]
        grid[row + r + 1, column + c + 1] = "."  # opens the wall between the two rooms
        visited.add((r, c))
        path.append((r, c))
    # A cell with one odd and one even coordinate lies between two rooms.
    between = [(r, c) for r in range(1, side - 1) for c in range(1, side - 1) if (r + c) % 2]
    walls = [place for place in between if grid[place] == "#"]
    for w in rng.permutation(len(walls))[: round(loops * len(walls))]:
        grid[walls[w]] = "."
    grid[1, 1], grid[-2, -2] = "S", "G"
    rows = tuple("".join(row) for row in grid)
    limit = STEPS_PER_CELL * int((grid != "#").sum())
    title = f"Maze {size}x{size}, seed {seed}"
    legend = {**DEFAULT_LEGEND, "G": Cell(end=True)}
    return World(rows, legend, title, ABOUT, step_reward=-1.0, time_limit=limit)
