"""The gambler's problem (Sutton & Barto 2018, example 4.3)."""

from functools import cached_property
from typing import Any

import numpy as np

from gridcade.envs.arguments import check_size, is_number
from gridcade.envs.book.gamblers_picture import GamblersPicture
from gridcade.envs.maps import Cell, World
from gridcade.envs.model import Model, Outcome
from gridcade.envs.rendering import Painter
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError

TIME_LIMIT = 1000  # steps; a gambler who stakes 0 would play forever
ABOUT = (
    "Sutton & Barto (2018), example 4.3. A gambler stakes a part of the capital on heads, which "
    "come up with probability {heads:g}. An episode ends at a capital of {goal}, which pays 1, or "
    "at 0. It starts at any capital between them. Arguments: heads, goal"
)


class GamblersProblem(TabularEnv):
    """The gambler's problem: how much to stake on the next toss of an unfair coin.

    Observations: the capital, from 0 to the goal. Episodes start at any capital between these, with
    equal probability.

    Actions: the stake. It may exceed neither the capital nor the difference between goal and
    capital (`info["action_mask"]`); a larger stake counts as the largest allowed one. Heads win
    the stake, tails lose it.

    Reward: 1 when the goal is reached, else 0, so values are probabilities of winning.

    Termination: at the goal, and without capital.

    If heads are less likely than tails, the largest stake is optimal (Dubins & Savage 1965), and so
    are many smaller ones, such as those of the book's figure 4.3. Staking 0 changes nothing, so it
    is as good as the best stake, but a gambler who always stakes 0 never ends the episode.

    Source: Sutton & Barto (2018), example 4.3, where heads have probability 0.4.

    Args:
        heads: probability of heads, between 0 and 1.
        goal: the capital that wins, 2 or greater.
        **options: see `TabularEnv`.

    Raises:
        InputError: an argument is invalid.
    """

    def __init__(self, heads: float = 0.4, goal: int = 100, **options: Any):
        if not is_number(heads) or not 0 < heads < 1:
            raise InputError(f"heads is {heads}; it must be a number between 0 and 1")
        # A row of stakes for each capital; a toss has two outcomes.
        check_size("goal", goal, 2, lambda goal: 2 * (goal + 1) * (goal // 2 + 1))
        largest = np.minimum(np.arange(goal + 1), goal - np.arange(goal + 1))
        stakes = np.arange(goal // 2 + 1)
        table = [
            [_toss(s, min(stake, int(largest[s])), heads, goal) for stake in stakes.tolist()]
            for s in range(goal + 1)
        ]
        start = np.zeros(goal + 1)
        start[1:-1] = 1 / (goal - 1)
        model = Model.from_table(table, start, allowed=stakes <= largest[:, None])
        legend = {"0": Cell(end=True), ".": Cell(start=True), "G": Cell(end=True, reward=1.0)}
        rows = ("0" + "." * (goal - 1) + "G",)
        about = ABOUT.format(heads=heads, goal=goal)
        world = World(rows, legend, "Gambler's problem", about, time_limit=TIME_LIMIT)
        signs = np.tile(stakes.astype(str), (goal + 1, 1))
        super().__init__(world, model, signs=signs, **options)

    @cached_property
    def _render_painter(self) -> Painter:
        return GamblersPicture(self.world.width - 1)


def _toss(capital: int, stake: int, heads: float, goal: int) -> list[Outcome]:
    """Return the outcomes of a toss."""
    if capital in (0, goal):
        return [(1.0, capital, 0.0, True)]
    won, lost = capital + stake, capital - stake
    return [(heads, won, float(won == goal), won == goal), (1 - heads, lost, 0.0, lost == 0)]
