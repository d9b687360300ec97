"""Comparisons to report on: a real one, and made-up ones of any scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gridcade
from gridcade.study.comparison import Comparison, Failure, Outcome
from gridcade.study.study import Criterion, Entry, Study
from gridcade.training.config import to_dict

Runs = Sequence[float] | float  # of seeds 0, 1, …; a number alone is a fixed policy's

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
    """An evaluation whose expected return is a value, and its average reward `reward` times it."""
    known = {
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
        "exact": known if exact is not None else None,
    }


def epochs(values: Sequence[float | None], seconds: float = 1.0) -> tuple[dict[str, Any], ...]:
    """Metrics of a training whose evaluations came to these; None: an epoch without one."""
    made = []
    for number, value in enumerate(values, 1):
        entry: dict[str, Any] = {
            "steps": 1000 * number,
            "seconds": seconds * number,
            "training_return_mean": float(number),
            "training_average_reward": float(number),
        }
        greedy = {"return_mean": value, "average_reward_mean": value}
        made.append(entry | (greedy if value is not None else {}))
    return tuple(made)


def made_up(
    scores: Mapping[str, Mapping[str, Runs]],
    *,
    metrics: Sequence[float | None] = (0.1, 0.5, 0.9),
    criterion: Criterion = "return",
    failures: Sequence[Failure] = (),
    **about: Any,
) -> Comparison:
    """A comparison of these scores: environment -> contender -> one a seed, or one alone.

    `about` goes to `evaluation`.
    """
    labels = list(dict.fromkeys(label for runs in scores.values() for label in runs))
    fixed = [n for n in labels if any(isinstance(r.get(n), float) for r in scores.values())]
    entries = [Entry("random" if label in fixed else "q-learning", name=label) for label in labels]
    outcomes = {
        env: {
            label: tuple(
                Outcome(seed, evaluation(value, **about), epochs(metrics))
                for seed, value in enumerate(runs)
            )
            if isinstance(runs, Sequence)
            else (Outcome(None, evaluation(runs, **about), policy="random"),)
            for label, runs in contenders.items()
        }
        for env, contenders in scores.items()
    }
    study = Study(tuple(entries), tuple(scores), steps=3000, criterion=criterion)
    return Comparison(study, outcomes, tuple(failures))


def real(folder: Path, env: str = "FourRooms", seeds: int = 2) -> Comparison:
    """Q-learning after a few thousand steps, random play and the optimum."""
    study = Study(
        (Entry("q-learning"), *map(Entry, FIXED)), (env,), steps=4000, seeds=seeds, episodes=10
    )
    about: dict[str, Any] = {"episodes": study.episodes, "seed": study.evaluation_seed}
    learnt = []
    for seed in range(seeds):
        run = gridcade.train("q-learning", env, seed=seed, steps=4000, out=folder / f"s{seed}")
        sessions = json.loads((run.path / "provenance.json").read_bytes())["sessions"]
        found = gridcade.evaluate(run, **about).as_dict()
        learnt.append(
            Outcome(
                seed, found, tuple(run.metrics()), to_dict(run.config), tuple(sessions), run.path
            )
        )
    outcomes = {"q-learning": tuple(learnt)} | {
        name: (Outcome(None, gridcade.evaluate(name, env, **about).as_dict(), policy=name),)
        for name in FIXED
    }
    return Comparison(study, {env: outcomes})
