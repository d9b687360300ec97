"""Draws worlds with NumPy: tiles, the agent, state values and policies."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from gridcade.envs.maps import Cell, World

Image = NDArray[np.uint8]  # [height, width, 3]
Coverage = NDArray[np.float64]  # [n, n]: fraction of each pixel that a shape covers, 0 to 1
Color = tuple[int, int, int]  # red, green, blue
Moves = tuple[tuple[int, int], ...]  # rows down and columns right, by action
Signs = NDArray[np.str_]  # [states, actions]: how an action is drawn, an arrow or a short text

WALL, WALL_EDGE = (43, 50, 66), (58, 67, 87)
FLOOR, GRID_LINE = (246, 243, 236), (226, 221, 210)
START = (205, 214, 232)
GOAL, PIT, HOLE = (58, 158, 104), (196, 77, 60), (92, 26, 22)
GOLD, GOLD_SHINE, PORTAL = (222, 164, 38), (250, 214, 112), (128, 92, 190)
WIND = (120, 160, 190)
AGENT, WHITE, INK = (45, 104, 214), (255, 255, 255), (28, 32, 44)
# Evenly spaced colors of matplotlib's viridis.
VALUE_SCALE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
LARGEST_CELL = 64  # pixels per side
SMALLEST_ARROW_CELL = 10  # pixels per side; smaller cells show no arrows
ARROW_LEVELS = 8  # lengths of an arrow
ARROWS = {(-1, 0): "↑", (0, 1): "→", (1, 0): "↓", (0, -1): "←", (1, -1): "↙", (1, 1): "↘"}
DIRECTIONS = {arrow: direction for direction, arrow in ARROWS.items()}


@dataclass(frozen=True)
class Overlay:
    """State values and a policy to draw over a world. NaN, or None, draws nothing."""

    values: ArrayLike | None = None  # [states]
    policy: NDArray[np.floating[Any]] | None = None  # [states, actions]: probabilities


class Painter(Protocol):
    """Draws a world; see `WorldPainter`."""

    def draw(
        self,
        place: tuple[int, int] | None,
        overlay: Overlay | None = None,
        signs: Signs | None = None,
    ) -> Image:
        """Draw the world, the agent and the overlay; see `WorldPainter.draw`."""
        ...


def value_colors(values: ArrayLike) -> NDArray[np.uint8]:
    """Compute heat-map colors of values.  [states] -> [states, 3]: red, green, blue."""
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    differ = high - low > 1e-9 * max(abs(low), abs(high))  # by more than rounding errors
    heights = (values - low) / (high - low) if differ else np.full(values.shape, 0.5)
    heights = np.nan_to_num(heights, nan=0.0, posinf=1.0, neginf=0.0)  # 0 to 1
    anchors = np.linspace(0, 1, len(VALUE_SCALE))
    channels = [np.interp(heights, anchors, channel) for channel in zip(*VALUE_SCALE, strict=True)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def best_end_reward(world: World) -> float:
    """Return the highest reward of a world's ends; 0 if it has none."""
    cells = [world.legend[symbol] for symbol in set("".join(world.rows))]
    return max((cell.reward for cell in cells if cell.end), default=0.0)


def cell_color(cell: Cell, best_end: float) -> Color:
    """Return the color of a cell that shows no value."""
    if cell.color is not None:
        return cell.color
    if cell.wall:
        return WALL
    if cell.end:
        return GOAL if cell.reward >= best_end else PIT
    if cell.reward:
        return GOLD if cell.reward > 0 else PIT
    if cell.to:
        return PORTAL
    return START if cell.start else FLOOR


def cell_text(world: World, cell: Cell, best_end: float) -> str:
    """Describe a cell in words; empty for the floor and for cells outside the world."""
    if cell.wall:
        return "" if cell.color else "wall"
    if cell.end:
        return "goal" if cell.reward >= best_end else f"end, reward {cell.reward:g}"
    parts = [f"reward {cell.reward:g}"] if cell.reward else []
    if cell.to:
        parts.append(f"leads to {'the start' if world.legend[cell.to].start else cell.to}")
    return ", ".join(parts) or ("start" if cell.start else "")


