"""Checks of the actions and probabilities that a policy returns."""

from typing import Any

import gymnasium as gym
import numpy as np

from gridcade.agents.spaces import NUMERIC
from gridcade.envs.types import Array, Space
from gridcade.errors import InputError, brief


def check_prediction(policy: object, returned: Any, count: int, space: Space) -> tuple[Any, Any]:
    """Check what `predict` returned for a batch of observations.

    Args:
        policy: the policy; the message names its class.
        returned: what `predict` returned: a pair of actions and inner state.
        count: number of observations.
        space: the action space of one environment.

    Raises:
        InputError: `returned` is not a pair, or the actions have a wrong shape, type or range.
    """
    name = type(policy).__name__
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise InputError(
            f"predict of the policy {name} returned {brief(returned)}; it must return a pair: "
            "actions, and its inner state or None"
        )
    actions, state = returned
    if reason := _mismatch(actions, count, space):
        raise InputError(
            f"predict of the policy {name} returned the actions {brief(actions)} for "
            f"{count} observation{'s' if count > 1 else ''}; {reason}"
        )
    return actions, state


def check_probabilities(policy: object, table: Array, count: int, num_actions: int) -> Array:
    """Check what `probabilities` returned: [count, num_actions].

    Raises:
        InputError: the table has another shape, or a row is not a probability distribution.
    """
    name = f"probabilities of the policy {type(policy).__name__}"
    if np.shape(table) != (count, num_actions):
        raise InputError(
            f"{name} returned an array of shape {np.shape(table)}; it must be "
            f"({count}, {num_actions}): observations, actions"
        )
    if not (np.min(table) >= 0 and np.allclose(np.sum(table, axis=1), 1, atol=1e-4)):
        raise InputError(
            f"{name} returned {brief(table)}; each row must be 0 or more, with the sum 1"
        )
    return table


def _mismatch(actions: Any, count: int, space: Space) -> str:
    """Describe what is wrong with a batch of actions; empty if nothing is."""
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(actions, dict) or set(actions) != set(space.spaces):
            return f"they must be a dict with the keys {', '.join(space.spaces)}"
        parts = [_mismatch(actions[key], count, part) for key, part in space.spaces.items()]
        return next(filter(None, parts), "")
    if isinstance(space, gym.spaces.Tuple):
        if not isinstance(actions, tuple) or len(actions) != len(space.spaces):
            return f"they must be a tuple of {len(space.spaces)} arrays"
        parts = [_mismatch(part, count, s) for part, s in zip(actions, space.spaces, strict=True)]
        return next(filter(None, parts), "")
    if not isinstance(space, NUMERIC):
        return ""
    array, shape = np.asarray(actions), (count, *(space.shape or ()))
    if array.shape != shape:
        return f"they must have the shape {shape}"
    if isinstance(space, gym.spaces.Box):
        return "" if np.isfinite(array).all() else "they must be finite"
    if array.dtype.kind not in ("iub" if isinstance(space, gym.spaces.MultiBinary) else "iu"):
        return "they must be integers"
    low: Any = getattr(space, "start", 0)
    sizes: Any = getattr(space, "nvec", getattr(space, "n", None))
    high = 1 if isinstance(space, gym.spaces.MultiBinary) else low + sizes - 1
    if (array < low).any() or (array > high).any():
        return f"they must be from {low} to {high}"
    return ""
