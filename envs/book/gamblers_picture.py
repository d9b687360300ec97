"""The picture of the gambler's problem: a line of capital, and the stakes above it."""

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from gridcade.envs import rendering
from gridcade.envs.rendering import Image, Overlay, Signs

LEFT, RIGHT, TOP, GAP, BOTTOM = 44, 16, 12, 14, 40  # margins in pixels
WIDTH, STAKES_HEIGHT = 404, 150  # largest width of the line, and height of the stakes, in pixels
LINE_HEIGHT = 20
FONT_SIZE = 13
ALLOWED = (234, 237, 243)
TICKS = 4  # parts of the line; the ends of each part are labeled


class GamblersPicture:
    """Draws each capital on a line, in the color of its value, and the policy's stakes above it.

    Args:
        goal: the capital that wins.
    """

    def __init__(self, goal: int):
        self.goal = goal
        self.column = max(1, WIDTH // (goal + 1))  # pixels of a unit of capital
        self.unit = STAKES_HEIGHT / (goal // 2 + 1)  # pixels of a unit of a stake
        self.width = self.column * (goal + 1)
        self.line = TOP + STAKES_HEIGHT + GAP  # upper edge of the line
        size = (LEFT + self.width + RIGHT, self.line + LINE_HEIGHT + BOTTOM)
        image = PILImage.new("RGB", size, rendering.WHITE)
        draw = ImageDraw.Draw(image)
        font = ImageFont.load_default(FONT_SIZE)
        for capital in range(1, goal):
            self._bar(draw, capital, min(capital, goal - capital), ALLOWED)
        middle = TOP + STAKES_HEIGHT / 2
        draw.text((LEFT - 6, TOP), str(goal // 2), rendering.INK, font, anchor="rt")
        draw.text((LEFT - 6, middle), "stake", rendering.INK, font, anchor="rm")
        draw.text((LEFT - 6, TOP + STAKES_HEIGHT), "0", rendering.INK, font, anchor="rb")
        for tick in sorted({goal * part // TICKS for part in range(TICKS + 1)}):
            x = self._x(tick) + self.column / 2
            below = self.line + LINE_HEIGHT
            draw.line((x, below, x, below + 4), rendering.INK)
            draw.text((x, below + 6), str(tick), rendering.INK, font, anchor="mt")
        middle = LEFT + self.width / 2
        draw.text((middle, size[1] - 3), "capital", rendering.INK, font, anchor="mb")
        for capital in range(goal + 1):
            end = {0: rendering.PIT, goal: rendering.GOAL}.get(capital, rendering.FLOOR)
            self._cell(draw, capital, end)
        self.background = image

    def draw(
        self,
        place: tuple[int, int] | None,
        overlay: Overlay | None = None,
        signs: Signs | None = None,
    ) -> Image:
        """Draw the line; see `WorldPainter.draw`. Likelier stakes have a stronger color."""
        del signs  # stakes are drawn as heights
        image = self.background.copy()
        draw = ImageDraw.Draw(image)
        if overlay is not None and overlay.values is not None:
            values = np.asarray(overlay.values, dtype=np.float64)
            inside = range(1, self.goal)
            for capital, color in zip(inside, rendering.value_colors(values[1:-1]), strict=True):
                if np.isfinite(values[capital]):
                    self._cell(draw, capital, tuple(color.tolist()))
        if overlay is not None and overlay.policy is not None:
            policy = np.nan_to_num(overlay.policy[1:-1])
            for i, stake in np.argwhere(policy > 0).tolist():
                self._stake(draw, i + 1, stake, float(policy[i, stake]))
        if place is not None:
            x, y = self._x(place[1]) + self.column / 2, self.line + LINE_HEIGHT / 2
            for r, color in ((9, rendering.WHITE), (7, rendering.AGENT)):
                draw.ellipse((x - r, y - r, x + r, y + r), color)
        return np.asarray(image)

    def _x(self, capital: int) -> int:
        return LEFT + capital * self.column

    def _cell(self, draw: ImageDraw.ImageDraw, capital: int, color: tuple[int, ...]) -> None:
        x = self._x(capital)
        draw.rectangle((x, self.line, x + self.column - 1, self.line + LINE_HEIGHT - 1), color)

    def _bar(
        self, draw: ImageDraw.ImageDraw, capital: int, stake: int, color: tuple[int, ...]
    ) -> None:
        """Draw a bar from stake 0 up to a stake."""
        x, bottom = self._x(capital), TOP + STAKES_HEIGHT
        draw.rectangle((x, bottom - (stake + 1) * self.unit, x + self.column - 1, bottom), color)

    def _stake(self, draw: ImageDraw.ImageDraw, capital: int, stake: int, p: float) -> None:
        """Draw a mark at the height of a stake; its color is as strong as the stake is likely."""
        x, bottom = self._x(capital), TOP + STAKES_HEIGHT - stake * self.unit
        mixed = np.asarray(ALLOWED) * (1 - p) + np.asarray(rendering.AGENT) * p
        color = tuple(mixed.round().astype(int).tolist())
        draw.rectangle((x, bottom - self.unit, x + self.column - 1, bottom), color)
