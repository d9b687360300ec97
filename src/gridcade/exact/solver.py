"""Exact answers of a known model: what a policy is worth, and which policy is best.

Everything is solved by sparse linear algebra, without sampling and without a stopping tolerance on
values: policies are evaluated by one linear solve, and improved by policy iteration (Puterman 1994,
sections 6.4, 7.2 and 9.2). Graphs, not numbers, decide whether an episode ends, so a policy that
may never end is recognised rather than solved into a wrong number.

The gain is the expected average reward a step in the long run, where a task that ends starts
anew: every end leads to the start distribution.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import SuperLU, splu

from gridcade.envs.tabular import Model
from gridcade.errors import InputError, unknown

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Criterion = Literal["return", "discounted", "average-reward"]

TOLERANCE = 1e-9  # relative; a switch of actions must gain more than this
ROUNDING = 1e-14  # relative; an expected reward no larger than this is 0
NEGLIGIBLE = 1e-15  # 1 less this is 1: such a probability is taken for 0
LONGEST = 1e12  # steps; episodes that take longer cannot be told from endless ones
SUM_TOLERANCE = 1e-6  # of a policy's rows: single precision passes
MAX_ITERATIONS = 1000  # of policy iteration; it ends within dozens
UNBOUNDED = (
    "the expected return has no bound: rewards can be collected for ever. "
    "Ask for the average reward or for a discounted return"
)
TOO_LONG = "the episodes are too long to be solved"
UNSETTLED = "policy iteration did not settle: the model's numbers are too far apart"


class UnsolvableError(InputError):
    """The model's numbers are beyond what can be solved for, or there is no finite answer."""


@dataclass(frozen=True)
class PolicyValue:
    """What a policy is worth from the start distribution on.

    Where an episode may never end, its length is infinite; its return is finite only if no reward
    is paid on for ever, else plus or minus infinity, or nan where that is not told. An episode of
    more than `LONGEST` steps counts as endless, too. On a continuing task return and length are
    None.
    """

    expected_return: float | None
    discounted_return: float
    episode_length: float | None  # steps
    average_reward: float  # the gain


@dataclass(frozen=True)
class Solution:
    """An optimal policy and what it is worth."""

    criterion: Criterion
    discount: float | None  # of the discounted criterion
    policy: Floats  # [states, actions]: probabilities, here 0 or 1
    values: Floats  # [states]; nan where no policy ends (return). For the gain: each state's gain
    bias: Floats | None  # [states]: of the gain criterion, relative values: see `gain_and_bias`
    value: float  # expected over starts
    average_reward: float  # of this policy, from the start


def check_discount(discount: float) -> None:
    """Raise InputError unless 0 <= discount < 1."""
    if not 0 <= discount < 1:
        raise InputError(f"discount is {discount}; it takes 0 or more and less than 1")


def policy_value(
    model: Model, policy: Any, discount: float = 0.99, time_limit: int | None = None
) -> PolicyValue:
    """What a policy is worth, exactly.

    Args:
        model: the model.
        policy: action probabilities, [states, actions].
        discount: of the discounted return.
        time_limit: steps after which an episode is cut and starts anew; None: never.

    Raises:
        InputError: the policy is not a table of probabilities that fits the model; a discount
            outside [0, 1); a time limit on a continuing model.
        UnsolvableError: episodes are too long.
    """
    chain = Chain.of(model, policy)
    check_discount(discount)
    if time_limit is not None:
        return _limited(model, chain, discount, time_limit)
    discounted = _solve(chain.transitions * discount, chain.rewards)
    gains, _ = gain_and_bias(*_restarted(model, chain))
    gain = float(gains[-1])
    reached = _reached(chain.transitions, np.flatnonzero(model.start))
    _check_gains(gains[:-1][reached], chain.rewards)
    expected_return, length = (None, None) if model.continuing else _totals(model, chain, gain)
    return PolicyValue(
        expected_return=expected_return,
        discounted_return=float(model.start @ discounted),
        episode_length=length,
        average_reward=gain,
    )


