"""Continuing tasks: playing several independent streams of steps."""

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Envs
from gridcade.errors import InputError
from gridcade.evaluation.estimates import BATCHES
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.options import ProgressCallback
from gridcade.experience.vector import reset
from gridcade.seeding import Purpose, episode_seed, episode_stream

Floats = NDArray[np.float64]

DEFAULT_STEPS = 100_000
STREAMS = 8
PROGRESS_EVERY = 1000  # steps of each stream


def play_streams(
    envs: Envs,
    policy: EvaluatedPolicy,
    steps: int,
    seed: int,
    purpose: Purpose,
    progress: ProgressCallback | None = None,
) -> Floats:
    """Play one stream in each environment and return its rewards.  [streams, steps of each].

    Args:
        envs: environments of a continuing task.
        policy: the policy that acts.
        steps: steps of all streams together; rounded down to a multiple of their number.
        seed: random seed of the evaluation.
        purpose: purpose of the streams, from which their seeds are derived.
        progress: called from time to time.

    Raises:
        InputError: the steps are too few to form batches.
    """
    n = envs.num_envs
    length = steps // n
    if length < 4 * max(1, BATCHES // n):
        raise InputError(
            f"steps is {steps}; it must be at least {4 * BATCHES} on a continuing task"
        )
    seeds = [episode_seed(seed, purpose, i, 0) for i in range(n)]
    rngs = [episode_stream(s) for s in seeds]
    observations = reset(envs, seeds)
    starts = np.ones(n, dtype=bool)
    rewards = np.empty((n, length))
    for t in range(length):
        actions = policy.act(observations, starts, rngs)
        observations, rewards[:, t], _, _, _ = envs.step(actions)
        starts = np.zeros(n, dtype=bool)
        if progress is not None and t % PROGRESS_EVERY == 0:
            progress(t * n, steps)
    return rewards
