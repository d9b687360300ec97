"""Action probabilities: greedy, epsilon-greedy and masked policies, and sampling."""

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Array

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def greedy(values: Array, masks: Bools | None = None) -> Floats:
    """Return the greedy policy, which shares ties evenly.  [n, actions] -> [n, actions].

    Args:
        values: action values, [n, actions].
        masks: which actions are allowed, [n, actions]; None: all.
    """
    if masks is None:
        best = values == values.max(axis=1, keepdims=True)
    else:
        best = masks & (values == max_allowed(values, masks)[:, None])
    return np.asarray(best / best.sum(axis=1, keepdims=True))


def max_allowed(values: Array, masks: Bools | None) -> Array:
    """Return the largest value of an allowed action.  [n, actions] -> [n]."""
    where = True if masks is None else masks
    return np.asarray(values.max(axis=1, initial=-np.inf, where=where))


def uniform(masks: Bools) -> Floats:
    """Return equal probabilities for the allowed actions.  [n, actions] -> [n, actions]."""
    return np.asarray(masks / masks.sum(axis=1, keepdims=True))


def restrict(probabilities: Floats, masks: Bools | None) -> Floats:
    """Condition probabilities on allowed actions.  [n, actions] -> [n, actions].

    If all allowed actions of a row have probability 0, they get equal probabilities.
    """
    if masks is None:
        return probabilities
    kept = probabilities * masks
    sums = kept.sum(axis=1, keepdims=True)
    return np.where(sums > 0, kept / np.where(sums > 0, sums, 1), uniform(masks))


def with_epsilon(
    probabilities: Floats, epsilon: float | Floats, masks: Bools | None = None
) -> Floats:
    """Mix uniformly random actions into probabilities.  [n, actions] -> [n, actions].

    Args:
        probabilities: [n, actions].
        epsilon: probability of a uniformly random action: a number, or one for each row, [n, 1].
        masks: which actions are allowed, [n, actions]; None: all.
    """
    random = epsilon / probabilities.shape[-1] if masks is None else epsilon * uniform(masks)
    return np.asarray((1 - epsilon) * probabilities + random)


def sample_actions(probabilities: Floats, draws: Floats) -> NDArray[np.int64]:
    """Sample one action for each row of probabilities.  [n, actions] -> [n].

    Args:
        probabilities: [n, actions]; rows need not sum exactly to 1.
        draws: uniform random numbers in [0, 1), [n].
    """
    sums = probabilities.cumsum(axis=1)
    actions = (sums <= draws[:, None] * sums[:, -1:]).sum(axis=1)
    return np.asarray(np.minimum(actions, probabilities.shape[1] - 1))