def solve(model: Model, criterion: Criterion | None = None, discount: float = 0.99) -> Solution:
    """An optimal policy, exactly.

    Args:
        model: the model.
        criterion: `return`, the expected undiscounted return of an episode, is maximised over the
            policies whose episodes end with probability 1, and among the best the shortest is
            taken; `discounted`; `average-reward`, the expected average reward a step, with ends leading
            to a new start. None: `return`, or `average-reward` where the task is continuing.
        discount: of the discounted criterion.

    Raises:
        InputError: an unknown criterion, a discount outside [0, 1); under `return`: no policy
            ends for sure, returns without bound can be collected from some state, or the best
            episodes take more than `LONGEST` steps.
    """
    criterion = criterion or ("average-reward" if model.continuing else "return")
    if criterion not in get_args(Criterion):
        raise unknown("criterion", criterion, get_args(Criterion))
    bias = None
    if criterion == "discounted":
        check_discount(discount)
        values, actions = _best_discounted(model, discount)
    elif criterion == "return":
        values, actions = _best_return(model)
    else:
        values, bias, actions = _best_gain(model)
    policy = np.eye(model.num_actions)[actions]
    started = model.start > 0
    return Solution(
        criterion=criterion,
        discount=discount if criterion == "discounted" else None,
        policy=policy,
        values=values,
        bias=bias,
        value=float(model.start[started] @ values[started]),
        average_reward=policy_value(model, policy).average_reward,
    )


@dataclass(frozen=True)
class Chain:
    """The Markov chain of a policy on a model, up to the end of an episode."""

    transitions: sparse.csr_array  # [states, states], without what ends
    rewards: Floats  # [states]: expected, of one step
    ends: Floats  # [states]: probability that the step ends the episode

    @classmethod
    def of(cls, model: Model, policy: Any) -> "Chain":
        """The chain of a policy [states, actions]."""
        table = np.asarray(policy, dtype=np.float64)
        shape = (model.num_states, model.num_actions)
        if table.shape != shape:
            raise InputError(f"the policy's shape is {table.shape}; the model's is {shape}")
        sums = table.sum(axis=1, keepdims=True)
        if not (table >= 0).all() or not (np.abs(sums - 1) < SUM_TOLERANCE).all():
            raise InputError("the policy is no table of probabilities: a row does not sum to 1")
        table = table / sums
        weights = table.ravel()[model.rows] * model.probabilities
        weights[weights < NEGLIGIBLE] = 0
        states = model.rows // model.num_actions
        on = ~model.terminated & (weights > 0)
        return cls(
            transitions=_matrix(weights[on], states[on], model.next_states[on], model.num_states),
            rewards=_sums(states, weights * model.rewards, model.num_states),
            ends=_sums(states, weights * model.terminated, model.num_states),
        )


def gain_and_bias(
    transitions: sparse.csr_array, rewards: Floats, durations: Floats
) -> tuple[Floats, Floats]:
    """Gain and bias of a Markov chain with any number of recurrent classes, from each state.

    Solves h + g d = r + P h with P g = g, and h = 0 in the first state of each recurrent class
    (Puterman 1994, section 8.2.3; `durations` d are 1, or 0 for a state passed through at once).
    Transitions are [states, states], rewards and durations [states]; so are gain and bias.
    """
    size = len(rewards)
    gains, bias = np.zeros(size), np.zeros(size)
    labels, closed = _classes(transitions)
    sizes = np.bincount(labels)
    alone = closed[labels] & (sizes[labels] == 1)
    gains[alone] = rewards[alone] / durations[alone]
    for c in np.flatnonzero(closed & (sizes > 1)):
        members = np.flatnonzero(labels == c)
        inner = sparse.eye_array(len(members)) - transitions[members][:, members]
        # the first state's bias is 0, and its column of the system makes room for the gain
        columns = [inner.tocsc()[:, 1:], sparse.csc_array(durations[members][:, None])]
        solved = _factor(sparse.hstack(columns)).solve(rewards[members])
        bias[members[1:]] = solved[:-1]
        gains[members] = solved[-1]
    passing = np.flatnonzero(~closed[labels])
    if passing.size:
        rest = np.flatnonzero(closed[labels])
        outward = transitions[passing][:, rest]
        inner = sparse.eye_array(len(passing)) - transitions[passing][:, passing]
        lu = _factor(inner)
        arriving = lu.solve(np.stack([outward @ gains[rest], outward @ np.ones(len(rest))], axis=1))
        gains[passing] = arriving[:, 0] / arriving[:, 1]  # by 1 but for rounding
        lead = rewards[passing] - gains[passing] * durations[passing]
        bias[passing] = lu.solve(lead + outward @ bias[rest])
    return gains, bias


def _check_gains(gains: Floats, rewards: Floats) -> None:
    """Raise UnsolvableError where a gain cannot be: of states left as rarely as 1 is rounded."""
    slack = TOLERANCE * np.abs(rewards).max()
    if gains.min() < rewards.min() - slack or gains.max() > rewards.max() + slack:
        raise UnsolvableError(TOO_LONG)


