"""Checks what an environment of another author returns, and names the place of its errors.

So for a mistake in somebody else's file, the command line prints one line instead of a traceback.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled

from gridcade.envs.faults import place_of, place_of_method
from gridcade.envs.space_checks import observation_check
from gridcade.envs.types import Env
from gridcade.envs.wrappers import TRANSPARENT, TransparentWrapper, find_wrapper
from gridcade.errors import EnvError, InputError, brief, one_line

STEP = "observation, reward, terminated, truncated, info"
# Errors whose messages need no place in a file.
REPORTED: tuple[type[Exception], ...] = (InputError, DependencyNotInstalled)
OLD_STEP = "; 4 is the API of the old gym, whose done is now terminated or truncated"


def is_ours(env: Env) -> bool:
    """Whether Gridcade defines the class of an environment; another author's subclass is not ours.

    Wrappers do not count.
    """
    return type(env.unwrapped).__module__.startswith("gridcade.envs.")


def guarded(env: Env, name: str = "") -> Env:
    """Put a guard around an environment that is not ours; the environment itself is unchanged.

    Args:
        env: the environment.
        name: its name in messages. Default: its Gymnasium id or its class.
    """
    if is_ours(env) or guard_of(env) is not None:
        return env
    if type(env) in TRANSPARENT and isinstance(env, gym.Wrapper):
        outer = copy.copy(env)
        outer.env = guarded(env.env, name)
        return outer
    return Guard(env, name)


def guard_of(env: Env) -> "Guard | None":
    """Find the guard of an environment; None if it has none."""
    return find_wrapper(env, Guard)


class Guard(TransparentWrapper):
    """Turns errors inside an environment into an InputError, and checks what the methods return.

    Args:
        env: the environment.
        name: its name in messages. Default: its Gymnasium id or its class.

    Raises:
        InputError: the environment has no observation or action space.
    """

    def __init__(self, env: Env, name: str = ""):
        super().__init__(env)
        bare = env.unwrapped
        self.name = name or (bare.spec.id if bare.spec else type(bare).__name__)
        self._package = type(bare).__module__.partition(".")[0]
        self._steps = 0  # steps of the running episode
        for space in ("observation_space", "action_space"):
            with self._calling(space):
                given = getattr(env, space, None)
            if not isinstance(given, gym.Space):
                raise self._fault(f"sets no {space}", place_of_method(type(bare), "__init__"))
        self._check_observation = observation_check(env.observation_space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, and check what it returns."""
        self._steps = 0
        with self._calling("reset"):
            result: Any = self.env.reset(seed=seed, options=options)
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
            raise self._wrong(
                "reset",
                f"returned {brief(result)} from reset, not an observation and a dict",
            )
        if problem := self._check_observation(result[0]):
            raise self._wrong("reset", f"returned from reset an observation that {problem}")
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step, and check what the environment returns."""
        self._steps += 1
        try:  # without a context manager, which would take longer than all checks
            result: Any = self.env.step(action)
        except REPORTED:
            raise
        except Exception as error:
            raise self._error(error, "step") from error
        if not isinstance(result, tuple | list) or len(result) != 5:
            raise self._wrong_step(result)
        observation, reward, terminated, truncated, info = result
        if type(reward) is not float and not _is_number(reward):
            raise self._wrong(
                "step", f"paid {brief(reward)} at step {self._steps}; a reward is a number"
            )
        if not math.isfinite(reward):
            raise self._wrong(
                "step", f"paid {float(reward)} at step {self._steps}; a reward must be finite"
            )
        for flag, value in (("terminated", terminated), ("truncated", truncated)):
            if value is not True and value is not False and not _is_flag(value):
                raise self._wrong(
                    "step", f"returned {brief(value)} as {flag} at step {self._steps}, not a bool"
                )
        if not isinstance(info, dict):
            raise self._wrong(
                "step", f"returned {brief(info)} as info at step {self._steps}, not a dict"
            )
        if problem := self._check_observation(observation):
            raise self._wrong(
                "step", f"returned at step {self._steps} an observation that {problem}"
            )
        return observation, reward, terminated, truncated, info

    def render(self) -> Any:
        """Render the environment; NotImplementedError if it cannot."""
        with self._calling("render", NotImplementedError):
            return self.env.render()

    def close(self) -> None:
        """Close the environment."""
        with self._calling("close"):
            self.env.close()

    @contextmanager
    def _calling(self, method: str, *unchanged: type[Exception]) -> Iterator[None]:
        """Turn an error of a method into an InputError."""
        try:
            yield
        except REPORTED + unchanged:
            raise
        except Exception as error:
            raise self._error(error, method) from error

    def _error(self, error: Exception, method: str) -> InputError:
        """Make the InputError for an error inside a method."""
        place = place_of(error, self._package)
        if not place and isinstance(error, TypeError) and "unexpected keyword" in str(error):
            expected = "reset(self, *, seed=None, options=None)"
            return self._wrong("reset", f"has a reset without seed or options; write {expected}")
        if isinstance(error, RecursionError):  # its message alone does not help to find the place
            place = place or place_of_method(type(self.env), method)
        when = f"at step {self._steps}" if method == "step" else f"in {method}"
        return EnvError(str(self._fault(f"failed {when}: {one_line(error)}", place)))

    def _wrong_step(self, result: Any) -> InputError:
        """Make the error for a step that does not return five values."""
        several = isinstance(result, tuple | list)
        what = f"{len(result)} values" if several else brief(result)
        old = OLD_STEP if what == "4 values" else ""
        return self._wrong("step", f"returned {what} from step; it must be {STEP}{old}")

    def _wrong(self, method: str, message: str) -> InputError:
        """Make the error for a wrong result of a method, with the place of its definition."""
        return self._fault(message, place_of_method(type(self.env), method))

    def _fault(self, message: str, place: str) -> InputError:
        where = f" ({place})" if place else ""
        return InputError(f"the environment '{self.name}' {message}{where}")


def _is_number(value: Any) -> bool:
    """Whether a reward is a number of Python or NumPy, or an array without axes."""
    if isinstance(value, bool | int | float):
        return True
    return (
        isinstance(value, np.generic | np.ndarray)
        and not value.shape
        and value.dtype.kind in "biuf"
    )


def _is_flag(value: Any) -> bool:
    """Whether a value is a bool of NumPy, or 0 or 1."""
    return _is_number(value) and value in (0, 1)
