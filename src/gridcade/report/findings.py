"""What a comparison comes to, before words and ink: scores, differences, curves, aggregates."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.evaluation.estimates import BATCHES
from gridcade.evaluation.intervals import TOLERANCE, Estimate, mean_interval
from gridcade.evaluation.policies import UniformPolicy
from gridcade.exact import solver
from gridcade.report import atari_scores
from gridcade.report.atari_scores import AtariScores
from gridcade.study.comparison import Comparison, Outcome
from gridcade.study.seed_statistics import (
    Band,
    Side,
    curve,
    difference,
    holm,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    seeds_needed,
    stratified_bootstrap,
)
from gridcade.study.study import Criterion

Floats = NDArray[np.float64]
Lines = tuple[tuple[Floats, Floats], ...]  # x and y, [points] each

RESAMPLES = 2_000  # for each threshold of a performance profile
THRESHOLDS = 101


@dataclass(frozen=True)
class Names:
    """What a criterion is called: by people, in an evaluation, and in the metrics of an epoch."""

    words: str
    score: str
    optimum: str
    greedy: str
    training: str


NAMES: dict[Criterion, Names] = {
    "return": Names(
        "expected return",
        "expected_return",
        "optimal_return",
        "return_mean",
        "training_return_mean",
    ),
    "average-reward": Names(
        "expected average reward",
        "average_reward",
        "optimal_average_reward",
        "average_reward_mean",
        "training_average_reward",
    ),
}


@dataclass(frozen=True)
class Scores:
    """What a contender came to on an environment."""

    contender: str
    outcomes: tuple[Outcome, ...]
    values: tuple[float, ...]  # one a run; of a fixed policy one
    estimate: Estimate  # of their mean over seeds; of a fixed policy over its episodes
    side: Side
    optimal: int  # runs that are worth the optimum, exactly
    failed: int = 0  # runs that came to nothing: the others may be the luckier ones

    @property
    def learns(self) -> bool:
        """Whether it was trained, so that there is a run a seed."""
        return self.outcomes[0].seed is not None


@dataclass(frozen=True)
class Verdict:
    """Two contenders on an environment, the one with the higher mean first."""

    better: Scores
    worse: Scores
    difference: Estimate
    p_value: float  # of this pair alone
    adjusted: float  # by Holm's correction over all tests of the comparison
    needed: int | None  # seeds each, to tell a difference as large; None: it cannot be said

    @property
    def is_test(self) -> bool:
        """Whether chance is at play and can be told: not with one seed, nor two exact values."""
        sides = self.better.side, self.worse.side
        known = all(math.isinf(side.freedom) for side in sides)
        return math.isfinite(self.difference.half_width) and not known

    def told(self, confidence: float) -> bool:
        """Whether the one is known to be better than the other."""
        if self.is_test:
            return self.adjusted <= 1 - confidence
        return math.isfinite(self.difference.half_width) and self.p_value == 0


@dataclass(frozen=True)
class Findings:
    """What was found on an environment."""

    env: str
    criterion: Criterion  # a continuing task has no return, whatever the study decides by
    exact: bool  # the scores were computed from the model, not estimated
    scores: tuple[Scores, ...]  # in the order of the study
    verdicts: tuple[Verdict, ...]
    optimum: float | None
    published: AtariScores | None  # of an Atari game
    absent: tuple[tuple[str, int], ...] = ()  # who has no score, and how many runs failed, if any

    @property
    def names(self) -> Names:
        """What its criterion is called."""
        return NAMES[self.criterion]


@dataclass(frozen=True)
class Scale:
    """What 0 and 1 stand for, on a scale that environments share."""

    zero: float
    one: float
    words: str  # what 1 is


@dataclass(frozen=True)
class Aggregate:
    """What contenders that learn came to over environments, on one scale."""

    environments: tuple[str, ...]
    unit: str  # of the scores
    scale: str  # what 1 stands for, where 0 is random play; nothing: the environment's own scale
    means: Mapping[str, Estimate]  # interquartile
    profiles: Mapping[str, Band]


@dataclass(frozen=True)
class Improvement:
    """How likely a run of one contender scores higher than a run of another."""

    first: str
    second: str
    probability: Estimate


@dataclass(frozen=True)
class Curves:
    """A contender's learning curves: one a seed, and their mean where all of them have gone."""

    contender: str
    seeds: Lines
    band: Band


