"""Estimates of a policy's values from a sample of episodes, or from streams of rewards."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcade.evaluation import intervals
from gridcade.evaluation.intervals import Estimate, TwoValues

Floats = NDArray[np.float64]

BATCHES = 24  # batch means, over all streams of a continuing task
WARM_UP = 10  # the first 1 / WARM_UP of a stream is excluded from its average reward
NEGLIGIBLE_WEIGHT = 1e-4  # largest weight of the rewards that follow a stream's last step


@dataclass(frozen=True)
class Episodes:
    """A sample of whole episodes, in the order of their numbers. Each array is [episodes]."""

    returns: Floats
    lengths: Floats  # steps
    discounted_returns: Floats
    truncated: NDArray[np.bool_]


@dataclass(frozen=True)
class Estimates:
    """Estimates of a policy's values. None: the task, or the sample, does not define it."""

    expected_return: Estimate | None
    average_reward: Estimate  # per step
    discounted_return: Estimate | None
    episode_length: Estimate | None  # steps

    def notes(self) -> list[str]:
        """The notes of all estimates."""
        estimates = (
            self.expected_return,
            self.average_reward,
            self.discounted_return,
            self.episode_length,
        )
        return [e.note for e in estimates if e is not None and e.note]


def estimate_from_episodes(
    episodes: Episodes,
    confidence: float,
    two_returns: TwoValues | None = None,
    max_length: int | None = None,
) -> Estimates:
    """Estimate a policy's values in an episodic task.

    Args:
        episodes: the sample.
        confidence: confidence level of the intervals.
        two_returns: the two possible returns, if only two are possible: see
            `gridcade.exact.values.two_possible_returns`.
        max_length: steps after which an episode is truncated; None: unknown.
    """
    returns, lengths = episodes.returns, episodes.lengths
    name, discounted = "discounted returns", episodes.discounted_returns
    return Estimates(
        expected_return=intervals.return_interval(returns, confidence, two_returns),
        average_reward=intervals.average_reward_interval(
            returns, lengths, confidence, two_returns, max_length
        ),
        discounted_return=(
            intervals.mean_interval(discounted, confidence, name)
            if two_returns is None
            else intervals.zero_inflated_interval(
                discounted, two_returns[0] or two_returns[1], confidence, name
            )
        ),
        episode_length=intervals.mean_interval(lengths, confidence, "lengths"),
    )


def estimate_from_streams(rewards: Floats, confidence: float, discount: float) -> Estimates:
    """Estimate a policy's values in a continuing task.

    The average reward uses batch means, without the first tenth of each stream. Each stream is one
    sample of the discounted return, if the rewards after its end weigh at most NEGLIGIBLE_WEIGHT.

    Args:
        rewards: successive rewards of independent streams, [streams, steps].
        confidence: confidence level of the intervals.
        discount: discount factor of the discounted return.
    """
    streams, steps = rewards.shape
    batches = max(1, BATCHES // streams)
    average_reward = intervals.batch_means(rewards[:, steps // WARM_UP :], batches, confidence)
    discounted_return = None
    if streams > 1 and discount**steps <= NEGLIGIBLE_WEIGHT:
        samples = rewards @ discount ** np.arange(steps)
        discounted_return = intervals.mean_interval(samples, confidence, "discounted returns")
    return Estimates(None, average_reward, discounted_return, None)
