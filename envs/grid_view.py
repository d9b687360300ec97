"""Computes the partial view of MiniGrid's agent like `MiniGridEnv.gen_obs`, several times faster.

MiniGrid cuts out and rotates a grid of objects at each step. Here the relative positions of the
cells in view are computed once for each direction of the agent.
"""

from functools import cache
from typing import Any

import numpy as np
from minigrid.core.constants import DIR_TO_VEC, OBJECT_TO_IDX
from minigrid.core.world_object import Wall, WorldObj
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from gridcade.envs.types import Array

HIDDEN = (OBJECT_TO_IDX["unseen"], 0, 0)
EMPTY = (OBJECT_TO_IDX["empty"], 0, 0)
OUTSIDE = Wall()


def observe(env: MiniGridEnv) -> dict[str, Any]:
    """Return the observation of `MiniGridEnv.gen_obs`."""
    return {"image": partial_view(env), "direction": env.agent_dir, "mission": env.mission}


def partial_view(env: MiniGridEnv) -> NDArray[np.uint8]:
    """Encode kind, color and state of the cells in view, [side, side, 3]; hidden cells are HIDDEN.

    The agent is in the middle of the last row, [side // 2, side - 1], and looks up.
    """
    side = env.agent_view_size
    cells = _cells(env)
    visible = [True] * side**2 if env.see_through_walls else _visible(cells, side)
    cells[side // 2 * side + side - 1] = env.carrying
    codes = [
        HIDDEN if not seen else EMPTY if cell is None else cell.encode()
        for cell, seen in zip(cells, visible, strict=True)
    ]
    return np.array(codes, np.uint8).reshape(side, side, 3)


def _cells(env: MiniGridEnv) -> list[WorldObj | None]:
    """List the contents of the cells in view, column by column."""
    grid, (x, y) = env.grid, env.agent_pos
    columns, rows = _offsets(env.agent_view_size, int(env.agent_dir))
    columns, rows = columns + x, rows + y
    inside = (columns >= 0) & (columns < grid.width) & (rows >= 0) & (rows < grid.height)
    places = np.where(inside, rows * grid.width + columns, -1).tolist()
    return [grid.grid[place] if place >= 0 else OUTSIDE for place in places]


@cache
def _offsets(side: int, direction: int) -> tuple[Array, Array]:
    """Return the positions of the cells in view, relative to the agent.

    Columns and rows, each [side * side].
    """
    ahead = DIR_TO_VEC[direction]
    right = -ahead[1], ahead[0]
    sideways, back = np.divmod(np.arange(side**2), side)
    steps, shift = side - 1 - back, sideways - side // 2
    return steps * ahead[0] + shift * right[0], steps * ahead[1] + shift * right[1]


def _visible(cells: list[WorldObj | None], side: int) -> list[bool]:
    """Mark the cells that the agent sees: light spreads upward and sideways from it.

    The rules are MiniGrid's.

    Args:
        cells: contents of the cells in view, column by column.
        side: number of cells in a row.
    """
    clear = [cell is None or cell.see_behind() for cell in cells]
    seen = [False] * side**2
    seen[side // 2 * side + side - 1] = True
    for row in reversed(range(side)):
        for columns, to_next in ((range(side - 1), side), (range(side - 1, 0, -1), -side)):
            for place in (column * side + row for column in columns):
                if seen[place] and clear[place]:
                    seen[place + to_next] = True
                    if row:
                        seen[place - 1] = seen[place + to_next - 1] = True
    return seen
