"""Records of training: many seeds of a tabular agent in one task, without run folders.

The runs of a tabular agent are often too short for a folder each: hundreds of episodes take less
than a millisecond. The compiled loop records these runs, and the task keeps only their statistics
over the seeds.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Agent, BaseAgent, CompiledLoop
from gridcade.envs import registry
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.study.measures import Recording
from gridcade.study.seed_statistics import Band, band_of_moments
from gridcade.training import sessions
from gridcade.training.config import RunConfig

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MAX_NUMBERS = 100_000_000  # in the curves of all seeds, or the episodes of one: 0.8 GB


def check_recordable(agent: BaseAgent, env: Env, recording: Recording) -> None:
    """Raise InputError if the training of an agent in an environment cannot be recorded."""
    model = registry.known_model(env)
    if not isinstance(agent, Agent) or sessions.compiled_loop(agent, env, 0) is None:
        raise InputError(
            f"the measure {recording.measure} needs a tabular agent, such as q-learning, and a "
            "world whose model is known"
        )
    if model is not None and model.continuing and recording.measure != "training-return":
        raise InputError(
            f"the task never ends, so it has no {recording.measure}: set measure to training-return"
        )
    if model is not None and model.continuing and recording.episodes is not None:
        raise InputError("the task never ends: set steps instead of training_episodes")
    points = min(recording.episodes or recording.steps or 0, recording.points)
    if (numbers := max(recording.episodes or 0, recording.seeds * points)) > MAX_NUMBERS:
        raise InputError(
            f"the record of {recording.seeds} seeds would need {numbers} numbers in memory; at "
            f"most {MAX_NUMBERS} are possible: use fewer seeds, training_episodes or points"
        )


def record_training(
    config: RunConfig, recording: Recording, progress: Callable[[int, int], object] | None = None
) -> dict[str, Any]:
    """Train an agent with the seeds 0, 1, …, and record the measure in each run.

    Args:
        config: config of the runs; its seed is replaced.
        recording: what to record.
        progress: called often with the number of finished seeds and of all seeds; it can end the
            training by an exception.

    Returns:
        `scores`, one per seed: the mean over the episodes, or the value after the last step; `x`,
        the episodes or steps; `mean` and `deviation` (the sample standard deviation) over the
        seeds, one each per x.
    """
    budget = recording.episodes or recording.steps or 0
    ends = np.unique(np.linspace(0, budget, min(budget, recording.points) + 1).round().astype(int))
    scores = np.empty(recording.seeds)
    curves = np.empty((recording.seeds, len(ends) - 1))
    with closing(registry.make(config.env)) as env:
        for seed in range(recording.seeds):
            agent = sessions.make_agent(replace(config, seed=seed), env)
            assert isinstance(agent, Agent)  # noqa: S101 - `check_recordable` made sure
            loop = sessions.compiled_loop(agent, env, seed)
            assert loop is not None  # noqa: S101 - same

            def check(done: int = seed) -> None:
                if progress is not None:
                    progress(done, recording.seeds)

            if recording.episodes is None:
                curves[seed] = _cumulative(loop, recording, ends, check)
                scores[seed] = curves[seed, -1]
            else:
                returns, lengths = loop.record_episodes(recording.episodes, check)
                values = returns if recording.measure == "training-return" else lengths
                curves[seed] = np.add.reduceat(values, ends[:-1]) / np.diff(ends)
                scores[seed] = values.mean()
            agent.metrics()  # raises an error if the values have diverged
            check(seed + 1)
    deviation = curves.std(axis=0, ddof=1) if recording.seeds > 1 else np.zeros(len(ends) - 1)
    return {
        "scores": scores.tolist(),
        "x": ends[1:].tolist(),
        "mean": curves.mean(axis=0).tolist(),
        "deviation": deviation.tolist(),
    }


def _cumulative(
    loop: CompiledLoop, recording: Recording, ends: Ints, check: Callable[[], None]
) -> Floats:
    """Return the sum of the rewards, or the number of episodes, up to each step of ends[1:]."""
    key = "reward" if recording.measure == "training-return" else "episodes"
    sums = np.empty(len(ends) - 1)
    for i, end in enumerate(ends[1:].tolist()):
        sums[i] = loop.advance(end)[key]
        check()
    return np.cumsum(sums)


def record_band(record: Mapping[str, Any], confidence: float) -> Band:
    """Return the mean curve of a record, with a t interval at each point."""
    x, mean, deviation = (np.array(record[name], float) for name in ("x", "mean", "deviation"))
    return band_of_moments(x, mean, deviation, len(record["scores"]), confidence)
