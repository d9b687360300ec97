"""Draw figures with matplotlib, without changing its global state."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import matplotlib.figure
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, PercentFormatter

from gridcade.evaluation.intervals import Estimate
from gridcade.report.analysis import Aggregate
from gridcade.report.learning import LearningCurves
from gridcade.study.study import Study

FIGURE_WIDTH = 5.6  # inches
CURVES_HEIGHT = 3.3  # inches, of a figure of curves
ROW_HEIGHT = 0.42  # inches, of a contender or a pair
DPI = 200
FEW_SEEDS = 5  # with more seeds, a figure shows no curve for each seed
LEGEND_WIDTH = 66  # characters
MAX_LABEL_LENGTH = 36  # characters

# Colors of the contenders in their order, distinct also for people with color blindness. The page
# replaces them by variables, which have lighter values in its dark scheme: see page.css.
PALETTE = ("#0b61c4", "#c95300", "#077f5d", "#b362a6", "#c2970b", "#5aa7dc", "#5a656f", "#8c4a2f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.5, 1.5)))
INK, MUTED, RULE, PAPER = "#1d2126", "#69707a", "#dfe2e6", "#ffffff"
RC_PARAMS: Any = {
    "svg.fonttype": "none",  # keep text as text, so that it can be selected, searched and read out
    "svg.hashsalt": "gridcade",  # make the bytes reproducible
    "text.parse_math": False,  # a name may contain a dollar sign
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
ReferenceLines = Sequence[tuple[float, str]]  # values and their names


@dataclass(frozen=True)
class Figure:
    """A figure as SVG and PNG, with its caption and alternative text."""

    name: str  # file name without suffix
    title: str
    alt: str
    caption: str
    svg: str
    png: bytes

    @property
    def inline(self) -> Markup:
        """The SVG as an element of the page, which sets its colors."""
        svg = re.sub("<metadata>.*?</metadata>", "", self.svg[self.svg.index("<svg") :], flags=re.S)
        colors = {color: f"var(--contender-{i})" for i, color in enumerate(PALETTE)}
        colors |= {INK: "var(--ink)", MUTED: "var(--muted)"}
        colors |= {RULE: "var(--rule)", PAPER: "var(--paper)"}

        def convert_tag(tag: re.Match[str]) -> str:
            text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", tag[0]).replace("xlink:href", "href")
            # The page holds several figures, so ids must differ between them.
            text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{self.name}-", text)
            return re.sub("#[0-9a-f]{6}", lambda c: colors.get(c[0], c[0]), text)

        # Only tags are converted, because the text between them contains names of contenders.
        svg = re.sub("<[^>]*>", convert_tag, svg)
        svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
        start = Markup('<svg role="img" aria-label="{}"').format(self.alt)
        return start + Markup(svg.removeprefix("<svg"))  # noqa: S704 - matplotlib escapes texts


def draw_figure(
    name: str, title: str, alt: str, caption: str, height: float, plot: Callable[[Axes], None]
) -> Figure:
    """Draw a figure with one panel.

    Args:
        name: file name without suffix.
        title: heading on the page; may be empty.
        alt: text for readers who do not see the figure.
        caption: text below the figure.
        height: height in inches.
        plot: draws into the panel.
    """
    with matplotlib.rc_context(RC_PARAMS):
        figure = matplotlib.figure.Figure(
            figsize=(FIGURE_WIDTH, height), layout="constrained", facecolor=PAPER
        )
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(facecolor="none")
        plot(axes)
        svg, png = BytesIO(), BytesIO()
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(svg, format="svg", metadata=no_metadata)
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return Figure(name, title, alt, caption, svg.getvalue().decode(), png.getvalue())


@dataclass(frozen=True)
class PlotStyle:
    """A contender's color, marker and dashes, the same in every figure."""

    color: str
    marker: str
    dashes: Any


PlotStyles = Mapping[str, PlotStyle]  # by contender


