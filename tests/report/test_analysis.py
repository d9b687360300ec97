"""The analysis of a comparison: scores, scales, aggregates."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from comparisons import evaluation, made_up

from gridcade.envs import registry
from gridcade.exact import solver
from gridcade.report.analysis import (
    aggregate,
    aggregated_contenders,
    analyze,
    improvements,
    num_tests,
    run_scores,
    score_scale,
)
from gridcade.report.figures import reference_lines
from gridcade.study.comparison import Comparison, RunResult
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study


def test_scores_are_exact_only_if_all_contenders_have_exact_values() -> None:
    known = RunResult(0, evaluation(0.7, exact=0.75, optimum=1.0))
    contenders = ContenderSpec("q-learning", name="A"), ContenderSpec("q-learning", name="B")
    study = Study(contenders, ("E",), steps=1)
    (analysis,) = analyze(Comparison(study, {"E": {"A": (known,), "B": (known,)}}))
    assert analysis.exact
    assert [s.values for s in analysis.scores] == [(0.75,), (0.75,)]
    estimated = RunResult(0, evaluation(0.6))
    (analysis,) = analyze(Comparison(study, {"E": {"A": (known,), "B": (estimated,)}}))
    assert not analysis.exact
    assert [s.values for s in analysis.scores] == [(0.7,), (0.6,)]
    assert analysis.optimum == 1.0


def test_p_values_are_adjusted_over_all_environments() -> None:
    rng = np.random.default_rng(0)
    scores = {
        f"E{i}": {n: list(rng.normal(i * k / 4, 1, 5)) for k, n in enumerate("ABC")}
        for i in range(3)
    }
    analyses = analyze(made_up(scores))
    pairs = [(v.p_value, v.adjusted) for a in analyses for v in a.verdicts]
    assert len(pairs) == num_tests(analyses) == 9
    largest = 0.0
    for rank, (p, adjusted) in enumerate(sorted(pairs)):  # Holm's definition
        largest = max(largest, min(1.0, p * (9 - rank)))
        assert adjusted == pytest.approx(largest)


def test_environments_and_contenders_without_results_are_left_out() -> None:
    comparison = made_up({"E": {"A": [1.0, 2.0], "B": []}, "F": {"A": [], "B": []}})
    (analysis,) = analyze(comparison)
    assert analysis.env == "E"
    assert [s.contender for s in analysis.scores] == ["A"]
    assert analysis.verdicts == ()


def test_scale_of_a_gridworld_is_from_random_play_to_the_optimum() -> None:
    (analysis,) = analyze(made_up({"FourRooms": {"A": [1.0]}}, exact=1.0, optimum=1.0))
    scale = score_scale(analysis)
    assert scale is not None
    env = registry.make("FourRooms")
    model = registry.known_model(env)
    assert model is not None
    uniform = np.full((model.num_states, model.num_actions), 1 / model.num_actions)
    value = solver.policy_value(model, uniform, time_limit=registry.time_limit(env))
    assert (scale.zero, scale.one) == (value.expected_return, 1.0)


def test_scale_of_an_atari_game_is_that_of_2015() -> None:
    (analysis,) = analyze(made_up({"Breakout": {"A": [401.2, 401.2]}}))
    scale = score_scale(analysis)
    assert scale is not None
    assert (scale.zero, scale.one) == (1.7, 31.8)
    assert run_scores(analysis, "A", scale) == pytest.approx([13.27, 13.27], abs=0.005)


def test_a_removed_map_has_no_scale(tmp_path: Path) -> None:
    removed = str(tmp_path / "removed.txt")
    (analysis,) = analyze(made_up({removed: {"A": [1.0, 1.0]}}, exact=1.0, optimum=1.0))
    assert score_scale(analysis) is None


def test_environments_without_a_scale_are_not_aggregated() -> None:
    runs: dict[str, Sequence[float] | float] = {"A": [1.0, 2.0, 3.0], "B": [2.0, 3.0, 4.0]}
    single = aggregate(analyze(made_up({"CartPole-v1": runs})), 0.95)
    assert single is not None
    assert (single.reference, single.means["A"].mean) == ("", 2.0)
    both = analyze(made_up({"CartPole-v1": runs, "Acrobot-v1": runs}))
    assert aggregate(both, 0.95) is None
    (improvement,) = improvements(both, 0.95)
    assert improvement.probability.mean == pytest.approx((1 + 0.5 * 2) / 9)


def test_only_contenders_with_several_seeds_everywhere_are_aggregated() -> None:
    scores: dict[str, dict[str, Sequence[float] | float]] = {
        "E": {"A": [1.0, 2.0], "B": [1.0], "C": [1.0, 2.0], "D": 1.0},
        "F": {"A": [1.0, 2.0], "B": [1.0, 2.0], "C": [], "D": 1.0},
    }
    assert aggregated_contenders(analyze(made_up(scores))) == ("A",)


def test_figures_show_the_best_possible_return() -> None:
    study = Study((ContenderSpec("q-learning", name="A"),), ("E",), steps=1)
    run = RunResult(0, evaluation(0.7) | {"best_return": 0.96})
    (analysis,) = analyze(Comparison(study, {"E": {"A": (run,)}}))
    assert reference_lines(analysis) == ((0.96, "best possible"),)