def find(comparison: Comparison) -> tuple[Findings, ...]:
    """What there is to say of each environment that has an outcome."""
    study = comparison.study
    found = [
        _on_environment(comparison, env)
        for env in study.environments
        if any(comparison.outcomes.get(env, {}).values())
    ]
    p_values = [v.p_value for f in found for v in f.verdicts if v.is_test]
    adjusted = iter(holm(p_values).tolist())
    strict = 1 - (1 - study.confidence) / max(len(p_values), 1)  # Holm's first step

    def corrected(verdict: Verdict) -> Verdict:
        if not verdict.is_test:
            return verdict
        sides = verdict.better.side, verdict.worse.side
        return replace(
            verdict, adjusted=next(adjusted), needed=seeds_needed(*sides, confidence=strict)
        )

    return tuple(replace(f, verdicts=tuple(map(corrected, f.verdicts))) for f in found)


def tests(findings: Sequence[Findings]) -> int:
    """Among how many verdicts Holm's correction was made."""
    return sum(v.is_test for f in findings for v in f.verdicts)


def _on_environment(comparison: Comparison, env: str) -> Findings:
    study, outcomes = comparison.study, comparison.outcomes[env]
    evaluations = [o.evaluation for runs in outcomes.values() for o in runs]
    returns = all(e["expected_return"] is not None for e in evaluations)
    criterion: Criterion = study.criterion if returns else "average-reward"
    names, labels = NAMES[criterion], [entry.label for entry in study.contenders]
    exact = all(_exact(e, names.score) is not None for e in evaluations)
    failures = [f for f in comparison.failures if f.env == env]
    failed = Counter(f.contender for f in failures if f.seed is not None)
    scores = [
        replace(_scores(label, runs, names, exact, study.confidence), failed=failed[label])
        for label in labels
        if (runs := outcomes.get(label))
    ]
    optima = (_exact(e, names.optimum) for e in evaluations)
    return Findings(
        env=env,
        criterion=criterion,
        exact=exact,
        scores=tuple(scores),
        verdicts=tuple(_verdict(*pair, study.confidence) for pair in combinations(scores, 2)),
        optimum=next((o for o in optima if o is not None), None),
        published=_published(env),
        absent=tuple(
            (label, failed[label])
            for label in dict.fromkeys(f.contender for f in failures)
            if not outcomes.get(label)
        ),
    )


def _exact(evaluation: Mapping[str, Any], key: str) -> float | None:
    value: float | None = (evaluation.get("exact") or {}).get(key)
    return value


def _scores(
    contender: str, runs: Sequence[Outcome], names: Names, exact: bool, confidence: float
) -> Scores:
    """A contender's scores: exact ones where all contenders have them, or their scales differ.

    What is estimated from the same episodes for all seeds shares these episodes' luck, which no
    spread over seeds can tell.
    """
    if exact:
        values = [float(run.evaluation["exact"][names.score]) for run in runs]
    else:
        values = [float(run.evaluation[names.score]["mean"]) for run in runs]
    if runs[0].seed is not None:
        estimate, side = mean_interval(values, confidence), Side.of_seeds(values)
    elif exact:
        estimate = Estimate(values[0], values[0], values[0], "exact")
        side = Side.exact(values[0])
    else:
        evaluation = runs[0].evaluation
        low, high = (evaluation[names.score][end] for end in ("low", "high"))
        estimate = Estimate(
            values[0],
            -math.inf if low is None else low,
            math.inf if high is None else high,
            "evaluation",
        )
        samples = evaluation["episodes"] or BATCHES  # a continuing task has no episodes
        side = Side.of_interval(estimate, evaluation["confidence"], samples)
    optimal = sum(_is_optimal(run.evaluation, names) for run in runs)
    return Scores(contender, tuple(runs), tuple(values), estimate, side, optimal)


def _is_optimal(evaluation: Mapping[str, Any], names: Names) -> bool:
    """Whether a policy as it was run, with the time limit, is worth the optimum without one.

    That it would be without a limit is not enough: so is any that comes to the goal at last.
    """
    value, most = _exact(evaluation, names.score), _exact(evaluation, names.optimum)
    return value is not None and most is not None and math.isclose(value, most, rel_tol=TOLERANCE)


def _verdict(a: Scores, b: Scores, confidence: float) -> Verdict:
    better, worse = (a, b) if a.estimate.mean >= b.estimate.mean else (b, a)
    found = difference(better.side, worse.side, confidence)
    return Verdict(better, worse, found.estimate, found.p_value, found.p_value, None)


def _published(env: str) -> AtariScores | None:
    try:
        title = registry.atari_title(registry.parse(env)[0])
    except InputError:  # a map that has gone, a package that is not installed here
        return None
    return atari_scores.scores(title) if title else None


