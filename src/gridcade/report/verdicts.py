"""The verdicts of a comparison as sentences, and the methods behind them."""

import math
from collections.abc import Sequence

from gridcade.evaluation.intervals import TOLERANCE
from gridcade.evaluation.streams import STREAMS
from gridcade.formatting import format_number
from gridcade.report.analysis import (
    ContenderScores,
    EnvironmentAnalysis,
    Verdict,
    analyze,
    num_tests,
)
from gridcade.report.learning import LearningSpeed
from gridcade.report.phrases import count, listing, percent
from gridcade.study.comparison import Comparison
from gridcade.study.seed_statistics import MAX_SEEDS, most_common
from gridcade.study.study import Study


def verdict_sentences(comparison: Comparison) -> list[str]:
    """State which contender is better on which environment. Sentences depend on scores only."""
    analyses, confidence = analyze(comparison), comparison.study.confidence
    tests = num_tests(analyses)
    return [s for a in analyses for s, _ in environment_sentences(a, confidence, tests)]


def environment_sentences(
    analysis: EnvironmentAnalysis, confidence: float, tests: int
) -> list[tuple[str, bool]]:
    """Return all verdicts on an environment, and whether each states something significant."""
    sentences = [
        (pair_sentence(v, analysis.env, confidence, tests), v.significant(confidence))
        for v in analysis.verdicts
    ]
    if analysis.unranked:
        sentences.append((analysis.unranked, False))
    sentences += [(sentence, True) for sentence in optimum_sentences(analysis)]
    return sentences + [(sentence, False) for sentence in absence_sentences(analysis)]


def pair_sentence(verdict: Verdict, env: str, confidence: float, tests: int) -> str:
    """State which of two contenders is better, or that they do not differ significantly.

    Args:
        verdict: the comparison of the two.
        env: name of the environment.
        confidence: confidence level of the interval; 1 - confidence is the level of the test.
        tests: number of tests to which Holm's correction was applied.
    """
    sentence = _difference_sentence(verdict, env, confidence, tests)
    incomplete = [s for s in (verdict.better, verdict.worse) if s.failed]
    if not incomplete:
        return sentence
    failed = [
        f"{s.failed} of {count(len(s.values) + s.failed, 'seed')} of {s.contender}"
        for s in incomplete
    ]
    are = "is" if sum(s.failed for s in incomplete) == 1 else "are"
    return f"{sentence.removesuffix('.')}; {listing(failed)} failed and {are} left out."


def _difference_sentence(verdict: Verdict, env: str, confidence: float, tests: int) -> str:
    """State the difference between two contenders, without their failed runs."""
    a, b, difference = verdict.better, verdict.worse, verdict.difference
    if difference.method == "none":
        return _single_sample_sentence(a, b, env)
    if difference.method == "exact":
        if verdict.p_value == 1:
            return f"{a.contender} and {b.contender} are equally good on {env}: exactly {_mean(a)}."
        gap = format_number(difference.mean)
        return f"{a.contender} is better than {b.contender} on {env}: difference exactly {gap}."
    if difference.method == "sign test":
        return _sign_test_sentence(verdict, env, confidence, tests)
    limits = f"{format_number(difference.low)} to {format_number(difference.high)}"
    numbers = (
        f"difference {format_number(difference.mean)}, {percent(confidence)} interval {limits}, "
        f"{_sample_size(a, b)}"
    )
    if verdict.significant(confidence):
        return f"{a.contender} is better than {b.contender} on {env}: {numbers}."
    significant_alone = verdict.p_value <= 1 - confidence
    correction = f" after correction for {tests} comparisons" if significant_alone else ""
    sentence = (
        f"{a.contender} and {b.contender} do not differ significantly on {env}{correction}: "
        f"{numbers}."
    )
    if verdict.needed is None:
        return sentence
    enough = f"about {verdict.needed:,} seeds"
    if verdict.needed >= MAX_SEEDS:
        enough = f"{MAX_SEEDS:,} seeds or more"
    return f"{sentence} Detecting a difference of this size would take {enough}."


