"""Computes the value of a policy whose episodes are truncated after a number of steps."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.compiled import compiled
from gridcade.envs.types import Array
from gridcade.exact.chains import Chain

Floats = NDArray[np.float64]

NO_EPISODE_LEFT = 1e-17  # a smaller share of running episodes counts as 0
CHUNK = 50_000_000  # numbers that are added up between two calls of `check`, in about 0.1 s


def totals_within_limit(
    chain: Chain, start: Floats, discount: float, time_limit: int, check: Callable[[], None]
) -> tuple[float, float, float]:
    """Compute return, discounted return and length of episodes of at most `time_limit` steps.

    Follows the distribution of the state step by step. If the distribution repeats, for example
    because a policy walks in a circle, the rewards of all further circles are known.

    Args:
        chain: the chain of the policy.
        start: distribution of the first state, [states].
        discount: discount factor.
        time_limit: steps, 1 or more.
        check: called repeatedly; it can stop the computation by raising an exception.

    Returns:
        The three expectations; the length is in steps.
    """
    forward = chain.transitions.T.tocsr()
    most = max(CHUNK // (forward.nnz + len(start)), 1)
    running = np.array(start)  # probability that an episode is still running in each state
    totals = np.zeros(3)
    left, weight, window = time_limit, 1.0, 1
    while left:
        check()
        # Brent's search for a circle: each step of a window is compared with its beginning.
        sums = np.zeros(3)
        steps, is_circle = follow(
            forward.indptr,
            forward.indices,
            forward.data,
            chain.rewards,
            running,
            discount,
            min(window, most, left),
            sums,
        )
        totals += sums * [1, weight, 1]
        left -= steps
        factor = discount**steps
        weight *= factor
        window *= 2
        if is_circle:
            circles, left = divmod(left, steps)
            several = (1 - factor**circles) / (
                1 - factor
            )  # 1 + factor + ... + factor^(circles - 1)
            totals += sums * [circles, weight * several, circles]
            weight *= factor**circles
    total, discounted, length = totals.tolist()
    return total, discounted, length


@compiled
def follow(
    pointers: Array,
    columns: Array,
    probabilities: Array,
    rewards: Floats,
    running: Floats,
    discount: float,
    most: int,
    sums: Floats,
) -> tuple[int, bool]:
    """Take steps until the distribution of the state is the same as at the beginning.

    The first three arguments are the transposed transitions, a sparse matrix in CSR format.

    Args:
        pointers: index of the first entry of each row, [states + 1].
        columns: column of each entry, [entries].
        probabilities: value of each entry, [entries].
        rewards: expected rewards, [states].
        running: the distribution, [states]; changed in place.
        discount: discount factor.
        most: largest number of steps.
        sums: sums of rewards, discounted rewards and probabilities that the episode still runs,
            [3]; changed in place.

    Returns:
        The number of steps taken, and whether the distribution is the same as at the beginning. If
        no episode is left, the distribution is set to 0 and no more steps are taken.
    """
    first, following = running.copy(), np.empty_like(running)
    weight, reward, share = 1.0, 0.0, 0.0
    for i in range(len(running)):
        reward += running[i] * rewards[i]
        share += running[i]
    for step in range(most):
        sums[0] += reward
        sums[1] += weight * reward
        sums[2] += share
        weight *= discount
        is_first, reward, share = True, 0.0, 0.0
        for i in range(len(running)):
            total = 0.0
            for k in range(pointers[i], pointers[i + 1]):
                total += probabilities[k] * running[columns[k]]
            following[i] = total
            reward += total * rewards[i]
            share += total
            is_first &= total == first[i]
        running[:] = following
        if share < NO_EPISODE_LEFT:
            running[:] = 0
        if is_first or share < NO_EPISODE_LEFT:
            return step + 1, is_first
    return most, False
