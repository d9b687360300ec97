"""The Markov chain of a policy on a model, and the linear equations that evaluate it.

All matrices are sparse. Whether an episode can end is decided by reachability in the graph of the
chain, not by numerical values, so a policy that may never end is recognized reliably.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import SuperLU, splu

from gridcade.envs.tabular import Model
from gridcade.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOLERANCE = 1e-9  # relative; values that differ by less count as equal
NEGLIGIBLE = 1e-15  # smaller probabilities count as 0: they may be rounding errors
SUM_TOLERANCE = 1e-6  # allowed error of a policy's row sums, large enough for float32
TOO_LONG = "the episodes are too long to be solved"


class UnsolvableError(InputError):
    """The numbers of a model exceed floating-point precision, or no finite solution exists."""


@dataclass(frozen=True)
class Chain:
    """The Markov chain of a policy on a model, until the end of an episode."""

    transitions: sparse.csr_array  # [states, states], without the outcomes that end an episode
    rewards: Floats  # [states]: expected reward of one step
    ends: Floats  # [states]: probability that one step ends the episode

    @classmethod
    def of(cls, model: Model, policy: ArrayLike) -> "Chain":
        """Build the chain of a policy, [states, actions].

        Raises:
            InputError: the policy has another shape, or a row is no probability distribution.
        """
        table = np.asarray(policy, dtype=np.float64)
        shape = (model.num_states, model.num_actions)
        if table.shape != shape:
            raise InputError(f"the policy has shape {table.shape}; the model needs {shape}")
        sums = table.sum(axis=1, keepdims=True)
        if not (table >= 0).all() or not (np.abs(sums - 1) < SUM_TOLERANCE).all():
            raise InputError("the policy has a row that is not a probability distribution")
        table = table / sums
        weights = table.ravel()[model.rows] * model.probabilities  # [outcomes]
        weights[weights < NEGLIGIBLE] = 0
        states = model.rows // model.num_actions
        kept = ~model.terminated & (weights > 0)
        return cls(
            transitions=sparse_matrix(
                weights[kept], states[kept], model.next_states[kept], model.num_states
            ),
            rewards=sum_by_index(states, weights * model.rewards, model.num_states),
            ends=sum_by_index(states, weights * model.terminated, model.num_states),
        )

    def restricted(self, states: Ints) -> "Chain":
        """Return the chain on a subset of the states that it never leaves."""
        return Chain(self.transitions[states][:, states], self.rewards[states], self.ends[states])

    def restarted(self, start: Floats) -> tuple[sparse.csr_array, Floats, Floats]:
        """Build the chain of successive episodes.

        An additional last state connects the episodes: every end leads to it, and it leads, in 0
        steps, to a first state sampled from `start`, [states]. (Edges from every end to every
        start would make the matrix dense.)

        Returns:
            Transitions, [states + 1, states + 1], rewards and durations, each [states + 1].
        """
        blocks: list[list[sparse.csr_array | None]] = [
            [self.transitions, sparse.csr_array(self.ends[:, None])],
            [sparse.csr_array(start[None, :]), None],
        ]
        durations = np.ones(len(start) + 1)
        durations[-1] = 0.0
        matrix = sparse.csr_array(sparse.block_array(blocks))
        matrix.eliminate_zeros()
        return matrix, np.append(self.rewards, 0.0), durations


def gain_and_bias(
    transitions: sparse.csr_array, rewards: Floats, durations: Floats
) -> tuple[Floats, Floats]:
    """Compute gain and bias of every state of a chain with any number of recurrent classes.

    The gain g is the long-run average reward per step (Puterman's term); the bias h is the
    expected sum of the differences between the rewards and the gain. They solve h + g d = r + P h
    and P g = g, with h = 0 in the first state of each recurrent class (Puterman 1994, section
    8.2.3).

    Args:
        transitions: P, [states, states].
        rewards: r, [states].
        durations: d, [states]: the steps spent at each visit, 1 or 0.

    Returns:
        Gain and bias, each [states].
    """
    size = len(rewards)
    gains, bias = np.zeros(size), np.zeros(size)
    labels, recurrent = communicating_classes(transitions)
    sizes = np.bincount(labels)
    absorbing = recurrent[labels] & (sizes[labels] == 1)
    gains[absorbing] = rewards[absorbing] / durations[absorbing]
    for label in np.flatnonzero(recurrent & (sizes > 1)):
        members = np.flatnonzero(labels == label)
        system = sparse.eye_array(len(members)) - transitions[members][:, members]
        # The bias of the first state is 0, so its column is used for the unknown gain.
        columns = [system.tocsc()[:, 1:], sparse.csc_array(durations[members][:, None])]
        solution = factorize(sparse.hstack(columns)).solve(rewards[members])
        bias[members[1:]] = solution[:-1]
        gains[members] = solution[-1]
    transient = np.flatnonzero(~recurrent[labels])
    if transient.size:
        rest = np.flatnonzero(recurrent[labels])
        outward = transitions[transient][:, rest]
        system = sparse.eye_array(len(transient)) - transitions[transient][:, transient]
        lu = factorize(system)
        absorbed = lu.solve(np.stack([outward @ gains[rest], outward @ np.ones(len(rest))], axis=1))
        # The second column is the probability of absorption, 1 except for rounding errors.
        gains[transient] = absorbed[:, 0] / absorbed[:, 1]
        surplus = rewards[transient] - gains[transient] * durations[transient]
        bias[transient] = lu.solve(surplus + outward @ bias[rest])
    return gains, bias


def check_gains(gains: Floats, rewards: Floats) -> None:
    """Raise UnsolvableError if a gain lies outside the range of the expected rewards.

    Rounding errors cause this if the probability of leaving a state is near machine precision.
    """
    slack = TOLERANCE * np.abs(rewards).max()
    if gains.min() < rewards.min() - slack or gains.max() > rewards.max() + slack:
        raise UnsolvableError(TOO_LONG)


def communicating_classes(transitions: sparse.csr_array) -> tuple[Ints, NDArray[np.bool_]]:
    """Find the class of each state, [states], and whether each class is recurrent, [classes]."""
    count, labels = connected_components(transitions, directed=True, connection="strong")
    edges = transitions.tocoo()
    recurrent = np.full(count, True)
    recurrent[labels[edges.row[labels[edges.row] != labels[edges.col]]]] = False
    return labels.astype(np.int64), recurrent


def reachable(graph: sparse.csr_array, sources: Ints) -> NDArray[np.bool_]:
    """Mark the states that can be reached from a source, and the sources.  [states]."""
    return fewest_steps(graph, sources) < np.inf


def reachable_states(model: Model) -> NDArray[np.bool_]:
    """Mark the states that some policy can reach from a start.  [states]."""
    return reachable(Chain.of(model, model.uniform).transitions, np.flatnonzero(model.start))


def fewest_steps(graph: sparse.csr_array, sources: Ints) -> Floats:
    """Count the fewest edges from a source to each state; infinite without a path.  [states]."""
    if not len(sources):
        return np.full(graph.shape[0], np.inf)
    return np.asarray(dijkstra(graph, indices=sources, unweighted=True, min_only=True))


@dataclass(frozen=True)
class Outcomes:
    """The rewards that a policy can receive, and the structure of its chain."""

    rewards: tuple[float, ...]  # distinct expected rewards of the outcomes, ascending
    fixed_rewards: tuple[float, ...]  # the same, only of outcomes whose reward is not random
    deterministic: bool  # the start and every step have one outcome, whose reward is not random
    states: int  # number of states that the policy can reach
    recurrent_classes: int  # number of groups of these states that are never left


def possible_outcomes(model: Model, policy: Floats) -> Outcomes:
    """Find the outcomes that are possible if a policy, [states, actions], acts from a start."""
    chain = Chain.of(model, policy)
    starts = np.flatnonzero(model.start)
    reached = reachable(chain.transitions, starts)
    weights = policy.ravel()[model.rows] * model.probabilities
    states = model.rows // model.num_actions
    possible = (weights >= NEGLIGIBLE) & reached[states]
    noisy = possible & ((0.0 if model.deviations is None else model.deviations) > 0)
    inside = np.flatnonzero(reached)
    _, recurrent = communicating_classes(chain.transitions[inside][:, inside])
    return Outcomes(
        rewards=tuple(sorted(set(model.rewards[possible].tolist()))),
        fixed_rewards=tuple(sorted(set(model.rewards[possible & ~noisy].tolist()))),
        deterministic=(
            starts.size == 1 and int(possible.sum()) == int(reached.sum()) and not noisy.any()
        ),
        states=int(reached.sum()),
        recurrent_classes=int(recurrent.sum()),
    )


def sum_by_index(indices: Ints, numbers: Floats, size: int) -> Floats:
    """Sum the numbers that share an index.  [size]."""
    return np.bincount(indices, numbers, size).astype(np.float64)  # NumPy's stub says integers


def sparse_matrix(weights: Floats, rows: Ints, columns: Ints, size: int) -> sparse.csr_array:
    """Build a square matrix from entries; entries at one position are added.  [size, size]."""
    return sparse.csr_array(sparse.coo_array((weights, (rows, columns)), shape=(size, size)))


def expected_totals(transitions: sparse.csr_array, rewards: Floats) -> Floats:
    """Solve v = r + P v: the expected sum of rewards, where every state is transient.

    Args:
        transitions: P, [states, states].
        rewards: r, [states], or several kinds of rewards, [states, kinds].

    Returns:
        v, of the shape of `rewards`.
    """
    return np.asarray(factorize(sparse.eye_array(len(rewards)) - transitions).solve(rewards))


def factorize(system: Any) -> SuperLU:
    """Compute the LU factors of a sparse matrix.

    Raises:
        UnsolvableError: rounding makes the matrix singular.
    """
    try:
        return splu(sparse.csc_array(system))
    except RuntimeError:
        raise UnsolvableError(TOO_LONG) from None
