"""The analysis of a comparison: scores, differences and aggregates."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.evaluation.intervals import TOLERANCE, Estimate
from gridcade.evaluation.streams import STREAMS
from gridcade.exact import solver
from gridcade.exact.values import informative_criteria
from gridcade.report.atari_scores import AtariScores, atari_scores, normalized_score
from gridcade.study.comparison import Comparison, RunResult, score_range
from gridcade.study.measures import TrainingMeasure
from gridcade.study.seed_statistics import (
    Band,
    MeanScore,
    difference,
    holm,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    seed_interval,
    seeds_needed,
    stratified_bootstrap,
)
from gridcade.study.study import Criterion, Study

Floats = NDArray[np.float64]

PROFILE_RESAMPLES = 2_000  # bootstrap resamples for each threshold of a performance profile
PROFILE_POINTS = 101


@dataclass(frozen=True)
class CriterionNames:
    """The names of a criterion in prose, in evaluations, and in the metrics of an epoch."""

    title: str
    score: str
    optimum: str = ""
    greedy: str = ""  # metric of evaluations during training
    training: str = ""  # metric of the training episodes


MEASURE_NAMES: dict[TrainingMeasure, CriterionNames] = {
    "training-return": CriterionNames("return in training", "training_return"),
    "training-length": CriterionNames("length of a training episode", "training_length"),
    "training-episodes": CriterionNames("number of training episodes", "training_episodes"),
}
CRITERION_NAMES: dict[Criterion, CriterionNames] = {
    "return": CriterionNames(
        "expected return",
        "expected_return",
        "optimal_return",
        "return_mean",
        "training_return_mean",
    ),
    "average-reward": CriterionNames(
        "expected average reward",
        "average_reward",
        "optimal_average_reward",
        "average_reward_mean",
        "training_average_reward",
    ),
}


ALL_NAMES: dict[Criterion | TrainingMeasure, CriterionNames] = {}
ALL_NAMES.update(CRITERION_NAMES.items())
ALL_NAMES.update(MEASURE_NAMES.items())


@dataclass(frozen=True)
class ContenderScores:
    """The scores of a contender on an environment."""

    contender: str
    results: tuple[RunResult, ...]
    values: tuple[float, ...]  # one per run; a fixed policy has one
    estimate: Estimate  # mean and interval over seeds; for a fixed policy, over its episodes
    mean_score: MeanScore
    optimal: int  # number of runs whose exact value is the optimum
    possible: tuple[float, float]  # the smallest and the largest possible score
    failed: int = 0  # number of runs without a result; without them, the mean may be biased

    @property
    def learns(self) -> bool:
        """Whether the contender was trained, with one run per seed."""
        return self.results[0].seed is not None


@dataclass(frozen=True)
class Verdict:
    """The comparison of two contenders on an environment."""

    better: ContenderScores  # the one with the higher mean
    worse: ContenderScores
    difference: Estimate
    p_value: float  # of this pair alone
    adjusted: float  # p-value after Holm's correction for all tests of the comparison
    needed: int | None  # seeds each to detect this difference; None: unknown

    @property
    def is_test(self) -> bool:
        """Whether this is a statistical test: not for one seed, nor for two exact values."""
        return self.difference.method in ("welch", "sign test")

    def significant(self, confidence: float) -> bool:
        """Return whether the difference is significant, or exact and not 0."""
        if self.is_test:
            return self.adjusted <= 1 - confidence
        return self.difference.method == "exact" and self.p_value == 0


@dataclass(frozen=True)
class EnvironmentAnalysis:
    """The scores and verdicts on one environment."""

    env: str
    # The study's measure of training, or its criterion; average-reward for a continuing task.
    criterion: Criterion | TrainingMeasure
    exact: bool  # whether scores are computed from the model, not estimated
    scores: tuple[ContenderScores, ...]  # in the order of the study
    verdicts: tuple[Verdict, ...]
    optimum: float | None
    tells_apart: bool  # whether the criterion gives policies different values, as far as known
    informative: Criterion | None  # another criterion that does, if this one does not
    published: AtariScores | None  # None unless it is an Atari game
    absent: tuple[tuple[str, int], ...] = ()  # contenders without a score, failed runs
    unranked: str = ""  # why no verdict says which contender is better; empty: verdicts do

    @property
    def names(self) -> CriterionNames:
        """The names of the criterion."""
        return ALL_NAMES[self.criterion]


@dataclass(frozen=True)
class ScoreScale:
    """A scale that several environments share."""

    zero: float  # score of random play
    one: float  # score of the reference
    reference: str  # name of the reference: the optimum, or a human


@dataclass(frozen=True)
class Aggregate:
    """The scores of trained contenders over several environments, on one scale."""

    environments: tuple[str, ...]
    unit: str  # unit of the scores
    reference: str  # score that is 1 if random play is 0; empty: scores keep the rewards' unit
    means: Mapping[str, Estimate]  # interquartile means, by contender
    profiles: Mapping[str, Band]  # by contender


@dataclass(frozen=True)
class Improvement:
    """The probability that a run of the first contender scores higher than one of the second."""

    first: str
    second: str
    probability: Estimate


def analyze(comparison: Comparison) -> tuple[EnvironmentAnalysis, ...]:
    """Analyze every environment that has results, with Holm's correction over all of them."""
    study = comparison.study
    analyses = [
        _analyze_environment(comparison, env)
        for env in study.environments
        if any(comparison.results.get(env, {}).values())
    ]
    p_values = [v.p_value for a in analyses for v in a.verdicts if v.is_test]
    adjusted = iter(holm(p_values).tolist())
    strictest = 1 - (1 - study.confidence) / max(len(p_values), 1)  # Holm's first step

    def corrected(verdict: Verdict) -> Verdict:
        if not verdict.is_test:
            return verdict
        scores = verdict.better.mean_score, verdict.worse.mean_score
        needed = seeds_needed(*scores, confidence=strictest)
        return replace(verdict, adjusted=next(adjusted), needed=needed)

    return tuple(replace(a, verdicts=tuple(map(corrected, a.verdicts))) for a in analyses)


