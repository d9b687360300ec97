"""The verdicts of a comparison in sentences, and how they were reached."""

import math
from collections.abc import Sequence

from gridcade.formatting import format_number
from gridcade.report.analysis import (
    ContenderScores,
    EnvironmentAnalysis,
    Verdict,
    analyze,
    num_tests,
)
from gridcade.report.phrases import count, listing, percent
from gridcade.study.comparison import Comparison
from gridcade.study.seed_statistics import MAX_SEEDS
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
    sentences += [(sentence, True) for sentence in optimum_sentences(analysis)]
    return sentences + [(sentence, False) for sentence in absence_sentences(analysis)]


def pair_sentence(verdict: Verdict, env: str, confidence: float, tests: int) -> str:
    """State which of two contenders is better, or that they do not differ significantly.

    Args:
        verdict: the comparison of the two.
        env: name of the environment.
        confidence: confidence level of the interval; 1 - confidence is the level of the test.
        tests: number of tests for which Holm's correction was made.
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
    if not math.isfinite(difference.half_width):
        return _single_sample_sentence(a, b, env)
    if difference.half_width == 0 and verdict.p_value == 1:
        if verdict.is_test:
            score = f"{_mean(a)} in every run, {_sample_size(a, b)}"
            return f"{a.contender} and {b.contender} score the same on {env}: {score}."
        return f"{a.contender} and {b.contender} are equally good on {env}: exactly {_mean(a)}."
    better = f"{a.contender} is better than {b.contender} on {env}"
    if not verdict.is_test:
        return f"{better}: difference exactly {format_number(difference.mean)}."
    limits = f"{format_number(difference.low)} to {format_number(difference.high)}"
    numbers = (
        f"difference {format_number(difference.mean)}, {percent(confidence)} interval {limits}"
    )
    numbers += f", {_sample_size(a, b)}"
    if verdict.significant(confidence):
        return f"{better}: {numbers}."
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


def _single_sample_sentence(a: ContenderScores, b: ContenderScores, env: str) -> str:
    """Compare two contenders of which one has a single seed or episode, and so no interval."""
    one_seed = any(s.learns and len(s.values) == 1 for s in (a, b))
    caution = f"but with one {'seed' if one_seed else 'episode'} this may be chance"
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
    return count(episodes, "episode") if episodes else "one stream of steps each"


def absence_sentences(analysis: EnvironmentAnalysis) -> list[str]:
    """Name the contenders without any score."""
    return [
        f"{name} has no score on {analysis.env}: "
        f"{count(failed, 'run') if failed else 'its evaluation'} failed."
        for name, failed in analysis.absent
    ]


def optimum_sentences(analysis: EnvironmentAnalysis) -> list[str]:
    """Name the contenders whose exact value is the optimum."""
    sentences = []
    for s in analysis.scores:
        if s.optimal:
            runs = len(s.values)
            seeds = f"all {runs} seeds" if s.optimal == runs else f"{s.optimal} of {runs} seeds"
            seeds = "its one seed" if runs == 1 else seeds
            where = f" with {seeds}" if s.learns else ""
            sentences.append(f"{s.contender} reaches the optimum exactly on {analysis.env}{where}.")
    return sentences


def score_sentence(analysis: EnvironmentAnalysis, episodes: int) -> str:
    """State how the scores on an environment were computed, and the optimum if it is known."""
    evaluations = [r.evaluation for s in analysis.scores for r in s.results]
    if analysis.exact:
        text = f"Scores are exact: each policy's {analysis.names.title}, computed from the model."
    elif all(e["episodes"] for e in evaluations):
        text = f"Scores are estimates from {count(episodes, 'episode')}, the same for all policies."
    else:
        text = "Scores are estimates from long streams of steps, the same for all policies."
    continuing = any(e["expected_return"] is None for e in evaluations)
    if analysis.optimum is not None:
        limit = "" if continuing else " without a time limit"
        text += f" The optimum{limit} is {format_number(analysis.optimum)}."
    if continuing:
        text += " The task never ends and so has no return; the average reward decides."
    return text


def method_sentences(study: Study, analyses: Sequence[EnvironmentAnalysis]) -> list[str]:
    """State how the verdicts were reached, and what limits them."""
    tests, level = num_tests(analyses), 1 - study.confidence
    sentences = []
    if tests:
        sentences.append(
            "A filled dot marks a significant result: a p-value of at most "
            f"{format_number(level)} after Holm's correction for {count(tests, 'comparison')}. "
            "P-values are from Welch's t-test over training seeds (between fixed policies: over "
            "episodes). The probability of one or more false positives is about "
            f"{percent(level)} at most. Runs are not paired. Each "
            "interval is for its comparison alone."
        )
    if any(v.needed for a in analyses for v in a.verdicts if not v.significant(study.confidence)):
        sentences.append(
            "Numbers of seeds assume the observed difference and spread, and a power of 80 %. If "
            "seeds are added after looking at these results, p-values become optimistic."
        )
    if not all(a.exact for a in analyses):
        sentences.append(
            "Estimated scores share their evaluation episodes, so intervals over seeds are valid "
            "for these episodes only; this matters less with more episodes."
        )
    notes = dict.fromkeys(v.difference.note for a in analyses for v in a.verdicts)
    return sentences + [f"{note[0].upper()}{note[1:]}." for note in notes if note]
