"""What happened in one step, and what training counts of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Array

TOTALS = ("reward", "episodes", "return", "squared_return", "length", "truncated")
"""What loops add up while agents learn; all but `reward` over the episodes that ended."""


@dataclass(frozen=True)
class Step:
    """One step of each of n environments. The first axis of every array is n."""

    observations: Array  # s_t
    actions: Array
    rewards: NDArray[np.float64]  # raw: neither clipped nor scaled
    next_observations: Array  # s_{t+1}, the last observation of an episode included
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    current: Array  # what the next actions are chosen from: a new start after an end
    life_lost: NDArray[np.bool_] | None = None  # in games with lives, where the game continues
    masks: NDArray[np.bool_] | None = None  # allowed actions, [n, actions]; None: no masks
    next_masks: NDArray[np.bool_] | None = None  # in s_{t+1}; all true where it is terminal
    current_masks: NDArray[np.bool_] | None = None


class EpisodeSums:
    """Return and length of the running episodes: `present` is [2, environments]."""

    def __init__(self, num_envs: int):
        self.present = np.zeros((2, num_envs))

    def add(self, step: Step, totals: dict[str, float]) -> None:
        """Add a step, and add the episodes that ended with it to the totals."""
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
