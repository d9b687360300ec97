"""Pictures, values and policies as lines of text, with the color codes of ECMA-48 and xterm.

The codes: https://invisible-island.net/xterm/ctlseqs/. This module needs no terminal library, so
that commands which only print may use it.
"""

import os
import re
import sys
from collections.abc import Iterable
from itertools import zip_longest
from typing import Literal, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gridcade.envs import rendering
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Array, Env
from gridcade.recording.pictures import Picture

ColorDepth = Literal["none", "256", "true"]

RAMP = np.array(list(" .:-=+*#%@"))  # characters from dark to light, on a dark terminal
DEFAULT_COLOR = -1  # the terminal's own color
RESET = "\x1b[0m"
STYLE_CODE = re.compile(r"\x1b\[[0-9;]*m")
CELL_SIZES = ((7, 3), (3, 1), (2, 1))  # columns and rows of a world's cell, largest first
LUMINANCE = (0.3, 0.59, 0.11)  # weights of red, green and blue
CUBE_LEVELS = np.array([0, 95, 135, 175, 215, 255])  # of colors 16 to 231 in xterm's palette
NO_OVERLAY = rendering.Overlay()
PANEL_GAP = 3  # columns between a picture and the arrows beside it


def color_depth(stream: TextIO) -> ColorDepth:
    """Return the colors that a stream shows, by NO_COLOR, COLORTERM, TERM and WT_SESSION."""
    term = os.environ.get("TERM", "")
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return "none"
    if sys.platform == "win32" and not term:
        return "true" if "WT_SESSION" in os.environ else "none"  # Windows Terminal
    if term in ("", "dumb", "unknown") or term.startswith("vt"):
        return "none"
    # GNU screen passes COLORTERM on from the terminal around it, but shows only 256 colors.
    if term.startswith("screen") and "TMUX" not in os.environ:
        return "256"
    true = os.environ.get("COLORTERM") in ("truecolor", "24bit") or term.endswith("-direct")
    return "true" if true else "256"


def screen_lines(
    title: str, status: str, body: list[str], keys: str, columns: int, rows: int
) -> list[str]:
    """Arrange a screen: title, status, an empty line, the body, and the keys on the last line.

    The lines are cut to `rows`, and all but the body's to `columns`.
    """
    lines = [title[:columns], status[:columns], "", *body]
    return [*lines[: rows - 1], keys[:columns]]


def frame_lines(
    picture: Picture,
    agent: tuple[int, int] | None,
    env: Env,
    value_overlay: rendering.Overlay | None,
    columns: int,
    rows: int,
) -> list[str]:
    """Turn a picture into lines of text, with the values and arrows of a policy beside it.

    Without colors, a world with cells is drawn only once, as characters.

    Args:
        picture: uint8, [height, width, 3].
        agent: row and column of the agent; None: not drawn.
        env: the environment that the picture shows.
        value_overlay: a policy's values and probabilities; None: only the picture is drawn.
        columns: the largest number of characters in a line.
        rows: the largest number of lines.
    """
    depth = color_depth(sys.stdout)
    world = env.unwrapped
    if depth == "none" and isinstance(world, TabularEnv):  # characters show more than shades
        return arrow_panel(world, value_overlay or NO_OVERLAY, agent, columns, rows, depth)
    if value_overlay is None or not isinstance(world, TabularEnv):
        return half_blocks(picture, columns, rows, depth)
    half = (columns - PANEL_GAP) // 2
    arrows = arrow_panel(world, value_overlay, agent, half, rows, depth)
    return side_by_side(half_blocks(picture, half, rows, depth), arrows, PANEL_GAP)


def half_blocks(picture: Picture, columns: int, rows: int, depth: ColorDepth) -> list[str]:
    """Turn a picture into lines of text, one pixel to a character's width and two to its height.

    The proportions are kept. A large picture is averaged down; a small one grows by a whole factor.

    Args:
        picture: uint8, [height, width, 3].
        columns: the largest number of characters in a line.
        rows: the largest number of lines.
        depth: the colors; with `none`, characters stand for brightness on a dark terminal.
    """
    if columns < 1 or rows < 1:
        return []
    scale = min(columns / picture.shape[1], 2 * rows / picture.shape[0])
    scale = int(scale) if scale >= 1 else scale
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    lines = (height + 1) // 2
    size = (width, lines if depth == "none" else height)
    scaled = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    if depth == "none":
        shades = (scaled @ LUMINANCE * (len(RAMP) / 256)).astype(int)
        return ["".join(line) for line in RAMP[shades]]
    colors = np.full((2 * lines, width), DEFAULT_COLOR)
    colors[:height] = color_numbers(scaled, depth)
    return [
        encode_line(
            ((" " if top == low else "▀", top, low) for top, low in zip(*pair, strict=True)), depth
        )
        for pair in colors.reshape(lines, 2, width).tolist()
    ]


