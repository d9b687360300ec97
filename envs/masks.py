"""Action masks: which actions an environment allows in its current state.

An environment gives its mask as `info["action_mask"]` at each reset and step, as Gymnasium's Taxi
does, or by a method `action_masks()`, its own or a wrapper's, as sb3-contrib's ActionMasker does.
Gridcade's masks have one entry for each action index (see `actions.py`).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridcade.envs.actions import ActionIndex, finite_actions
from gridcade.envs.faults import place_of
from gridcade.envs.types import Env, Space
from gridcade.envs.wrappers import TransparentWrapper, find_wrapper
from gridcade.errors import InputError, brief, one_line, single_line

Bools = NDArray[np.bool_]

INFO_KEY, METHOD = "action_mask", "action_masks"
OFF = "?mask=off in the name of the environment ignores its masks"


class IgnoreMasks(TransparentWrapper):
    """Marks an environment whose action masks are ignored."""


def ignores_masks(env: Env) -> bool:
    """Whether the masks of an environment are ignored."""
    return find_wrapper(env, IgnoreMasks) is not None


def has_mask_method(env: Env) -> bool:
    """Whether an environment, or a wrapper around it, has a method `action_masks`."""
    return env.has_wrapper_attr(METHOD) and callable(env.get_wrapper_attr(METHOD))


def gives_masks(env: Env) -> bool:
    """Whether an environment gives action masks. Resets it, because its `info` may hold them."""
    return MaskReader(env).after_reset(env.reset()[1]) is not None


class MaskReader:
    """Reads the masks of one environment after its resets and steps.

    Args:
        env: the environment.
    """

    def __init__(self, env: Env):
        self._space = env.action_space
        self._index = None if ignores_masks(env) else finite_actions(self._space)
        self._method = env.get_wrapper_attr(METHOD) if has_mask_method(env) else None
        self._gives = False  # whether the last reset gave a mask
        self._steps = 0  # since the reset

    def after_reset(self, info: dict[str, Any]) -> Bools | None:
        """Return the mask of the first state, [actions]; None if the environment gives no masks.

        Raises:
            InputError: the mask has a wrong shape, or allows nothing.
        """
        if self._index is None:
            return None
        self._steps = 0
        mask = self._given(info)
        self._gives = mask is not None
        return None if mask is None else self._check(mask, self._index)

    def after_step(
        self, info: dict[str, Any], terminated: bool, truncated: bool = False
    ) -> Bools | None:
        """Return the mask of the state after a step, as `after_reset` does.

        No action follows in a terminal state, so its mask is not read, and all actions count as
        allowed. The same holds if the mask at a truncation is missing or allows nothing.

        Raises:
            InputError: the mask has a wrong shape, allows nothing, or is given only sometimes.
        """
        if self._index is None:
            return None
        self._steps += 1
        if terminated:
            return np.ones(self._index.count, dtype=bool) if self._gives else None
        mask = self._given(info)
        if truncated and self._gives and (mask is None or not np.any(mask)):
            return np.ones(self._index.count, dtype=bool)
        if (mask is not None) != self._gives:
            have = ("had none", "has one") if mask is not None else ("had one", "has none")
            raise InputError(
                f"info {have[0]} ('{INFO_KEY}') at the reset, but {have[1]} at step {self._steps} "
                f"of the episode; {OFF}"
            )
        return None if mask is None else self._check(mask, self._index)

    def _given(self, info: dict[str, Any]) -> Any:
        """Return the mask as the environment gives it; None if it gives none."""
        if self._method is None:
            return info.get(INFO_KEY)
        try:
            return self._method()
        except InputError:
            raise
        except Exception as error:
            place = place_of(error)
            raise InputError(
                f"{METHOD}() failed{f' at {place}' if place else ''}: {one_line(error)}"
            ) from error

    def _check(self, given: Any, index: ActionIndex) -> Bools:
        """Convert a mask to one entry for each action index, and check it.

        Raises:
            InputError: the mask has a wrong shape, or allows nothing.
        """
        source = f"{METHOD}()" if self._method else f"info['{INFO_KEY}']"
        where = f"at step {self._steps} of the episode" if self._steps else "at the reset"
        mask = number_mask(given, index)
        if mask is None or mask.ndim != 1:
            size = index.count if len(index.parts) == 1 else sum(index.parts)
            raise InputError(
                f"{source} is {brief(given)} {where}; it must have {size} entries, 0 or 1, for the "
                f"actions {single_line(self._space)}; {OFF}"
            )
        if not mask.any():
            raise InputError(
                f"{source} allows no action {where}, though the episode goes on; {OFF}"
            )
        return mask


def sample_action(space: Space, mask: Bools | None) -> Any:
    """Sample an action with the random stream of its space, among the allowed ones.

    Args:
        space: the action space.
        mask: the allowed actions, [actions]; None: all.
    """
    index = finite_actions(space)
    if mask is None or index is None:
        return space.sample()
    allowed = np.flatnonzero(mask)
    return index.decode(allowed[space.np_random.integers(len(allowed))])


def number_mask(given: Any, index: ActionIndex) -> Bools | None:
    """Convert masks to one entry for each action index, [..., actions]; None if they are no masks.

    Args:
        given: one entry for each action, or, where actions have several parts, the masks of the
            parts one after another, as sb3-contrib expects them.
        index: the numbering of the actions.
    """
    try:
        numbers = np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    if numbers.dtype.kind not in "biuf" or not numbers.ndim:
        return None
    mask, parts = numbers.astype(bool), index.parts
    if not (mask == numbers).all():  # np.isin takes ten times as long, at every step
        return None
    if len(parts) > 1 and mask.shape[-1] == sum(parts):
        chosen = np.stack(np.unravel_index(np.arange(index.count), parts), axis=1)
        firsts = np.cumsum([0, *parts[:-1]])  # index of each part's first entry
        return np.asarray(mask[..., firsts + chosen].all(axis=-1))
    return mask if mask.shape[-1] == index.count else None


def masks_by_number(action_masks: ArrayLike, index: ActionIndex) -> Bools:
    """Convert sb3-contrib's masks, of one observation or n, to one entry for each action index.

    Raises:
        ValueError: the masks have a wrong shape.
    """
    masks = np.atleast_2d(np.asarray(action_masks, dtype=bool))
    numbered = number_mask(masks, index) if len(index.parts) > 1 else masks
    if numbered is None:
        raise ValueError(f"action_masks has the shape {masks.shape}")
    return numbered


def masks_of_parts(masks: Bools, index: ActionIndex) -> Bools:
    """Convert masks of actions to the masks of their parts, one after another.

    The reverse of `number_mask`.  [n, actions] -> [n, entries].
    """
    shaped = masks.reshape(-1, *index.parts)
    axes = range(1, shaped.ndim)
    parts = [shaped.any(axis=tuple(a for a in axes if a != axis)) for axis in axes]
    return np.concatenate(parts, axis=1)