def _sign_test_sentence(verdict: Verdict, env: str, confidence: float, tests: int) -> str:
    """Compare two contenders by a sign test: runs of one have the same score."""
    a, b = verdict.better, verdict.worse
    constant = all(s.estimate.method in ("alike", "exact") for s in (a, b))
    if constant and math.isclose(a.estimate.mean, b.estimate.mean, rel_tol=TOLERANCE):
        score = f"{_mean(a)} in every run, {_sample_size(a, b)}"
        return f"{a.contender} and {b.contender} score the same on {env}: {score}."
    p_value = f"p = {format_number(verdict.adjusted)}"
    if tests > 1:
        p_value += f" after correction for {tests} comparisons"
    reason = f"{_scores(a)}, {_scores(b)}; sign test, {p_value}"
    if verdict.significant(confidence):
        return (
            f"{a.contender} scores higher than {b.contender} on {env} more often than lower: "
            f"{reason}."
        )
    sentence = f"{a.contender} and {b.contender} do not differ significantly on {env}: {reason}."
    if verdict.needed is None:
        return sentence
    return f"{sentence} If further seeds score the same, {verdict.needed} seeds in all are enough."


def _scores(scores: ContenderScores) -> str:
    """State a contender's scores: `A -13 in all 10 runs`, `B exactly -50`."""
    name, runs = scores.contender, len(scores.values)
    if scores.estimate.method == "exact":
        return f"{name} exactly {_mean(scores)}"
    if not scores.learns:
        return f"{name} {_mean(scores)} ({_sample_size(scores, scores)})"
    score, equal = most_common(scores.values)
    if equal == runs:
        return f"{name} {format_number(score)} in all {runs} runs"
    if equal > runs / 2:
        return f"{name} {format_number(score)} in {equal} of {runs} runs"
    low, high = format_number(min(scores.values)), format_number(max(scores.values))
    return f"{name} {low} to {high} in {runs} runs"


def _single_sample_sentence(a: ContenderScores, b: ContenderScores, env: str) -> str:
    """Compare two contenders if one of them has no interval."""
    caution = "but without an interval this may be chance"
    if any(s.learns and len(s.values) == 1 for s in (a, b)):
        caution = "but with one seed this may be chance"
    if a.estimate.mean == b.estimate.mean:
        return f"{a.contender} and {b.contender} score the same on {env} ({_mean(a)}), {caution}."
    means = f"{_mean(a)} against {_mean(b)}"
    return f"{a.contender} scores higher than {b.contender} on {env} ({means}), {caution}."


def _mean(scores: ContenderScores) -> str:
    return format_number(scores.estimate.mean)


def _sample_size(a: ContenderScores, b: ContenderScores) -> str:
    """Format the samples of an interval: `10 seeds`, `10 and 8 seeds`, `100 episodes`."""
    seeds = list(dict.fromkeys(len(s.values) for s in (a, b) if s.learns))
    if len(seeds) == 2:
        return f"{listing([str(n) for n in seeds])} seeds"
    if seeds:
        return count(seeds[0], "seed")
    episodes = a.results[0].evaluation["episodes"]
    if episodes:
        return count(episodes, "episode")
    return count(a.results[0].evaluation.get("cycles") or STREAMS, "cycle")


def absence_sentences(analysis: EnvironmentAnalysis) -> list[str]:
    """Name the contenders without any score."""
    return [
        f"{name} has no score on {analysis.env}: "
        f"{count(failed, 'run') if failed else 'its evaluation'} failed."
        for name, failed in analysis.absent
    ]


def optimum_sentences(analysis: EnvironmentAnalysis) -> list[str]:
    """Name the contenders whose exact value is the optimum."""
    sentences: list[str] = []
    if not analysis.tells_apart:
        return sentences
    for s in analysis.scores:
        if s.optimal and s.results[0].policy != "optimal":
            runs = len(s.values)
            seeds = f"all {runs} seeds" if s.optimal == runs else f"{s.optimal} of {runs} seeds"
            seeds = "its one seed" if runs == 1 else seeds
            where = f" with {seeds}" if s.learns else ""
            sentences.append(f"{s.contender} reaches the optimum exactly on {analysis.env}{where}.")
    return sentences


