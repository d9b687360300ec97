"""An average of a network's weights, for predictions while the last weights learn."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gridcade.agents.fast import ArrayOrTensor, Backend


class WeightAverage:
    """An exponential average of the weights after each update, which starts as their plain mean.

    With a constant step size, the last weights move around a good solution, and their average
    lies nearer to it (Polyak and Juditsky 1992; Izmailov et al. 2018).

    Args:
        backend: the backend of the network that learns. The average computes with a copy of it,
            with the same layers and precision.
        horizon: number of updates over which the weights are averaged.
    """

    def __init__(self, backend: Backend, horizon: int):
        self.horizon = horizon
        self._backend = copy.deepcopy(backend)
        self._source = backend.q
        # Frozen weights do not change in updates, so only `restart` copies them.
        pairs = zip(self.q.parameters(), backend.q.parameters(), strict=True)
        self._learned = [(average, weight) for average, weight in pairs if weight.requires_grad]
        self.q.requires_grad_(False)
        self._stale = False  # whether the compute network lacks changes of `q`

    @property
    def q(self) -> nn.Sequential:
        """The network with the averaged weights, in float32."""
        return self._backend.q

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Average the weights after an update: a += (w - a) / min(updates, horizon).

        Args:
            updates: number of updates so far, this one included.
        """
        share = 1 / min(updates, self.horizon)
        for average, weight in self._learned:
            average.lerp_(weight, share)
        self._stale = True

    def restart(self) -> None:
        """Set the average to the current weights."""
        self.q.load_state_dict(self._source.state_dict())
        self._stale = True

    def weights_changed(self) -> None:
        """Have the next `values` copy the weights of `q` to the compute network."""
        self._stale = True

    def values(self, observations: ArrayOrTensor) -> NDArray[np.float32]:
        """Compute Q(s, .) of preprocessed observations [n, ...] by the average: [n, actions]."""
        if self._stale:
            self._backend.weights_changed()
            self._stale = False
        return self._backend.values(observations)
