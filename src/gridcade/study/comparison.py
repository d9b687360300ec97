"""The results of a study: all runs of every contender on every environment."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridcade.evaluation.result import finite
from gridcade.study.seed_statistics import seed_interval
from gridcade.study.study import Study

ESTIMATES = ("expected_return", "average_reward")
OPTIMA = {"expected_return": "optimal_return", "average_reward": "optimal_average_reward"}


@dataclass(frozen=True)
class RunResult:
    """The result of one training run, or of the single evaluation of a fixed policy."""

    seed: int | None  # training seed; None for a fixed policy
    evaluation: Mapping[str, Any]  # the final evaluation, as `Evaluation.as_dict` returns it
    metrics: tuple[Mapping[str, Any], ...] = ()  # of training, one entry per epoch
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
        results: of all contenders on the environment.
        name: of the estimate, such as expected_return.
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
    """The results of a study. `results[env][contender]` is sorted by seed."""

    study: Study
    results: Mapping[str, Mapping[str, tuple[RunResult, ...]]]
    failures: tuple[Failure, ...] = ()
    # Start time, backend and jobs of each call that ran tasks. Results do not depend on these.
    sessions: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return a summary for JSON. Without a time budget, the same study gives the same dict.

        A trained contender's interval is over its seeds, and None if they do not differ. A fixed
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
            # Reasons are left out: a process id in one would differ from time to time.
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
                    for key in ESTIMATES:
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
            scores = {name: result.score(name) for name in ESTIMATES}
            exact = {"exact": result.exact} if result.exact else {}
            seeds.append({"seed": result.seed} | scores | exact)
        return {"seeds": seeds} | {
            name: self._mean(results, name, score_range(contenders, name)) for name in ESTIMATES
        }

    def _mean(
        self, results: tuple[RunResult, ...], name: str, possible: tuple[float, float]
    ) -> dict[str, float | None] | None:
        scores = [score for result in results if (score := result.score(name)) is not None]
        if not scores:
            return None
        if results[0].seed is None:
            fixed = results[0].evaluation[name]
            alike = fixed["low"] == fixed["high"]  # of all episodes: see `seed_interval`
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
