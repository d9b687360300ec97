"""The best return that any policy could have had in an episode, where it is computed."""

from typing import Protocol, runtime_checkable

import gymnasium as gym

from gridcade.envs.types import Env
from gridcade.envs.wrappers import TRANSPARENT, TransparentWrapper


class UnknownBestReturnError(Exception):
    """The best return is not computed; the message is the reason, such as `obstacles move`."""


@runtime_checkable
class HasBestReturn(Protocol):
    """An environment that computes the best return of its episodes."""

    def best_return(self, time_limit: int | None) -> float:
        """The largest return from the present state on, which is that after a reset.

        Args:
            time_limit: steps after which the episode is truncated; None: no limit.

        Raises:
            UnknownBestReturnError: it is not computed.
        """
        ...


def find_best_return(env: Env) -> HasBestReturn | None:
    """The layer of an environment that computes best returns.

    None where no layer does, or where a wrapper above it may change rewards or actions.
    """
    unchanged = (*TRANSPARENT, TransparentWrapper, gym.ObservationWrapper)
    while isinstance(env, gym.Wrapper):
        if isinstance(env, HasBestReturn) and type(env).__module__.startswith("gridcade.envs."):
            return env
        if not isinstance(env, unchanged):
            return None
        env = env.env
    return None
