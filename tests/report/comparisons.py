"""Comparisons for tests: a real one, and made-up ones with any scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gridcade
from gridcade.study.comparison import Comparison, Failure, RunResult
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Criterion, Study
from gridcade.training.config import to_dict

Runs = Sequence[float] | float  # scores of the seeds 0, 1, …; or the score of a fixed policy
Scores = Mapping[str, Mapping[str, Runs]]  # environment -> contender -> runs

FIXED = ("random", "optimal")


def estimate(mean: float, half: float = 0.0) -> dict[str, float]:
    return {"mean": mean, "low": mean - half, "high": mean + half}


def evaluation(
    value: float,
    *,
    half: float = 0.0,
    reward: float = 1.0,
    continuing: bool = False,
    exact: float | None = None,
    optimum: float | None = None,
) -> dict[str, Any]:
    """Return an evaluation with this expected return, and `reward` times it as average reward."""
    exact_values = {
        "expected_return": None if continuing else exact,
        "average_reward": exact,
        "optimal_return": None if continuing else optimum,
        "optimal_average_reward": optimum,
    }
    return {
        "episodes": None if continuing else 100,
        "confidence": 0.95,
        "expected_return": None if continuing else estimate(value, half),
        "average_reward": estimate(reward * value, half),
        "exact": exact_values if exact is not None else None,
    }


def epochs(values: Sequence[float | None], seconds: float = 1.0) -> tuple[dict[str, Any], ...]:
    """Return metrics of training with these evaluations; None: an epoch without evaluation."""
    metrics = []
    for number, value in enumerate(values, 1):
        entry: dict[str, Any] = {
            "steps": 1000 * number,
            "seconds": seconds * number,
            "training_return_mean": float(number),
            "training_average_reward": float(number),
        }
        greedy = {"return_mean": value, "average_reward_mean": value}
        metrics.append(entry | (greedy if value is not None else {}))
    return tuple(metrics)


def made_up(
    scores: Scores,
    *,
    metrics: Sequence[float | None] = (0.1, 0.5, 0.9),
    criterion: Criterion = "return",
    failures: Sequence[Failure] = (),
    **options: Any,
) -> Comparison:
    """Return a comparison with these scores; `options` are arguments of `evaluation`."""
    labels = list(dict.fromkeys(label for runs in scores.values() for label in runs))
    fixed = [n for n in labels if any(isinstance(r.get(n), float) for r in scores.values())]
    contenders = [
        ContenderSpec("random" if label in fixed else "q-learning", name=label) for label in labels
    ]
    results = {
        env: {
            label: tuple(
                RunResult(seed, evaluation(value, **options), epochs(metrics))
                for seed, value in enumerate(runs)
            )
            if isinstance(runs, Sequence)
            else (RunResult(None, evaluation(runs, **options), policy="random"),)
            for label, runs in by_contender.items()
        }
        for env, by_contender in scores.items()
    }
    study = Study(tuple(contenders), tuple(scores), steps=3000, criterion=criterion)
    return Comparison(study, results, tuple(failures))


def real(folder: Path, env: str = "FourRooms", seeds: int = 2) -> Comparison:
    """Compare Q-learning after a few thousand steps, random play and the optimum.

    The metrics have a thousand steps per second on every machine.
    """
    contenders = (ContenderSpec("q-learning"), *map(ContenderSpec, FIXED))
    study = Study(contenders, (env,), steps=4000, seeds=seeds, episodes=10)
    options: dict[str, Any] = {"episodes": study.episodes, "seed": study.evaluation_seed}
    trained = []
    for seed in range(seeds):
        run = gridcade.train("q-learning", env, seed=seed, steps=4000, out=folder / f"s{seed}")
        sessions = json.loads((run.path / "provenance.json").read_bytes())["sessions"]
        trained.append(
            RunResult(
                seed,
                gridcade.evaluate(run, **options).as_dict(),
                tuple(entry | {"seconds": entry["steps"] / 1000} for entry in run.metrics()),
                to_dict(run.config),
                tuple(sessions),
                run.path,
            )
        )
    results = {"q-learning": tuple(trained)} | {
        name: (RunResult(None, gridcade.evaluate(name, env, **options).as_dict(), policy=name),)
        for name in FIXED
    }
    return Comparison(study, {env: results})
