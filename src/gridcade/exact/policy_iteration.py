"""Policy iteration for each of the three criteria (Puterman 1994, chapters 6, 7 and 9).

Each iteration evaluates the current policy by a linear solve and improves it. An action is replaced
only if the improvement exceeds rounding errors, so the iteration ends.
"""

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.exact.chains import (
    TOLERANCE,
    TOO_LONG,
    Chain,
    UnsolvableError,
    check_gains,
    expected_totals,
    fewest_steps,
    gain_and_bias,
    reachable,
    sparse_matrix,
    sum_by_index,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAX_LENGTH = 1e12  # steps; longer episodes cannot be distinguished from endless ones
MAX_ITERATIONS = 1000  # dozens are usual
FIRST_DISCOUNT = 0.99  # the average-reward iteration starts from the best policy for this discount
UNBOUNDED = (
    "the expected return is unbounded: a policy can collect rewards forever. "
    "Use the criterion average-reward or discounted"
)
NOT_CONVERGED = "policy iteration did not converge: the model's numbers differ too much in size"


def best_discounted(model: Model, discount: float) -> tuple[Floats, Ints]:
    """Find values and actions of a policy with the largest discounted return.  Each [states]."""
    greedy = backup(model, model.rewards, np.zeros(model.num_states)).argmax(axis=1)
    ending, toward_end = ending_actions(model)
    first = np.where(ending.any(axis=1), toward_end, greedy)  # saves most iterations
    return _policy_iteration(model, model.rewards, first, model.uniform > 0, discount)


def best_return(model: Model) -> tuple[Floats, Ints]:
    """Find values and actions of a policy with the largest return.  Each [states].

    Only policies whose episodes end with probability 1 count. Of the best ones, it is a policy with
    the shortest episodes. Values are nan in states from which no policy is sure to end.

    Raises:
        InputError: the task is continuing, or no policy is sure to end.
        UnsolvableError: the return is unbounded, or the episodes are too long.
    """
    if model.continuing:
        raise InputError(
            "a continuing task has no return; use the criterion average-reward or discounted"
        )
    allowed, first = ending_actions(model)
    inside: Bools = allowed.max(axis=1)
    if not inside[model.start > 0].all():
        raise InputError(
            "no policy is sure to end from every start; use the criterion average-reward"
        )
    steps = np.full(len(model.rewards), -1.0)
    # The episodes of the first policy may be extremely long. A discount keeps the numbers small
    # until the policy is better.
    _, actions = _policy_iteration(model, steps, first, allowed, discount=1 - 1e-6)
    _, actions = _policy_iteration(model, steps, actions, allowed)
    values, actions = _policy_iteration(model, model.rewards, actions, allowed)
    scores = np.where(allowed, backup(model, model.rewards, values), -np.inf)
    margin = _margin(_reward_sizes(model, model.rewards, actions)[inside], values)
    best = allowed & (scores >= scores.max(axis=1, keepdims=True) - margin)
    best[np.arange(len(actions)), actions] |= inside
    negative_lengths, actions = _policy_iteration(model, steps, actions, best)
    if not (-negative_lengths[model.start > 0] <= MAX_LENGTH).all():
        raise UnsolvableError(TOO_LONG)
    return np.where(inside, values, np.nan), actions


def best_average_reward(model: Model) -> tuple[Floats, Floats, Ints]:
    """Find gains, bias and actions of a policy with the largest average reward.  Each [states].

    Howard's policy iteration for any number of recurrent classes (Puterman 1994, section 9.2):
    improve the gain first, and then the bias among the actions that keep the best gain. Starting
    from the best discounted policy saves most iterations.
    """
    _, actions = best_discounted(model, FIRST_DISCOUNT)
    for _ in range(MAX_ITERATIONS):
        gains, bias, better = average_reward_iteration(model, actions)
        if (better == actions).all():
            check_gains(gains, Chain.of(model, np.eye(model.num_actions)[actions]).rewards)
            return gains, bias, actions
        actions = better
    raise UnsolvableError(NOT_CONVERGED)


def average_reward_iteration(model: Model, actions: Ints) -> tuple[Floats, Floats, Ints]:
    """Compute a policy's gains and bias, and the actions of a better policy.  Each [states]."""
    chain = Chain.of(model, np.eye(model.num_actions)[actions])
    gains, bias = gain_and_bias(*chain.restarted(model.start))  # the last state is the start
    next_gains = np.where(model.terminated, gains[-1], gains[model.next_states])
    next_bias = np.where(model.terminated, bias[-1], bias[model.next_states])
    sizes = _reward_sizes(model, model.rewards, actions)
    gain_scores = forbid(model, expectation(model, next_gains))
    better = _improve(gain_scores, actions, sizes)
    if (better == actions).all():
        best = gain_scores.max(axis=1, keepdims=True)
        keeping = gain_scores >= best - _margin(sizes, gains)
        keeping[np.arange(len(actions)), actions] = True
        bias_scores = expectation(model, model.rewards + next_bias)
        better = _improve(np.where(keeping, bias_scores, -np.inf), actions, sizes)
    return gains[:-1], bias[:-1], better


def _policy_iteration(
    model: Model,
    rewards: Floats,
    actions: Ints,
    allowed: Bools,
    discount: float = 1.0,
) -> tuple[Floats, Ints]:
    """Find values and actions of the best policy among the allowed actions.  Each [states].

    Without a discount, the first policy must be sure to end from every state with an allowed
    action. Each improved policy then ends as well, unless the return is unbounded: a policy that
    never ends would stay in a loop that contains a strict improvement.

    Args:
        model: the model.
        rewards: reward of each outcome, [outcomes].
        actions: the first policy, [states].
        allowed: [states, actions]. States without an allowed action have value 0.
        discount: discount factor; 1 means no discount.
    """
    inside = np.flatnonzero(allowed.max(axis=1))
    states = model.rows // model.num_actions
    considered = np.isin(states, inside)  # [outcomes]
    for _ in range(MAX_ITERATIONS):
        chosen = considered & (model.rows == states * model.num_actions + actions[states])
        weights = model.probabilities * chosen
        on = chosen & ~model.terminated
        transitions = sparse_matrix(weights[on], states[on], model.next_states[on], len(actions))
        if discount == 1.0:
            ends = np.unique(states[chosen & model.terminated])
            if not reachable(transitions.T.tocsr(), ends)[inside].all():
                raise UnsolvableError(UNBOUNDED if rewards.max() > 0 else TOO_LONG)
        expected = sum_by_index(states, weights * rewards, len(actions))
        values = expected_totals(transitions * discount, expected)
        scores = np.where(allowed, backup(model, rewards, values, discount), -np.inf)
        better = actions.copy()
        sizes = _reward_sizes(model, rewards, actions)[inside]
        better[inside] = _improve(scores[inside], actions[inside], sizes)
        if (better == actions).all():
            return values, actions
        actions = better
    raise UnsolvableError(NOT_CONVERGED)


def ending_actions(model: Model) -> tuple[Bools, Ints]:
    """Find the actions after which some policy is still sure to end, and one such policy.

    Repeatedly removes the states from which no end can be reached by actions that avoid removed
    states (de Alfaro 1997, almost-sure reachability).

    Returns:
        Allowed actions, [states, actions], and the action of each state, [states].
    """
    num_states, num_actions = model.num_states, model.num_actions
    states = model.rows // num_actions
    inside = np.ones(num_states, dtype=bool)
    while True:
        safe = model.terminated | inside[model.next_states]
        allowed_rows = np.logical_and.reduceat(safe, model.offsets[:-1])
        allowed_rows &= (model.uniform > 0).ravel()
        considered = allowed_rows[model.rows] & inside[states]
        on = considered & ~model.terminated
        backward = sparse_matrix(
            np.ones(np.count_nonzero(on)), model.next_states[on], states[on], num_states
        )
        steps = fewest_steps(backward, np.unique(states[considered & model.terminated])) + 1
        if ((steps < np.inf) == inside).all():
            break
        inside = steps < np.inf
    allowed = (allowed_rows & np.repeat(inside, num_actions)).reshape(num_states, num_actions)
    # In each state the policy takes an action that may lead one step nearer to an end. Such a
    # policy is sure to end.
    nearest = np.where(model.terminated, 0.0, steps[model.next_states])
    nearest = np.minimum.reduceat(nearest, model.offsets[:-1]).reshape(num_states, num_actions)
    # In a state without an ending action it takes the first action that the model allows.
    farthest = forbid(model, np.full(allowed.shape, -num_states - 1.0))
    return allowed, np.where(allowed, -nearest, farthest).argmax(axis=1)


def backup(model: Model, rewards: Floats, values: Floats, discount: float = 1.0) -> Floats:
    """Compute each action's expected reward plus discounted next value.  [states, actions].

    Forbidden actions have the value -infinity.
    """
    next_values = np.where(model.terminated, 0.0, values[model.next_states])
    return forbid(model, expectation(model, rewards + discount * next_values))


def forbid(model: Model, scores: Floats) -> Floats:
    """Set the scores, [states, actions], of the actions that are not allowed to -infinity."""
    return scores if model.allowed is None else np.where(model.allowed, scores, -np.inf)


def expectation(model: Model, numbers: Floats) -> Floats:
    """Compute expectations over the outcomes of actions.  [outcomes] -> [states, actions]."""
    sums = np.add.reduceat(model.probabilities * numbers, model.offsets[:-1])
    return np.asarray(sums.reshape(model.num_states, model.num_actions))


def _improve(scores: Floats, actions: Ints, sizes: Floats) -> Ints:
    """Choose the actions with the best scores, [states, actions]; ties keep the current action."""
    current = scores[np.arange(len(actions)), actions]
    better = scores.max(axis=1) > current + _margin(sizes, current)
    return np.where(better, scores.argmax(axis=1), actions)


def _margin(sizes: Floats, numbers: Floats) -> float:
    """Return how much rounding may change numbers computed from rewards of these sizes."""
    finite = np.abs(numbers[np.isfinite(numbers)])
    return TOLERANCE * max(float(sizes.max(initial=0.0)), float(finite.max(initial=0.0)))


def _reward_sizes(model: Model, rewards: Floats, actions: Ints) -> Floats:
    """Compute the expected absolute reward of each state's action.  [states].

    A reward that these actions never receive, such as that of a pit they avoid, does not count.
    """
    return expectation(model, np.abs(rewards))[np.arange(len(actions)), actions]
