"""Results as HTML for notebooks: text, tables, pictures, videos and curves.

The HTML needs no file, no network, and no script except for the controls of some videos. It takes
its colors from the page around it, so that it looks right in Jupyter, Colab and VS Code, in light
and dark themes. All texts are escaped.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table
from rich.text import Text

from gridcade.formatting import format_count, format_number

CHART = 560, 230  # width and height in pixels
PLOT = 56, 24, 536, 186  # left, top, right and bottom of a chart's panel
TICKS = 5  # approximate number on an axis

NO_BORDERS = "border: 0; background: none;"
CELL = f"{NO_BORDERS} padding: 0.15em 1.4em 0.15em 0; white-space: nowrap;"


def parts_html(parts: Sequence[Text | Table | str]) -> Markup:
    """Convert lines and tables, which `gridcade.printing` prints as text, to HTML."""
    return Markup().join(
        _table(part) if isinstance(part, Table) else _line(part) for part in parts if part != ""
    )


def box(*contents: Markup) -> Markup:
    """Put pieces of HTML below each other."""
    style = "font-variant-numeric: tabular-nums; line-height: 1.5; margin: 0.4em 0"
    return Markup('<div class="gridcade" style="{}">{}</div>').format(
        style, Markup().join(contents)
    )


def data_uri(kind: str, data: bytes) -> str:
    """Return a URI that holds data itself; `kind` is the media type, such as `image/png`."""
    return f"data:{kind};base64,{b64encode(data).decode()}"


def picture(pixels: NDArray[np.uint8], alt: str) -> Markup:
    """Show pixels, [height, width, 3], at their own size, or as wide as the page if larger."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "png", optimize=True)
    return Markup(
        '<img src="{}" alt="{}" style="display: block; max-width: 100%; margin: 0.5em 0">'
    ).format(data_uri("image/png", file.getvalue()), alt)


def swatch(color: tuple[int, int, int], text: str) -> Markup:
    """Draw a small square of a color, followed by its meaning."""
    square = (
        "display: inline-block; width: 0.8em; height: 0.8em; border: 1px solid #8888; "
        "border-radius: 2px; vertical-align: -0.06em; margin-right: 0.4em; "
        f"background: rgb{tuple(color)}"
    )
    return Markup(
        '<span style="white-space: nowrap; margin-right: 1.2em"><span style="{}"></span>{}</span>'
    ).format(square, text)


def scale(low: float, high: float, colors: Sequence[Sequence[int]], name: str) -> Markup:
    """Draw a scale of colors between its lowest and its highest value."""
    stops = ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in colors)
    bar = (
        "display: inline-block; width: 6em; height: 0.7em; margin: 0 0.5em; "
        f"background: linear-gradient(to right, {stops})"
    )
    return Markup(
        '<span style="white-space: nowrap; margin-right: 1.2em">{} {}'
        '<span style="{}"></span>{}</span>'
    ).format(name, format_number(low), bar, format_number(high))


def _line(part: Text | str) -> Markup:
    """Convert a line. A line that is never wrapped, such as a command, gets a monospaced font."""
    if isinstance(part, Text) and part.no_wrap:
        style = "white-space: pre; overflow-x: auto; font-family: monospace; font-size: 0.9em"
        return Markup('<div style="{}">{}</div>').format(style, part.plain)
    return Markup('<div style="white-space: pre-wrap">{}</div>').format(_text(part))


def _text(part: object) -> Markup:
    """Convert a text, with its bold words."""
    if not isinstance(part, Text):
        return Markup("{}").format(part)
    ends = {0, len(part), *(end for span in part.spans for end in (span.start, span.end))}
    pieces = []
    for start, end in pairwise(sorted(ends)):
        over = [span.style for span in part.spans if span.start <= start and end <= span.end]
        bold = any("bold" in str(style) for style in (part.style, *over))
        words = part.plain[start:end]
        pieces.append(Markup("<b>{}</b>").format(words) if bold else escape(words))
    return Markup().join(pieces)


def _table(table: Table) -> Markup:
    """Convert a table, with its columns aligned as in the terminal."""
    columns = table.columns
    styles = [
        f"{CELL} text-align: {c.justify if c.justify != 'default' else 'left'}" for c in columns
    ]
    head = Markup().join(
        Markup('<th style="{}; font-weight: 600; opacity: 0.75">{}</th>').format(
            style, _text(column.header)
        )
        for style, column in zip(styles, columns, strict=True)
    )
    rows = zip(*(column.cells for column in columns), strict=True)
    body = Markup().join(
        Markup('<tr style="background: none">{}</tr>').format(
            Markup().join(
                Markup('<td style="{}">{}</td>').format(style, _text(cell))
                for style, cell in zip(styles, row, strict=True)
            )
        )
        for row in rows
    )
    outer = "border-collapse: collapse; border: 0; margin: 0.5em 0; font-size: inherit"
    return Markup(
        '<table style="{}"><thead style="{}"><tr>{}</tr></thead><tbody>{}</tbody></table>'
    ).format(outer, NO_BORDERS, head, body)


