"""Samples of many episodes of a policy at once, drawn from a model without any environment."""

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.tabular import Model

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Simulator:
    """Simulates a policy, [states, actions], on a model. It reads the model by `Model.table`."""

    def __init__(self, model: Model, policy: Floats):
        table = model.table()
        shape = (model.num_states, model.num_actions, int(np.diff(model.offsets).max()))
        probabilities = np.zeros(shape)
        self._next, self._rewards = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        self._ends = np.zeros(shape, dtype=bool)
        for s, a, k in np.ndindex(*shape):
            if k < len(table[s][a]):
                outcome = table[s][a][k]
                probabilities[s, a, k], self._next[s, a, k] = outcome[:2]
                self._rewards[s, a, k], self._ends[s, a, k] = outcome[2:]
        self._outcome_sums = probabilities.cumsum(axis=2)
        self._policy_sums = policy.cumsum(axis=1)
        self._start = model.start

    def episodes(
        self, rng: np.random.Generator, count: int, discount: float, time_limit: int | None
    ) -> Floats:
        """Returns, discounted returns and lengths of whole episodes.  [3, count]."""
        states = self._draw_starts(rng, count)
        sums, running, weight, t = np.zeros((3, count)), np.arange(count), 1.0, 0
        while running.size and t != time_limit:
            rewards, states, ends = self._step(rng, states)
            sums[:, running] += np.stack([rewards, weight * rewards, np.ones(running.size)])
            running, states = running[~ends], states[~ends]
            weight, t = weight * discount, t + 1
        return sums

    def streams(self, rng: np.random.Generator, count: int, steps: int) -> tuple[Floats, Ints]:
        """Independent streams of a continuing task.

        Returns:
            Successive rewards, [count, steps], and states, [count, steps + 1].
        """
        rewards, states = np.empty((count, steps)), np.empty((count, steps + 1), dtype=np.int64)
        states[:, 0] = self._draw_starts(rng, count)
        for t in range(steps):
            rewards[:, t], states[:, t + 1], _ = self._step(rng, states[:, t])
        return rewards, states

    def _draw_starts(self, rng: np.random.Generator, count: int) -> Ints:
        return rng.choice(len(self._start), size=count, p=self._start)

    def _step(
        self, rng: np.random.Generator, states: Ints
    ) -> tuple[Floats, Ints, NDArray[np.bool_]]:
        u, w = rng.random((2, len(states), 1)) * (1 - 1e-12)
        actions = (self._policy_sums[states] > u).argmax(axis=1)
        outcomes = (self._outcome_sums[states, actions] > w).argmax(axis=1)
        index = states, actions, outcomes
        return self._rewards[index], self._next[index], self._ends[index]