def _classes(transitions: sparse.csr_array) -> tuple[Ints, NDArray[np.bool_]]:
    """The class of each state [states], and which classes are never left [classes]."""
    count, labels = connected_components(transitions, directed=True, connection="strong")
    edges = transitions.tocoo()
    closed = np.full(count, True)
    closed[labels[edges.row[labels[edges.row] != labels[edges.col]]]] = False
    return labels.astype(np.int64), closed


def _sums(places: Ints, numbers: Floats, size: int) -> Floats:
    """The sum of the numbers that belong to each place.  [size]."""
    return np.bincount(places, numbers, size).astype(np.float64)  # its stub says integers


def _matrix(weights: Floats, rows: Ints, columns: Ints, size: int) -> sparse.csr_array:
    return sparse.csr_array(sparse.coo_array((weights, (rows, columns)), shape=(size, size)))


def _solve(transitions: sparse.csr_array, rewards: Floats) -> Floats:
    """Solve v = r + P v, where P loses mass everywhere in the end."""
    return np.asarray(_factor(sparse.eye_array(len(rewards)) - transitions).solve(rewards))


def _factor(system: Any) -> SuperLU:
    """The LU factors of a sparse matrix."""
    try:
        return splu(sparse.csc_array(system))
    except RuntimeError:  # singular, by rounding
        raise UnsolvableError(TOO_LONG) from None


def _restarted(model: Model, chain: Chain) -> tuple[sparse.csr_array, Floats, Floats]:
    """The chain of episode after episode: transitions, rewards, durations.

    One more state, the last, stands for the start: every end leads there, and it is left at once,
    without a step, for a state of the start distribution. (Sparse, where an edge from every
    end to every start would not be.)
    """
    blocks: list[list[sparse.csr_array | None]] = [
        [chain.transitions, sparse.csr_array(chain.ends[:, None])],
        [sparse.csr_array(model.start[None, :]), None],
    ]
    durations = np.ones(model.num_states + 1)
    durations[-1] = 0.0
    matrix = sparse.csr_array(sparse.block_array(blocks))
    matrix.eliminate_zeros()
    return matrix, np.append(chain.rewards, 0.0), durations


def _totals(model: Model, chain: Chain, gain: float) -> tuple[float, float]:
    """Expected return and length of an episode, infinite ones included."""
    reached = _reached(chain.transitions, np.flatnonzero(model.start))
    ending = _reached(chain.transitions.T.tocsr(), np.flatnonzero(chain.ends))
    trapped = np.flatnonzero(reached & ~ending)  # from here, no end can be reached
    labels, closed = _classes(chain.transitions[trapped][:, trapped])
    forever = trapped[closed[labels]]  # here such an episode stays
    inside = np.setdiff1d(np.flatnonzero(reached), forever)
    within = chain.transitions[inside][:, inside]
    lengths = _solve(within, np.ones(len(inside)))
    largest = float(np.abs(model.rewards).max())
    if not ((lengths >= 0) & (lengths <= LONGEST)).all():
        tells = abs(gain) > TOLERANCE * largest
        return (math.copysign(math.inf, gain) if tells else math.nan), math.inf
    total = float(model.start[inside] @ _solve(within, chain.rewards[inside]))
    if not forever.size:
        return total, float(model.start[inside] @ lengths)
    scale = float(np.abs(chain.rewards[forever]).max())
    if scale <= ROUNDING * largest:
        return total, math.inf
    gains, _ = gain_and_bias(
        chain.transitions[forever][:, forever], chain.rewards[forever], np.ones(len(forever))
    )
    if (gains > TOLERANCE * scale).any() and (gains > -TOLERANCE * scale).all():
        return math.inf, math.inf
    if (gains < -TOLERANCE * scale).any() and (gains < TOLERANCE * scale).all():
        return -math.inf, math.inf
    return math.nan, math.inf


def _limited(model: Model, chain: Chain, discount: float, time_limit: int) -> PolicyValue:
    """A policy's worth when each episode is cut after `time_limit` steps."""
    if model.continuing:
        raise InputError("a continuing task has no time limit")
    if time_limit < 1:
        raise InputError(f"the time limit is {time_limit}; it takes 1 step or more")
    forward = chain.transitions.T.tocsr()
    alive = model.start
    total = discounted = length = 0.0
    weight = 1.0
    for _ in range(time_limit):
        reward = float(alive @ chain.rewards)
        total += reward
        discounted += weight * reward
        length += float(alive.sum())
        weight *= discount
        alive = forward @ alive
        if alive.sum() < 1e-17:
            break
    return PolicyValue(total, discounted, length, total / length)


