"""Learning curves, the steps to a threshold, and the area below a curve."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from comparisons import epochs, evaluation, made_up

from gridcade.report import learning, tables
from gridcade.report.analysis import EnvironmentAnalysis, ScoreScale, analyze
from gridcade.report.learning import LearningSpeed, learning_curves, learning_speeds
from gridcade.study.comparison import Comparison, RunResult
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study


def test_learning_curves_skip_epochs_without_the_metric() -> None:
    scores: dict[str, dict[str, Sequence[float] | float]] = {"E": {"A": [1.0, 1.0], "B": 0.5}}
    (analysis,) = analyze(made_up(scores, metrics=(None, 0.5, None, 0.7)))
    (curves,) = learning_curves(analysis, "seconds", "return_mean", 0.95, unit=60.0)
    for x, y in curves.seeds:
        assert x.tolist() == [2 / 60, 4 / 60]
        assert y.tolist() == [0.5, 0.7]
    assert curves.band.mean[-1] == pytest.approx(0.7)
    assert learning_curves(analysis, "steps", "no_such_metric", 0.95) == ()


def test_epochs_at_the_same_time_are_one_point() -> None:
    run = RunResult(0, evaluation(1.0), epochs((0.1, 0.2, 0.3), seconds=0.0))
    study = made_up({"E": {"A": [1.0]}}).study
    (analysis,) = analyze(Comparison(study, {"E": {"A": (run,)}}))
    (curves,) = learning_curves(analysis, "seconds", "return_mean", 0.95)
    assert [y.tolist() for _, y in curves.seeds] == [[0.3]]


def test_a_single_episode_has_no_spread() -> None:
    single = evaluation(1.0) | {
        "episodes": 1,
        "expected_return": {"mean": 1.0, "low": None, "high": None},
    }
    study = Study((ContenderSpec("random"), ContenderSpec("optimal")), ("E",), steps=1)
    results = {
        "random": (RunResult(None, single),),
        "optimal": (RunResult(None, evaluation(2.0)),),
    }
    (analysis,) = analyze(Comparison(study, {"E": results}))
    assert math.isinf(analysis.verdicts[0].difference.half_width)
    assert not analysis.verdicts[0].significant(0.95)


def analysis_of(*curves: tuple[float | None, ...]) -> EnvironmentAnalysis:
    """An analysis of one contender with these learning curves, one point per 1,000 steps."""
    results = tuple(
        RunResult(seed, evaluation(1.0), epochs(values)) for seed, values in enumerate(curves)
    )
    study = Study((ContenderSpec("q-learning", name="A"),), ("E",), steps=1)
    (analysis,) = analyze(Comparison(study, {"E": {"A": results}}))
    return analysis


def area(speed: LearningSpeed) -> float:
    assert speed.area is not None
    return speed.area.mean


def speed(
    monkeypatch: pytest.MonkeyPatch, share: float, *curves: tuple[float | None, ...]
) -> LearningSpeed:
    monkeypatch.setattr(learning, "score_scale", lambda _: ScoreScale(-10.0, 0.0, "the optimum"))
    (found,) = learning_speeds(analysis_of(*curves), share, 0.95)
    return found


def test_steps_to_a_share_of_the_way_to_the_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = ((-9.0, -4.0, -0.4, -2.0), (-9.0, -0.5, -3.0, -0.1), (-9.0, -0.6, -0.7, -0.2))
    found = speed(monkeypatch, 0.95, *curves)  # the threshold is -0.5
    assert found.threshold == pytest.approx(-0.5)
    assert (found.reached, found.runs) == (3, 3)
    assert found.steps is not None
    assert found.steps.mean == pytest.approx(3000)  # 3,000, 2,000 and 4,000
    # Student's interval with 2 degrees of freedom, 3,000 -+ 2,484, cut to the evaluated steps
    assert (found.steps.low, found.steps.high) == (1000, 4000)
    lower = speed(monkeypatch, 0.5, *curves)
    assert lower.steps is not None
    assert lower.steps.mean == pytest.approx(2000)
    assert math.isinf(lower.steps.half_width)  # all runs need the same steps


def test_runs_that_do_not_reach_the_threshold_have_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    found = speed(monkeypatch, 0.95, (-9.0, -0.1), (-9.0, -5.0))
    assert (found.reached, found.runs, found.steps) == (1, 2, None)
    cells = tables.speed_table([found], 0.95, 0.95).rows[0].cells
    assert cells[:2] == ("A", "in 1 of 2 runs")


def test_the_area_below_the_curve() -> None:
    """The area is a mean over the steps 1,000 to 3,000, by the trapezoidal rule."""
    (found,) = learning_speeds(analysis_of((0.0, 1.0, 1.0), (0.0, 0.0, 1.0)), 0.95, 0.95)
    assert area(found) == pytest.approx((0.75 + 0.25) / 2)
    assert (found.threshold, found.steps) == (None, None)  # no scale is known
    uneven = analysis_of((0.0, None, 1.0), (0.0, 0.0, 1.0))
    assert area(learning_speeds(uneven, 0.95, 0.95)[0]) == pytest.approx((0.5 + 0.25) / 2)


def test_areas_are_over_the_steps_that_all_contenders_cover() -> None:
    comparison = made_up({"E": {"A": [1.0, 1.0], "B": [1.0, 1.0]}}, metrics=(0.0, 1.0, 2.0, 3.0))
    apart = tuple(replace(r, metrics=r.metrics[3:]) for r in comparison.results["E"]["B"])
    apart_results = {"A": comparison.results["E"]["A"][:1], "B": apart}
    apart_results["A"] = tuple(replace(r, metrics=r.metrics[:2]) for r in apart_results["A"])
    (analysis,) = analyze(replace(comparison, results={"E": apart_results}))
    assert [s.area for s in learning_speeds(analysis, 0.95, 0.95)] == [None, None]
    shorter = tuple(replace(r, metrics=r.metrics[1:3]) for r in comparison.results["E"]["B"])
    results = {"E": {"A": comparison.results["E"]["A"], "B": shorter}}
    (analysis,) = analyze(replace(comparison, results=results))
    means = [area(speed) for speed in learning_speeds(analysis, 0.95, 0.95)]
    assert means == pytest.approx([1.5, 1.5])
    assert learning_speeds(analyze(made_up({"E": {"A": 1.0}}))[0], 0.95, 0.95) == ()


def test_the_scale_is_that_of_random_play_and_the_optimum() -> None:
    """On CliffWalk, 95 % of the way from random play within the time limit to -13."""
    metrics = (-5000.0, -400.0, -13.0)
    comparison = made_up(
        {"CliffWalk": {"A": [-13.0, -13.0]}}, exact=-13.0, optimum=-13.0, metrics=metrics
    )
    (found,) = learning_speeds(analyze(comparison)[0], 0.95, 0.95)
    assert found.threshold == pytest.approx(-13 - 0.05 * 9499.1, abs=0.1)
    assert found.steps is not None
    assert found.steps.mean == 2000
    assert np.isfinite(area(found))
