"""The maximization-bias task (Sutton & Barto 2018, example 6.7)."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from gridcade.envs.arguments import check_size
from gridcade.envs.maps import Cell, World
from gridcade.envs.model import Model, Outcome
from gridcade.envs.rendering import INK, WHITE, Image, Overlay, Painter, Signs, WorldPainter
from gridcade.envs.tabular import RENDER_PIXELS, TabularEnv

MEAN, DEVIATION = -0.1, 1.0  # of the rewards in B
LEFT_END, B, A, RIGHT_END = range(4)
LEFT, RIGHT = 0, 1
LONGEST = 2  # steps of an episode
ABOUT = (
    "Sutton & Barto (2018), example 6.7. From A, right ends the episode, and left leads to B, "
    "where every action ends it with a random reward of mean -0.1. Right is optimal, but "
    "Q-learning prefers left for long, because it maximizes over noisy estimates. Argument: actions"
)


class MaximizationBias(TabularEnv):
    """The maximization-bias task: noisy estimates make Q-learning overestimate the action left.

    Observations: 2 is A, where episodes start, and 1 is B. 0 and 3 are the ends to the left and to
    the right.

    Actions: in A, 0 left and 1 right; other actions are not allowed (`info["action_mask"]`), and
    count as right. In B all actions lead to the left end.

    Reward: 0 for both actions in A. In B, normally distributed with mean -0.1 and variance 1.

    Termination: at both ends. The optimal values are V(A) = 0 and Q(A, left) = -0.1, undiscounted.

    Source: Sutton & Barto (2018), example 6.7. The book gives no number of actions in B, only
    "many".

    Args:
        actions: number of actions in B, 2 or greater.
        **options: see `TabularEnv`.

    Raises:
        InputError: `actions` or an option is invalid.
    """

    def __init__(self, actions: int = 10, **options: Any):
        check_size("actions", actions, 2, lambda actions: 4 * actions)
        to_b: list[Outcome] = [(1.0, B, 0.0, False)]
        right: list[Outcome] = [(1.0, RIGHT_END, 0.0, True)]
        table: dict[int, list[list[Outcome]]] = {
            LEFT_END: [[(1.0, LEFT_END, 0.0, True)]] * actions,
            B: [[(1.0, LEFT_END, MEAN, True)]] * actions,
            A: [to_b, *[right] * (actions - 1)],
            RIGHT_END: [[(1.0, RIGHT_END, 0.0, True)]] * actions,
        }
        allowed = np.ones((4, actions), dtype=bool)
        allowed[A, 2:] = False
        model = Model.from_table(table, np.eye(4)[A], allowed)
        model = replace(model, deviations=np.where(model.rewards == MEAN, DEVIATION, 0.0))
        legend = {
            "-": Cell(end=True, reward=MEAN),
            "B": Cell(),
            "A": Cell(start=True),
            "0": Cell(end=True),
        }
        world = World(("-BA0",), legend, "Maximization bias", ABOUT, time_limit=LONGEST)
        signs = np.full((4, actions), "←")
        signs[A, 1:] = "→"
        super().__init__(world, model, signs=signs, **options)

    @cached_property
    def _render_painter(self) -> Painter:
        return NamedStates(self.world, RENDER_PIXELS)


class NamedStates(WorldPainter):
    """Draws the names A and B into their cells."""

    def draw(
        self,
        place: tuple[int, int] | None,
        overlay: Overlay | None = None,
        signs: Signs | None = None,
    ) -> Image:
        """Draw the world; see `WorldPainter.draw`."""
        picture = PILImage.fromarray(super().draw(place, overlay, signs))
        draw, font = ImageDraw.Draw(picture), ImageFont.load_default(self.cell / 4)
        for state, name in ((B, "B"), (A, "A")):
            corner = state * self.cell + 4, 2
            pixel = picture.getpixel((state * self.cell + 2, 2))
            dark = isinstance(pixel, tuple) and sum(pixel) < 3 * 128
            draw.text(corner, name, WHITE if dark else INK, font)
        return np.asarray(picture)
