"""The figures of a report, with their captions and alternative texts."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from gridcade.evaluation.intervals import Estimate
from gridcade.formatting import format_number
from gridcade.report.analysis import (
    Aggregate,
    EnvironmentAnalysis,
    Improvement,
)
from gridcade.report.drawing import (
    CURVES_HEIGHT,
    FEW_SEEDS,
    ROW_HEIGHT,
    Figure,
    PlotStyles,
    draw_figure,
    plot_forest,
    plot_learning_curves,
    plot_means,
    plot_profiles,
    plot_scores,
)
from gridcade.report.learning import learning_curves
from gridcade.report.phrases import listing, percent

AXES_HEIGHT = 0.75  # inches, of the axis and its labels below a figure's rows
MANY_RUNS = 200  # a figure of scores shows no point for each run, if there are more
SHORTEST_TIME = 10.0  # seconds; a shorter training has no curves against time
TIME_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))  # seconds in a unit


def curve_figures(
    name: str, analysis: EnvironmentAnalysis, confidence: float, styles: PlotStyles
) -> Iterator[Figure]:
    """Draw learning curves against steps, and against time if training took SHORTEST_TIME or more.

    They show the evaluations of the greedy policy, and the training episodes.
    """
    names = analysis.names
    for suffix, metric in (("curves", names.greedy), ("training", names.training)):
        yield from _metric_figures(f"{name}-{suffix}", analysis, metric, confidence, styles)


def _metric_figures(
    name: str,
    analysis: EnvironmentAnalysis,
    metric: str,
    confidence: float,
    styles: PlotStyles,
) -> Iterator[Figure]:
    """Draw a metric against steps and against time, if any contender has it."""
    greedy = metric == analysis.names.greedy
    title = analysis.names.title
    label = title if greedy else f"{title.removeprefix('expected ')} in training"
    lines = reference_lines(analysis) if greedy else ()
    metrics = [m for s in analysis.scores for r in s.results for m in r.metrics]
    longest = max((m.get("seconds") or 0.0 for m in metrics), default=0.0)
    axes = [("steps", (1.0, "steps"))]
    if longest >= SHORTEST_TIME:
        axes.append(("seconds", next(unit for unit in TIME_UNITS if longest >= 3 * unit[0])))
    for x, (size, unit) in axes:
        curves = learning_curves(analysis, x, metric, confidence, size)
        if not curves:
            return
        last = [
            f"{c.contender} {format_number(float(np.mean([ys[-1] for _, ys in c.seeds])))}"
            for c in curves
        ]
        caption = "Evaluations of the policy" if greedy else "Training episodes, with exploration"
        caption += f", against {unit}"
        if any(len(c.seeds) > 1 for c in curves):
            caption += f": mean over seeds, with a {percent(confidence)} interval if they differ"
        if any(1 < len(c.seeds) <= FEW_SEEDS for c in curves):
            caption += "; thin lines are single seeds"
        if x == "seconds":
            caption += ". Time includes evaluations and checkpoints"
        yield draw_figure(
            f"{name}-{x}",
            "",
            f"{label.capitalize()} on {analysis.env} against {unit}. Last values: {listing(last)}.",
            f"{caption}.",
            CURVES_HEIGHT,
            partial(
                plot_learning_curves, curves=curves, styles=styles, x=unit, y=label, lines=lines
            ),
        )


def reference_lines(analysis: EnvironmentAnalysis) -> tuple[tuple[float, str], ...]:
    """Return known reference scores and their names: the optimum, random play, a human."""
    lines = [] if analysis.optimum is None else [(analysis.optimum, "optimum")]
    if (best := _best_return(analysis)) is not None:
        lines.append((best, "best possible"))
    if analysis.published is not None and analysis.criterion == "return":
        published = analysis.published.nature2015
        lines += [(published.random, "random"), (published.human, "human")]
    return tuple(lines)


def _best_return(analysis: EnvironmentAnalysis) -> float | None:
    """Return the best possible return of the evaluated episodes, the same for all contenders."""
    evaluations = (run.evaluation for scores in analysis.scores for run in scores.results)
    found = [e.get("best_return") for e in evaluations]  # results of older versions lack it
    return found[0] if found and analysis.criterion == "return" else None


def score_figure(
    name: str, analysis: EnvironmentAnalysis, confidence: float, styles: PlotStyles
) -> Figure:
    """Draw the final scores of all runs."""
    many = any(len(s.values) > MANY_RUNS for s in analysis.scores)
    rows = [(s.contender, () if many else s.values, s.estimate) for s in analysis.scores]
    means = listing([f"{s.contender} {format_number(s.estimate.mean)}" for s in analysis.scores])
    interval = f"with its {percent(confidence)} interval, if it has one"
    if not many and any(len(s.values) > 1 for s in analysis.scores):
        caption = f"Each small point is a run; the large point below is their mean {interval}."
    else:
        caption = f"The mean {interval}."
    title = analysis.names.title
    return draw_figure(
        f"{name}-scores",
        "",
        f"{title.capitalize()} on {analysis.env}. Means: {means}.",
        caption,
        AXES_HEIGHT + 1.15 * ROW_HEIGHT * len(rows),
        partial(plot_scores, rows=rows, styles=styles, x=title, lines=reference_lines(analysis)),
    )


def difference_figure(name: str, analysis: EnvironmentAnalysis, confidence: float) -> Figure | None:
    """Draw the difference of each pair of contenders; None if there is only one contender."""
    rows = [
        (
            f"{v.better.contender} − {v.worse.contender}",
            v.difference,
            v.significant(confidence),
        )
        for v in analysis.verdicts
    ]
    if not rows:
        return None
    title = analysis.names.title
    differences = listing([f"{pair} {format_number(estimate.mean)}" for pair, estimate, _ in rows])
    return draw_figure(
        f"{name}-differences",
        "",
        f"Differences of {title} on {analysis.env}: {differences}.",
        f"Differences of means with {percent(confidence)} intervals, not corrected for the number "
        "of comparisons; runs that do not vary have none. ● significant after Holm's correction, "
        "○ not.",
        AXES_HEIGHT + ROW_HEIGHT * len(rows),
        partial(plot_forest, rows=rows, x=f"difference of {title}"),
    )


def aggregate_figures(
    aggregate: Aggregate, confidence: float, styles: PlotStyles
) -> tuple[Figure, Figure]:
    """Draw interquartile means and performance profiles."""
    rows = list(aggregate.means.items())
    means = listing([f"{name} {format_number(estimate.mean)}" for name, estimate in rows])
    level, notes = percent(confidence), _notes(aggregate.means.values())
    return (
        draw_figure(
            "all-interquartile-mean",
            "Interquartile mean",
            f"Interquartile means: {means}.",
            f"The mean of the middle half of all runs, with a {level} bootstrap interval: seeds "
            f"are resampled within each environment (Agarwal et al. 2021){notes}.",
            AXES_HEIGHT + ROW_HEIGHT * len(rows),
            partial(plot_means, rows=rows, styles=styles, x=aggregate.unit),
        ),
        draw_figure(
            "all-performance-profiles",
            "Performance profiles",
            "The fraction of runs above each score, a curve per contender.",
            f"The fraction of runs above each score, with pointwise {level} bands by the same "
            "bootstrap. If a curve lies above another everywhere, its contender did better in "
            "these runs; where the bands overlap, this may be chance.",
            CURVES_HEIGHT,
            partial(plot_profiles, aggregate=aggregate, styles=styles),
        ),
    )


def improvement_figure(improvements: Sequence[Improvement], confidence: float) -> Figure:
    """Draw the probability of improvement of each pair of contenders."""
    rows = [
        (
            f"{i.first} over {i.second}",
            i.probability,
            i.probability.note is None and not i.probability.low <= 0.5 <= i.probability.high,
        )
        for i in improvements
    ]
    means = listing([f"{pair} {format_number(estimate.mean)}" for pair, estimate, _ in rows])
    level, notes = percent(confidence), _notes(i.probability for i in improvements)
    if any(i.probability.method == "sign test" for i in improvements):
        notes += "; where all runs agree, the limits are those of a sign test"
    return draw_figure(
        "all-probability-of-improvement",
        "Probability of improvement",
        f"Probabilities of improvement: {means}.",
        "The probability that a run of the first scores higher than a run of the second; ties "
        f"count half. Averaged over environments, with {level} intervals by the same bootstrap, "
        "not corrected for the number of comparisons. A mark is filled if the interval excludes "
        f"0.5 and there are enough seeds{notes}.",
        AXES_HEIGHT + ROW_HEIGHT * len(rows),
        partial(plot_forest, rows=rows, x="probability", zero=0.5),
    )


def _notes(estimates: Iterable[Estimate]) -> str:
    """Join the notes of estimates, each once, as the end of a sentence."""
    notes = dict.fromkeys(estimate.note for estimate in estimates if estimate.note)
    return "".join(f"; {note}" for note in notes)
