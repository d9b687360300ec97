"""Figures, drawn with a canvas of their own: nothing global is left changed by one."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, PercentFormatter
from numpy.typing import NDArray

from gridcade.evaluation.intervals import Estimate
from gridcade.report.findings import Aggregate, Curves

Floats = NDArray[np.float64]

WIDTH = 5.6  # inches
ROW = 0.42  # inches, of a contender or a pair
DPI = 200
FEW_SEEDS = 5  # at which each seed has a curve of its own
LEGEND = 66  # letters in a line of it
LONGEST_LABEL = 36  # letters

# In the order of the contenders, and apart for those who see fewer colours as well. In the page
# they go by names, and a dark scheme has lighter ones: see page.css.
PALETTE = ("#0b61c4", "#c95300", "#077f5d", "#b362a6", "#c2970b", "#5aa7dc", "#5a656f", "#8c4a2f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.5, 1.5)))
INK, MUTED, RULE, PAPER = "#1d2126", "#69707a", "#dfe2e6", "#ffffff"
STYLE: Any = {
    "svg.fonttype": "none",  # letters stay letters: to be selected, searched, and read aloud
    "svg.hashsalt": "gridcade",  # the same figure has the same bytes
    "text.parse_math": False,  # a name may hold a dollar
    "font.size": 9,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.7,
}
Draw = Callable[[Axes], None]
Levels = Sequence[tuple[float, str]]  # values and their names


@dataclass(frozen=True)
class Picture:
    """A figure as files, and what to say to those who do not see it."""

    name: str  # of the files, without a suffix
    title: str
    alt: str
    caption: str
    svg: str
    png: bytes

    @property
    def inline(self) -> Markup:
        """The SVG as part of a page, whose colours it takes."""
        svg = re.sub("<metadata>.*?</metadata>", "", self.svg[self.svg.index("<svg") :], flags=re.S)
        colours = {colour: f"var(--contender-{i})" for i, colour in enumerate(PALETTE)}
        colours |= {INK: "var(--ink)", MUTED: "var(--muted)"}
        colours |= {RULE: "var(--rule)", PAPER: "var(--paper)"}

        def in_page(tag: re.Match[str]) -> str:  # names of contenders stand between tags
            text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", tag[0]).replace("xlink:href", "href")
            # an id stands once in a page, which holds several figures
            text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{self.name}-", text)
            return re.sub("#[0-9a-f]{6}", lambda c: colours.get(c[0], c[0]), text)

        svg = re.sub("<[^>]*>", in_page, svg)
        svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
        label = Markup('<svg role="img" aria-label="{}"').format(self.alt)
        return label + Markup(svg.removeprefix("<svg"))  # noqa: S704 - its texts are escaped


def draw(name: str, title: str, alt: str, caption: str, height: float, put: Draw) -> Picture:
    """A figure of one panel, by what puts things into it; height in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor=PAPER)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(facecolor="none")
        put(axes)
        svg, png = BytesIO(), BytesIO()
        plain = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(svg, format="svg", metadata=plain)
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return Picture(name, title, alt, caption, svg.getvalue().decode(), png.getvalue())


@dataclass(frozen=True)
class Look:
    """A contender's colour, marker and dashes: the same in each figure."""

    colour: str
    marker: str
    dashes: Any


