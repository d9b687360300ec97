"""Mazes drawn by a seed: any size, every one solvable."""

from typing import Any

import numpy as np

from gridcade.envs.gridworld import GridWorld
from gridcade.envs.maps import DEFAULT_LEGEND, Cell, World
from gridcade.errors import InputError

LIMIT_PER_CELL = 10  # steps
ABOUT = "Drawn from a seed, at any size, always solvable; each move costs 1. size=, seed=, loops="


class Maze(GridWorld):
    """A maze from a seed: start in the upper left corner, goal in the lower right.

    A random depth-first walk carves a spanning tree of the rooms, so every room is reached from
    every other one: each maze is solvable by construction. Each move costs 1.

    Args:
        size: rooms a side, 2 or more; the drawing has 2 * size + 1 cells a side.
        seed: draws the maze.
        loops: share of the walls still standing between two rooms that are opened as well, 0 to 1.
        **options: see `TabularEnv`.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(self, size: int = 8, seed: int = 0, loops: float = 0.0, **options: Any):
        if not isinstance(size, int) or size < 2:
            raise InputError(f"size is {size}; a maze takes 2 rooms a side or more")
        if not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed is {seed}; it takes a whole number, 0 or more")
        if not isinstance(loops, int | float) or not 0 <= loops <= 1:
            raise InputError(f"loops is {loops}; it takes a share, 0 to 1")
        super().__init__(draw_maze(size, seed, loops), **options)


def draw_maze(size: int, seed: int, loops: float) -> World:
    """The drawing of a maze; see `Maze`."""
    rng = np.random.default_rng(seed)
    side = 2 * size + 1
    grid = np.full((side, side), "#")
    grid[1::2, 1::2] = "."
    path = [(0, 0)]
    seen = {(0, 0)}
    while path:
        row, column = path[-1]
        around = ((row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1))
        fresh = [
            (r, c) for r, c in around if 0 <= r < size and 0 <= c < size and (r, c) not in seen
        ]
        if not fresh:
            path.pop()
            continue
        r, c = fresh[rng.integers(len(fresh))]
        grid[row + r + 1, column + c + 1] = "."  # the wall between the two rooms
        seen.add((r, c))
        path.append((r, c))
    inner = [(r, c) for r in range(1, side - 1) for c in range(1, side - 1) if (r + c) % 2]
    walls = [place for place in inner if grid[place] == "#"]
    for w in rng.permutation(len(walls))[: round(loops * len(walls))]:
        grid[walls[w]] = "."
    grid[1, 1], grid[-2, -2] = "S", "G"
    rows = tuple("".join(row) for row in grid)
    limit = LIMIT_PER_CELL * int((grid != "#").sum())
    title = f"Maze {size}x{size}, seed {seed}"
    legend = {**DEFAULT_LEGEND, "G": Cell(end=True)}
    return World(rows, legend, title, ABOUT, step_reward=-1.0, time_limit=limit)
