"""RiverSwim: a chain of states in which the large reward lies upstream, against the current."""

from typing import Any

import numpy as np

from gridcade.envs.arguments import check_size
from gridcade.envs.maps import World
from gridcade.envs.tabular import Model, Outcome, TabularEnv

LEFT, RIGHT = 0, 1
ABOUT = (
    "Strehl & Littman (2008). A continuing task: left, with the current, pays 0.005 at the left "
    "bank; right, against it, pays 1 at the right bank."
)


class RiverSwim(TabularEnv):
    """RiverSwim (Strehl & Littman, 2008), with the numbers of Osband et al. (2013).

    Actions: 0 left, with the current, always moves one state to the left. 1 right, against the
    current, moves one state to the right with probability 0.35, stays with 0.6, and moves one state
    to the left with 0.05. At the left bank it moves with 0.6 and stays with 0.4; at the right bank
    it stays with 0.6 and moves to the left with 0.4.

    Reward: 0.005 for left at the left bank, 1 for right at the right bank, else 0. A continuing
    task.

    Args:
        length: number of states, 2 or greater.
        **options: see `TabularEnv`.

    Raises:
        InputError: `length` or an option is invalid.
    """

    def __init__(self, length: int = 6, **options: Any):
        check_size("length", length, 2, lambda length: 4 * length)
        last = length - 1
        table: dict[int, dict[int, list[Outcome]]] = {}
        for s in range(length):
            right: list[Outcome]
            if s == 0:
                right = [(0.4, s, 0.0, False), (0.6, s + 1, 0.0, False)]
            elif s == last:
                right = [(0.4, s - 1, 1.0, False), (0.6, s, 1.0, False)]
            else:
                right = [(0.05, s - 1, 0.0, False), (0.6, s, 0.0, False), (0.35, s + 1, 0.0, False)]
            left: list[Outcome] = [(1.0, max(s - 1, 0), 0.005 if s == 0 else 0.0, False)]
            table[s] = {LEFT: left, RIGHT: right}
        world = World(rows=("S" + "." * last,), title="RiverSwim", about=ABOUT)
        model = Model.from_table(table, np.eye(length)[0])
        super().__init__(world, model, moves=((0, -1), (0, 1)), **options)