def scale(found: Findings) -> Scale | None:
    """Random play as 0, and as 1 the optimum or a human; None where these are not known."""
    if found.published is not None and found.criterion == "return":
        published = found.published.nature2015
        return Scale(published.random, published.human, "a human's score of 2015")
    if found.optimum is None:
        return None
    try:
        with closing(registry.make(found.env)) as env:
            model, limit = registry.known_model(env), registry.time_limit(env)
    except InputError:
        return None
    if model is None:
        return None
    table = UniformPolicy(model.num_actions).probabilities(np.zeros(model.num_states))
    value = solver.policy_value(model, table, time_limit=limit)
    random = value.expected_return if found.criterion == "return" else value.average_reward
    if random is None or not math.isfinite(random) or random == found.optimum:
        return None
    return Scale(random, found.optimum, "the optimum")


def learners(findings: Sequence[Findings]) -> tuple[str, ...]:
    """Contenders with two seeds or more on each environment where any has them."""
    names = dict.fromkeys(s.contender for f in findings for s in f.scores if s.learns)
    return tuple(
        name
        for name in names
        if all(any(s.contender == name and len(s.values) > 1 for s in f.scores) for f in findings)
    )


def values(found: Findings, contender: str, on: Scale | None = None) -> Floats:
    """The scores of a contender's runs on an environment, [seeds], as they are or on a scale."""
    raw = next(np.array(s.values) for s in found.scores if s.contender == contender)
    if on is None:
        return raw
    return np.array([atari_scores.normalised(float(v), on.zero, on.one) for v in raw])


def aggregate(findings: Sequence[Findings], confidence: float) -> Aggregate | None:
    """Interquartile means and performance profiles of contenders that learn.

    Over the environments that have a scale; a single one without keeps its own unit. None where
    there is nothing to aggregate.
    """
    names = learners(findings)
    scales = {f.env: found for f in findings if (found := scale(f)) is not None}
    chosen = findings if len(findings) == 1 else [f for f in findings if f.env in scales]
    if not names or not chosen:
        return None
    scores = {n: [values(f, n, scales.get(f.env)) for f in chosen] for n in names}
    everything = np.concatenate([s for runs in scores.values() for s in runs])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.05 * (high - low) or 1.0
    thresholds = np.linspace(low - margin, high + margin, THRESHOLDS)
    ones = " or ".join(dict.fromkeys(s.words for s in scales.values()))
    return Aggregate(
        environments=tuple(f.env for f in chosen),
        unit=f"score (0: random play, 1: {ones})" if scales else chosen[0].names.words,
        scale=ones,
        means={
            n: stratified_bootstrap(s, interquartile_mean, _rng(), confidence)
            for n, s in scores.items()
        },
        profiles={
            n: performance_profile(s, thresholds, _rng(), confidence, RESAMPLES)
            for n, s in scores.items()
        },
    )


def improvements(findings: Sequence[Findings], confidence: float) -> tuple[Improvement, ...]:
    """The probability of improvement of each pair of contenders that learn."""
    return tuple(
        Improvement(
            a,
            b,
            probability_of_improvement(
                [values(f, a) for f in findings],
                [values(f, b) for f in findings],
                _rng(),
                confidence,
            ),
        )
        for a, b in combinations(learners(findings), 2)
    )


def _rng() -> np.random.Generator:
    """The stream of an interval: the same for each, so that none depends on what is beside it."""
    return np.random.default_rng(0)


def curves(
    found: Findings, x: str, y: str, confidence: float, unit: float = 1.0
) -> tuple[Curves, ...]:
    """Learning curves of the contenders that have any.

    Args:
        found: on an environment.
        x: a metric that grows: `steps` or `seconds`.
        y: another; epochs without it are left out.
        confidence: of the intervals.
        unit: what x is counted in, such as 60 for minutes.
    """
    made = []
    for scores in found.scores:
        lines = tuple(_lines(scores.outcomes, x, y, unit))
        if lines:
            band = curve([line[0] for line in lines], [line[1] for line in lines], confidence)
            made.append(Curves(scores.contender, lines, band))
    return tuple(made)


def _lines(
    outcomes: Sequence[Outcome], x: str, y: str, unit: float
) -> Iterator[tuple[Floats, Floats]]:
    for outcome in outcomes:
        # of epochs that took no measurable time the last one stands
        points = {m[x] / unit: m[y] for m in outcome.metrics if m.get(y) is not None}
        if points:
            yield np.array([*points], dtype=np.float64), np.array([*points.values()], float)
