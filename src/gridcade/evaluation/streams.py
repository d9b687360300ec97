"""Evaluation in continuing tasks: play several independent streams of steps."""

from collections.abc import Callable

import numpy as np

from gridcade.envs.types import Envs
from gridcade.errors import InputError
from gridcade.evaluation.cycles import Streams, regeneration_state
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.options import ProgressCallback
from gridcade.experience.vector import action_masks, reset
from gridcade.seeding import Purpose, episode_seed, episode_stream

DEFAULT_STEPS = 100_000
STREAMS = 8
MIN_STEPS = 100  # smallest number of steps of all streams together
PROGRESS_EVERY = 1000  # steps of each stream


def play_streams(
    envs: Envs,
    policy: EvaluatedPolicy,
    steps: int,
    seed: int,
    purpose: Purpose,
    progress: ProgressCallback | None = None,
    check: Callable[[], None] = lambda: None,
) -> Streams:
    """Play one stream in each environment.

    After `steps`, the streams continue until each has returned to the state that was visited most,
    but at most for as many steps again.

    Args:
        envs: environments of a continuing task.
        policy: the policy that acts.
        steps: steps of all streams together; rounded down to a multiple of the number of streams.
        seed: random seed of the evaluation.
        purpose: purpose of the streams, from which their seeds are derived.
        progress: called from time to time.
        check: called at every step; it can end the evaluation by an exception.

    Raises:
        InputError: the steps are too few.
    """
    n = envs.num_envs
    length = steps // n
    if steps < MIN_STEPS:
        raise InputError(f"steps is {steps}; it must be at least {MIN_STEPS} on a continuing task")
    seeds = [episode_seed(seed, purpose, i, 0) for i in range(n)]
    rngs = [episode_stream(s) for s in seeds]
    observations = reset(envs, seeds)
    rewards = np.empty((n, 2 * length))
    states = np.empty((n, 2 * length + 1), dtype=np.int64)
    numbers: dict[bytes, int] = {}  # number of each state, by the bytes of its observation
    returned, regeneration, t = np.zeros(n, dtype=bool), -1, 0
    while True:
        check()
        states[:, t] = [numbers.setdefault(o.tobytes(), len(numbers)) for o in observations]
        if t == length:
            regeneration = regeneration_state(states[:, :length])
        if t >= length:
            returned |= states[:, t] == regeneration
            if policy.has_inner_state or returned.all() or t == 2 * length:
                break
        actions = policy.act(observations, np.full(n, t == 0), rngs, action_masks(envs))
        observations, rewards[:, t], _, _, _ = envs.step(actions)
        t += 1
        if progress is not None and t % PROGRESS_EVERY == 0:
            progress(min(t, length) * n, steps)
    known = None if policy.has_inner_state else states[:, : t + 1]
    return Streams(rewards[:, :t], known, length)