def arrow_panel(
    env: TabularEnv,
    overlay: rendering.Overlay,
    agent: tuple[int, int] | None,
    columns: int,
    rows: int,
    depth: ColorDepth,
) -> list[str]:
    """Draw a world as lines of text: values as colors, the policy as arrows, the agent as `@`.

    An arrow, or another sign, is the likeliest action. `·` stands where all actions are equally
    likely, and `+` where some are. Cells that are large enough show their value. Of a world that is
    larger than the panel, the part around the agent is drawn; a single row is wrapped instead.

    Args:
        env: the world.
        overlay: values [states] and action probabilities [states, actions]. A value that is not
            finite is drawn as floor.
        agent: row and column of the agent; None: not drawn.
        columns: the largest number of characters in a line.
        rows: the largest number of lines.
        depth: the colors.
    """
    world = env.world
    if world.height == 1 and world.width > columns // CELL_SIZES[-1][0] > 0:
        return _wrapped_line(env, overlay, agent, columns, rows, depth)
    fitting = [
        size
        for size in CELL_SIZES
        if world.width * size[0] <= columns and world.height * size[1] <= rows
    ]
    cell_size = cell_width, cell_height = fitting[0] if fitting else CELL_SIZES[-1]
    row, column = agent or (0, 0)
    shown_rows = _visible_cells(world.height, rows // cell_height, row)
    shown_columns = _visible_cells(world.width, columns // cell_width, column)
    return _cell_lines(env, overlay, agent, shown_rows, shown_columns, cell_size, depth)


def _wrapped_line(
    env: TabularEnv,
    overlay: rendering.Overlay,
    agent: tuple[int, int] | None,
    columns: int,
    rows: int,
    depth: ColorDepth,
) -> list[str]:
    """Draw a world of one row in several lines; see `arrow_panel`. Lines beyond `rows` are cut."""
    width = env.world.width
    in_line = {size: columns // size[0] for size in CELL_SIZES if size[0] <= columns}
    fitting = [size for size, cells in in_line.items() if -(-width // cells) * size[1] <= rows]
    size = fitting[0] if fitting else CELL_SIZES[-1]
    lines = []
    for first in range(0, width, in_line[size]):
        shown = range(first, min(first + in_line[size], width))
        lines += _cell_lines(env, overlay, agent, range(1), shown, size, depth)
    return lines[:rows]


def _cell_lines(
    env: TabularEnv,
    overlay: rendering.Overlay,
    agent: tuple[int, int] | None,
    rows: range,
    columns: range,
    cell_size: tuple[int, int],
    depth: ColorDepth,
) -> list[str]:
    """Draw some rows and columns of a world as lines of text; see `arrow_panel`."""
    texts, grounds = _cells(env, overlay, agent, rows, columns, cell_size, depth)
    inks = np.where((grounds @ LUMINANCE > 120)[..., None], rendering.INK, rendering.WHITE)
    ink, ground = color_numbers(inks, depth).tolist(), color_numbers(grounds, depth).tolist()
    return [
        encode_line(zip((cell[line] for cell in texts[i]), ink[i], ground[i], strict=True), depth)
        for i in range(len(rows))
        for line in range(cell_size[1])
    ]


def side_by_side(left: list[str], right: list[str], gap: int = 2) -> list[str]:
    """Put two blocks of lines beside each other, `gap` spaces apart, ignoring color codes."""
    width = max(map(text_width, left), default=0)
    return [
        first + " " * (width - text_width(first) + gap) + second if second else first
        for first, second in zip_longest(left, right, fillvalue="")
    ]


def text_width(line: str) -> int:
    """Count the characters of a line without its color codes."""
    return len(STYLE_CODE.sub("", line))


def _visible_cells(size: int, visible: int, center: int) -> range:
    """Select at most `visible` of `size` consecutive cells, around a central one."""
    first = max(0, min(center - visible // 2, size - visible))
    return range(first, min(size, first + visible))


def _cells(
    env: TabularEnv,
    overlay: rendering.Overlay,
    agent: tuple[int, int] | None,
    rows: range,
    columns: range,
    cell_size: tuple[int, int],
    depth: ColorDepth,
) -> tuple[list[list[list[str]]], NDArray[np.uint8]]:
    """Draw cells; returns the text lines of each cell, and background colors [rows, columns, 3]."""
    world, (width, height) = env.world, cell_size
    states = np.full((world.height, world.width), -1)
    states[tuple(np.asarray(env.places).T)] = np.arange(len(env.places))
    arrows = (
        None
        if overlay.policy is None
        else _likeliest(np.asarray(overlay.policy, np.float64), env.signs)
    )
    no_values = np.full(len(env.places), np.nan)
    values = np.asarray(no_values if overlay.values is None else overlay.values, np.float64)
    value_colors = rendering.value_colors(values)
    best_end = rendering.best_end_reward(world)
    grounds = np.zeros((len(rows), len(columns), 3), dtype=np.uint8)
    texts: list[list[list[str]]] = [[] for _ in rows]
    for i, j in np.ndindex(len(rows), len(columns)):
        place = rows[i], columns[j]
        cell, state = world.cell(*place), int(states[place])
        grounds[i, j] = rendering.cell_color(cell, best_end)
        mark, label = world.rows[place[0]][place[1]], ""
        has_action = state >= 0 and not (cell.end or cell.wall)
        if has_action and np.isfinite(value := values[state]):
            grounds[i, j] = value_colors[state]
            label = f"{value:z.2f}" if abs(value) < 1000 else f"{value:.0e}"
        if place == agent:
            mark, grounds[i, j] = "@", rendering.AGENT
        elif has_action and arrows is not None:
            mark = arrows[state]
        elif depth != "none" and not (cell.end or cell.to):
            mark = " "  # the color behind it shows the cell's kind
        lines = ["", mark, label[:width]] if height > 1 else [mark[:width]]
        if cell.wall and depth == "none":
            lines = ["█" * width] * height
        texts[i].append([line.center(width) for line in lines])
    return texts, grounds


def _likeliest(policy: NDArray[np.float64], signs: rendering.Signs) -> NDArray[np.str_]:
    """Return the sign of each state's likeliest action.  [states, actions] -> [states]."""
    best = policy >= policy.max(axis=1, keepdims=True) - 1e-6
    first = np.take_along_axis(signs, best.argmax(axis=1)[:, None], axis=1)
    alike = ((signs == first) | ~best).all(axis=1)
    return np.where(alike, first[:, 0], np.where(best.all(axis=1), "·", "+"))


def color_numbers(rgb: Array, depth: ColorDepth) -> NDArray[np.int64]:
    """Return the numbers of colors at a depth.  [..., 3] -> [...]."""
    rgb = rgb.astype(np.int64)
    if depth != "256":
        return np.asarray(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2])
    levels = np.maximum((rgb - 35) // 40, rgb >= 48)  # index of the nearest of CUBE_LEVELS
    grays = np.clip((rgb.sum(axis=-1) // 3 - 3) // 10, 0, 23)  # the nearest of 8, 18, ... 238
    error = ((CUBE_LEVELS[levels] - rgb) ** 2).sum(axis=-1)
    gray_error = ((8 + 10 * grays[..., None] - rgb) ** 2).sum(axis=-1)
    return np.asarray(np.where(gray_error < error, 232 + grays, 16 + levels @ (36, 6, 1)))


def encode_line(cells: Iterable[tuple[str, int, int]], depth: ColorDepth) -> str:
    """Join (text, ink, ground) triples: a text, its color, and the background color.

    Color codes are written only where a color changes.
    """
    if depth == "none":
        return "".join(text for text, _, _ in cells)
    ink = ground = DEFAULT_COLOR
    parts = []
    for text, new_ink, new_ground in cells:
        codes = []
        if new_ink != ink and not text.isspace():
            ink = new_ink
            codes.append(_color_code(38, ink, depth))
        if new_ground != ground:
            ground = new_ground
            codes.append(_color_code(48, ground, depth))
        parts += [f"\x1b[{';'.join(codes)}m", text] if codes else [text]
    return "".join(parts) + RESET


def _color_code(layer: int, color: int, depth: ColorDepth) -> str:
    """Return the parameters of a color code; layer 38 is the text, 48 the background."""
    if color == DEFAULT_COLOR:
        return str(layer + 1)
    if depth == "256":
        return f"{layer};5;{color}"
    return f"{layer};2;{color >> 16};{color >> 8 & 255};{color & 255}"
