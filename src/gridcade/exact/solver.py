"""Computes exact values of policies, and optimal policies, of a model.

One sparse linear solve evaluates a policy, and policy iteration finds an optimal one (Puterman
1994, sections 6.4, 7.2 and 9.2). Nothing is sampled, and no tolerance decides when values have
converged.

The average reward is the long-run average per step. In an episodic task a new episode starts after
each end.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridcade.envs.tabular import Model
from gridcade.errors import InputError, unknown
from gridcade.exact.chains import (
    TOLERANCE,
    Chain,
    UnsolvableError,
    check_gains,
    communicating_classes,
    expected_totals,
    gain_and_bias,
    reachable,
    reachable_states,
)
from gridcade.exact.policy_iteration import (
    MAX_LENGTH,
    best_average_reward,
    best_discounted,
    best_return,
)
from gridcade.exact.time_limit import totals_within_limit

__all__ = [
    "Criterion",
    "PolicyValue",
    "Solution",
    "UnsolvableError",
    "check_discount",
    "policy_value",
    "solve",
    "tells_states_apart",
]

Floats = NDArray[np.float64]
Criterion = Literal["return", "discounted", "average-reward"]

ROUNDING = 1e-14  # relative; a smaller expected reward counts as 0


@dataclass(frozen=True)
class PolicyValue:
    """The exact value of a policy from the start distribution.

    If an episode may never end, or takes more than `MAX_LENGTH` steps, its length is infinite. Its
    return is then finite if the endless part pays nothing, plus or minus infinity if the endless
    part pays with one sign only, and otherwise nan. In a continuing task return and length are
    None.
    """

    expected_return: float | None
    discounted_return: float
    episode_length: float | None  # steps
    average_reward: float  # per step

    def by(self, criterion: Criterion) -> float:
        """Return the value under a criterion; nan if it is undefined."""
        values = {
            "return": self.expected_return,
            "discounted": self.discounted_return,
            "average-reward": self.average_reward,
        }
        value = values[criterion]
        return math.nan if value is None else value


@dataclass(frozen=True)
class Solution:
    """An optimal policy and its value."""

    criterion: Criterion
    discount: float | None  # None unless the criterion is `discounted`
    policy: Floats  # [states, actions]: probabilities, here 0 or 1
    values: Floats  # [states], under the criterion; `return`: nan where no policy is sure to end
    bias: Floats | None  # [states], of the average-reward criterion: see `gain_and_bias`
    value: float  # expected over the start distribution
    average_reward: float  # of this policy, from the start distribution


def default_criterion(model: Model) -> Criterion:
    """Return the default criterion: `average-reward` for a continuing task, else `return`."""
    return "average-reward" if model.continuing else "return"


def check_discount(discount: float) -> None:
    """Raise InputError unless 0 <= discount < 1."""
    if not 0 <= discount < 1:
        raise InputError(f"discount is {discount}; it must be at least 0 and less than 1")


def policy_value(
    model: Model,
    policy: ArrayLike,
    discount: float = 0.99,
    time_limit: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> PolicyValue:
    """Compute the exact value of a policy.

    Args:
        model: the model.
        policy: action probabilities, [states, actions].
        discount: discount factor of the discounted return.
        time_limit: steps after which an episode is truncated and the next one starts; None: no
            limit.
        check: called repeatedly if there is a time limit; it can stop the computation by raising
            an exception.

    Raises:
        InputError: the policy is not a table of probabilities that fits the model, the discount is
            outside [0, 1), or a continuing model has a time limit.
        UnsolvableError: the episodes are too long for floating-point precision.
    """
    chain = Chain.of(model, policy)
    check_discount(discount)
    # States that the policy does not reach have no influence, but would take most of the time.
    reached = np.flatnonzero(reachable(chain.transitions, np.flatnonzero(model.start)))
    chain, start = chain.restricted(reached), model.start[reached]
    if time_limit is not None:
        if model.continuing:
            raise InputError("a continuing task cannot have a time limit")
        if time_limit < 1:
            raise InputError(f"time_limit is {time_limit}; it must be an integer, 1 or greater")
        limited = totals_within_limit(chain, start, discount, time_limit, check)
        return PolicyValue(*limited, average_reward=limited[0] / limited[2])
    discounted = expected_totals(chain.transitions * discount, chain.rewards)
    gains, _ = gain_and_bias(*chain.restarted(start))
    gain = float(gains[-1])  # the last state stands for the start
    check_gains(gains, chain.rewards)
    expected_return, length = (
        (None, None) if model.continuing else _return_and_length(model, chain, start, gain)
    )
    return PolicyValue(
        expected_return=expected_return,
        discounted_return=float(start @ discounted),
        episode_length=length,
        average_reward=gain,
    )


def solve(model: Model, criterion: Criterion | None = None, discount: float = 0.99) -> Solution:
    """Compute an optimal policy.

    Args:
        model: the model.
        criterion: the objective to maximize. `return`: the undiscounted return, over the policies
            whose episodes end with probability 1; of the best policies, one with the shortest
            episodes. `discounted`: the discounted return. `average-reward`: the long-run average
            reward per step. None: `return`, or `average-reward` in a continuing task.
        discount: discount factor of the `discounted` criterion.

    Raises:
        InputError: the criterion is unknown, or the discount is outside [0, 1). Under `return`: no
            policy is sure to end, the return is unbounded, or the best episodes take more than
            `MAX_LENGTH` steps.
    """
    criterion = criterion or default_criterion(model)
    if criterion not in get_args(Criterion):
        raise unknown("criterion", criterion, get_args(Criterion))
    bias = None
    if criterion == "discounted":
        check_discount(discount)
        values, actions = best_discounted(model, discount)
    elif criterion == "return":
        values, actions = best_return(model)
    else:
        values, bias, actions = best_average_reward(model)
    policy = np.eye(model.num_actions)[actions]
    starts = model.start > 0
    return Solution(
        criterion=criterion,
        discount=discount if criterion == "discounted" else None,
        policy=policy,
        values=values + 0.0,  # turns -0 into 0
        bias=None if bias is None else bias + 0.0,
        value=float(model.start[starts] @ values[starts]),
        average_reward=policy_value(model, policy).average_reward,
    )


def tells_states_apart(model: Model, solution: Solution) -> bool:
    """Whether states that can be reached from a start have different optimal values.

    Under `average-reward`, the values are the bias.
    """
    reached = reachable_states(model)
    values = (solution.values if solution.bias is None else solution.bias)[reached]
    values = values[np.isfinite(values)]
    return not np.allclose(values, values[:1], rtol=TOLERANCE, atol=TOLERANCE)


def _return_and_length(
    model: Model, chain: Chain, start: Floats, gain: float
) -> tuple[float, float]:
    """Compute return and length of an episode, possibly infinite; see `PolicyValue`.

    Args:
        model: the model.
        chain: the chain of the policy on the states that it reaches.
        start: distribution of the first state, [states of the chain].
        gain: average reward of the policy.
    """
    can_end = reachable(chain.transitions.T.tocsr(), np.flatnonzero(chain.ends))
    trapped = np.flatnonzero(~can_end)
    labels, recurrent = communicating_classes(chain.transitions[trapped][:, trapped])
    endless = trapped[recurrent[labels]]  # an episode that enters these states stays in them
    inside = np.setdiff1d(np.arange(len(start)), endless)
    transitions = chain.transitions[inside][:, inside]
    totals = np.stack([np.ones(len(inside)), chain.rewards[inside]], axis=1)
    lengths, returns = expected_totals(transitions, totals).T
    largest = float(np.abs(model.rewards).max())
    if not ((lengths >= 0) & (lengths <= MAX_LENGTH)).all():
        has_sign = abs(gain) > TOLERANCE * largest
        return (math.copysign(math.inf, gain) if has_sign else math.nan), math.inf
    total = float(start[inside] @ returns)
    if not endless.size:
        return total, float(start[inside] @ lengths)
    scale = float(np.abs(chain.rewards[endless]).max())
    if scale <= ROUNDING * largest:
        return total, math.inf
    gains, _ = gain_and_bias(
        chain.transitions[endless][:, endless], chain.rewards[endless], np.ones(len(endless))
    )
    if (gains > TOLERANCE * scale).any() and (gains > -TOLERANCE * scale).all():
        return math.inf, math.inf
    if (gains < -TOLERANCE * scale).any() and (gains < TOLERANCE * scale).all():
        return -math.inf, math.inf
    return math.nan, math.inf
