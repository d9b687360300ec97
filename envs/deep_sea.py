"""Deep sea: a world in which only directed exploration finds the treasure."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.arguments import check_size, is_integer, is_number
from gridcade.envs.maps import Cell, World
from gridcade.envs.model import Model
from gridcade.envs.rendering import Painter, WorldPainter
from gridcade.envs.tabular import RENDER_PIXELS, TabularEnv
from gridcade.errors import InputError

TREASURE = 1.0
ABOUT = (
    "Osband et al. (2020), bsuite. A diver sinks one row per step, to the left or the right. Only "
    "right at every step leads to the treasure, which pays 1; each move to the right costs "
    "{move_cost:g} / size. The optimal return is {best:g}. Arguments: size, seed (of the "
    "actions' meanings), move_cost"
)
SURFACE, BOTTOM = np.array((183, 221, 240)), np.array((24, 62, 112))  # colors of the water
SAND, OUTSIDE = (226, 203, 152), (255, 255, 255)


class DeepSea(TabularEnv):
    """Deep sea, as in bsuite: a random diver finds the treasure once in 2^size episodes.

    Observations: the index of the diver's cell, counted row by row. The diver starts at the upper
    left and can reach the first r + 1 columns of row r. Below the last row is the sea floor, which
    ends the episode.

    Actions: 0 and 1. One of them sinks to the left, the other to the right; which one depends on
    the cell and the seed. In the first column, left sinks straight down.

    Reward: -move_cost / size for each move to the right, and 1 for the last one if all moves went
    to the right. The best return is 1 - move_cost; a diver who never moves to the right gets 0.

    Termination: after `size` steps.

    Source: Osband et al. (2020), Behaviour Suite for Reinforcement Learning, its deterministic
    version. There the last observation is all zeros; here it is a cell of the sea floor.

    Args:
        size: number of rows and of steps, 1 or greater.
        seed: seed of the actions' meanings, 0 or greater; None: 0 is left and 1 right in all cells.
        move_cost: total cost of moving to the right at every step, 0 or greater.
        **options: see `TabularEnv`.

    Raises:
        InputError: an argument is invalid.
    """

    def __init__(
        self, size: int = 10, seed: int | None = 0, move_cost: float = 0.01, **options: Any
    ):
        # Each cell has two actions with one outcome.
        check_size("size", size, 1, lambda size: (size + 1) * (size + 2))
        if seed is not None and not (is_integer(seed) and seed >= 0):
            raise InputError(f"seed is {seed}; it must be none, or an integer, 0 or greater")
        if not is_number(move_cost) or not 0 <= move_cost < np.inf:
            raise InputError(f"move_cost is {move_cost}; it must be a number, 0 or greater")
        right = np.ones((size + 1) * (size + 2) // 2, dtype=np.int64)  # the action, [states]
        if seed is not None:
            right = np.random.default_rng(seed).integers(2, size=len(right))
        rows = ["." * (r + 1) + "#" * (size - r) for r in range(size)]
        rows[0] = "S" + rows[0][1:]
        legend = {
            "S": Cell(start=True),
            ".": Cell(),
            "#": Cell(wall=True, color=OUTSIDE),
            "_": Cell(end=True, color=SAND),
            "G": Cell(end=True, reward=TREASURE),
        }
        drawing = (*rows, "_" * size + "G")
        about = ABOUT.format(move_cost=move_cost, best=max(1 - move_cost, 0))
        world = World(drawing, legend, f"Deep sea {size}x{size}", about, time_limit=size)
        _, columns = np.tril_indices(size + 1)
        signs = np.where(columns[:, None] > 0, "↙", "↓").repeat(2, axis=1)
        signs[np.arange(len(right)), right] = "↘"
        super().__init__(world, _model(size, right, move_cost), signs=signs, **options)

    @cached_property
    def _render_painter(self) -> Painter:
        return SeaPainter(self.world, RENDER_PIXELS)

    @cached_property
    def _observation_painter(self) -> WorldPainter:
        return SeaPainter(self.world, self._pixels, square=True)


def _model(size: int, right: NDArray[np.int64], move_cost: float) -> Model:
    """Build the exact model; each action has one outcome.

    Args:
        size: number of rows.
        right: the action that moves to the right, [states].
        move_cost: total cost of moving to the right at every step.
    """
    row, column = np.tril_indices(size + 1)
    states, last = np.arange(len(row)), size * (size + 1) // 2  # the first state of the sea floor
    below = states + row + 1  # the state one row down, in the same column
    treasure = (row == size - 1) & (column == size - 1)
    is_right = right[:, None] == np.arange(2)  # [states, actions]
    next_states = np.where(is_right, below[:, None] + 1, (below - (column > 0))[:, None])
    pays = np.where(treasure, TREASURE, 0.0) - move_cost / size
    rewards = np.where(is_right, pays[:, None], 0.0)
    floor = states >= last
    next_states[floor], rewards[floor] = states[floor, None], 0.0
    return Model(
        offsets=np.arange(2 * len(states) + 1),
        next_states=next_states.ravel(),
        probabilities=np.ones(2 * len(states)),
        rewards=rewards.ravel(),
        terminated=np.repeat(row >= size - 1, 2),
        start=np.eye(1, len(states))[0],
    )


class SeaPainter(WorldPainter):
    """Draws deep sea, whose water grows darker with depth."""

    def __init__(self, world: World, pixels: int, *, square: bool = False):
        super().__init__(world, pixels, square=square)
        inside = slice(1, None) if self.cell > 4 else slice(None)  # keeps the grid lines
        for r, c in world.places():
            if not world.cell(r, c).end:
                depth = r / world.height
                tile = self._cell_pixels(self.background, (r, c))
                tile[inside, inside] = SURFACE * (1 - depth) + BOTTOM * depth
