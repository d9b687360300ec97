"""The strip below a world's picture that explains the values and arrows of a policy."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gridcade.envs import rendering
from gridcade.envs.rendering import Overlay
from gridcade.formatting import format_number
from gridcade.recording.video import Picture

HEIGHT = 24  # pixels; even, as H.264 demands
FONT_SIZE = 13  # pixels
MARGIN, SCALE_WIDTH, SCALE_HEIGHT = 6, 80, 12  # pixels
ARROWS_TEXT = "longer arrow: likelier move"


def legend_strip(overlay: Overlay, width: int, left: int) -> Picture:
    """Draw the scale of the values' colors, and what the arrows mean, as far as they fit.

    Args:
        overlay: values [states] and action probabilities [states, actions].
        width: of the strip, in pixels.
        left: where the legend begins, in pixels.

    Returns:
        uint8, [HEIGHT, width, 3].
    """
    strip = Image.new("RGB", (width, HEIGHT), rendering.WHITE)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(FONT_SIZE)
    right = left + MARGIN

    def write(text: str) -> None:
        nonlocal right
        draw.text((right, HEIGHT // 2), text, rendering.INK, font, anchor="lm")
        right += round(draw.textlength(text, font)) + MARGIN

    values = np.asarray([] if overlay.values is None else overlay.values, np.float64)
    values = values[np.isfinite(values)]
    if values.size:
        write(f"value {format_number(float(values.min()))}")
        colors = rendering.value_colors(np.linspace(values.min(), values.max(), SCALE_WIDTH))
        scale = Image.fromarray(np.repeat(colors[None], SCALE_HEIGHT, axis=0))
        strip.paste(scale, (right, (HEIGHT - SCALE_HEIGHT) // 2))
        right += SCALE_WIDTH + MARGIN
        write(format_number(float(values.max())))
        right += MARGIN
    fits = right + draw.textlength(ARROWS_TEXT, font) + MARGIN <= width
    if overlay.policy is not None and fits:
        write(ARROWS_TEXT)
    return np.asarray(strip)
