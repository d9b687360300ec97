"""The sentences of a report: they state what the numbers show, and no more."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from comparisons import Runs, made_up
from scipy import stats

from gridcade.report import page_text, phrases
from gridcade.report.analysis import aggregate, analyze, num_tests
from gridcade.report.verdicts import (
    absence_sentences,
    method_sentences,
    optimum_sentences,
    pair_sentence,
    score_sentence,
)
from gridcade.study.comparison import Comparison, Failure
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study

HIGH, LOW = [0.90, 0.92, 0.91, 0.93], [0.50, 0.52, 0.49, 0.51]
STUDY = made_up({"E": {"A": HIGH}}).study


def pair_sentences(comparison: Comparison, confidence: float = 0.95) -> list[str]:
    analyses = analyze(comparison)
    tests = num_tests(analyses)
    return [pair_sentence(v, a.env, confidence, tests) for a in analyses for v in a.verdicts]


def sentences(scores: dict[str, dict[str, Runs]], **options: object) -> list[str]:
    return pair_sentences(made_up(scores, **options))  # type: ignore[arg-type]


def test_failed_runs_are_reported() -> None:
    """If an agent diverges on some seeds, the remaining seeds are the luckier ones."""
    failures = [Failure("A", "E", seed, "diverged") for seed in (4, 5)]
    failures += [Failure("C", "E", seed, "diverged") for seed in range(3)]
    comparison = made_up({"E": {"A": HIGH, "B": LOW, "C": []}}, failures=failures)
    analyses = analyze(comparison)
    (sentence,) = pair_sentences(comparison)
    assert sentence.startswith("A is better than B on E: ")
    assert sentence.endswith(", 4 seeds; 2 of 6 seeds of A failed and are left out.")
    assert absence_sentences(analyses[0]) == ["C has no score on E: 3 runs failed."]
    assert [phrases.seed_count(s) for s in analyses[0].scores] == ["4 of 6", "4"]
    summary = page_text.summary(comparison, analyses)
    assert "with 4 seeds, for 3,000 steps per run; 5 more runs failed and are left out." in summary
    assert page_text.aggregate_sentences(aggregate(analyses, 0.95), analyses) == [
        "A is represented by its remaining runs: 2 runs failed.",
        "C is left out, because it has fewer than two seeds on an environment: 3 runs failed.",
    ]
    fixed = made_up({"E": {"A": HIGH, "fixed": []}}, failures=[Failure("fixed", "E", None, "")])
    analyses = analyze(fixed)
    assert absence_sentences(analyses[0]) == ["fixed has no score on E: its evaluation failed."]
    assert page_text.aggregate_sentences(aggregate(analyses, 0.95), analyses) == []
    assert "more run" not in page_text.summary(fixed, analyses)


def test_a_significant_difference_has_welchs_interval() -> None:
    expected = stats.ttest_ind(HIGH, LOW, equal_var=False).confidence_interval(0.95)
    low, high = f"{expected.low:.4g}", f"{expected.high:.4g}"
    orders: Sequence[dict[str, Runs]] = ({"A": HIGH, "B": LOW}, {"B": LOW, "A": HIGH})
    for order in orders:
        assert sentences({"FourRooms": order}) == [
            f"A is better than B on FourRooms: difference 0.41, 95 % interval {low} to {high}, "
            "4 seeds."
        ]


def test_an_insignificant_difference_comes_with_the_seeds_needed() -> None:
    a, b = [1.0, 3.0, 2.0, 4.0], [1.5, 2.5, 1.0, 4.0, 2.0]
    comparison = made_up({"Pong": {"A": a, "B": b}})
    (sentence,) = pair_sentences(comparison)
    assert sentence.startswith("A and B do not differ significantly on Pong: difference 0.3, ")
    assert "4 and 5 seeds" in sentence
    note = method_sentences(comparison.study, analyze(comparison))[1]
    assert note.endswith(
        "If seeds are added after looking at these results, p-values become optimistic."
    )
    needed = int(sentence.split("about ")[1].split()[0].replace(",", ""))
    # The usual approximation: (z_0.975 + z_0.8)^2 (s_a^2 + s_b^2) / d^2 seeds each.
    variance = np.var(a, ddof=1) + np.var(b, ddof=1)
    assert needed == pytest.approx(2.8016**2 * variance / 0.3**2, rel=0.02)


def test_holms_correction_can_make_a_difference_insignificant() -> None:
    a, b = [1.0, 1.2, 1.4, 1.1, 1.3], [0.8, 1.0, 1.1, 0.9, 1.1]
    p_value = stats.ttest_ind(a, b, equal_var=False)[1]
    assert 0.0125 < p_value < 0.05
    (alone,) = sentences({"E": {"A": a, "B": b}})
    assert alone.startswith("A is better than B on E")
    others: dict[str, dict[str, Runs]] = {
        f"E{i}": {"A": [0.0, 1.0, 2.0], "B": [0.1, 1.1, 2.0]} for i in range(3)
    }
    corrected = sentences({"E": {"A": a, "B": b}, **others})[0]
    assert corrected.startswith(
        "A and B do not differ significantly on E after correction for 4 comparisons: "
    )


def test_a_single_seed_may_be_chance() -> None:
    assert sentences({"Breakout": {"A": [25.0], "B": [12.0]}}) == [
        "A scores higher than B on Breakout (25 against 12), but with one seed this may be chance."
    ]
    (sentence,) = sentences({"Breakout": {"A": [25.0], "B": [12.0, 13.0, 14.0]}})
    assert sentence.endswith("but with one seed this may be chance.")
    (sentence,) = sentences({"Breakout": {"A": [12.0], "B": [12.0]}})
    assert sentence.startswith("A and B score the same on Breakout (12), ")


def test_equal_scores_of_all_seeds() -> None:
    assert sentences({"E": {"A": [1.0, 1.0], "B": [1.0, 1.0]}}) == [
        "A and B score the same on E: 1 in every run, 2 seeds."
    ]
    (sentence,) = sentences({"E": {"A": [1.0] * 10, "B": [0.5] * 10}})
    assert sentence == (
        "A scores higher than B on E more often than lower: A 1 in all 10 runs, B 0.5 in all 10 "
        "runs; sign test, p = 0.001953."
    )
    (sentence,) = sentences({"E": {"A": [1.0] * 5, "B": [0.5, 0.3, 0.4, 0.2, 0.1]}})
    assert sentence == (
        "A and B do not differ significantly on E: A 1 in all 5 runs, B 0.1 to 0.5 in 5 runs; "
        "sign test, p = 0.0625. If further seeds score the same, 6 seeds in all are enough."
    )


def test_runs_score_the_same_only_if_all_do() -> None:
    varied = sentences({"E": {"A": [-13.0] * 4, "B": [-12.0, -14.0, -12.0, -14.0]}})
    assert varied == [
        "A and B do not differ significantly on E: A -13 in all 4 runs, B -14 to -12 in 4 runs; "
        "sign test, p = 1."
    ]
    nearly = sentences({"E": {"A": [-13.0] * 4, "B": [-13.0 - 2e-15] * 4}})
    assert nearly == ["A and B score the same on E: -13 in every run, 4 seeds."]
    (tied,) = sentences({"E": {"A": [-13.0] * 14 + [-12.0] * 6, "B": [-13.0] * 20}})
    assert tied.startswith("A scores higher than B on E more often than lower: A -13 in 14 of 20 ")


def test_no_contender_reaches_an_optimum_that_every_policy_has() -> None:
    scores: dict[str, dict[str, Runs]] = {"Maze?size=4": {"A": [-1.0, -1.0], "random": -1.0}}
    for criterion in ("average-reward", "return"):
        (analysis,) = analyze(made_up(scores, exact=-1.0, optimum=-1.0, criterion=criterion))
        assert bool(optimum_sentences(analysis)) == (criterion == "return")


def test_equal_scores_against_exact_values() -> None:
    """The spread of the runs is unknown, the values of fixed policies are not."""
    scores: dict[str, dict[str, Runs]] = {"E": {"A": [-13.0] * 10, "B": -50.0, "C": -13.0}}
    exact = {"A": -13.0, "B": -50.0, "C": -13.0}
    comparison = made_up(scores, exact=-13.0, optimum=-13.0)
    for name, runs in comparison.results["E"].items():
        for run in runs:
            run.evaluation["exact"]["expected_return"] = exact[name]
    assert num_tests(analyze(comparison)) == 2
    assert pair_sentences(comparison) == [
        "A scores higher than B on E more often than lower: A -13 in all 10 runs, B exactly -50; "
        "sign test, p = 0.003906 after correction for 2 comparisons.",
        "A and C score the same on E: -13 in every run, 10 seeds.",
        "C is better than B on E: difference exactly 37.",
    ]
    (analysis,) = analyze(comparison)
    assert [phrases.interval(s.estimate) for s in analysis.scores] == [
        "all equal",
        "exact",
        "exact",
    ]


def test_intervals_stay_within_what_is_possible() -> None:
    """A return between 0 and 1 has a mean between 0 and 1, and differences are at most 1."""
    comparison = made_up({"E": {"A": [1.0, 0.9], "B": [0.0, 0.1]}})
    for runs in comparison.results["E"].values():
        for run, least in zip(runs, (0.5, 0.0), strict=True):  # of all runs, the least counts
            run.evaluation["expected_return"].update(least=least, most=1.0)
    (analysis,) = analyze(comparison)
    a, b = (s.estimate for s in analysis.scores)
    assert (a.high, b.low) == (1, 0)
    assert a.low < 0.9
    assert analysis.verdicts[0].difference.high == 1
    summary = comparison.as_dict()["environments"]["E"]["A"]["expected_return"]
    assert summary == {"mean": 0.95, "low": a.low, "high": 1}
    comparison.results["E"]["B"][0].evaluation["expected_return"].update(most=None)  # unknown
    assert analyze(comparison)[0].scores[0].estimate.high > 1


def test_exact_values_need_neither_interval_nor_correction() -> None:
    comparison = made_up({"E": {"A": 1.0, "B": 0.25}}, exact=1.0, optimum=1.0)
    assert num_tests(analyze(comparison)) == 0
    assert pair_sentences(comparison) == ["A and B are equally good on E: exactly 1."]


def test_the_interval_of_fixed_policies_is_over_episodes() -> None:
    (sentence,) = sentences({"E": {"A": 1.0, "B": 0.5}}, half=0.1)
    # Student's quantiles with 99 and 198 degrees of freedom are almost equal.
    half = float(np.hypot(0.1, 0.1))
    low, high = (float(w) for w in sentence.split("interval ")[1].split(",")[0].split(" to "))
    assert [low, high] == pytest.approx([0.5 - half, 0.5 + half], abs=0.001)
    assert sentence.endswith("100 episodes.")


def test_an_estimate_without_spread_is_not_exact() -> None:
    (sentence,) = sentences({"E": {"A": 1.0, "B": 0.5}}, half=0.0)
    assert sentence.startswith(
        "A scores higher than B on E more often than lower: A 1 (100 episodes), B 0.5 (100 "
    )


def test_notes_state_the_limits_of_intervals() -> None:
    comparison = made_up({"E": {"A": [1.0, 1.0], "B": [0.5, 0.5]}})
    text = " ".join(method_sentences(comparison.study, analyze(comparison)))
    assert "Runs with equal scores have no interval" in text
    assert "● significant after Holm's correction for 1 comparison (p at most 0.05), ○ not." in text
    assert "share their evaluation episodes" in text
    assert page_text.no_aggregate_sentence(analyze(comparison)) == ""
    comparison = made_up({"E": {"A": [1.0], "B": [0.5, 0.7]}, "F": {"A": [1.0], "B": [0.5]}})
    sentence = page_text.no_aggregate_sentence(analyze(comparison))
    assert sentence.startswith("No contender has two seeds")


def test_the_optimum_must_be_reached_within_the_time_limit() -> None:
    """Random play reaches the goal at some time, but not within the time limit."""
    (reached,) = analyze(made_up({"E": {"A": [1.0, 1.0]}}, exact=1.0, optimum=1.0))
    assert optimum_sentences(reached) == ["A reaches the optimum exactly on E with all 2 seeds."]
    (missed,) = analyze(made_up({"E": {"A": [1.0, 1.0]}}, exact=0.5, optimum=1.0))
    assert optimum_sentences(missed) == []


def test_a_continuing_task_is_decided_by_the_average_reward() -> None:
    (analysis,) = analyze(made_up({"RiverSwim": {"A": HIGH, "B": LOW}}, continuing=True))
    assert analysis.criterion == "average-reward"
    assert "never ends" in score_sentence(analysis, STUDY)


def test_a_criterion_that_tells_no_policies_apart_is_named() -> None:
    scores: dict[str, dict[str, Runs]] = {
        name: {"A": HIGH} for name in ("FourRooms", "Maze?size=5", "CliffWalk")
    }
    rooms, maze, cliff = analyze(made_up(scores))
    assert score_sentence(rooms, STUDY).endswith(
        "Without a time limit, all policies that are sure to end have the same expected return "
        "here; --criterion average-reward tells them apart."
    )
    assert "Without a time limit" not in score_sentence(maze, STUDY)
    assert "Without a time limit" not in score_sentence(cliff, STUDY)
    (_, maze, _) = analyze(made_up(scores, criterion="average-reward"))
    assert "all policies have the same expected average reward here; --criterion return" in (
        score_sentence(maze, STUDY)
    )


def test_the_criterion_decides() -> None:
    """A contender with the lower return may have the higher average reward."""
    scores: dict[str, dict[str, Runs]] = {"E": {"A": HIGH, "B": LOW}}
    (by_return,) = sentences(scores, reward=-1.0)
    assert by_return.startswith("A is better than B on E: difference 0.41, ")
    (by_reward,) = sentences(scores, reward=-1.0, criterion="average-reward")
    assert by_reward.startswith("B is better than A on E: difference 0.41, ")


def test_phrases_of_lists_counts_and_durations() -> None:
    assert phrases.listing(["a"]) == "a"
    assert phrases.listing(["a", "b", "c"]) == "a, b and c"
    assert phrases.count(1, "seed") == "1 seed"
    assert phrases.count(2_000_000, "step") == "2,000,000 steps"
    assert phrases.count(0.5, "minute") == "0.5 minutes"
    assert phrases.percent(0.95) == "95 %"
    assert phrases.percent(1 - 0.95) == "5 %"
    assert [phrases.duration(s) for s in (40, 600, 7200)] == ["40 s", "10 min", "2 h"]


def test_the_summary_states_training_and_criterion() -> None:
    comparison = made_up({"E": {"A": HIGH, "random": 0.1}})
    study = Study((ContenderSpec("A"),), ("E",), steps=20_000, minutes=5, seeds=4)
    assert page_text.summary(replace(comparison, study=study), analyze(comparison)) == (
        "A was trained with 4 seeds, for 20,000 steps or 5 minutes per run. All policies were "
        "evaluated in the same way; the criterion is the expected return."
    )
    assert "time budget" in page_text.reproducibility_sentence(study)