def look(place: int) -> Look:
    """The look of the contender at a place in the study; colours come again with other dashes."""
    colours = len(PALETTE)
    return Look(
        PALETTE[place % colours],
        MARKERS[place % colours],
        DASHES[(place + place // colours) % len(DASHES)],
    )


def learning(
    axes: Axes,
    curves: Sequence[Curves],
    looks: Mapping[str, Look],
    x: str,
    y: str,
    lines: Levels = (),
) -> None:
    """Learning curves: means over seeds with their intervals, and each seed where they are few."""
    reach = [value for value, _ in lines]
    for one in curves:
        it, band = looks[one.contender], one.band
        values = np.concatenate([ys for _, ys in one.seeds])
        several = len(one.seeds) > 1 and len(band.x) > 1
        if several:
            # intervals of few seeds may reach far beyond all that was seen
            low, high = (np.clip(end, values.min(), values.max()) for end in (band.low, band.high))
            reach += [float(low.min()), float(high.max())]
            axes.fill_between(band.x, band.low, band.high, color=it.colour, alpha=0.16, linewidth=0)
            axes.plot(band.x, band.mean, color=it.colour, linestyle=it.dashes)
        if not several or len(one.seeds) <= FEW_SEEDS:
            reach += [float(values.min()), float(values.max())]
            for xs, ys in one.seeds:
                line = axes.plot(xs, ys, color=it.colour, linestyle=it.dashes)[0]
                if several:
                    line.set(linewidth=0.7, alpha=0.55, linestyle="-")
                if len(xs) == 1:
                    line.set(marker=it.marker, markersize=5)
    _levels(axes, lines, vertical=False)
    axes.set_xlim(left=0)
    axes.set_ylim(*_with_margin(reach))
    if x == "steps":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    _legend(axes, [one.contender for one in curves], looks)


def strip(
    axes: Axes,
    rows: Sequence[tuple[str, Sequence[float], Estimate]],
    looks: Mapping[str, Look],
    x: str,
    lines: Levels = (),
) -> None:
    """A row a contender: each run's score, and below them their mean with its interval."""
    reach = [value for value, _ in lines]
    for row, (name, values, estimate) in enumerate(rows):
        it = looks[name]
        reach += values
        if len(values) == 1:
            reach += [limit for limit in (estimate.low, estimate.high) if np.isfinite(limit)]
            _interval(axes, estimate, row, it)
            continue
        if len(values) > FEW_SEEDS:
            reach += [estimate.low, estimate.high]
        heights = row - np.linspace(0.3, 0.06, len(values))  # apart where scores are alike
        axes.scatter(
            values,
            heights,
            s=18,
            marker=it.marker,
            color=it.colour,
            edgecolor=PAPER,
            linewidth=0.4,
            alpha=0.8,
        )
        _interval(axes, estimate, row + 0.2, it)
    _levels(axes, lines, vertical=True)
    _rows(axes, [name for name, *_ in rows])
    axes.set_xlim(*_with_margin(reach))
    axes.set_xlabel(x)


def forest(
    axes: Axes, rows: Sequence[tuple[str, Estimate, bool]], x: str, zero: float = 0.0
) -> None:
    """A row a pair: an estimate and its interval, filled where it is told from `zero`."""
    axes.axvline(zero, color=MUTED, linewidth=1)
    for row, (_, estimate, told) in enumerate(rows):
        _interval(axes, estimate, row, Look(INK, "o", "-"), filled=told)
    _rows(axes, [name for name, *_ in rows])
    limits = [v for _, e, _ in rows for v in (e.mean, e.low, e.high) if np.isfinite(v)]
    axes.set_xlim(*_with_margin([zero, *limits]))
    axes.set_xlabel(x)


def means(
    axes: Axes, rows: Sequence[tuple[str, Estimate]], looks: Mapping[str, Look], x: str
) -> None:
    """A row a contender: an estimate and its interval."""
    for row, (name, estimate) in enumerate(rows):
        _interval(axes, estimate, row, looks[name])
    _rows(axes, [name for name, _ in rows])
    axes.set_xlabel(x)


def profiles(axes: Axes, made: Aggregate, looks: Mapping[str, Look]) -> None:
    """The share of runs above each score."""
    for name, band in made.profiles.items():
        it = looks[name]
        axes.fill_between(band.x, band.low, band.high, color=it.colour, alpha=0.16, linewidth=0)
        axes.plot(band.x, band.mean, color=it.colour, linestyle=it.dashes)
    axes.set_ylim(-0.02, 1.02)
    axes.margins(x=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(made.unit)
    axes.set_ylabel("runs that score more")
    _legend(axes, list(made.profiles), looks)


def _with_margin(reach: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis that shows all of these."""
    low, high = min(reach), max(reach)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _interval(axes: Axes, estimate: Estimate, row: float, it: Look, filled: bool = True) -> None:
    if np.isfinite(estimate.half_width):
        axes.plot([estimate.low, estimate.high], [row, row], color=it.colour, solid_capstyle="butt")
    axes.plot(
        [estimate.mean],
        [row],
        marker="D" if filled else "o",
        color=it.colour,
        markerfacecolor=it.colour if filled else PAPER,
        markersize=5,
        zorder=4,
    )


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _levels(axes: Axes, lines: Levels, vertical: bool) -> None:
    """Lines to compare with, each named where it leaves the panel."""
    sides = {min(lines)[0]: "right", max(lines)[0]: "left"} if len(lines) > 1 else {}
    for value, name in lines:
        draw_line = axes.axvline if vertical else axes.axhline
        draw_line(value, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate(
            name,
            (value, 1) if vertical else (1, value),
            xycoords=axes.get_xaxis_transform() if vertical else axes.get_yaxis_transform(),
            xytext=(0, 3) if vertical else (3, 0),
            textcoords="offset points",
            ha=sides.get(value, "center") if vertical else "left",
            va="bottom" if vertical else "center",
            color=MUTED,
            fontsize=8,
        )


def _legend(axes: Axes, names: Sequence[str], looks: Mapping[str, Look]) -> None:
    handles = [Line2D([], [], color=looks[n].colour, linestyle=looks[n].dashes) for n in names]
    longest = max(len(shortened(name)) for name in names)
    # a label that begins with an underscore would be left out
    labels = [f"\u200b{shortened(n)}" if n.startswith("_") else shortened(n) for n in names]
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, LEGEND // (longest + 6)),  # with the line before each
        borderpad=0,
        handlelength=2.2,
        columnspacing=1.4,
    )


def shortened(name: str) -> str:
    """A name in a figure's little room."""
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"