def num_tests(analyses: Sequence[EnvironmentAnalysis]) -> int:
    """Return the number of tests to which Holm's correction was applied."""
    return sum(v.is_test for a in analyses for v in a.verdicts)


def _analyze_environment(comparison: Comparison, env: str) -> EnvironmentAnalysis:
    study, results = comparison.study, comparison.results[env]
    evaluations = [r.evaluation for runs in results.values() for r in runs]
    has_returns = all(e.get("expected_return") is not None for e in evaluations)
    criterion: Criterion | TrainingMeasure
    criterion = study.criterion if has_returns else "average-reward"
    if study.measure != "evaluation":
        criterion = study.measure
    names = ALL_NAMES[criterion]
    labels = [c.label for c in study.contenders]
    exact = all(_exact_value(e, names.score) is not None for e in evaluations)
    possible = score_range(results, names.score)
    failures = [f for f in comparison.failures if f.env == env]
    failed = Counter(f.contender for f in failures if f.seed is not None)
    scores = [
        replace(_score(label, runs, names, exact, study.confidence, possible), failed=failed[label])
        for label in labels
        if (runs := results.get(label))
    ]
    optima = (_exact_value(e, names.optimum) for e in evaluations)
    other: Criterion = "average-reward" if criterion == "return" else "return"
    informative: dict[str, bool] = {criterion: True}
    if study.measure == "evaluation":
        informative.update(_informative_criteria(env).items())
    unranked = _why_unranked(study, criterion)
    pairs = () if unranked else combinations(scores, 2)
    return EnvironmentAnalysis(
        env=env,
        criterion=criterion,
        exact=exact,
        scores=tuple(scores),
        verdicts=tuple(_verdict(*pair, study.confidence) for pair in pairs),
        optimum=next((o for o in optima if o is not None), None),
        tells_apart=informative.get(criterion, True),
        informative=other if informative.get(other) and not informative[criterion] else None,
        published=_published_scores(env),
        absent=tuple(
            (label, failed[label])
            for label in dict.fromkeys(f.contender for f in failures)
            if not results.get(label)
        ),
        unranked=unranked,
    )


