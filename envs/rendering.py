"""Pictures of drawn worlds, by NumPy alone: tiles, the agent, values and policies."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.maps import Cell, World

Image = NDArray[np.uint8]  # [height, width, 3]
Colour = tuple[int, int, int]
Moves = tuple[tuple[int, int], ...]

WALL, WALL_EDGE = (43, 50, 66), (58, 67, 87)
FLOOR, GRID_LINE = (246, 243, 236), (226, 221, 210)
START = (205, 214, 232)
GOAL, PIT, HOLE = (58, 158, 104), (196, 77, 60), (92, 26, 22)
GOLD, GOLD_SHINE, PORTAL = (222, 164, 38), (250, 214, 112), (128, 92, 190)
WIND = (120, 160, 190)
AGENT, WHITE, INK = (45, 104, 214), (255, 255, 255), (28, 32, 44)
# Anchors of matplotlib's viridis.
VALUE_SCALE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
SMALLEST_ARROW_CELL = 10  # pixels
ARROW_LEVELS = 8


@dataclass(frozen=True)
class Overlay:
    """What may be laid over a world: arrays by state. NaN or None draws nothing."""

    values: Any = None  # [states]
    policy: Any = None  # [states, actions]: probabilities


def value_colours(values: Any) -> NDArray[np.uint8]:
    """Heat-map colours of values, lowest to highest.  [states] -> [states, 3]."""
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    apart = high - low > 1e-9 * max(abs(low), abs(high))  # more than rounding errors
    shares = (values - low) / (high - low) if apart else np.full(values.shape, 0.5)
    shares = np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0)
    at = np.linspace(0, 1, len(VALUE_SCALE))
    channels = [np.interp(shares, at, channel) for channel in zip(*VALUE_SCALE, strict=True)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


class Picture:
    """Draws one world at one size; what does not change is drawn once.

    Args:
        world: the drawing.
        pixels: the longer side, about (a cell is a whole number of pixels).
        square: pad to exactly pixels x pixels.
    """

    def __init__(self, world: World, pixels: int, *, square: bool = False):
        self.cell = max(1, min(pixels // max(world.height, world.width), 64))
        self.world = world
        n = self.cell
        kinds: dict[tuple[str, int], int] = {}
        tiles: list[Image] = []
        grid = np.zeros((world.height, world.width), dtype=np.int64)
        best_end = max((c.reward for c in _drawn(world) if c.end), default=0.0)
        for r, row in enumerate(world.rows):
            for c, symbol in enumerate(row):
                wind = world.wind[c] if world.wind else 0
                if (symbol, wind) not in kinds:
                    kinds[symbol, wind] = len(tiles)
                    tiles.append(_tile(world.legend[symbol], n, best_end, wind))
                grid[r, c] = kinds[symbol, wind]
        picture = np.stack(tiles)[grid].swapaxes(1, 2).reshape(world.height * n, world.width * n, 3)
        self.top = self.left = 0
        if square:
            self.top, self.left = ((pixels - side) // 2 for side in picture.shape[:2])
            frame = np.full((pixels, pixels, 3), WALL, dtype=np.uint8)
            down = slice(self.top, self.top + picture.shape[0])
            frame[down, self.left : self.left + picture.shape[1]] = picture
            picture = frame
        self.background: Image = picture
        self.places = np.array(world.places())

    def draw(
        self, place: tuple[int, int] | None, overlay: Overlay | None = None, moves: Moves = ()
    ) -> Image:
        """The world with the agent at a place (row, column), and what is laid over it."""
        picture = self.background.copy()
        if overlay is not None:
            self._lay(picture, overlay, moves)
        if place is not None:
            _paint(self._at(picture, place), *_agent(self.cell))
        return picture

    def _at(self, picture: Image, place: tuple[int, int]) -> Image:
        top, left = self.top + place[0] * self.cell, self.left + place[1] * self.cell
        return picture[top : top + self.cell, left : left + self.cell]

    def _lay(self, picture: Image, overlay: Overlay, moves: Moves) -> None:
        known = np.zeros(len(self.places), dtype=bool)
        colours = np.zeros((len(self.places), 3), dtype=np.uint8)
        if overlay.values is not None:
            known = ~np.isnan(np.asarray(overlay.values, dtype=np.float64))
            colours = value_colours(overlay.values)
        inside = slice(1, None) if self.cell > 4 else slice(None)
        for s, place in enumerate(self.places):
            cell = self.world.cell(*place)
            if cell.end:
                continue
            tile = self._at(picture, place)
            if known[s]:
                tile[inside, inside] = colours[s]
            if overlay.policy is not None and self.cell >= SMALLEST_ARROW_CELL:
                ground = colours[s] if known[s] else np.array(FLOOR)
                ink = INK if ground @ (0.3, 0.59, 0.11) > 120 else WHITE
                for move, p in zip(moves, np.nan_to_num(overlay.policy[s]), strict=True):
                    level = round(float(p) * ARROW_LEVELS)
                    if level:
                        _paint(tile, _arrow(self.cell, move, level), ink)


def as_text(world: World, place: tuple[int, int], overlay: Overlay | None, moves: Moves) -> str:
    """The drawing as text: `@` is the agent; a policy is drawn as arrows."""
    rows = [list(row) for row in world.rows]
    if overlay is not None and overlay.policy is not None:
        for s, (r, c) in enumerate(world.places()):
            if not world.cell(r, c).end:
                rows[r][c] = ARROWS[moves[int(np.argmax(overlay.policy[s]))]]
    rows[place[0]][place[1]] = "@"
    return "\n".join("".join(row) for row in rows)


ARROWS = {(-1, 0): "↑", (0, 1): "→", (1, 0): "↓", (0, -1): "←"}


def _drawn(world: World) -> list[Cell]:
    return [world.legend[symbol] for row in world.rows for symbol in set(row)]


def _grid(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel centres of a cell, -1 to 1: x to the right, y downwards.  Two [n, n]."""
    at = (np.arange(n) + 0.5) * 2 / n - 1
    x, y = np.meshgrid(at, at)
    return x, y


