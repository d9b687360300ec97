"""Action probabilities: greedy ones, epsilon mixed in, and actions picked by them."""

from abc import ABC, abstractmethod
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


def pick(probabilities: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """One action a row of probabilities [n, actions], by uniform draws [n] in [0, 1)."""
    sums = probabilities.cumsum(axis=1)
    picked = (sums <= draws[:, None] * sums[:, -1:]).sum(axis=1)
    return np.asarray(np.minimum(picked, probabilities.shape[1] - 1))


class ByProbabilities(ABC):
    """Predicts by the `probabilities` that the policy tells.

    Draws come from a stream of its own, `_prediction_rng`: being asked changes nothing else.
    """

    _prediction_rng: np.random.Generator
    _observation_axes = 0  # of one observation

    @abstractmethod
    def probabilities(self, observations: Any, deterministic: bool = True) -> Floats:
        """Action probabilities at observations [n, …]: [n, actions]."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Actions for one observation or a batch, as stable-baselines3 asks for them."""
        del episode_start
        one = np.ndim(observation) == self._observation_axes
        batch = np.asarray(observation)[None] if one else np.asarray(observation)
        table = self.probabilities(batch, deterministic)
        actions = pick(table, self._prediction_rng.random(len(table)))
        return (actions[0] if one else actions), state
