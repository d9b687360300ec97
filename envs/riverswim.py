"""RiverSwim: a chain against the current, where the good reward is far upstream."""

from typing import Any

import numpy as np

from gridcade.envs.gridworld import TabularEnv
from gridcade.envs.maps import World
from gridcade.envs.tabular import Model, Outcome
from gridcade.errors import InputError

LEFT, RIGHT = 0, 1
ABOUT = (
    "Strehl & Littman (2008). A continuing world: drifting left pays 0.005, and far upstream, "
    "against the current, waits 1."
)


class RiverSwim(TabularEnv):
    """Swim against the current (Strehl & Littman, 2008; numbers of Osband et al., 2013).

    Actions: 0 left, with the current, which always succeeds; 1 right, against it: one state up with
    probability 0.35, none with 0.6, one back with 0.05 (at the left bank: up 0.6, stay 0.4; at the
    right bank: stay 0.6, back 0.4).

    Reward: 0.005 for left at the left bank, 1 for right at the right bank. A continuing world.

    Args:
        length: states, 2 or more.
        **options: see `TabularEnv`.

    Raises:
        InputError: `length` or an option is out of its range.
    """

    def __init__(self, length: int = 6, **options: Any):
        if not isinstance(length, int) or length < 2:
            raise InputError(f"length is {length}; a river takes 2 states or more")
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
