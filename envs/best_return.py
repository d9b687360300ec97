"""The best return that any policy could have in an episode, where the environment computes it."""

from typing import Protocol, runtime_checkable

import gymnasium as gym

from gridcade.envs.types import Env
from gridcade.envs.wrappers import TRANSPARENT, TransparentWrapper


class UnknownBestReturnError(Exception):
    """The best return cannot be computed; the message is the reason."""


@runtime_checkable
class HasBestReturn(Protocol):
    """An environment that computes the best return of its episodes."""

    def best_return(self, time_limit: int | None) -> float:
        """Compute the largest possible return of an episode, directly after its reset.

        Args:
            time_limit: steps after which the episode is truncated; None: no limit.

        Raises:
            UnknownBestReturnError: it cannot be computed.
        """
        ...


def find_best_return(env: Env) -> HasBestReturn | None:
    """Find the wrapper that computes the best returns of an environment.

    None if no wrapper does, or if a wrapper around it may change rewards or actions.
    """
    unchanged = (*TRANSPARENT, TransparentWrapper, gym.ObservationWrapper)
    while isinstance(env, gym.Wrapper):
        if isinstance(env, HasBestReturn) and type(env).__module__.startswith("gridcade.envs."):
            return env
        if not isinstance(env, unchanged):
            return None
        env = env.env
    return None
