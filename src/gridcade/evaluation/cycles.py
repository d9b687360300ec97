"""The average reward of a continuing task, by the regenerative method.

If the policy has no inner state, the process starts anew whenever it visits a given state. The
cycles between its visits are independent and identically distributed, so they take the place of
episodes: the average reward is E[R] / E[L] for the sum R of a cycle's rewards and its length L
(Crane & Iglehart 1975, Operations Research 23:33). Unlike batches of equal length, cycles are
aligned with the periods of a periodic chain. If the sample is too small for a reliable interval,
the estimate has none, and a note states what is missing.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridcade.evaluation.intervals import Estimate, corrected_ratio_interval
from gridcade.exact.chains import Outcomes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_CYCLES = 100  # with fewer, there is no interval, unless the chain is deterministic
# Rule of three: if no event was seen, the expected number of events is at most 3 at about 95 %.
UNSEEN_EVENTS = 3


@dataclass(frozen=True)
class Streams:
    """Independent streams of a continuing task, all with the same number of steps.

    Attributes:
        rewards: successive rewards, [streams, steps].
        states: number of the state before each step, and of the last one, [streams, steps + 1];
            None: the policy keeps an inner state, so these states do not determine what follows.
        length: number of steps after which no cycle begins; later steps complete the last cycles.
    """

    rewards: Floats
    states: Ints | None
    length: int


@dataclass(frozen=True)
class Cycles:
    """The cycles of all streams, one after the other."""

    rewards: Floats  # [steps]: the rewards of all cycles
    lengths: Floats  # [cycles]: in steps

    @property
    def sums(self) -> Floats:
        """The sum of each cycle's rewards.  [cycles]."""
        starts = np.cumsum(self.lengths[:-1], dtype=np.int64)
        return np.add.reduceat(self.rewards, np.concatenate([[0], starts]))


def regeneration_state(states: Ints) -> int:
    """Choose the state that was visited most in the second half of the streams.

    Args:
        states: numbers of states, [streams, steps].
    """
    return int(np.bincount(states[:, states.shape[1] // 2 :].ravel()).argmax())


def split_cycles(streams: Streams) -> Cycles | None:
    """Split streams at their visits to the regeneration state.

    Every cycle that begins within `length` steps counts. Leaving out the last cycle, because it
    ends later, would favor short cycles.

    Returns:
        The cycles; None if a stream never visits the state, or does not return to it.
    """
    assert streams.states is not None  # noqa: S101 - for the type checker
    state = regeneration_state(streams.states[:, : streams.length])
    rewards, lengths = [], []
    for i, states in enumerate(streams.states):
        visits = np.flatnonzero(states == state)
        begun = int((visits < streams.length).sum())
        if not 0 < begun < len(visits):
            return None
        rewards.append(streams.rewards[i, visits[0] : visits[begun]])
        lengths.append(np.diff(visits[: begun + 1]).astype(np.float64))
    return Cycles(np.concatenate(rewards), np.concatenate(lengths))


def average_reward_of_streams(
    streams: Streams, confidence: float, outcomes: Outcomes
) -> tuple[Estimate, int | None]:
    """Estimate the average reward per step of a continuing task.

    Args:
        streams: the sample.
        confidence: confidence level of the interval.
        outcomes: the rewards that the policy can receive, and the states that it can reach.

    Returns:
        The estimate, and the number of cycles; None: there are no cycles.
    """
    mean = float(streams.rewards[:, : streams.length].mean())
    if streams.states is None:
        return _no_interval(
            mean, "the policy has an inner state, so no two parts of its streams are independent"
        ), None
    if outcomes.recurrent_classes > 1:
        return _no_interval(
            mean,
            f"chance decides in which of {outcomes.recurrent_classes} groups of states the policy "
            "stays forever",
        ), None
    cycles = split_cycles(streams)
    if cycles is None:
        return _no_interval(
            mean,
            f"the {len(streams.rewards)} streams do not all return to the state that they visit "
            "most; more steps may help",
        ), None
    count = cycles.lengths.size
    estimate = corrected_ratio_interval(cycles.sums, cycles.lengths, confidence, "cycles")
    if outcomes.deterministic:
        return Estimate(estimate.mean, estimate.mean, estimate.mean, "cycles"), count
    if reason := _reason_for_no_interval(cycles, estimate, outcomes):
        return _no_interval(estimate.mean, reason), count
    note = None
    if unvisited := outcomes.states - np.unique(streams.states).size:
        note = (
            f"{unvisited} of {outcomes.states} states that the policy can reach were not visited; "
            "the interval does not allow for them."
        )
    return replace(estimate, method="cycles", note=note), count


def _reason_for_no_interval(cycles: Cycles, estimate: Estimate, outcomes: Outcomes) -> str:
    """Say why a reliable interval is impossible; empty if it is possible."""
    count, steps = cycles.lengths.size, cycles.rewards.size
    if count < MIN_CYCLES:
        needed = float(f"{steps * MIN_CYCLES / count:.1e}")
        return (
            f"it needs {MIN_CYCLES} returns to the state that is visited most, and there were "
            f"{count}; about {needed:,.0f} steps may be enough"
        )
    if estimate.half_width == 0:
        return f"all {count:,} cycles were equal, but other cycles are possible"
    unseen = [r for r in outcomes.fixed_rewards if not (cycles.rewards == r).any()]
    farthest = max(unseen, key=lambda reward: abs(reward - estimate.mean), default=estimate.mean)
    if UNSEEN_EVENTS * abs(farthest - estimate.mean) / steps > estimate.half_width:
        return (
            f"the policy can receive a reward of {farthest:g}, but did not in {steps:,} steps; "
            "more steps may help"
        )
    return ""


def _no_interval(mean: float, reason: str) -> Estimate:
    """Return an estimate without an interval, with a note that gives the reason."""
    note = f"No interval of the average reward: {reason}."
    return Estimate(mean, -math.inf, math.inf, "cycles", note)