class WorldPainter:
    """Draws one world at one size. The background is drawn once.

    Attributes:
        background: the world without the agent, [height, width, 3].
        cell: side of a cell in pixels.
        top, left: position of the world in the image, in pixels.

    Args:
        world: the world.
        pixels: upper bound of the image's longer side, except that a cell has at least one pixel.
        square: pad the image to exactly `pixels` x `pixels`.
    """

    def __init__(self, world: World, pixels: int, *, square: bool = False):
        self.cell = max(1, min(pixels // max(world.height, world.width), LARGEST_CELL))
        self.world = world
        n = self.cell
        tile_index: dict[tuple[str, int], int] = {}
        tiles: list[Image] = []
        grid = np.zeros((world.height, world.width), dtype=np.int64)  # of indices into tiles
        best_end = best_end_reward(world)
        for r, row in enumerate(world.rows):
            for c, symbol in enumerate(row):
                wind = world.wind[c] if world.wind else 0
                if (symbol, wind) not in tile_index:
                    tile_index[symbol, wind] = len(tiles)
                    tiles.append(_tile(world.legend[symbol], n, best_end, wind))
                grid[r, c] = tile_index[symbol, wind]
        image = np.stack(tiles)[grid].swapaxes(1, 2).reshape(world.height * n, world.width * n, 3)
        self.top = self.left = 0
        if square:
            self.top, self.left = ((pixels - side) // 2 for side in image.shape[:2])
            padded = np.full((pixels, pixels, 3), WALL, dtype=np.uint8)
            rows = slice(self.top, self.top + image.shape[0])
            padded[rows, self.left : self.left + image.shape[1]] = image
            image = padded
        self.background: Image = image
        self.places = np.array(world.places())

    def draw(
        self,
        place: tuple[int, int] | None,
        overlay: Overlay | None = None,
        signs: Signs | None = None,
    ) -> Image:
        """Draw the world.

        Args:
            place: row and column of the agent; None draws no agent.
            overlay: values and a policy to draw over the cells.
            signs: how each action is drawn, [states, actions]; None draws no policy. An arrow is
                longer if its probability is higher; of other signs, only the likeliest is drawn.
        """
        image = self.background.copy()
        if overlay is not None:
            self._draw_overlay(image, overlay, signs)
        if place is not None:
            _paint(self._cell_pixels(image, place), *_agent(self.cell))
        return image

    def _cell_pixels(self, image: Image, place: tuple[int, int]) -> Image:
        """Return a view of a cell's pixels.  [cell, cell, 3]."""
        top, left = self.top + place[0] * self.cell, self.left + place[1] * self.cell
        return image[top : top + self.cell, left : left + self.cell]

    def _draw_overlay(self, image: Image, overlay: Overlay, signs: Signs | None) -> None:
        has_value = np.zeros(len(self.places), dtype=bool)
        colors = np.zeros((len(self.places), 3), dtype=np.uint8)
        if overlay.values is not None:
            has_value = ~np.isnan(np.asarray(overlay.values, dtype=np.float64))
            colors = value_colors(overlay.values)
        inside = slice(1, None) if self.cell > 4 else slice(None)  # keeps the grid lines
        for s, place in enumerate(self.places):
            if self.world.cell(*place).end or self.world.cell(*place).wall:
                continue
            tile = self._cell_pixels(image, place)
            if has_value[s]:
                tile[inside, inside] = colors[s]
            if overlay.policy is None or signs is None or self.cell < SMALLEST_ARROW_CELL:
                continue
            ground = colors[s] if has_value[s] else np.array(FLOOR)
            ink = INK if ground @ (0.3, 0.59, 0.11) > 120 else WHITE
            for sign, p in sign_probabilities(signs[s], overlay.policy[s]).items():
                level = round(p * ARROW_LEVELS)
                if level:
                    _paint(tile, _sign(self.cell, sign, level), ink)


def sign_probabilities(signs: Signs, policy: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Sum the probabilities of each sign in one state.

    If signs other than arrows occur, only the likeliest sign is returned, with probability 1, or
    no sign if all probabilities are 0.

    Args:
        signs: the signs of the actions, [actions].
        policy: their probabilities, [actions]; nan counts as 0.
    """
    sums: dict[str, float] = {}
    for sign, p in zip(signs.tolist(), np.nan_to_num(policy).tolist(), strict=True):
        sums[sign] = sums.get(sign, 0.0) + p
    if not sums.keys() <= DIRECTIONS.keys():
        likeliest = max(sums, key=lambda sign: sums[sign])
        return {likeliest: 1.0} if sums[likeliest] > 0 else {}
    return sums


def render_text(world: World, place: tuple[int, int], overlay: Overlay | None, signs: Signs) -> str:
    """Draw the world as text: `@` is the agent; signs show the policy's likeliest actions."""
    rows = [list(row) for row in world.rows]
    if overlay is not None and overlay.policy is not None:
        for s, (r, c) in enumerate(world.places()):
            if not (world.cell(r, c).end or world.cell(r, c).wall):
                rows[r][c] = str(signs[s, int(np.argmax(overlay.policy[s]))])
    rows[place[0]][place[1]] = "@"
    width = max(len(text) for row in rows for text in row)
    width += width > 1  # a gap between texts of several characters
    return "\n".join("".join(text.rjust(width) for text in row) for row in rows)


def _grid(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of a cell's pixel centers, -1 to 1: x right, y down.  [n, n] each."""
    centers = (np.arange(n) + 0.5) * 2 / n - 1
    x, y = np.meshgrid(centers, centers)
    return x, y


def _coverage(distance: NDArray[np.float64], n: int) -> Coverage:
    """Compute the coverage by a shape from distances to its edge, negative inside.  [n, n]."""
    return np.clip(0.5 - distance * n / 2, 0, 1)


def _disc(n: int, radius: float, x0: float = 0.0, y0: float = 0.0) -> Coverage:
    x, y = _grid(n)
    return _coverage(np.hypot(x - x0, y - y0) - radius, n)


def _rounded_square(n: int, half_side: float, corner_radius: float) -> Coverage:
    x, y = _grid(n)
    dx = np.abs(x) - half_side + corner_radius
    dy = np.abs(y) - half_side + corner_radius
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return _coverage(outside + np.minimum(np.maximum(dx, dy), 0) - corner_radius, n)


def _diamond(n: int, radius: float) -> Coverage:
    x, y = _grid(n)
    return _coverage((np.abs(x) + np.abs(y) - radius) / 2**0.5, n)


def _paint(tile: Image, coverage: Coverage, color: Color | NDArray[np.float64]) -> None:
    """Paint a color, or an image [n, n, 3], over the part of a tile that a shape covers."""
    alpha = coverage[..., None]
    tile[:] = (tile * (1 - alpha) + np.asarray(color, dtype=np.float64) * alpha).round()


@cache
def _agent(n: int) -> tuple[Coverage, NDArray[np.float64]]:
    """Draw the agent, a round face: its coverage, [n, n], and its colors, [n, n, 3]."""
    face = np.empty((n, n, 3), dtype=np.uint8)
    face[:] = WHITE
    _paint(face, _disc(n, 0.66), AGENT)
    for x0 in (-0.24, 0.24):
        _paint(face, _disc(n, 0.15, x0, -0.12), WHITE)
        _paint(face, _disc(n, 0.07, x0 + 0.02, -0.1), INK)
    return _disc(n, 0.8), face.astype(np.float64)


@cache
def _sign(n: int, sign: str, level: int) -> Coverage:
    """Draw an arrow, or a short text in the middle of a cell."""
    if sign in DIRECTIONS:
        return _arrow(n, DIRECTIONS[sign], level)
    image = PILImage.new("L", (n, n))
    font = ImageFont.load_default(n * min(0.6, 1.2 / len(sign)))
    ImageDraw.Draw(image).text((n / 2, n / 2), sign, 255, font, anchor="mm")
    return np.asarray(image) / 255


@cache
def _arrow(n: int, move: tuple[int, int], level: int) -> Coverage:
    """Draw an arrow from a cell's center in a move's direction; its length grows with `level`."""
    x, y = _grid(n)
    length = np.hypot(*move)
    along = (x * move[1] + y * move[0]) / length
    across = np.abs(x * move[0] - y * move[1]) / length
    tip = 0.25 + 0.6 * level / ARROW_LEVELS
    head_length = 0.34
    shaft = np.maximum(across - 0.07, np.maximum(-along, along - (tip - head_length)))
    point = np.maximum((along - tip) * 0.6 + across * 0.8, (tip - head_length) - along)
    return _coverage(np.minimum(shaft, point), n)


def _tile(cell: Cell, n: int, best_end: float, wind: int) -> Image:
    """Draw the background of a cell.  [n, n, 3]."""
    tile = np.empty((n, n, 3), dtype=np.uint8)
    if cell.color is not None:
        tile[:] = cell.color
        return tile
    if cell.wall:
        tile[:] = WALL_EDGE if n > 4 else WALL
        _paint(tile, _rounded_square(n, 0.98, 0.1), WALL)
        return tile
    tile[:] = FLOOR
    if n > 4:
        tile[0], tile[:, 0] = GRID_LINE, GRID_LINE
    layers: list[tuple[Callable[..., Coverage], tuple[float, ...], Color]] = []
    if cell.start:
        layers += [(_rounded_square, (0.72, 0.3), START)]
    if cell.end and cell.reward >= best_end:
        layers += [(_rounded_square, (0.9, 0.25), GOAL), (_diamond, (0.62,), WHITE)]
        layers += [(_diamond, (0.34,), GOAL)]
    elif cell.end or (cell.to and cell.reward < 0):
        layers += [(_rounded_square, (0.94, 0.15), PIT), (_disc, (0.6,), HOLE)]
    elif cell.reward > 0:
        layers += [(_rounded_square, (0.9, 0.25), PORTAL)] if cell.to else []
        layers += [(_disc, (0.6,), GOLD), (_disc, (0.4,), GOLD_SHINE)]
    elif cell.reward < 0:
        layers += [(_rounded_square, (0.7, 0.3), PIT)]
    elif cell.to:
        layers += [(_disc, (0.72,), PORTAL), (_disc, (0.4,), FLOOR)]
    for shape, sizes, color in layers:
        _paint(tile, shape(n, *sizes), color)
    if wind and not layers:
        _paint(tile, _arrow(n, (-1, 0), ARROW_LEVELS) * min(0.3 * wind, 0.9), WIND)
    return tile