def _why_unranked(study: Study, criterion: Criterion | TrainingMeasure) -> str:
    """Say in a sentence why no verdict says which contender is better; empty: verdicts do."""
    if criterion == "training-length":
        return (
            "Longer episodes may be better or worse, so no verdict says which contender is better."
        )
    if any(contender.sweep for contender in study.contenders):
        return (
            "The best value of a sweep is chosen after its scores are known, so a test would be "
            "misleading, and no verdict says which contender is better."
        )
    return ""


def _informative_criteria(env: str) -> dict[solver.Criterion, bool]:
    """Return whether each criterion tells policies apart; empty if the model is not known."""
    try:
        with closing(registry.make(env)) as single:
            model = registry.known_model(single)
    except InputError:  # the map file was removed, or a package is not installed here
        return {}
    return {} if model is None else informative_criteria(model)


def _exact_value(evaluation: Mapping[str, Any], key: str) -> float | None:
    value: float | None = (evaluation.get("exact") or {}).get(key)
    return value


def _score(
    contender: str,
    runs: Sequence[RunResult],
    names: CriterionNames,
    exact: bool,
    confidence: float,
    possible: tuple[float, float],
) -> ContenderScores:
    """Return a contender's scores.

    They are exact only if all contenders have exact values. Exact values and estimates must not be
    mixed: all seeds are evaluated on the same episodes, and the spread over seeds does not show the
    error that these episodes cause.
    """
    if exact:
        values = [float(run.evaluation["exact"][names.score]) for run in runs]
    else:
        values = [float(run.evaluation[names.score]["mean"]) for run in runs]
    if runs[0].seed is not None:
        estimate = seed_interval(values, confidence, possible)
        mean_score = MeanScore.from_seeds(values)
    elif exact:
        estimate = Estimate(values[0], values[0], values[0], "exact")
        mean_score = MeanScore.exact(values[0])
    else:
        evaluation = runs[0].evaluation
        low, high = (evaluation[names.score][end] for end in ("low", "high"))
        estimate = Estimate(
            values[0],
            -math.inf if low is None else low,
            math.inf if high is None else high,
            "evaluation",
            least=possible[0],
            most=possible[1],
        )
        samples = evaluation["episodes"] or evaluation.get("cycles") or STREAMS
        mean_score = MeanScore.from_interval(estimate, evaluation["confidence"], samples)
        if estimate.half_width == 0:
            estimate = estimate.without_interval("alike")
    optimal = sum(_is_optimal(run.evaluation, names) for run in runs)
    return ContenderScores(
        contender,
        tuple(runs),
        tuple(values),
        estimate,
        mean_score,
        optimal,
        possible,
    )


def _is_optimal(evaluation: Mapping[str, Any], names: CriterionNames) -> bool:
    """Return whether a policy's value, with the time limit, is the optimum without one.

    Its value without the time limit is not used: it may be optimal for any policy that reaches the
    goal eventually.
    """
    value, optimum = _exact_value(evaluation, names.score), _exact_value(evaluation, names.optimum)
    if value is None or optimum is None:
        return False
    return math.isclose(value, optimum, rel_tol=TOLERANCE)


def _verdict(a: ContenderScores, b: ContenderScores, confidence: float) -> Verdict:
    better, worse = (a, b) if a.estimate.mean >= b.estimate.mean else (b, a)
    test = difference(better.mean_score, worse.mean_score, confidence)
    (a_low, a_high), (b_low, b_high) = (s.possible for s in (better, worse))
    estimate = test.estimate
    if math.isfinite(estimate.half_width):
        estimate = estimate.within(a_low - b_high, a_high - b_low)
    return Verdict(better, worse, estimate, test.p_value, test.p_value, None)


def _published_scores(env: str) -> AtariScores | None:
    try:
        title = registry.atari_title(registry.parse(env)[0])
    except InputError:  # The map file was removed, or a package is not installed here.
        return None
    return atari_scores(title) if title else None