def _cover(distance: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """How much of each pixel a shape covers, from the signed distance to its edge."""
    return np.clip(0.5 - distance * n / 2, 0, 1)


def _disc(n: int, radius: float, x0: float = 0.0, y0: float = 0.0) -> NDArray[np.float64]:
    x, y = _grid(n)
    return _cover(np.hypot(x - x0, y - y0) - radius, n)


def _rounded_square(n: int, half: float, corner: float) -> NDArray[np.float64]:
    x, y = _grid(n)
    dx, dy = np.abs(x) - half + corner, np.abs(y) - half + corner
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return _cover(outside + np.minimum(np.maximum(dx, dy), 0) - corner, n)


def _diamond(n: int, radius: float) -> NDArray[np.float64]:
    x, y = _grid(n)
    return _cover((np.abs(x) + np.abs(y) - radius) / 2**0.5, n)


def _paint(tile: Image, cover: NDArray[np.float64], colour: Any) -> None:
    """Lay a colour (one, or [n, n, 3]) over a tile where a shape covers it."""
    share = cover[..., None]
    tile[:] = (tile * (1 - share) + np.asarray(colour, dtype=np.float64) * share).round()


@cache
def _agent(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The agent, a round face: its cover and its colours."""
    face = np.empty((n, n, 3), dtype=np.uint8)
    face[:] = WHITE
    _paint(face, _disc(n, 0.66), AGENT)
    for x0 in (-0.24, 0.24):
        _paint(face, _disc(n, 0.15, x0, -0.12), WHITE)
        _paint(face, _disc(n, 0.07, x0 + 0.02, -0.1), INK)
    return _disc(n, 0.8), face.astype(np.float64)


@cache
def _arrow(n: int, move: tuple[int, int], level: int) -> NDArray[np.float64]:
    """An arrow from the middle of a cell, as long as its probability.  [n, n]."""
    x, y = _grid(n)
    along = x * move[1] + y * move[0]
    across = np.abs(x * move[0] - y * move[1])
    tip = 0.25 + 0.6 * level / ARROW_LEVELS
    head = 0.34
    shaft = np.maximum(across - 0.07, np.maximum(-along, along - (tip - head)))
    point = np.maximum((along - tip) * 0.6 + across * 0.8, (tip - head) - along)
    return _cover(np.minimum(shaft, point), n)


def _tile(cell: Cell, n: int, best_end: float, wind: int) -> Image:
    """One cell of the background.  [n, n, 3]."""
    tile = np.empty((n, n, 3), dtype=np.uint8)
    if cell.wall:
        tile[:] = WALL_EDGE if n > 4 else WALL
        _paint(tile, _rounded_square(n, 0.98, 0.1), WALL)
        return tile
    tile[:] = FLOOR
    if n > 4:
        tile[0], tile[:, 0] = GRID_LINE, GRID_LINE
    layers: list[tuple[Callable[..., NDArray[np.float64]], tuple[float, ...], Colour]] = []
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
    for shape, sizes, colour in layers:
        _paint(tile, shape(n, *sizes), colour)
    if wind and not layers:
        _paint(tile, _arrow(n, (-1, 0), ARROW_LEVELS) * min(0.3 * wind, 0.9), WIND)
    return tile
