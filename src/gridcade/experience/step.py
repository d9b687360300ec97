"""One step of all environments, and the sums over episodes that training reports."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Array

TOTALS = ("reward", "episodes", "return", "squared_return", "length", "truncated")
"""Sums that loops compute while agents learn; all but `reward` are over episodes that ended."""


@dataclass(frozen=True)
class Step:
    """One step of each of n environments. The first axis of every array is n."""

    observations: Array  # s_t
    actions: Array
    rewards: NDArray[np.float64]  # raw: neither clipped nor scaled
    next_observations: Array  # s_{t+1}; where an episode ended, its last observation
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    current: Array  # s_{t+1}, or the first observation of the next episode where one ended
    life_lost: NDArray[np.bool_] | None = None  # a life was lost, and the game continues
    masks: NDArray[np.bool_] | None = None  # allowed actions in s_t, [n, actions]; None: no masks
    next_masks: NDArray[np.bool_] | None = None  # in s_{t+1}; all true where it is terminal
    current_masks: NDArray[np.bool_] | None = None  # for `current`


class EpisodeSums:
    """Sums up the running episodes: `present` holds their returns and lengths, [2, envs]."""

    def __init__(self, num_envs: int):
        self.present = np.zeros((2, num_envs))

    def add(self, step: Step, totals: dict[str, float]) -> None:
        """Add a step to the running episodes, and the episodes that it ended to the totals."""
        self.present += [step.rewards, np.ones(len(step.rewards))]
        totals["reward"] += float(step.rewards.sum())
        for env in np.flatnonzero(step.terminated | step.truncated):
            total, length = self.present[:, env].tolist()
            totals["episodes"] += 1
            totals["return"] += total
            totals["squared_return"] += total * total
            totals["length"] += length
            totals["truncated"] += float(not step.terminated[env])
            self.present[:, env] = 0
