"""What a study found: every contender's runs on every environment, and what follows from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridcade.evaluation.evaluate import finite
from gridcade.evaluation.intervals import mean_interval
from gridcade.study.study import Study

ESTIMATES = ("expected_return", "average_reward")
OPTIMA = {"expected_return": "optimal_return", "average_reward": "optimal_average_reward"}


@dataclass(frozen=True)
class Outcome:
    """One run of a contender on an environment, or the one evaluation of a policy that is fixed."""

    seed: int | None  # of the training; None: nothing was trained
    evaluation: Mapping[str, Any]  # the last one, as `Evaluation.as_dict` tells it
    metrics: tuple[Mapping[str, Any], ...] = ()  # of the training, one an epoch
    config: Mapping[str, Any] = field(default_factory=dict)  # of the run, plain; empty if none
    sessions: tuple[Mapping[str, Any], ...] = ()  # provenance of each session
    run: Path | None = None  # the run folder
    policy: str = ""  # what was evaluated, where nothing was trained

    def score(self, name: str) -> float | None:
        """The mean of an estimate, such as expected_return; None where the task has none."""
        estimate = self.evaluation[name]
        return None if estimate is None else estimate["mean"]


@dataclass(frozen=True)
class Failure:
    """A task that failed as often as it is tried."""

    contender: str
    env: str
    seed: int | None
    reason: str  # the last error, in one line


@dataclass(frozen=True)
class Comparison:
    """All that a study found.  `outcomes[env][contender]` are in the order of their seeds."""

    study: Study
    outcomes: Mapping[str, Mapping[str, tuple[Outcome, ...]]]
    failures: tuple[Failure, ...] = ()
    # when it was worked on: started, backend, jobs; not a finding
    sessions: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, fit for JSON, with no wall-clock in them: the same study, the same dict.

        An interval is over the seeds of a contender, None with one seed; of a policy that was not
        trained it is its evaluation's. Where a run's values are known exactly, they stand in its
        `exact`; an environment's optimum stands in `exact`, without the time limit.
        """
        return {
            "study": self.study.as_dict(),
            "deterministic": self.study.minutes is None,  # else it depends on the machine
            "environments": {
                env: {name: self._contender(found) for name, found in contenders.items()}
                for env, contenders in self.outcomes.items()
            },
            "exact": {env: self._optimum(env) for env in self.outcomes},
            "failures": [  # the reasons may name a process, and so differ from time to time
                {"contender": one.contender, "env": one.env, "seed": one.seed}
                for one in self.failures
            ],
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row a run, for a table: the names, the seed, and its estimates and exact values."""
        for env, contenders in self.outcomes.items():
            for name, outcomes in contenders.items():
                for outcome in outcomes:
                    row = {"environment": env, "contender": name, "seed": outcome.seed}
                    exact = _exact(outcome)
                    for key in ESTIMATES:
                        estimate = outcome.evaluation[key] or {}
                        row[key] = estimate.get("mean")
                        row |= {f"{key}_{end}": estimate.get(end) for end in ("low", "high")}
                        row[f"exact_{key}"] = exact.get(key)
                    yield row

    def _contender(self, outcomes: tuple[Outcome, ...]) -> dict[str, Any]:
        """Its seeds, and what they come to."""
        seeds = []
        for outcome in outcomes:
            scores = {name: outcome.score(name) for name in ESTIMATES}
            exact = _exact(outcome)
            seeds.append({"seed": outcome.seed} | scores | ({"exact": exact} if exact else {}))
        return {"seeds": seeds} | {name: self._mean(outcomes, name) for name in ESTIMATES}

    def _mean(self, outcomes: tuple[Outcome, ...], name: str) -> dict[str, float | None] | None:
        scores = [score for outcome in outcomes if (score := outcome.score(name)) is not None]
        if not scores:
            return None
        if outcomes[0].seed is None:
            return dict(outcomes[0].evaluation[name])
        over = mean_interval(scores, self.study.confidence, "seeds")
        return {"mean": over.mean, "low": finite(over.low), "high": finite(over.high)}

    def _optimum(self, env: str) -> dict[str, float | None] | None:
        """The optimum of an environment; None where it is not known."""
        for outcomes in self.outcomes[env].values():
            for outcome in outcomes:
                if exact := outcome.evaluation["exact"]:
                    return {name: exact[optimal] for name, optimal in OPTIMA.items()}
        return None


def _exact(outcome: Outcome) -> dict[str, Any]:
    """The exact values of what was evaluated, as run; nothing where they are not known."""
    exact = outcome.evaluation["exact"]
    return {name: exact[name] for name in ESTIMATES} if exact else {}
