"""The strip below a world's picture that explains its cells, and a policy's values and arrows."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gridcade.envs import rendering
from gridcade.envs.maps import World
from gridcade.envs.rendering import Overlay
from gridcade.formatting import format_number
from gridcade.recording.pictures import Picture

HEIGHT = 24  # pixels; even, as H.264 demands
FONT_SIZE = 13  # pixels
MARGIN, SCALE_WIDTH, SCALE_HEIGHT = 6, 80, 12  # pixels
ARROWS_TEXT = "longer arrow: likelier move"


def legend_strip(
    world: World, overlay: Overlay, width: int, left: int, arrows: bool = True
) -> Picture:
    """Draw what the colors and arrows of two panels mean, as far as the texts fit.

    Args:
        world: the world that the left panel shows.
        overlay: values [states] and action probabilities [states, actions] of the right panel.
        width: the width of the strip, in pixels.
        left: the position at which the right panel begins, in pixels.
        arrows: whether actions are drawn as arrows.

    Returns:
        uint8, [HEIGHT, width, 3].
    """
    strip = Strip(width)
    for color, text in [(rendering.AGENT, "agent"), *cell_kinds(world)]:
        scale = np.full((SCALE_HEIGHT, SCALE_HEIGHT, 3), color, np.uint8)
        if strip.fits(text, SCALE_HEIGHT, left):
            strip.paste(scale)
            strip.write(text)
    strip.x = left + MARGIN
    values = np.asarray([] if overlay.values is None else overlay.values, np.float64)
    values = values[np.isfinite(values)]
    if values.size:
        strip.write(f"value {format_number(float(values.min()))}")
        colors = rendering.value_colors(np.linspace(values.min(), values.max(), SCALE_WIDTH))
        strip.paste(np.repeat(colors[None], SCALE_HEIGHT, axis=0))
        strip.write(format_number(float(values.max())))
    if arrows and overlay.policy is not None and strip.fits(ARROWS_TEXT, 0, width):
        strip.write(ARROWS_TEXT)
    return np.asarray(strip.image)


class Strip:
    """A white strip that is filled from the left.

    Attributes:
        image: the strip, as drawn so far.
        x: the position of the next text or picture, in pixels.
    """

    def __init__(self, width: int):
        self.image = Image.new("RGB", (width, HEIGHT), rendering.WHITE)
        self.x: float = MARGIN
        self._draw = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default(FONT_SIZE)

    def fits(self, text: str, pixels: int, end: int) -> bool:
        """Return whether a picture, `pixels` wide, and a text after it end before `end`."""
        return self.x + pixels + self._draw.textlength(text, self._font) + 2 * MARGIN <= end

    def write(self, text: str) -> None:
        """Write a text, and leave a wide gap after it."""
        self._draw.text((self.x, HEIGHT // 2), text, rendering.INK, self._font, anchor="lm")
        self.x += self._draw.textlength(text, self._font) + 2 * MARGIN

    def paste(self, picture: Picture) -> None:
        """Paste a picture, [SCALE_HEIGHT, width, 3], and leave a narrow gap after it."""
        self.image.paste(Image.fromarray(picture), (round(self.x), (HEIGHT - SCALE_HEIGHT) // 2))
        self.x += picture.shape[1] + MARGIN


def cell_kinds(world: World) -> list[tuple[rendering.Color, str]]:
    """Return the color and the meaning of each kind of cell except the floor.

    Short meanings come first, so that more of them fit.
    """
    best_end = rendering.best_end_reward(world)
    cells = [world.legend[symbol] for symbol in sorted(set("".join(world.rows)))]
    kinds = [
        (rendering.cell_color(cell, best_end), rendering.cell_text(world, cell, best_end))
        for cell in cells
    ]
    return sorted((kind for kind in kinds if kind[1]), key=lambda kind: len(kind[1]))
