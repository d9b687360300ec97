"""Action probabilities: the greedy policy, epsilon mixed in, and sampling."""

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Array

Floats = NDArray[np.float64]


def greedy(values: Array) -> Floats:
    """Probabilities of the greedy policy, ties shared evenly.  [n, actions] -> [n, actions]."""
    best = values == values.max(axis=1, keepdims=True)
    return np.asarray(best / best.sum(axis=1, keepdims=True))


def with_epsilon(probabilities: Floats, epsilon: float | Floats) -> Floats:
    """Mix uniformly random actions into probabilities.  [n, actions] -> [n, actions].

    Args:
        probabilities: [n, actions].
        epsilon: probability of a uniformly random action: one number, or one a row, [n, 1].
    """
    return np.asarray((1 - epsilon) * probabilities + epsilon / probabilities.shape[-1])


def sample_actions(probabilities: Floats, draws: Floats) -> NDArray[np.int64]:
    """Sample one action for each row of probabilities.  [n, actions] -> [n].

    Args:
        probabilities: [n, actions]; rows need not sum exactly to 1.
        draws: uniform random numbers in [0, 1), [n].
    """
    sums = probabilities.cumsum(axis=1)
    actions = (sums <= draws[:, None] * sums[:, -1:]).sum(axis=1)
    return np.asarray(np.minimum(actions, probabilities.shape[1] - 1))
