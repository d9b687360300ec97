"""The sentences: that they say what the numbers say, and no more."""

from dataclasses import replace

import numpy as np
import pytest
from comparisons import made_up
from scipy import stats

from gridcade.report import findings, words
from gridcade.report.findings import Findings
from gridcade.study.comparison import Failure
from gridcade.study.study import Entry, Study

HIGH, LOW = [0.90, 0.92, 0.91, 0.93], [0.50, 0.52, 0.49, 0.51]


def sentences(found: tuple[Findings, ...], confidence: float = 0.95) -> list[str]:
    many = findings.tests(found)
    return [words.verdict(v, f.env, confidence, many) for f in found for v in f.verdicts]


def said(scores: dict[str, dict[str, list[float] | float]], **about: object) -> list[str]:
    return sentences(findings.find(made_up(scores, **about)))  # type: ignore[arg-type]


def test_runs_that_failed_are_not_passed_over() -> None:
    """Of an agent that diverges every other time, the seeds that are left are the luckier ones."""
    lost = [Failure("A", "E", seed, "it has diverged") for seed in (4, 5)]
    lost += [Failure("C", "E", seed, "it has diverged") for seed in range(3)]
    comparison = made_up({"E": {"A": HIGH, "B": LOW, "C": []}}, failures=lost)
    found = findings.find(comparison)
    (sentence,) = sentences(found)
    assert sentence.startswith("A is better than B on E: ")
    assert sentence.endswith(", 4 seeds; 2 of 6 seeds of A failed and are left out.")
    assert words.absent(found[0]) == ["C has no score on E: 3 runs failed."]
    assert [words.seeds(s) for s in found[0].scores] == ["4 of 6", "4"]
    assert "with 4 seeds, 3,000 steps a run; 5 more runs failed" in words.lede(comparison, found)
    together = words.aggregated(findings.aggregate(found, 0.95), found)
    assert together == [
        "A counts by the runs that are left: 2 runs of it failed.",
        "C is left out, without two seeds on each environment: 3 runs of it failed.",
    ]
    alone = made_up({"E": {"A": HIGH, "fixed": []}}, failures=[Failure("fixed", "E", None, "")])
    found = findings.find(alone)
    assert words.absent(found[0]) == ["fixed has no score on E: it failed."]
    assert words.aggregated(findings.aggregate(found, 0.95), found) == []
    assert "more run" not in words.lede(alone, found)


def test_a_clear_difference_is_told_with_welchs_interval() -> None:
    expected = stats.ttest_ind(HIGH, LOW, equal_var=False).confidence_interval(0.95)
    low, high = f"{expected.low:.4g}", f"{expected.high:.4g}"
    for order in ({"A": HIGH, "B": LOW}, {"B": LOW, "A": HIGH}):
        assert said({"FourRooms": dict(order)}) == [
            f"A is better than B on FourRooms: difference 0.41, 95 % interval {low} to {high}, "
            "4 seeds."
        ]


def test_what_the_data_cannot_tell_says_how_many_seeds_it_would_take() -> None:
    (sentence,) = said({"Pong": {"A": [1.0, 3.0, 2.0, 4.0], "B": [1.5, 2.5, 1.0, 4.0, 2.0]}})
    assert sentence.startswith("The data cannot tell A from B on Pong: difference 0.3, ")
    assert "4 and 5 seeds" in sentence
    comparison = made_up({"Pong": {"A": [1.0, 3.0, 2.0, 4.0], "B": [1.5, 2.5, 1.0, 4.0, 2.0]}})
    (note,) = words.method(comparison.study, findings.find(comparison))[1:2]
    assert note.endswith("Seeds added to these after looking make the p-values optimistic.")
    needed = int(sentence.split("about ")[1].split()[0].replace(",", ""))
    # the usual approximation, (z_0.975 + z_0.8)^2 (s_a^2 + s_b^2) / d^2 seeds each
    spread = np.var([1, 3, 2, 4], ddof=1) + np.var([1.5, 2.5, 1, 4, 2], ddof=1)
    assert needed == pytest.approx(2.8016**2 * spread / 0.3**2, rel=0.02)


def test_holms_correction_takes_back_what_one_test_alone_would_say() -> None:
    a, b = [1.0, 1.2, 1.4, 1.1, 1.3], [0.8, 1.0, 1.1, 0.9, 1.1]
    _, alone_p = stats.ttest_ind(a, b, equal_var=False)
    assert 0.0125 < alone_p < 0.05
    alone = said({"E": {"A": a, "B": b}})
    assert alone[0].startswith("A is better than B on E")
    others: dict[str, dict[str, list[float] | float]] = {
        f"E{i}": {"A": [0.0, 1.0, 2.0], "B": [0.1, 1.1, 2.0]} for i in range(3)
    }
    corrected = said({"E": {"A": a, "B": b}, **others})
    assert corrected[0].startswith("The data cannot tell, among 4 comparisons, A from B on E")


