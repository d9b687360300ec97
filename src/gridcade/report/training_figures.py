"""The figures of studies that measure training, and of sweeps."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from gridcade.evaluation.intervals import Estimate
from gridcade.formatting import format_number
from gridcade.report.analysis import EnvironmentAnalysis
from gridcade.report.drawing import (
    CURVES_HEIGHT,
    Figure,
    PlotStyles,
    add_legend,
    draw_figure,
    fill_band,
    plot_style,
)
from gridcade.report.figures import curve_figures
from gridcade.report.phrases import listing, percent
from gridcade.study.comparison import Comparison
from gridcade.study.measures import FigureAxes
from gridcade.study.recording import record_band
from gridcade.study.seed_statistics import Band
from gridcade.study.study import Study
from gridcade.study.sweeps import swept_number


@dataclass(frozen=True)
class Sweep:
    """The scores of one sweep against its hyperparameter."""

    hyperparameter: str
    points: tuple[tuple[float, Estimate], ...]  # values and scores, in the order of the values


def curves(
    name: str, analysis: EnvironmentAnalysis, comparison: Comparison, styles: PlotStyles
) -> Iterator[Figure]:
    """Draw the scores of sweeps, and then learning curves, or curves of a measure of training.

    A sweep that measures training has no curves.
    """
    study = comparison.study
    sweeps = [*sweep_figures(name, analysis, study)]
    yield from sweeps
    if study.measure == "evaluation":
        yield from curve_figures(name, analysis, study.confidence, styles)
    elif not sweeps:
        records = comparison.records[analysis.env]
        bands = {label: record_band(record, study.confidence) for label, record in records.items()}
        yield training_figure(name, analysis, bands, study, styles)


def scaled(band: Band, axes: FigureAxes) -> Band:
    """Return a curve in the unit of the figure."""
    mean, low, high = (axes.multiply * y + axes.add for y in (band.mean, band.low, band.high))
    low, high = (low, high) if axes.multiply > 0 else (high, low)
    return Band(band.x, mean, low, high)


def training_figure(
    name: str,
    analysis: EnvironmentAnalysis,
    curves: Mapping[str, Band],
    study: Study,
    styles: PlotStyles,
) -> Figure:
    """Draw the measure of training against the episodes or steps, a curve per contender."""
    by_episode = study.training_episodes is not None
    x = study.figure.x or ("training episodes" if by_episode else "training steps")
    y = study.figure.y or analysis.names.title
    shown = {label: scaled(band, study.figure) for label, band in curves.items()}
    last = [f"{label} {format_number(float(band.mean[-1]))}" for label, band in shown.items()]
    seeds = max(len(scores.values) for scores in analysis.scores)
    return draw_figure(
        f"{name}-record",
        "",
        f"{y} on {analysis.env} against {x}. Last values: {listing(last)}.",
        f"Mean of {seeds:,} runs, with a pointwise {percent(study.confidence)} interval.",
        CURVES_HEIGHT,
        partial(_plot_bands, curves=shown, styles=styles, x=x, y=y, limits=study.figure),
    )


def _plot_bands(
    axes: Axes,
    curves: Mapping[str, Band],
    styles: PlotStyles,
    x: str,
    y: str,
    limits: FigureAxes,
) -> None:
    for label, band in curves.items():
        style = styles[label]
        fill_band(axes, band.x, band.low, band.high, style)
        axes.plot(band.x, band.mean, color=style.color, linestyle=style.dashes, linewidth=1.3)
    left = limits.left or 0.0
    axes.set_xlim(left, max(float(band.x[-1]) for band in curves.values()))
    if limits.low is None and limits.high is None:
        # Values left of the x axis do not count: the first values may be far from the others.
        seen = np.concatenate([band.mean[band.x >= left] for band in curves.values()])
        margin = 0.05 * float(np.ptp(seen)) or 1.0
        axes.set_ylim(float(seen.min()) - margin, float(seen.max()) + margin)
    axes.set_ylim(limits.low, limits.high)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    add_legend(axes, list(curves), styles)


def sweep_figures(name: str, analysis: EnvironmentAnalysis, study: Study) -> Iterator[Figure]:
    """Draw the scores of each swept hyperparameter against it, a curve per sweep."""
    sweeps = find_sweeps(analysis, study)
    styles = {label: plot_style(i) for i, label in enumerate(sweeps)}
    for hyperparameter in dict.fromkeys(sweep.hyperparameter for sweep in sweeps.values()):
        shown = {k: v.points for k, v in sweeps.items() if v.hyperparameter == hyperparameter}
        y = study.figure.y or analysis.names.title
        best = [
            f"{label} {format_number(max(e.mean for _, e in points))}"
            for label, points in shown.items()
        ]
        yield draw_figure(
            f"{name}-sweep-{hyperparameter.replace('_', '-')}",
            "",
            f"{y} on {analysis.env} against {hyperparameter}. Highest values: {listing(best)}.",
            f"Mean over seeds, with a {percent(study.confidence)} interval at each point.",
            CURVES_HEIGHT,
            partial(
                _plot_sweeps,
                sweeps=shown,
                styles=styles,
                x=study.figure.x or hyperparameter,
                y=y,
                limits=study.figure,
            ),
        )


def find_sweeps(analysis: EnvironmentAnalysis, study: Study) -> dict[str, Sweep]:
    """Return the scores of all sweeps over numbers, by their names."""
    estimates = {scores.contender: scores.estimate for scores in analysis.scores}
    sweeps: dict[str, Sweep] = {}
    for spec in study.contenders:
        value, estimate = swept_number(spec), estimates.get(spec.label)
        if spec.sweep and value is not None and estimate is not None:
            points = sweeps[spec.sweep].points if spec.sweep in sweeps else ()
            ordered = sorted([*points, (value, estimate)], key=lambda point: point[0])
            sweeps[spec.sweep] = Sweep(spec.swept, tuple(ordered))
    return sweeps


def _plot_sweeps(
    axes: Axes,
    sweeps: Mapping[str, tuple[tuple[float, Estimate], ...]],
    styles: PlotStyles,
    x: str,
    y: str,
    limits: FigureAxes,
) -> None:
    for label, points in sweeps.items():
        style = styles[label]
        values = np.array([value for value, _ in points])
        ends = np.array([[e.mean, e.low, e.high] for _, e in points]).T  # [3, points]
        band = scaled(Band(values, *ends), limits)
        half = np.where(np.isfinite(band.high), (band.high - band.low) / 2, math.nan)
        axes.errorbar(
            band.x,
            band.mean,
            half,
            color=style.color,
            linestyle=style.dashes,
            linewidth=1.3,
            marker=style.marker,
            markersize=4,
            capsize=2,
        )
    axes.set_ylim(limits.low, limits.high)
    axes.set_xlim(left=limits.left)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    add_legend(axes, list(sweeps), styles)
