"""The legend below a world in the terminal: its cells, the colors of the values, the arrows."""

import numpy as np

from gridcade.envs import rendering
from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Array, Env
from gridcade.formatting import format_number
from gridcade.viewing.text_pictures import (
    DEFAULT_COLOR,
    LUMINANCE,
    ColorDepth,
    color_numbers,
    encode_line,
    text_width,
)

SCALE_WIDTH = 10  # characters of the scale of values
GAP = "   "  # between two entries


def legend_lines(
    env: Env, overlay: Overlay | None, agent: str, columns: int, depth: ColorDepth
) -> list[str]:
    """Explain the picture of a world, and the values and arrows of a policy beside it.

    Args:
        env: the environment; one without cells needs no legend.
        overlay: values [states] and action probabilities [states, actions]; None: not drawn.
        agent: the name of the agent, such as `agent` or `you`; "": there is none.
        columns: the largest number of characters in a line.
        depth: the colors.

    Returns:
        Lines, each with as many entries as fit.
    """
    world = env.unwrapped
    if not isinstance(world, TabularEnv):
        return []
    groups = [_cell_entries(world, overlay, agent, depth)]
    if overlay is not None:
        groups.append([*_value_entries(overlay, depth), *_arrow_entries(world, overlay)])
    return [line for entries in groups for line in _fill_lines(entries, columns)]


def _cell_entries(
    env: TabularEnv, overlay: Overlay | None, agent: str, depth: ColorDepth
) -> list[str]:
    """Explain the signs of the agent and of each kind of cell except the floor."""
    world, best_end = env.world, rendering.best_end_reward(env.world)
    sign = "@" if overlay or depth == "none" else " "
    entries = [_swatch(sign, rendering.AGENT, agent, depth)] if agent else []
    for symbol in sorted(set("".join(world.rows))):
        cell = world.legend[symbol]
        if not (text := rendering.cell_text(world, cell, best_end)):
            continue
        drawn_over = overlay is not None and not (cell.wall or cell.end or cell.to)
        if depth == "none" and drawn_over:
            continue  # an arrow is drawn instead of the sign
        sign = symbol if depth == "none" or (overlay and (cell.end or cell.to)) else " "
        sign = "█" if cell.wall and depth == "none" else sign
        entries.append(_swatch(sign, rendering.cell_color(cell, best_end), text, depth))
    if world.wind and depth != "none":
        entries.append(_swatch(" ", rendering.WIND, "wind, upward", depth))
    return entries


def _value_entries(overlay: Overlay, depth: ColorDepth) -> list[str]:
    """Show the lowest and the highest value, with the scale of colors between them."""
    values = np.asarray([] if overlay.values is None else overlay.values, np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return []
    low, high = float(values.min()), float(values.max())
    if depth == "none":
        return [f"values from {format_number(low)} to {format_number(high)}"]
    grounds = color_numbers(rendering.value_colors(np.linspace(low, high, SCALE_WIDTH)), depth)
    scale = encode_line(((" ", DEFAULT_COLOR, ground) for ground in grounds.tolist()), depth)
    return [f"value {format_number(low)} {scale} {format_number(high)}"]


def _arrow_entries(env: TabularEnv, overlay: Overlay) -> list[str]:
    """Explain the signs of the policy's actions."""
    if overlay.policy is None:
        return []
    first = "→ likeliest move" if env.draws_arrows else f"{env.signs[0, -1]} likeliest action"
    return [first, "+ several tie", "· all tie"]


def _swatch(sign: str, ground: rendering.Color, text: str, depth: ColorDepth) -> str:
    """Draw a sign on its color, followed by its meaning."""
    if depth == "none":
        return f"{sign} {text}"
    colors: Array = np.array([rendering.INK, rendering.WHITE, ground], np.uint8)
    ink, white, color = color_numbers(colors, depth).tolist()
    ink = ink if np.dot(ground, LUMINANCE) > 120 else white
    return encode_line(
        [(f" {sign} ", ink, color), (f" {text}", DEFAULT_COLOR, DEFAULT_COLOR)], depth
    )


def _fill_lines(entries: list[str], columns: int) -> list[str]:
    """Join entries to lines of at most `columns` characters; leave out entries that are longer."""
    lines: list[str] = []
    for entry in entries:
        if text_width(entry) > columns:
            continue
        if lines and text_width(lines[-1] + GAP + entry) <= columns:
            lines[-1] += GAP + entry
        else:
            lines.append(entry)
    return lines
