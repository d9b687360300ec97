"""Numbers the actions of a finite action space, which tables and networks refer to by index."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Array, Space
from gridcade.errors import InputError, single_line

MAX_ACTIONS = 10_000  # largest number of actions: a network has an output for each of them


class ActionIndex:
    """Numbers the actions of a finite space: 0 … count - 1.

    Actions of `Discrete` spaces keep their order, whatever their `start`. Those of `MultiDiscrete`
    and `MultiBinary` spaces are enumerated; the last part changes fastest.

    Args:
        space: the action space.

    Attributes:
        count: number of actions.
        parts: number of values of each part of an action; one part for `Discrete` spaces.
    """

    def __init__(
        self, space: gym.spaces.Discrete | gym.spaces.MultiDiscrete | gym.spaces.MultiBinary
    ):
        sizes: Array
        if isinstance(space, gym.spaces.MultiBinary):
            sizes, self._start = np.full(space.shape, 2), np.zeros(space.shape, np.int64)
        elif isinstance(space, gym.spaces.MultiDiscrete):
            sizes, self._start = space.nvec, space.start.astype(np.int64)
        else:
            sizes, self._start = np.array(space.n), np.array(space.start, np.int64)
        self.parts: tuple[int, ...] = tuple(sizes.ravel().tolist())
        self._shape, self._dtype = sizes.shape, space.dtype
        self._is_identity = not self._shape and not self._start
        self.count = math.prod(self.parts)

    def decode(self, indices: Any) -> Array:
        """Return the actions with these indices.  [...] -> [..., *shape of an action]."""
        parts: Array = indices
        if self._is_identity:
            return parts
        if self._shape:
            parts = np.stack(np.unravel_index(indices, self.parts), axis=-1)
            parts = parts.reshape(*np.shape(indices), *self._shape)
        actions: Array = np.asarray(parts + self._start, dtype=self._dtype)[()]  # keeps scalars
        return actions

    def encode(self, actions: Array) -> NDArray[np.int64]:
        """Return the indices of n actions of the space.  [n, *shape of an action] -> [n]."""
        if self._is_identity:
            return actions
        parts: NDArray[np.int64] = np.asarray(actions, dtype=np.int64) - self._start
        if not self._shape:
            return parts
        columns = tuple(parts.reshape(len(parts), -1).T)
        return np.asarray(np.ravel_multi_index(columns, self.parts), dtype=np.int64)


FROM_ZERO = ActionIndex(gym.spaces.Discrete(MAX_ACTIONS))  # for actions that are their own indices


def finite_actions(space: Space) -> ActionIndex | None:
    """Number the actions of a space; None if it is infinite or has more than MAX_ACTIONS."""
    index = _numbering(space)
    return index if index is not None and index.count <= MAX_ACTIONS else None


def action_index(space: Space) -> ActionIndex:
    """Number the actions of a space.

    Raises:
        InputError: the space is infinite, or has more than MAX_ACTIONS actions.
    """
    index = _numbering(space)
    if index is None:
        raise InputError(
            f"the actions are {single_line(space)}; they must be Discrete, MultiDiscrete or "
            "MultiBinary"
        )
    if index.count > MAX_ACTIONS:
        raise InputError(
            f"the actions are {single_line(space)}, which are {index.count} actions; at most "
            f"{MAX_ACTIONS} can be numbered"
        )
    return index


def _numbering(space: Space) -> ActionIndex | None:
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete | gym.spaces.MultiBinary):
        return ActionIndex(space)
    return None