def test_one_seed_shows_and_does_not_prove() -> None:
    assert said({"Breakout": {"A": [25.0], "B": [12.0]}}) == [
        "A is ahead of B on Breakout, 25 against 12; one seed shows, it does not prove."
    ]
    (sentence,) = said({"Breakout": {"A": [25.0], "B": [12.0, 13.0, 14.0]}})
    assert sentence.endswith("one seed shows, it does not prove.")
    (sentence,) = said({"Breakout": {"A": [12.0], "B": [12.0]}})
    assert sentence.startswith("A and B are level on Breakout, at 12;")


def test_seeds_that_are_all_alike() -> None:
    assert said({"E": {"A": [1.0, 1.0], "B": [1.0, 1.0]}}) == [
        "A and B are level on E: 1 in every run, 2 seeds."
    ]
    (sentence,) = said({"E": {"A": [1.0] * 4, "B": [0.5] * 4}})
    assert sentence.startswith("A is better than B on E: difference 0.5, ")
    (sentence,) = said({"E": {"A": [1.0] * 2, "B": [0.5] * 2}})  # which chance alone may well show
    assert sentence.startswith("The data cannot tell A from B on E: difference 0.5, ")
    assert sentence.endswith("would take about 4 seeds.")


def test_two_exact_values_need_no_interval_and_no_correction() -> None:
    found = findings.find(made_up({"E": {"A": 1.0, "B": 0.25}}, exact=1.0, optimum=1.0))
    assert findings.tests(found) == 0
    assert sentences(found) == ["A and B are equally good on E: 1 exactly."]


def test_a_fixed_policy_that_was_estimated_has_its_episodes_interval() -> None:
    (sentence,) = said({"E": {"A": 1.0, "B": 0.5}}, half=0.1)
    half = float(np.hypot(0.1, 0.1))  # as good as equal quantiles: 99 and 198 degrees of freedom
    low, high = (float(w) for w in sentence.split("interval ")[1].split(",")[0].split(" to "))
    assert [low, high] == pytest.approx([0.5 - half, 0.5 + half], abs=0.001)
    assert sentence.endswith("100 episodes.")


def test_an_estimate_without_spread_is_not_called_exact() -> None:
    (sentence,) = said({"E": {"A": 1.0, "B": 0.5}}, half=0.0)
    assert sentence == (
        "A is better than B on E: difference 0.5, 95 % interval 0.5 to 0.5, 100 episodes."
    )


def test_notes_tell_what_intervals_leave_out() -> None:
    comparison = made_up({"E": {"A": [1.0, 1.0], "B": [0.5, 0.5]}})
    told = " ".join(words.method(comparison.study, findings.find(comparison)))
    assert "All seeds of a contender score alike" in told
    assert "share their episodes" in told
    assert words.lone(findings.find(comparison)) == ""
    comparison = made_up({"E": {"A": [1.0], "B": [0.5, 0.7]}, "F": {"A": [1.0], "B": [0.5]}})
    assert words.lone(findings.find(comparison)).startswith("No contender has two seeds")


def test_the_optimum_is_reached_only_as_run() -> None:
    """Random play comes to the goal at last, but not within the time limit."""
    found = findings.find(made_up({"E": {"A": [1.0, 1.0]}}, exact=1.0, optimum=1.0))
    assert words.optimum(found[0]) == ["A reaches the optimum exactly on E with all 2 seeds."]
    found = findings.find(made_up({"E": {"A": [1.0, 1.0]}}, exact=0.5, optimum=1.0))
    assert words.optimum(found[0]) == []


def test_a_continuing_task_is_decided_by_the_average_reward() -> None:
    (found,) = findings.find(made_up({"RiverSwim": {"A": HIGH, "B": LOW}}, continuing=True))
    assert found.criterion == "average-reward"
    assert "never ends" in words.introduction(found, 100)


def test_the_criterion_decides() -> None:
    """Who dies soon has a small return, and may yet have had much of it a step."""
    scores: dict[str, dict[str, list[float] | float]] = {"E": {"A": HIGH, "B": LOW}}
    (by_return,) = said(scores, reward=-1.0)
    assert by_return.startswith("A is better than B on E: difference 0.41, ")
    (by_reward,) = said(scores, reward=-1.0, criterion="average-reward")
    assert by_reward.startswith("B is better than A on E: difference 0.41, ")


def test_names_and_numbers_for_people() -> None:
    assert words.listing(["a"]) == "a"
    assert words.listing(["a", "b", "c"]) == "a, b and c"
    assert words.count(1, "seed") == "1 seed"
    assert words.count(2_000_000, "step") == "2,000,000 steps"
    assert words.count(0.5, "minute") == "0.5 minutes"
    assert words.percent(0.95) == "95 %"
    assert words.percent(1 - 0.95) == "5 %"
    assert [words.duration(s) for s in (40, 600, 7200)] == ["40 s", "10 min", "2 h"]


def test_the_lede_says_what_was_done() -> None:
    comparison = made_up({"E": {"A": HIGH, "random": 0.1}})
    found = findings.find(comparison)
    study = Study((Entry("A"),), ("E",), steps=20_000, minutes=5, seeds=4)
    assert words.lede(replace(comparison, study=study), found) == (
        "A learnt with 4 seeds, 20,000 steps or 5 minutes a run. All policies were measured "
        "alike; the expected return decides."
    )
    assert "clock" in words.again(study)