def _reached(graph: sparse.csr_array, sources: Ints) -> NDArray[np.bool_]:
    """The states that can be reached from any of the sources, themselves included."""
    return _steps(graph, sources) < np.inf


def _steps(graph: sparse.csr_array, sources: Ints) -> Floats:
    """Fewest edges from any of the sources to each state; infinite where there is no way."""
    if not len(sources):
        return np.full(graph.shape[0], np.inf)
    return np.asarray(dijkstra(graph, indices=sources, unweighted=True, min_only=True))


def _backup(model: Model, rewards: Floats, values: Floats, discount: float = 1.0) -> Floats:
    """Expected reward and next value of each (state, action).  [states, actions]."""
    following = np.where(model.terminated, 0.0, values[model.next_states])
    terms = model.probabilities * (rewards + discount * following)
    sums = np.add.reduceat(terms, model.offsets[:-1])
    return sums.reshape(model.num_states, model.num_actions)


def _margin(stakes: Floats, numbers: Floats) -> float:
    """By how much numbers made of rewards of such sizes have to differ to count as different."""
    finite = np.abs(numbers[np.isfinite(numbers)])
    return TOLERANCE * max(float(stakes.max(initial=0.0)), float(finite.max(initial=0.0)))


def _switch(scores: Floats, actions: Ints, stakes: Floats) -> Ints:
    """The best actions by scores [states, actions]; the present ones where none is truly better."""
    present = scores[np.arange(len(actions)), actions]
    better = scores.max(axis=1) > present + _margin(stakes, present)
    return np.where(better, scores.argmax(axis=1), actions)


def _stakes(model: Model, rewards: Floats, actions: Ints) -> Floats:
    """The expected size of the reward of each state's action.  [states].

    A reward that these actions never pay, such as that of a pit they avoid, counts for nothing.
    """
    sums = np.add.reduceat(model.probabilities * np.abs(rewards), model.offsets[:-1])
    shape = (model.num_states, model.num_actions)
    return np.asarray(sums.reshape(shape)[np.arange(len(actions)), actions])


def _policy_iteration(
    model: Model,
    rewards: Floats,
    actions: Ints,
    allowed: NDArray[np.bool_],
    discount: float = 1.0,
) -> tuple[Floats, Ints]:
    """Values [states] and actions [states] of the best policy among the allowed actions.

    Undiscounted, the first policy has to end for sure from every state with an allowed action;
    then each improved policy does so too, unless it collects rewards without bound: it would have
    to be trapped in a loop that contains a strict improvement. States without one count 0.
    """
    inside = np.flatnonzero(allowed.max(axis=1))
    states = model.rows // model.num_actions
    considered = np.isin(states, inside)  # [outcomes]
    for _ in range(MAX_ITERATIONS):
        picked = considered & (model.rows == states * model.num_actions + actions[states])
        weights = model.probabilities * picked
        on = picked & ~model.terminated
        chain = _matrix(weights[on], states[on], model.next_states[on], model.num_states)
        if discount == 1.0:
            ends = np.unique(states[picked & model.terminated])
            if not _reached(chain.T.tocsr(), ends)[inside].all():
                raise UnsolvableError(UNBOUNDED if rewards.max() > 0 else TOO_LONG)
        expected = _sums(states, weights * rewards, model.num_states)
        values = _solve(chain * discount, expected)
        scores = np.where(allowed, _backup(model, rewards, values, discount), -np.inf)
        better = actions.copy()
        stakes = _stakes(model, rewards, actions)[inside]
        better[inside] = _switch(scores[inside], actions[inside], stakes)
        if (better == actions).all():
            return values, actions
        actions = better
    raise UnsolvableError(UNSETTLED)


def _best_discounted(model: Model, discount: float) -> tuple[Floats, Ints]:
    everything = np.ones((model.num_states, model.num_actions), dtype=bool)
    greedy = _backup(model, model.rewards, np.zeros(model.num_states)).argmax(axis=1)
    ending, towards_end = _ending_actions(model)
    first = np.where(ending.any(axis=1), towards_end, greedy)  # saves most iterations
    return _policy_iteration(model, model.rewards, first, everything, discount)


