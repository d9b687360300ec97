"""Epsilon-greedy policies of tabular agents, compiled.

One uniform number decides both whether an agent explores and which action it takes.

Masks are `allowed`, [states, actions]. None means that every action is allowed; numba then leaves
the tests of masks out of the machine code.
"""

import numpy as np
from numpy.typing import NDArray

from gridcade.agents import schedules
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.schedules import CompiledSchedule

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


value_at = compiled_in_place(schedules.value_at)


@compiled_in_place
def epsilon_at(epsilon: CompiledSchedule, visits: Ints, s: int, t: int) -> float:
    """Return epsilon in state s at step t."""
    state_visits = 1
    if epsilon.power != 0.0:
        for a in range(visits.shape[1]):
            state_visits += visits[s, a]
    return value_at(epsilon, t, state_visits)


@compiled_in_place
def is_allowed(allowed: Bools | None, s: int, a: int) -> bool:
    """Return whether action a is allowed in state s."""
    if allowed is None:
        return True
    return bool(allowed[s, a])


@compiled_in_place
def nth_allowed(allowed: Bools | None, s: int, nth: int) -> int:
    """Return the action with `nth` allowed actions before it."""
    if allowed is None:
        return nth
    a = 0
    while nth > 0 or not allowed[s, a]:
        nth -= allowed[s, a]
        a += 1
    return a


@compiled_in_place
def count_allowed(q: Floats, allowed: Bools | None, s: int) -> int:
    """Return the number of allowed actions in state s."""
    if allowed is None:
        return int(q.shape[1])
    return int(allowed[s].sum())


@compiled_in_place
def uniform_action(q: Floats, s: int, u: float, allowed: Bools | None) -> int:
    """Choose among the allowed actions with equal probabilities, with one number u in [0, 1)."""
    count = count_allowed(q, allowed, s)
    return nth_allowed(allowed, s, min(int(u * count), count - 1))


@compiled_in_place
def epsilon_greedy(
    q: Floats, s: int, epsilon: float, u: float, allowed: Bools | None = None
) -> int:
    """Choose an epsilon-greedy action among the allowed ones, with one number u in [0, 1).

    If u < epsilon, u / epsilon is uniform again and chooses among all allowed actions. Otherwise,
    (u - epsilon) / (1 - epsilon) chooses among the actions of highest value.
    """
    if u < epsilon:
        return uniform_action(q, s, u / epsilon, allowed)
    best, ties = nth_allowed(allowed, s, 0), 1
    for a in range(best + 1, q.shape[1]):
        if not is_allowed(allowed, s, a):
            continue
        if q[s, a] > q[s, best]:
            best, ties = a, 1
        elif q[s, a] == q[s, best]:
            ties += 1
    if ties > 1:
        nth = min(int((u - epsilon) / (1.0 - epsilon) * ties), ties - 1)
        highest = q[s, best]
        while nth > 0:
            best += 1
            if q[s, best] == highest and is_allowed(allowed, s, best):
                nth -= 1
    return best


@compiled_in_place
def max_q(q: Floats, s: int, allowed: Bools | None) -> float:
    """Return max_a Q(s, a) over the allowed actions."""
    first = nth_allowed(allowed, s, 0)
    highest: float = q[s, first]
    for a in range(first + 1, q.shape[1]):
        if is_allowed(allowed, s, a):
            highest = max(highest, q[s, a])
    return highest


@compiled_in_place
def expected_q(q: Floats, s: int, epsilon: float, allowed: Bools | None) -> float:
    """Return sum_a pi(a|s) Q(s, a) of the epsilon-greedy policy pi."""
    total = 0.0
    for a in range(q.shape[1]):
        if is_allowed(allowed, s, a):
            total += q[s, a]
    return (1.0 - epsilon) * max_q(q, s, allowed) + epsilon * total / count_allowed(q, allowed, s)
