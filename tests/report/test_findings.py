"""What a comparison comes to: scores, scales, curves, aggregates."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from comparisons import epochs, evaluation, made_up

from gridcade.envs import registry
from gridcade.exact import solver
from gridcade.report import findings
from gridcade.study.comparison import Comparison, Outcome
from gridcade.study.study import Entry, Study


def test_exact_values_are_the_scores_only_where_all_contenders_have_them() -> None:
    known = Outcome(0, evaluation(0.7, exact=0.75, optimum=1.0))
    study = Study((Entry("q-learning", name="A"), Entry("q-learning", name="B")), ("E",), steps=1)
    both = Comparison(study, {"E": {"A": (known,), "B": (known,)}})
    (found,) = findings.find(both)
    assert found.exact
    assert [s.values for s in found.scores] == [(0.75,), (0.75,)]
    estimated = Outcome(0, evaluation(0.6))
    (found,) = findings.find(Comparison(study, {"E": {"A": (known,), "B": (estimated,)}}))
    assert not found.exact
    assert [s.values for s in found.scores] == [(0.7,), (0.6,)]
    assert found.optimum == 1.0  # which is known all the same


def test_adjusted_p_values_are_holms_over_all_environments() -> None:
    rng = np.random.default_rng(0)
    scores = {
        f"E{i}": {n: list(rng.normal(i * k / 4, 1, 5)) for k, n in enumerate("ABC")}
        for i in range(3)
    }
    found = findings.find(made_up(scores))
    pairs = [(v.p_value, v.adjusted) for f in found for v in f.verdicts]
    assert len(pairs) == findings.tests(found) == 9
    largest = 0.0
    for place, (p, adjusted) in enumerate(sorted(pairs)):  # the definition
        largest = max(largest, min(1.0, p * (9 - place)))
        assert adjusted == pytest.approx(largest)


def test_environments_and_contenders_without_outcomes_are_left_out() -> None:
    comparison = made_up({"E": {"A": [1.0, 2.0], "B": []}, "F": {"A": [], "B": []}})
    (found,) = findings.find(comparison)
    assert found.env == "E"
    assert [s.contender for s in found.scores] == ["A"]
    assert found.verdicts == ()


def test_a_gridworlds_scale_runs_from_random_play_to_the_optimum() -> None:
    (found,) = findings.find(made_up({"FourRooms": {"A": [1.0]}}, exact=1.0, optimum=1.0))
    scale = findings.scale(found)
    assert scale is not None
    env = registry.make("FourRooms")
    model = registry.known_model(env)
    assert model is not None
    uniform = np.full((model.num_states, model.num_actions), 1 / model.num_actions)
    value = solver.policy_value(model, uniform, time_limit=registry.time_limit(env))
    assert (scale.zero, scale.one) == (value.expected_return, 1.0)


def test_an_atari_games_scale_is_mnihs() -> None:
    (found,) = findings.find(made_up({"Breakout": {"A": [401.2, 401.2]}}))
    scale = findings.scale(found)
    assert scale is not None
    assert (scale.zero, scale.one) == (1.7, 31.8)
    assert findings.values(found, "A", scale) == pytest.approx([13.27, 13.27], abs=0.005)


def test_without_a_scale_environments_are_not_taken_together() -> None:
    runs: dict[str, Sequence[float] | float] = {"A": [1.0, 2.0, 3.0], "B": [2.0, 3.0, 4.0]}
    alone = findings.aggregate(findings.find(made_up({"CartPole-v1": runs})), 0.95)
    assert alone is not None
    assert (alone.scale, alone.means["A"].mean) == ("", 2.0)
    both = findings.find(made_up({"CartPole-v1": runs, "Acrobot-v1": runs}))
    assert findings.aggregate(both, 0.95) is None
    (improvement,) = findings.improvements(both, 0.95)
    assert improvement.probability.mean == pytest.approx((1 + 0.5 * 2) / 9)


def test_only_contenders_with_several_seeds_everywhere_are_aggregated() -> None:
    scores: dict[str, dict[str, Sequence[float] | float]] = {
        "E": {"A": [1.0, 2.0], "B": [1.0], "C": [1.0, 2.0], "D": 1.0},
        "F": {"A": [1.0, 2.0], "B": [1.0, 2.0], "C": [], "D": 1.0},
    }
    assert findings.learners(findings.find(made_up(scores))) == ("A",)


def test_curves_leave_out_what_was_not_evaluated() -> None:
    (found,) = findings.find(
        made_up({"E": {"A": [1.0, 1.0], "B": 0.5}}, metrics=(None, 0.5, None, 0.7))
    )
    (curves,) = findings.curves(found, "seconds", "return_mean", 0.95, unit=60.0)
    for x, y in curves.seeds:
        assert x.tolist() == [2 / 60, 4 / 60]
        assert y.tolist() == [0.5, 0.7]
    assert curves.band.mean[-1] == pytest.approx(0.7)
    assert findings.curves(found, "steps", "no_such_metric", 0.95) == ()


def test_epochs_that_took_no_time_are_one_point() -> None:
    run = Outcome(0, evaluation(1.0), epochs((0.1, 0.2, 0.3), seconds=0.0))
    made = findings.find(Comparison(made_up({"E": {"A": [1.0]}}).study, {"E": {"A": (run,)}}))
    ((curves),) = findings.curves(made[0], "seconds", "return_mean", 0.95)
    assert [y.tolist() for _, y in curves.seeds] == [[0.3]]


def test_one_episode_tells_no_spread() -> None:
    unknown = evaluation(1.0) | {"episodes": 1, "expected_return": {"mean": 1.0, "low": None}}
    unknown["expected_return"]["high"] = None
    study = Study((Entry("random"), Entry("optimal")), ("E",), steps=1)
    outcomes = {"random": (Outcome(None, unknown),), "optimal": (Outcome(None, evaluation(2.0)),)}
    (found,) = findings.find(Comparison(study, {"E": outcomes}))
    assert math.isinf(found.verdicts[0].difference.half_width)
    assert not found.verdicts[0].told(0.95)


def test_a_map_that_has_gone_has_no_scale(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.txt")
    (found,) = findings.find(made_up({gone: {"A": [1.0, 1.0]}}, exact=1.0, optimum=1.0))
    assert findings.scale(found) is None
