"""Action probabilities: greedy, mixed with epsilon, and sampled from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def greedy(values: NDArray[Any]) -> Floats:
    """All on the best actions, ties shared evenly.  [n, actions] -> [n, actions]."""
    best = values == values.max(axis=1, keepdims=True)
    return np.asarray(best / best.sum(axis=1, keepdims=True))


def with_epsilon(probabilities: Floats, epsilon: Any) -> Floats:
    """Probabilities [n, actions] with uniform random ones mixed in; epsilon is one, or [n, 1]."""
    return np.asarray((1 - epsilon) * probabilities + epsilon / probabilities.shape[-1])


def sample_actions(
    probabilities: NDArray[np.float64], draws: NDArray[np.float64]
) -> NDArray[np.int64]:
    """One action a row of probabilities [n, actions], by uniform draws [n] in [0, 1)."""
    sums = probabilities.cumsum(axis=1)
    picked = (sums <= draws[:, None] * sums[:, -1:]).sum(axis=1)
    return np.asarray(np.minimum(picked, probabilities.shape[1] - 1))