def _best_return(model: Model) -> tuple[Floats, Ints]:
    """The best policy whose episodes end for sure, and the shortest of those."""
    if model.continuing:
        raise InputError(
            "a continuing task has no return: ask for the average reward or a discounted return"
        )
    allowed, first = _ending_actions(model)
    inside: NDArray[np.bool_] = allowed.max(axis=1)
    if not inside[model.start > 0].all():
        raise InputError("no policy ends for sure from every start: ask for the average reward")
    steps = np.full(len(model.rewards), -1.0)
    # The first policy may take long beyond numbers: a discount keeps them small until it is better.
    _, actions = _policy_iteration(model, steps, first, allowed, discount=1 - 1e-6)
    _, actions = _policy_iteration(model, steps, actions, allowed)
    values, actions = _policy_iteration(model, model.rewards, actions, allowed)
    scores = np.where(allowed, _backup(model, model.rewards, values), -np.inf)
    margin = _margin(_stakes(model, model.rewards, actions)[inside], values)
    best = allowed & (scores >= scores.max(axis=1, keepdims=True) - margin)
    best[np.arange(len(actions)), actions] |= inside
    lengths, actions = _policy_iteration(model, steps, actions, best)
    if not (-lengths[model.start > 0] <= LONGEST).all():
        raise UnsolvableError(TOO_LONG)
    return np.where(inside, values, np.nan), actions


def _ending_actions(model: Model) -> tuple[NDArray[np.bool_], Ints]:
    """The actions after which an end can still be reached for sure, and a policy that reaches one.

    Strike out, until nothing changes, the states from which no end can be reached by actions that
    stay out of struck states (de Alfaro 1997, almost-sure reachability).
    """
    num_states, num_actions = model.num_states, model.num_actions
    states = model.rows // num_actions
    inside = np.ones(num_states, dtype=bool)
    while True:
        safe = model.terminated | inside[model.next_states]
        rows_allowed = np.logical_and.reduceat(safe, model.offsets[:-1])
        on = rows_allowed[model.rows] & inside[states]
        backwards = _matrix(
            np.ones(np.count_nonzero(on & ~model.terminated)),
            model.next_states[on & ~model.terminated],
            states[on & ~model.terminated],
            num_states,
        )
        steps = _steps(backwards, np.unique(states[on & model.terminated])) + 1
        if ((steps < np.inf) == inside).all():
            break
        inside = steps < np.inf
    allowed = (rows_allowed & np.repeat(inside, num_actions)).reshape(num_states, num_actions)
    # Each state takes an action that may come a step nearer to an end: it gets there for sure.
    nearest = np.where(model.terminated, 0.0, steps[model.next_states])
    nearest = np.minimum.reduceat(nearest, model.offsets[:-1]).reshape(num_states, num_actions)
    return allowed, np.where(allowed, nearest, np.inf).argmin(axis=1)


def _best_gain(model: Model) -> tuple[Floats, Floats, Ints]:
    """Howard's policy iteration for any number of recurrent classes (Puterman 1994, section 9.2).

    Improve the gain first, and the bias among the actions that keep the best gain. Starting from
    the best discounted policy saves most iterations.
    """
    _, actions = _best_discounted(model, 0.99)
    for _ in range(MAX_ITERATIONS):
        chain = Chain.of(model, np.eye(model.num_actions)[actions])
        gains, bias = gain_and_bias(*_restarted(model, chain))
        onward_gain = np.where(model.terminated, gains[-1], gains[model.next_states])
        onward_bias = np.where(model.terminated, bias[-1], bias[model.next_states])
        stakes = _stakes(model, model.rewards, actions)
        shape = (model.num_states, model.num_actions)
        gain_scores = np.add.reduceat(
            model.probabilities * onward_gain, model.offsets[:-1]
        ).reshape(shape)
        better = _switch(gain_scores, actions, stakes)
        if (better == actions).all():
            best = gain_scores.max(axis=1, keepdims=True)
            keeping = gain_scores >= best - _margin(stakes, gains)
            keeping[np.arange(len(actions)), actions] = True
            lead = np.add.reduceat(
                model.probabilities * (model.rewards + onward_bias), model.offsets[:-1]
            ).reshape(shape)
            better = _switch(np.where(keeping, lead, -np.inf), actions, stakes)
        if (better == actions).all():
            _check_gains(gains, chain.rewards)
            return gains[:-1], bias[:-1], actions
        actions = better
    raise UnsolvableError(UNSETTLED)
