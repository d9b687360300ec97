"""Estimates of a policy's values from a sample of episodes, or from streams of rewards."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridcade.evaluation import intervals
from gridcade.evaluation.cycles import Streams, average_reward_of_streams
from gridcade.evaluation.intervals import Estimate, TwoValues
from gridcade.exact.chains import Outcomes

Floats = NDArray[np.float64]

MIN_EPISODES = 10  # with fewer, there are no intervals
NEGLIGIBLE_WEIGHT = 1e-4  # largest weight of the rewards that follow a stream's last step


@dataclass(frozen=True)
class Episodes:
    """A sample of whole episodes, sorted by index. Each array is [episodes]."""

    returns: Floats
    lengths: Floats  # steps
    discounted_returns: Floats
    truncated: NDArray[np.bool_]
    step_rewards: TwoValues  # the smallest and the largest reward of a step


@dataclass(frozen=True)
class Estimates:
    """Estimates of a policy's values. None: the task or the sample does not define the value."""

    expected_return: Estimate | None
    average_reward: Estimate  # per step
    discounted_return: Estimate | None
    episode_length: Estimate | None  # steps
    cycles: int | None = None  # number of cycles of a continuing task; None: there are none
    note: str | None = None  # on all estimates, instead of their own notes

    def notes(self) -> list[str]:
        """Return the notes on all estimates."""
        if self.note:
            return [self.note]
        estimates = {
            "returns": self.expected_return,
            "average rewards": self.average_reward,
            "discounted returns": self.discounted_return,
            "lengths": self.episode_length,
        }
        present = {name: e for name, e in estimates.items() if e is not None}
        notes = [e.note for e in present.values() if e.note]
        if skewed := {n: e.samples_needed for n, e in present.items() if e.samples_needed}:
            *first, last = skewed
            names = f"{', '.join(first)} and {last}" if first else last
            notes.append(
                f"The {names} are skewed; for reliable intervals play {max(skewed.values()):,} or "
                "more episodes."
            )
        return notes


def estimate_from_episodes(
    episodes: Episodes,
    confidence: float,
    discount: float,
    max_length: int,
    two_returns: TwoValues | None = None,
    step_rewards: TwoValues | None = None,
) -> Estimates:
    """Estimate a policy's values in an episodic task.

    With fewer than MIN_EPISODES episodes there are no intervals. No interval extends beyond the
    values that are possible.

    Args:
        episodes: the sample.
        confidence: confidence level of the intervals.
        discount: discount factor of the discounted returns.
        max_length: steps after which an episode is truncated.
        two_returns: the two possible returns, if only two are possible: see
            `gridcade.exact.values.two_possible_returns`.
        step_rewards: the smallest and the largest possible reward of a step. Default: if all steps
            of the sample have the same reward, and it is not 0, as in CartPole: that reward;
            otherwise unknown.
    """
    returns, lengths = episodes.returns, episodes.lengths
    name, discounted = "discounted returns", episodes.discounted_returns
    if step_rewards is None and episodes.step_rewards[0] == episodes.step_rewards[1] != 0:
        step_rewards = episodes.step_rewards
    lowest, highest = step_rewards or (-math.inf, math.inf)
    longest_sum = (1 - discount**max_length) / (1 - discount)  # discounted, of rewards of 1
    note = None
    if len(returns) == 1:
        note = (
            "One episode does not show how much episodes differ, so these values may be far from "
            f"the expected ones; play {MIN_EPISODES} or more episodes for intervals."
        )
    elif len(returns) < MIN_EPISODES:
        note = f"Intervals need {MIN_EPISODES} or more episodes; this sample has {len(returns)}."
    elif all(np.ptp(x) == 0 for x in (returns, lengths, discounted)) and two_returns is None:
        note = intervals.alike_note(len(returns), "episodes", confidence)

    def possible(estimate: Estimate, least: float, most: float) -> Estimate:
        limited = estimate.within(least, most)
        if least == most:  # The value is known, so notes on the sample would be pointless.
            limited = replace(limited, note=None, samples_needed=0)
        return limited if len(returns) >= MIN_EPISODES else limited.without_interval()

    return Estimates(
        expected_return=possible(
            intervals.return_interval(returns, confidence, two_returns),
            *two_returns or (min(lowest, lowest * max_length), max(highest, highest * max_length)),
        ),
        average_reward=possible(
            intervals.average_reward_interval(
                returns, lengths, confidence, two_returns, max_length
            ),
            lowest,
            highest,
        ),
        discounted_return=possible(
            intervals.mean_interval(discounted, confidence, name)
            if two_returns is None
            else intervals.zero_inflated_interval(
                discounted, two_returns[0] or two_returns[1], confidence, name
            ),
            min(lowest, lowest * longest_sum),
            max(highest, highest * longest_sum),
        ),
        episode_length=possible(
            intervals.mean_interval(lengths, confidence, "lengths"), 1.0, max_length
        ),
        note=note,
    )


def estimate_from_streams(
    streams: Streams,
    confidence: float,
    discount: float,
    outcomes: Outcomes,
    step_rewards: TwoValues,
) -> Estimates:
    """Estimate a policy's values in a continuing task.

    The discounted return is estimated only if there are several streams, and if the rewards after
    their ends weigh at most NEGLIGIBLE_WEIGHT. It has an interval only if the policy's chain is
    deterministic, because there are few streams; the interval allows for the rewards after the
    ends.

    Args:
        streams: the sample.
        confidence: confidence level of the intervals.
        discount: discount factor of the discounted return.
        outcomes: the rewards that the policy can receive, and the states that it can reach.
        step_rewards: the smallest and the largest reward of a step in this task.
    """
    average_reward, cycles = average_reward_of_streams(streams, confidence, outcomes)
    if math.isfinite(average_reward.half_width):
        average_reward = average_reward.within(outcomes.rewards[0], outcomes.rewards[-1])
    average_reward = replace(average_reward, least=step_rewards[0], most=step_rewards[1])
    rewards = streams.rewards[:, : streams.length]
    weight = discount**streams.length
    discounted_return = None
    if len(rewards) > 1 and weight <= NEGLIGIBLE_WEIGHT:
        mean = float((rewards @ discount ** np.arange(streams.length)).mean())
        rest = [weight * r / (1 - discount) for r in (outcomes.rewards[0], outcomes.rewards[-1])]
        estimate = Estimate(mean + sum(rest) / 2, mean + rest[0], mean + rest[1], "exact")
        discounted_return = estimate if outcomes.deterministic else estimate.without_interval()
    return Estimates(None, average_reward, discounted_return, None, cycles)