def plot_style(index: int) -> PlotStyle:
    """Return the style of a study's contender by its index; colors repeat with other dashes."""
    colors = len(PALETTE)
    return PlotStyle(
        PALETTE[index % colors],
        MARKERS[index % colors],
        DASHES[(index + index // colors) % len(DASHES)],
    )


def plot_styles(study: Study) -> PlotStyles:
    """Return the styles of a study's contenders."""
    return {spec.label: plot_style(index) for index, spec in enumerate(study.contenders)}


def plot_learning_curves(
    axes: Axes,
    curves: Sequence[LearningCurves],
    styles: PlotStyles,
    x: str,
    y: str,
    lines: ReferenceLines = (),
) -> None:
    """Plot means over seeds with intervals, and the curve of each seed if there are few seeds."""
    visible = [value for value, _ in lines]
    for contender in curves:
        style, band = styles[contender.contender], contender.band
        values = np.concatenate([ys for _, ys in contender.seeds])
        has_mean = len(contender.seeds) > 1 and len(band.x) > 1
        if has_mean:
            # Intervals of few seeds may extend far beyond all observed values: clip the axis.
            low, high = (np.clip(end, values.min(), values.max()) for end in (band.low, band.high))
            visible += [float(low.min()), float(high.max())]
            fill_band(axes, band.x, band.low, band.high, style)
            axes.plot(band.x, band.mean, color=style.color, linestyle=style.dashes)
        if not has_mean or len(contender.seeds) <= FEW_SEEDS:
            visible += [float(values.min()), float(values.max())]
            for xs, ys in contender.seeds:
                line = axes.plot(xs, ys, color=style.color, linestyle=style.dashes)[0]
                if has_mean:
                    line.set(linewidth=0.7, alpha=0.55, linestyle="-")
                if len(xs) == 1:
                    line.set(marker=style.marker, markersize=5)
    _plot_reference_lines(axes, lines, vertical=False)
    axes.set_xlim(left=0)
    axes.set_ylim(*_limits(visible))
    if x == "steps":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    add_legend(axes, [contender.contender for contender in curves], styles)


def plot_scores(
    axes: Axes,
    rows: Sequence[tuple[str, Sequence[float], Estimate]],
    styles: PlotStyles,
    x: str,
    lines: ReferenceLines = (),
) -> None:
    """Plot a row per contender: the scores of its runs, and below them their mean and interval."""
    visible = [value for value, _ in lines]
    for row, (name, values, estimate) in enumerate(rows):
        style = styles[name]
        visible += [*values, estimate.mean]
        if len(values) == 1:
            visible += [limit for limit in (estimate.low, estimate.high) if np.isfinite(limit)]
            _plot_interval(axes, estimate, row, style)
            continue
        if not values or len(values) > FEW_SEEDS:
            visible += [limit for limit in (estimate.low, estimate.high) if np.isfinite(limit)]
        heights = row - np.linspace(0.3, 0.06, len(values))  # separates equal scores
        axes.scatter(
            values,
            heights,
            s=18,
            marker=style.marker,
            color=style.color,
            edgecolor=PAPER,
            linewidth=0.4,
            alpha=0.8,
        )
        _plot_interval(axes, estimate, row + 0.2, style)
    _plot_reference_lines(axes, lines, vertical=True)
    _label_rows(axes, [name for name, *_ in rows])
    axes.set_xlim(*_limits(visible))
    axes.set_xlabel(x)


def plot_forest(
    axes: Axes, rows: Sequence[tuple[str, Estimate, bool]], x: str, zero: float = 0.0
) -> None:
    """Plot a row per pair: its estimate and interval, filled if it differs from `zero`."""
    axes.axvline(zero, color=MUTED, linewidth=1)
    for row, (_, estimate, significant) in enumerate(rows):
        _plot_interval(axes, estimate, row, PlotStyle(INK, "o", "-"), filled=significant)
    _label_rows(axes, [name for name, *_ in rows])
    limits = [v for _, e, _ in rows for v in (e.mean, e.low, e.high) if np.isfinite(v)]
    axes.set_xlim(*_limits([zero, *limits]))
    axes.set_xlabel(x)


def plot_means(
    axes: Axes, rows: Sequence[tuple[str, Estimate]], styles: PlotStyles, x: str
) -> None:
    """Plot a row per contender: its estimate and interval."""
    for row, (name, estimate) in enumerate(rows):
        _plot_interval(axes, estimate, row, styles[name])
    _label_rows(axes, [name for name, _ in rows])
    axes.set_xlabel(x)


def plot_profiles(axes: Axes, aggregate: Aggregate, styles: PlotStyles) -> None:
    """Plot the fraction of runs above each score, a curve per contender."""
    for name, band in aggregate.profiles.items():
        style = styles[name]
        fill_band(axes, band.x, band.low, band.high, style)
        axes.plot(band.x, band.mean, color=style.color, linestyle=style.dashes)
    axes.set_ylim(-0.02, 1.02)
    axes.margins(x=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(aggregate.unit)
    axes.set_ylabel("runs that score more")
    add_legend(axes, list(aggregate.profiles), styles)


def fill_band(axes: Axes, x: Any, low: Any, high: Any, style: PlotStyle) -> None:
    """Fill the area between two curves where they are finite."""
    axes.fill_between(x, low, high, np.isfinite(low), color=style.color, alpha=0.16, linewidth=0)


def _limits(visible: Sequence[float]) -> tuple[float, float]:
    """Return the limits of an axis that shows all these values, with a margin."""
    low, high = min(visible), max(visible)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _plot_interval(
    axes: Axes, estimate: Estimate, row: float, style: PlotStyle, filled: bool = True
) -> None:
    if np.isfinite(estimate.half_width):
        ends = [estimate.low, estimate.high]
        axes.plot(ends, [row, row], color=style.color, solid_capstyle="butt")
    axes.plot(
        [estimate.mean],
        [row],
        marker="D" if filled else "o",
        color=style.color,
        markerfacecolor=style.color if filled else PAPER,
        markersize=5,
        zorder=4,
    )


def _label_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shorten(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _plot_reference_lines(axes: Axes, lines: ReferenceLines, vertical: bool) -> None:
    """Plot lines across the panel, each named at its edge."""
    # The outer names are aligned outwards, so that names of near lines do not overlap.
    alignments = {min(lines)[0]: "right", max(lines)[0]: "left"} if len(lines) > 1 else {}
    for value, name in lines:
        draw_line = axes.axvline if vertical else axes.axhline
        draw_line(value, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate(
            name,
            (value, 1) if vertical else (1, value),
            xycoords=axes.get_xaxis_transform() if vertical else axes.get_yaxis_transform(),
            xytext=(0, 3) if vertical else (3, 0),
            textcoords="offset points",
            ha=alignments.get(value, "center") if vertical else "left",
            va="bottom" if vertical else "center",
            color=MUTED,
            fontsize=8,
        )


def add_legend(axes: Axes, names: Sequence[str], styles: PlotStyles) -> None:
    """Add a legend of lines above the panel."""
    handles = [Line2D([], [], color=styles[n].color, linestyle=styles[n].dashes) for n in names]
    longest = max(len(shorten(name)) for name in names)
    # matplotlib omits labels that start with an underscore.
    labels = [f"\u200b{shorten(n)}" if n.startswith("_") else shorten(n) for n in names]
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, LEGEND_WIDTH // (longest + 6)),  # 6 for the line sample
        borderpad=0,
        handlelength=2.2,
        columnspacing=1.4,
    )


def shorten(name: str) -> str:
    """Cut a name to the length of a label."""
    return name if len(name) <= MAX_LABEL_LENGTH else f"{name[: MAX_LABEL_LENGTH - 1]}…"
