"""The results of a study: all runs of every contender on every environment."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridcade.evaluation.result import finite
from gridcade.study.measures import measure_key
from gridcade.study.recording import record_band
from gridcade.study.seed_statistics import Band, seed_interval
from gridcade.study.study import Study

ESTIMATES = ("expected_return", "average_reward")
OPTIMA = {"expected_return": "optimal_return", "average_reward": "optimal_average_reward"}


@dataclass(frozen=True)
class RunResult:
    """The result of one training run, or of the single evaluation of a fixed policy."""

    seed: int | None  # training seed; None for a fixed policy
    # The final evaluation, as `Evaluation.as_dict` returns it; or the measure of training.
    evaluation: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...] = ()  # training metrics, one entry per epoch
    config: Mapping[str, Any] = field(default_factory=dict)  # RunConfig as a dict; may be empty
    sessions: tuple[Mapping[str, Any], ...] = ()  # provenance, one entry per training session
    run: Path | None = None  # the run folder; None for a fixed policy, or if it was removed
    policy: str = ""  # the policy that was evaluated, if nothing was trained

    def score(self, name: str) -> float | None:
        """Return the mean of an estimate, such as expected_return; None if it has no value."""
        estimate = self.evaluation[name]
        return None if estimate is None else estimate["mean"]

    @property
    def exact(self) -> dict[str, Any]:
        """Exact values of the evaluated policy, by estimate; empty if they are unknown."""
        exact = self.evaluation["exact"]
        return {name: exact[name] for name in ESTIMATES} if exact else {}


def score_range(results: Mapping[str, Sequence[RunResult]], name: str) -> tuple[float, float]:
    """Return the smallest and the largest possible score on an environment, as far as known.

    Args:
        results: the runs of each contender on the environment.
        name: name of the estimate, such as expected_return.
    """
    estimates = [run.evaluation[name] or {} for runs in results.values() for run in runs]
    least = [-math.inf if e.get("least") is None else e["least"] for e in estimates]
    most = [math.inf if e.get("most") is None else e["most"] for e in estimates]
    return min(least, default=-math.inf), max(most, default=math.inf)


@dataclass(frozen=True)
class Failure:
    """A task without a result, because all its attempts failed."""

    contender: str
    env: str
    seed: int | None
    reason: str  # the last error, on one line


@dataclass(frozen=True)
class Comparison:
    """The results of a study. `results[env][contender]` has one entry per run, sorted by seed."""

    study: Study
    results: Mapping[str, Mapping[str, tuple[RunResult, ...]]]
    failures: tuple[Failure, ...] = ()
    # Start time, backend and jobs of each call that ran tasks. Results do not depend on these.
    sessions: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)
    # If the study measures training, `records[env][contender]`: see `gridcade.study.recording`.
    records: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def estimates(self) -> tuple[str, ...]:
        """The names of the scores of a run."""
        measure = self.study.measure
        return ESTIMATES if measure == "evaluation" else (measure_key(measure),)

    def as_dict(self) -> dict[str, Any]:
        """Return a summary for JSON. Without a time budget, the same study gives the same dict.

        A trained contender's interval is over its seeds, and None if all scores are equal. A fixed
        policy's interval is that of its evaluation. `exact` holds the exact values of a run, and
        the optimum of an environment (without its time limit), where they are known.
        """
        return {
            "study": self.study.as_dict(),
            # A time budget makes results depend on the speed of the machine.
            "deterministic": self.study.minutes is None,
            "environments": {
                env: {
                    name: self._summary(results, contenders) for name, results in contenders.items()
                }
                for env, contenders in self.results.items()
            },
            "exact": {env: self._optimum(env) for env in self.results},
            **({"curves": self._curves()} if self.records else {}),
            # Reasons are left out: they may contain process ids, which differ between runs.
            "failures": [
                {"contender": failure.contender, "env": failure.env, "seed": failure.seed}
                for failure in self.failures
            ],
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one table row per run: names, seed, estimates and exact values."""
        for env, contenders in self.results.items():
            for name, results in contenders.items():
                for result in results:
                    row = {"environment": env, "contender": name, "seed": result.seed}
                    for key in self.estimates:
                        estimate = result.evaluation[key] or {}
                        row[key] = estimate.get("mean")
                        row |= {f"{key}_{end}": estimate.get(end) for end in ("low", "high")}
                        row[f"exact_{key}"] = result.exact.get(key)
                    yield row

    def _summary(
        self, results: tuple[RunResult, ...], contenders: Mapping[str, Sequence[RunResult]]
    ) -> dict[str, Any]:
        """Return a contender's scores for each seed, and their means."""
        seeds = []
        for result in results:
            scores = {name: result.score(name) for name in self.estimates}
            exact = {"exact": result.exact} if result.exact else {}
            seeds.append({"seed": result.seed} | scores | exact)
        return {"seeds": seeds} | {
            name: self._mean(results, name, score_range(contenders, name))
            for name in self.estimates
        }

    def _curves(self) -> dict[str, dict[str, dict[str, list[float | None]]]]:
        """Return the mean over seeds of the measure of training, with its interval."""
        confidence = self.study.confidence

        def as_lists(band: Band) -> dict[str, list[float | None]]:
            lists = {"x": band.x, "mean": band.mean, "low": band.low, "high": band.high}
            return {name: [finite(v) for v in values.tolist()] for name, values in lists.items()}

        return {
            env: {
                label: as_lists(record_band(record, confidence))
                for label, record in contenders.items()
            }
            for env, contenders in self.records.items()
        }

    def _mean(
        self, results: tuple[RunResult, ...], name: str, possible: tuple[float, float]
    ) -> dict[str, float | None] | None:
        scores = [score for result in results if (score := result.score(name)) is not None]
        if not scores:
            return None
        if results[0].seed is None:
            fixed = results[0].evaluation[name]
            # Equal episodes do not prove that the spread is 0: see `seed_interval`.
            alike = fixed["low"] == fixed["high"]
            return {"mean": fixed["mean"]} | {
                end: None if alike else fixed[end] for end in ("low", "high")
            }
        estimate = seed_interval(scores, self.study.confidence, possible)
        return {"mean": estimate.mean, "low": finite(estimate.low), "high": finite(estimate.high)}

    def _optimum(self, env: str) -> dict[str, float | None] | None:
        """Return the optimum of an environment; None if it is unknown."""
        for results in self.results[env].values():
            for result in results:
                if exact := result.evaluation["exact"]:
                    return {name: exact[optimal] for name, optimal in OPTIMA.items()}
        return None
