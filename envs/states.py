"""Numbers the observations of a finite space, so that a table can hold a row for each of them."""

import math
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import concatenate, create_empty_array

from gridcade.envs.actions import ActionIndex
from gridcade.envs.observations import components
from gridcade.envs.types import Array, Space

Path = tuple[Any, ...]  # keys that lead to a part of an observation
FINITE = (gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)


class StateIndex:
    """Numbers the observations of a finite space: 0 … count - 1.

    The parts of a Dict or Tuple are enumerated in their order; the last one changes fastest.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them.

    Attributes:
        count: number of observations.
    """

    def __init__(self, space: Space):
        self.space = space
        self._parts = [(path, ActionIndex(part)) for path, part in _parts(space)]
        self.count = math.prod(part.count for _, part in self._parts)
        self._is_identity = isinstance(space, gym.spaces.Discrete) and space.start == 0

    def encode(self, observations: Any) -> Array:
        """Return the indices of a batch of n observations, as vector environments give it.  [n]."""
        if self._is_identity:
            return np.asarray(observations, dtype=np.int64)
        numbers = np.zeros(1, np.int64)
        for path, part in self._parts:
            array = observations
            for key in path:
                array = array[key]
            numbers = numbers * part.count + part.encode(np.asarray(array))
        return numbers

    def decode(self, number: int) -> Any:
        """Return the observation with an index."""
        parts = []
        for _, part in reversed(self._parts):
            number, rest = divmod(number, part.count)
            parts.append(part.decode(np.int64(rest)))
        return _nested(self.space, iter(reversed(parts)))

    def batch(self, numbers: Array) -> Any:
        """Return the observations with n indices, as vector environments give them."""
        if self._is_identity:
            return numbers
        empty: Any = create_empty_array(self.space, len(numbers))
        return concatenate(self.space, [self.decode(int(n)) for n in numbers], empty)

    def name(self, number: int) -> str:
        """Write the observation with an index as text: `(18, 6, 0)`, or `door=1, key=0`."""
        return text_of(self.decode(number))


def finite_states(space: Space) -> StateIndex | None:
    """Number the observations of a space; None if it is infinite."""
    if all(isinstance(part, FINITE) for _, part in _parts(space)):
        return StateIndex(space)
    return None


def _parts(space: Space, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the parts of a space that have no components, with their keys."""
    children = components(space)
    if children is None:
        yield path, space
    for key, child in children or ():
        yield from _parts(child, (*path, key))


def _nested(space: Space, parts: Iterator[Any]) -> Any:
    """Build an observation from its parts, in their order."""
    if isinstance(space, gym.spaces.Dict):
        return {key: _nested(child, parts) for key, child in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(_nested(child, parts) for child in space.spaces)
    return next(parts)


def text_of(observation: Any) -> str:
    """Write an observation or action of a finite space as text."""
    if isinstance(observation, dict):
        return ", ".join(f"{key}={text_of(part)}" for key, part in observation.items())
    if isinstance(observation, tuple):
        return f"({', '.join(map(text_of, observation))})"
    numbers = np.asarray(observation).tolist()
    return str(tuple(numbers) if isinstance(numbers, list) else numbers)


STATES_FROM_ZERO = StateIndex(gym.spaces.Discrete(1))  # observations are their own indices