def score_sentence(analysis: EnvironmentAnalysis, study: Study) -> str:
    """State how the scores on an environment were computed, and the optimum if it is known."""
    if study.measure != "evaluation":
        return _training_sentence(analysis, study)
    evaluations = [r.evaluation for s in analysis.scores for r in s.results]
    name = analysis.names.title
    if analysis.exact:
        text = f"Scores are exact: each policy's {name}, computed from the model."
    elif all(e["episodes"] for e in evaluations):
        episodes = count(study.episodes, "episode")
        text = f"Scores are estimates from {episodes}, the same for all policies."
    else:
        text = "Scores are estimates from long streams of steps, the same for all policies."
    continuing = any(e["expected_return"] is None for e in evaluations)
    if analysis.optimum is not None:
        limit = "" if continuing else " without a time limit"
        text += f" The optimum{limit} is {format_number(analysis.optimum)}."
    if continuing:
        text += " The task never ends and so has no return; the average reward decides."
    if analysis.informative is not None:
        policies = (
            "all policies that are sure to end have" if "return" in name else "all policies have"
        )
        text += (
            f" Without a time limit, {policies} the same {name} here; --criterion "
            f"{analysis.informative} tells them apart."
        )
    return text


def _training_sentence(analysis: EnvironmentAnalysis, study: Study) -> str:
    """State what was measured during training."""
    if budgets := study.episode_budgets():
        episodes = " or ".join(count(episodes, "episode") for episodes in budgets)
        return f"A score is the mean {analysis.names.title} of a run, over its {episodes}."
    what = "number of episodes" if study.measure == "training-episodes" else "sum of the rewards"
    return f"A score is the {what} of a run, over its {count(study.steps or 0, 'step')}."


def speed_sentence(speeds: Sequence[LearningSpeed], share: float) -> str:
    """State what the numbers of the learning speed mean."""
    area = (
        "The mean while learning is the mean score of the greedy policy during training: the area "
        "under the learning curve, divided by its length."
    )
    threshold = speeds[0].threshold
    if threshold is None:
        return area
    return (
        f"Steps are counted until the first evaluation of at least {format_number(threshold)}, "
        f"which is {percent(share)} of the way from random play to {speeds[0].reference}. {area}"
    )


def method_sentences(study: Study, analyses: Sequence[EnvironmentAnalysis]) -> list[str]:
    """State the methods behind the verdicts, and their limits."""
    tests, level = num_tests(analyses), 1 - study.confidence
    sentences = []
    if tests:
        sentences.append(
            f"● significant after Holm's correction for {count(tests, 'comparison')} (p at most "
            f"{format_number(level)}), ○ not. "
            "P-values are from Welch's t-test over training seeds (between fixed policies: over "
            "episodes), or from a sign test where runs have the same score. If all runs have one "
            "of two scores, p-values are at least those of Fisher's exact test. The "
            "probability of one or more false positives is about "
            f"{percent(level)} at most. Runs are not paired. "
            "Intervals are not corrected for the number of comparisons."
        )
    if any(v.needed for a in analyses for v in a.verdicts if not v.significant(study.confidence)):
        sentences.append(
            "Numbers of seeds assume the observed difference and spread, and a power of 80 %. If "
            "seeds are added after looking at these results, p-values become optimistic."
        )
    if study.measure == "evaluation" and not all(a.exact for a in analyses):
        sentences.append(
            "Estimated scores share their evaluation episodes, so intervals over seeds are valid "
            "for these episodes only; this matters less with more episodes."
        )
    if any(v.difference.method == "sign test" for a in analyses for v in a.verdicts):
        sentences.append(
            "Runs with equal scores have no interval, because they do not show how often a run "
            "differs. A sign test tells whether a run of one contender scores higher more often "
            "than lower; it says nothing about the difference of the means."
        )
    return sentences
