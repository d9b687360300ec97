"""The algorithm of tabular Q-learning, compiled: how it chooses, and its two update rules.

Each step, the agent draws one uniform number, which decides both whether it explores and which
action it takes. The environment draws one for the outcome, and one for the start of an episode.

Masks are `allowed`, [states, actions]. None means that every action is allowed, and then numba
leaves the tests of masks out of the machine code.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridcade.agents import schedules
from gridcade.agents.compiled import compiled
from gridcade.agents.schedules import CompiledSchedule
from gridcade.agents.tabular_loop import Transition, World, world_step

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class CompiledHyperparameters(NamedTuple):
    """The hyperparameters, as compiled code takes them."""

    differential: bool
    discount: float
    average_reward_step_ratio: float
    step_size: CompiledSchedule
    epsilon: CompiledSchedule


value_at = compiled(schedules.value_at)


@compiled
def epsilon_at(epsilon: CompiledSchedule, visits: Ints, s: int, t: int) -> float:
    """Return epsilon in state s at step t."""
    state_visits = 1
    if epsilon.power != 0.0:
        for a in range(visits.shape[1]):
            state_visits += visits[s, a]
    return value_at(epsilon, t, state_visits)


@compiled
def is_allowed(allowed: Bools | None, s: int, a: int) -> bool:
    """Return whether action a is allowed in state s."""
    if allowed is None:
        return True
    return bool(allowed[s, a])


@compiled
def nth_allowed(allowed: Bools | None, s: int, nth: int) -> int:
    """Return the action with `nth` allowed actions before it."""
    if allowed is None:
        return nth
    a = 0
    while nth > 0 or not allowed[s, a]:
        nth -= allowed[s, a]
        a += 1
    return a


@compiled
def count_allowed(q: Floats, allowed: Bools | None, s: int) -> int:
    """Return the number of allowed actions in state s."""
    if allowed is None:
        return int(q.shape[1])
    return int(allowed[s].sum())


@compiled
def epsilon_greedy(
    q: Floats, s: int, epsilon: float, u: float, allowed: Bools | None = None
) -> int:
    """Choose an epsilon-greedy action among the allowed ones, with one number u in [0, 1).

    If u < epsilon, u / epsilon is again uniform and chooses among all actions. Otherwise, the rest
    of u chooses among the actions of highest value.
    """
    if u < epsilon:
        count = count_allowed(q, allowed, s)
        return nth_allowed(allowed, s, min(int(u / epsilon * count), count - 1))
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


@compiled
def max_q(q: Floats, s: int, allowed: Bools | None) -> float:
    """Return max_a Q(s, a) over the allowed actions."""
    first = nth_allowed(allowed, s, 0)
    highest: float = q[s, first]
    for a in range(first + 1, q.shape[1]):
        if is_allowed(allowed, s, a):
            highest = max(highest, q[s, a])
    return highest


@compiled
def watkins_update(
    q: Floats,  # [states, actions]
    visits: Ints,  # [states, actions]
    hyperparameters: CompiledHyperparameters,
    t: int,
    transition: Transition,
    allowed: Bools | None = None,  # [states, actions]
) -> None:
    """Update Q(s, a) after step t (Watkins & Dayan 1992).

    Q(s, a) += alpha (r + gamma max_b Q(s', b) - Q(s, a)), where a terminal s' has value 0 and the
    maximum is over the allowed actions.
    """
    s, a, r, s_next, terminated, _ = transition
    visits[s, a] += 1
    alpha = value_at(hyperparameters.step_size, t, visits[s, a])
    next_value = 0.0 if terminated else max_q(q, s_next, allowed)
    q[s, a] += alpha * (r + hyperparameters.discount * next_value - q[s, a])


@compiled
def differential_update(
    q: Floats,  # [states, actions]
    visits: Ints,  # [states, actions]
    average_reward: Floats,  # [1]
    hyperparameters: CompiledHyperparameters,
    t: int,
    transition: Transition,
    allowed: Bools | None = None,  # [states, actions]
) -> None:
    """Update Q(s, a) and the average reward after step t (Wan, Naik & Sutton 2021, eqs. 3 and 4).

    delta = r - average_reward + max_b Q(s', b) - Q(s, a)
    Q(s, a) += alpha delta
    average_reward += eta alpha delta

    The average is over all episodes: after termination, s' is the start of the next episode.
    """
    s, a, r, s_next, terminated, s_start = transition
    visits[s, a] += 1
    alpha = value_at(hyperparameters.step_size, t, visits[s, a])
    next_value = max_q(q, s_start if terminated else s_next, allowed)
    delta = r - average_reward[0] + next_value - q[s, a]
    q[s, a] += alpha * delta
    average_reward[0] += hyperparameters.average_reward_step_ratio * alpha * delta


@compiled
def run(
    q: Floats,  # [states, actions]
    visits: Ints,  # [states, actions]
    average_reward: Floats,  # [1]
    hyperparameters: CompiledHyperparameters,
    world: World,
    rng: np.random.Generator,
    step: int,
    until: int,
    allowed: Bools | None,  # [states, actions]
) -> None:
    """Learn in a world whose model is known, from one absolute step until another."""
    s = world.state[0]
    for t in range(step, until):
        epsilon = epsilon_at(hyperparameters.epsilon, visits, s, t)
        a = epsilon_greedy(q, s, epsilon, rng.random(), allowed)
        transition = world_step(world, s, a)
        if hyperparameters.differential:
            differential_update(q, visits, average_reward, hyperparameters, t, transition, allowed)
        else:
            watkins_update(q, visits, hyperparameters, t, transition, allowed)
        s = transition.current
