"""Puts observations in bins: with `?bins=8`, arrays of numbers have finitely many values."""

from typing import Any

import gymnasium as gym
import numpy as np

from gridcade.envs.arguments import is_integer
from gridcade.envs.types import Array, Env, Space
from gridcade.envs.wrappers import find_wrapper
from gridcade.errors import InputError

UNBOUNDED = 1e6  # a bound of this size or more counts as no bound
RANGE = 3.0  # the bins of an unbounded number lie between -3 and 3


class Binned(gym.ObservationWrapper[Any, Any, Any]):
    """Replaces each number of an array by the index of its bin.

    A Box becomes a MultiDiscrete space, also within a Dict or Tuple; other spaces do not change.
    The bins of a number have equal widths between its bounds. Without bounds, they reach from -3
    to 3; with one bound, they reach 6 from it. The outermost bins include all numbers beyond.

    Args:
        env: the environment.
        bins: number of bins of every number, or a list with one entry for each number of a Box.

    Raises:
        InputError: a number of bins is not an integer above 0, the list has a wrong length, or the
            observation space has no Box.
    """

    def __init__(self, env: Env, bins: int | list[int]):
        super().__init__(env)
        self.bins = bins
        self._edges: list[Array] = []  # inner edges of the bins of each Box, [numbers, bins - 1]
        self.observation_space = self._binned(env.observation_space)
        if not self._edges:
            raise InputError("bins need arrays of numbers; these observations have none")

    def observation(self, observation: Any) -> Any:
        """Replace the numbers of one observation by the indices of their bins."""
        edges = iter(self._edges)

        def numbers(space: Space, part: Any) -> Any:
            if isinstance(space, gym.spaces.Dict):
                return {key: numbers(child, part[key]) for key, child in space.spaces.items()}
            if isinstance(space, gym.spaces.Tuple):
                return tuple(numbers(s, p) for s, p in zip(space.spaces, part, strict=True))
            if not isinstance(space, gym.spaces.Box):
                return part
            values = np.asarray(part, dtype=np.float64).reshape(-1, 1)
            return (values >= next(edges)).sum(axis=1)

        return numbers(self.env.observation_space, observation)

    def _binned(self, space: Space) -> Space:
        """Return the space of the bins' indices; stores the edges in the order of the parts."""
        if isinstance(space, gym.spaces.Dict):
            return gym.spaces.Dict({k: self._binned(part) for k, part in space.spaces.items()})
        if isinstance(space, gym.spaces.Tuple):
            return gym.spaces.Tuple([self._binned(part) for part in space.spaces])
        if not isinstance(space, gym.spaces.Box):
            return space
        low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
        counts = self._counts(low.size)
        if np.issubdtype(space.dtype or np.float32, np.integer):
            high += 1  # so that the largest integer gets a bin as wide as the others
        edges = np.full((low.size, counts.max() - 1), np.inf)
        for row, (a, b, count) in enumerate(zip(low, high, counts.tolist(), strict=True)):
            edges[row, : count - 1] = np.linspace(*_bounds(a, b), count + 1)[1:-1]
        self._edges.append(edges)
        return gym.spaces.MultiDiscrete(counts)

    def _counts(self, size: int) -> Array:
        """Return the number of bins of each number of a Box, [size]."""
        given = self.bins if isinstance(self.bins, list | tuple) else [self.bins] * size
        if len(given) != size:
            raise InputError(f"bins is {self.bins}; it must be one number, or a list of {size}")
        if not all(is_integer(n) and n > 0 for n in given):
            raise InputError(f"bins is {self.bins}; it must be an integer of 1 or more, or a list")
        return np.array(given)


def binned(env: Env) -> Binned | None:
    """Find the wrapper that puts observations in bins; None if there is none."""
    return find_wrapper(env, Binned)


def _bounds(low: float, high: float) -> tuple[float, float]:
    """Return the outer edges of the bins of a number; its bounds may be infinite."""
    has_low, has_high = low > -UNBOUNDED, high < UNBOUNDED
    if has_low and has_high:
        return low, high
    if has_low or has_high:
        return (low, low + 2 * RANGE) if has_low else (high - 2 * RANGE, high)
    return -RANGE, RANGE
