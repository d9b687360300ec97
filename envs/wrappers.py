"""Additions to Gymnasium's interfaces: transparent wrappers and asynchronous steps."""

from typing import Any, Protocol, TypeVar, runtime_checkable

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import (
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
)

from gridcade.envs.types import Env

W = TypeVar("W", bound="gym.Wrapper[Any, Any, Any, Any]")

# Wrappers of Gymnasium that change no observation, reward or action.
TRANSPARENT = (OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, TimeLimit)


def find_wrapper(env: Env, kind: type[W]) -> W | None:
    """Find the outermost wrapper of a kind around an environment; None if there is none."""
    while isinstance(env, gym.Wrapper):
        if isinstance(env, kind):
            return env
        env = env.env
    return None


class TransparentWrapper(gym.Wrapper[Any, Any, Any, Any]):
    """Base class of wrappers that change no observation, reward or action.

    The exact model of the wrapped environment remains valid, and so does its specification.
    """

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]  # Gymnasium's is a property too
        """The specification of the wrapped environment."""
        return self.env.spec


@runtime_checkable
class SupportsAsyncStep(Protocol):
    """A vector environment that can run while its caller computes.

    The two methods have the names that Gymnasium's `AsyncVectorEnv` and stable-baselines3 use.
    """

    def step_async(self, actions: Any) -> None:
        """Start a step in every environment and return immediately."""
        ...

    def step_wait(self) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Wait for the step to finish and return its result, as `VectorEnv.step` does."""
        ...
