"""The picture of a world whose states are pairs of two numbers."""

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from gridcade.envs import rendering
from gridcade.envs.maps import World
from gridcade.envs.rendering import WorldPainter

MARGIN = 40  # pixels, left of and above the table
FONT_SIZE = 13
LABEL_STEP = 5  # number of rows and columns between two labels


class TablePicture(WorldPainter):
    """Draws a table of states with numbers and names along its rows and columns.

    Args:
        world: the drawing; rows and columns stand for numbers from 0.
        pixels: upper bound of the image's longer side, except that a cell has at least one pixel.
        row_name: what the row numbers mean; written along the left side.
        column_name: what the column numbers mean; written along the upper side.
    """

    def __init__(self, world: World, pixels: int, row_name: str, column_name: str):
        super().__init__(world, pixels - MARGIN)
        table = self.background
        self.top = self.left = MARGIN
        size = table.shape[1] + MARGIN, table.shape[0] + MARGIN
        image = PILImage.new("RGB", size, rendering.WHITE)
        image.paste(PILImage.fromarray(table), (MARGIN, MARGIN))
        draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE)
        for number in range(0, max(world.height, world.width), LABEL_STEP):
            middle = MARGIN + (number + 0.5) * self.cell
            if number < world.width:
                draw.text((middle, MARGIN - 4), str(number), rendering.INK, font, anchor="mb")
            if number < world.height:
                draw.text((MARGIN - 5, middle), str(number), rendering.INK, font, anchor="rm")
        draw.text((MARGIN + table.shape[1] / 2, 4), column_name, rendering.INK, font, anchor="mt")
        side = PILImage.new("RGB", (table.shape[0], FONT_SIZE + 4), rendering.WHITE)
        middle = table.shape[0] / 2
        ImageDraw.Draw(side).text((middle, 2), row_name, rendering.INK, font, anchor="mt")
        image.paste(side.rotate(90, expand=True), (2, MARGIN))
        self.background = np.asarray(image)