# ---- curves


@dataclass(frozen=True)
class Curve:
    """A curve of a chart. Points that are not finite are left out."""

    name: str
    color: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()  # lower bounds of the band around the curve; empty: no band
    high: Sequence[float] = ()  # upper bounds


def chart(curves: Sequence[Curve], x: str, y: str) -> Markup:
    """Draw curves as inline SVG.

    Args:
        curves: at least one, with a finite point.
        x: name of the horizontal axis, whose values are counts.
        y: name of the vertical axis.
    """
    left, top, right, bottom = PLOT
    xs = [v for curve in curves for v in curve.x]
    ys = [v for c in curves for v in (*c.y, *c.low, *c.high) if math.isfinite(v)]
    x_low, x_high = min(0.0, *xs), max(xs)
    y_ticks = _ticks(min(ys), max(ys))
    y_low, y_high = min(y_ticks[0], *ys), max(y_ticks[-1], *ys)

    def place(v: float, w: float) -> str:
        across = left + (right - left) * (v - x_low) / ((x_high - x_low) or 1)
        return f"{across:.1f},{bottom - (bottom - top) * (w - y_low) / (y_high - y_low):.1f}"

    x_ticks = [tick for tick in _ticks(x_low, x_high) if x_low <= tick <= x_high]
    pieces = [_axes(x_ticks, y_ticks, place, x, y)]
    for curve in curves:
        points = [(v, w) for v, w in zip(curve.x, curve.y, strict=True) if math.isfinite(w)]
        band = [
            (v, low, high)
            for v, low, high in zip(
                curve.x, curve.low or curve.y, curve.high or curve.y, strict=True
            )
            if math.isfinite(low) and math.isfinite(high)
        ]
        outline = [place(v, w) for v, _, w in band] + [place(v, w) for v, w, _ in band[::-1]]
        pieces.append(
            Markup(
                '<polygon points="{}" fill="{}" opacity="0.18"/>'
                '<polyline points="{}" fill="none" stroke="{}" stroke-width="1.8"/>'
            ).format(
                " ".join(outline), curve.color, " ".join(place(*p) for p in points), curve.color
            )
        )
    key = Markup().join(
        Markup('<tspan fill="{}">— </tspan><tspan>{}   </tspan>').format(curve.color, curve.name)
        for curve in curves
    )
    pieces.append(
        Markup('<text x="{}" y="{}" xml:space="preserve">{}</text>').format(left, CHART[1] - 6, key)
    )
    label = f"{y} against {x}: {', '.join(curve.name for curve in curves)}"
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" font-size="12" '
        'font-family="sans-serif" fill="currentColor" '
        'style="display: block; width: 100%; max-width: {}px; margin: 0.5em 0">{}</svg>'
    ).format(*CHART, label, CHART[0], Markup().join(pieces))


def _axes(
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    place: Callable[[float, float], str],
    x: str,
    y: str,
) -> Markup:
    """Draw the grid lines of a chart, their numbers, and the names of the axes."""
    left, top, right, bottom = PLOT
    pieces = []
    for tick in y_ticks:
        height = place(x_ticks[0], tick).partition(",")[2]
        pieces.append(
            Markup(
                '<path d="M{} {}H{}" stroke="currentColor" opacity="0.15"/>'
                '<text x="{}" y="{}" text-anchor="end" dominant-baseline="middle">{}</text>'
            ).format(left, height, right, left - 6, height, f"{tick:,.6g}")
        )
    for tick in x_ticks:
        across = place(tick, y_ticks[0]).partition(",")[0]
        pieces.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                across, bottom + 16, format_count(tick).replace(".0", "")
            )
        )
    names = Markup(
        '<text x="{}" y="{}" opacity="0.75">{}</text>'
        '<text x="{}" y="{}" opacity="0.75" text-anchor="end">{}</text>'
    ).format(left, top - 10, y, right, CHART[1] - 6, x)
    return Markup().join([*pieces, names])


def _ticks(low: float, high: float) -> list[float]:
    """Return about TICKS round numbers, from `low` or below to `high` or above."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / TICKS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * n for n in range(first, max(last, first + 1) + 1)]
