"""Groups of environments that play whole episodes; the environments of a group step together.

If environments run on threads of their own, the policy can choose actions for one group while other
groups step or start episodes.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Array, Envs
from gridcade.envs.wrappers import SupportsAsyncStep
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.experience.vector import action_masks, reset
from gridcade.seeding import episode_stream

Bools = NDArray[np.bool_]


class EnvGroup:
    """n environments that step together, and the episodes that they play.

    Attributes:
        numbers: indices of the running episodes, [n]. Until the last needed episode of the group
            ends, the other environments play episodes that are not needed.
        weights: factors by which the next rewards are discounted, [n].
        is_stepping: whether a step has begun that `finish_step` must finish.

    Args:
        envs: the environments, n of them, with autoreset disabled.
        policy: the policy that acts. The group uses a copy, so it has its own inner state.
        numbers: indices of the episodes that the group plays, in this order; infinitely many.
        episodes: episodes with this index or a higher one are not needed.
        seed_of: returns the seed of an episode, given its index.
        executor: runs the resets of environments that run on threads of their own.
    """

    def __init__(
        self,
        envs: Envs,
        policy: EvaluatedPolicy,
        numbers: Iterator[int],
        episodes: int,
        seed_of: Callable[[int], int],
        executor: Executor,
    ):
        self._envs, self._policy, self._executor = envs, copy(policy), executor
        self._next, self._episodes, self._seed_of = numbers, episodes, seed_of
        n = envs.num_envs
        self.numbers = np.array([next(numbers) for _ in range(n)])
        self.weights = np.ones(n)
        self._seeds = [seed_of(k) for k in self.numbers.tolist()]
        self._rngs = [episode_stream(s) for s in self._seeds]
        self._starts: Bools = np.ones(n, dtype=bool)  # whether an observation is an episode's first
        self._observations: Array
        self._actions: Any = None
        self._resetting: Future[Array] | None = None
        self.is_stepping = False
        self._reset(lambda: reset(envs, self._seeds))

    @property
    def needed(self) -> Bools:
        """Which of the running episodes are needed, [n]."""
        return self.numbers < self._episodes

    @property
    def is_resetting(self) -> bool:
        """Whether `act` would wait for a reset."""
        return self._resetting is not None and not self._resetting.done()

    def act(self) -> None:
        """Choose actions, and start the step if the environments run on threads of their own."""
        self._wait_for_reset()
        masks = action_masks(self._envs)
        self._actions = self._policy.act(self._observations, self._starts, self._rngs, masks)
        # Set before the step begins, so that `finish` waits for the step after an interrupt too.
        self.is_stepping = True
        if isinstance(self._envs, SupportsAsyncStep):
            self._envs.step_async(self._actions)

    def finish_step(self) -> tuple[NDArray[np.float64], Bools, Bools]:
        """Finish the step of `act`; return rewards, terminated and truncated, [n] each."""
        self.is_stepping = False
        if isinstance(self._envs, SupportsAsyncStep):
            step = self._envs.step_wait()
        else:
            step = self._envs.step(self._actions)
        self._observations, rewards, terminated, truncated, _ = step
        return rewards, terminated, truncated

    def start_episodes(self, ended: Bools) -> None:
        """Start the next episode in each environment whose episode ended."""
        self._starts = ended
        for env in np.flatnonzero(ended):
            self.numbers[env] = number = next(self._next)
            self._seeds[env] = self._seed_of(number)
            self._rngs[env] = episode_stream(self._seeds[env])
        self.weights[ended] = 1.0
        if ended.any() and self.needed.any():
            self._reset(lambda: self._reset_some(ended & self.needed, ended & ~self.needed))

    def finish(self) -> None:
        """Wait until no reset and no step runs."""
        self._wait_for_reset()
        if self.is_stepping and isinstance(self._envs, SupportsAsyncStep):
            self.finish_step()

    def _wait_for_reset(self) -> None:
        """Wait for a running reset, and store its observations. Raise an error in it only once."""
        if (resetting := self._resetting) is not None:
            self._resetting = None
            self._observations = resetting.result()

    def _reset(self, function: Callable[[], Array]) -> None:
        """Run a function that resets environments and returns all observations.

        If the environments run on threads of their own, it runs in the executor.
        """
        if isinstance(self._envs, SupportsAsyncStep):
            self._resetting = self._executor.submit(function)
        else:
            self._observations = function()

    def _reset_some(self, needed: Bools, others: Bools) -> Array:
        """Reset needed episodes with their seeds, and others without one, which may be faster."""
        observations = self._observations
        if needed.any():
            observations = reset(self._envs, self._seeds, needed)
        return reset(self._envs, None, others) if others.any() else observations