def score_scale(analysis: EnvironmentAnalysis) -> ScoreScale | None:
    """Return the scale from random play to the optimum or a human; None if these are unknown."""
    if analysis.published is not None and analysis.criterion == "return":
        published = analysis.published.nature2015
        return ScoreScale(published.random, published.human, "a human's score of 2015")
    if analysis.optimum is None:
        return None
    try:
        with closing(registry.make(analysis.env)) as env:
            model, limit = registry.known_model(env), registry.time_limit(env)
    except InputError:
        return None
    if model is None:
        return None
    value = solver.policy_value(model, model.uniform, time_limit=limit)
    random = value.expected_return if analysis.criterion == "return" else value.average_reward
    if random is None or not math.isfinite(random) or random == analysis.optimum:
        return None
    return ScoreScale(random, analysis.optimum, "the optimum")


def aggregated_contenders(analyses: Sequence[EnvironmentAnalysis]) -> tuple[str, ...]:
    """Return the trained contenders that have two seeds or more on every environment."""
    names = dict.fromkeys(s.contender for a in analyses for s in a.scores if s.learns)
    return tuple(
        name
        for name in names
        if all(any(s.contender == name and len(s.values) > 1 for s in a.scores) for a in analyses)
    )


def run_scores(
    analysis: EnvironmentAnalysis, contender: str, scale: ScoreScale | None = None
) -> Floats:
    """Return the scores of a contender's runs, [seeds]; with a scale, normalized to it."""
    raw = next(np.array(s.values) for s in analysis.scores if s.contender == contender)
    if scale is None:
        return raw
    return np.array([normalized_score(float(v), scale.zero, scale.one) for v in raw])


def aggregate(analyses: Sequence[EnvironmentAnalysis], confidence: float) -> Aggregate | None:
    """Return interquartile means and performance profiles of trained contenders.

    They include the environments that have a scale. A single environment needs no scale; without
    one, its scores keep their unit. The result is None if there are no contenders or environments
    to aggregate.
    """
    names = aggregated_contenders(analyses)
    scales = {a.env: scale for a in analyses if (scale := score_scale(a)) is not None}
    chosen = analyses if len(analyses) == 1 else [a for a in analyses if a.env in scales]
    if not names or not chosen:
        return None
    scores = {n: [run_scores(a, n, scales.get(a.env)) for a in chosen] for n in names}
    all_scores = np.concatenate([s for runs in scores.values() for s in runs])
    low, high = float(all_scores.min()), float(all_scores.max())
    margin = 0.05 * (high - low) or 1.0
    thresholds = np.linspace(low - margin, high + margin, PROFILE_POINTS)
    reference = " or ".join(dict.fromkeys(s.reference for s in scales.values()))
    return Aggregate(
        environments=tuple(a.env for a in chosen),
        unit=f"score (0: random play, 1: {reference})" if scales else chosen[0].names.title,
        reference=reference,
        means={
            n: stratified_bootstrap(s, interquartile_mean, _bootstrap_rng(), confidence)
            for n, s in scores.items()
        },
        profiles={
            n: performance_profile(s, thresholds, _bootstrap_rng(), confidence, PROFILE_RESAMPLES)
            for n, s in scores.items()
        },
    )


def improvements(
    analyses: Sequence[EnvironmentAnalysis], confidence: float
) -> tuple[Improvement, ...]:
    """Return the probability of improvement for each pair of trained contenders."""
    return tuple(
        Improvement(
            a,
            b,
            probability_of_improvement(
                [run_scores(analysis, a) for analysis in analyses],
                [run_scores(analysis, b) for analysis in analyses],
                _bootstrap_rng(),
                confidence,
            ),
        )
        for a, b in combinations(aggregated_contenders(analyses), 2)
    )


def _bootstrap_rng() -> np.random.Generator:
    """Return a generator with a fixed seed, so that intervals do not depend on their order."""
    return np.random.default_rng(0)
