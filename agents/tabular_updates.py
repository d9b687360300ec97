"""The compiled code that tabular agents share: choice of actions, one-step updates, and `run`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.compiled import compiled_in_place, compiled_with
from gridcade.agents.epsilon_greedy import epsilon_at, epsilon_greedy, value_at
from gridcade.agents.tabular_config import CompiledHyperparameters
from gridcade.agents.tabular_loop import Transition, World, record_is_full, world_step

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Learner(NamedTuple):
    """Everything that an update reads and changes, for compiled code."""

    q: Floats  # [states, actions]
    visits: Ints  # [states, actions]
    average_reward: Floats  # [1]: the estimate
    allowed: Bools | None  # [states, actions]; None: all
    hyperparameters: CompiledHyperparameters
    own: Any  # a NamedTuple with the data that only this kind of agent needs; None: no such data


# Chooses an action in state s at step t, with a uniform random number.
Choose = Callable[[Learner, int, int, float], int]
# Learns from the transition of step t, with an array of uniform random numbers.
Learn = Callable[[Learner, Transition, int, Floats], None]


@compiled_in_place
def choose_epsilon_greedy(learner: Learner, s: int, t: int, u: float) -> int:
    """Choose an epsilon-greedy action in state s at step t, with one number u in [0, 1)."""
    epsilon = epsilon_at(learner.hyperparameters.epsilon, learner.visits, s, t)
    return epsilon_greedy(learner.q, s, epsilon, u, learner.allowed)


@compiled_in_place
def next_state(learner: Learner, transition: Transition) -> int:
    """Return the state S' whose value an update reads; -1: S' is terminal, and its value is 0.

    An average reward spans all episodes: after a termination, S' is the start of the next episode.
    """
    if not transition.terminated:
        return transition.s_next
    return transition.current if learner.hyperparameters.differential else -1


@compiled_in_place
def count_visit(learner: Learner, s: int, a: int, t: int) -> float:
    """Count an update of Q(s, a), and return its step size alpha."""
    learner.visits[s, a] += 1
    return value_at(learner.hyperparameters.step_size, t, learner.visits[s, a])


@compiled_in_place
def one_step_update(learner: Learner, transition: Transition, t: int, next_value: float) -> None:
    """Update Q(S, A) after step t; `next_value` is the value of S', such as max_a Q(S', a).

    Discounted: Q(S, A) += alpha [R + gamma next_value - Q(S, A)].

    Average reward (Sutton & Barto 2018, section 10.3; Wan, Naik & Sutton 2021, eqs. 3 and 4):
    delta = R - average + next_value - Q(S, A); Q(S, A) += alpha delta; average += eta alpha delta.
    """
    q, average, hyperparameters = learner.q, learner.average_reward, learner.hyperparameters
    s, a, r = transition.s, transition.a, transition.r
    alpha = count_visit(learner, s, a, t)
    if hyperparameters.differential:
        delta = r - average[0] + next_value - q[s, a]
        q[s, a] += alpha * delta
        average[0] += hyperparameters.average_reward_step_ratio * alpha * delta
    else:
        q[s, a] += alpha * (r + hyperparameters.discount * next_value - q[s, a])


if TYPE_CHECKING:  # `algorithm` gives `run` the functions of a kind of agent by these names

    def choose(learner: Learner, s: int, t: int, u: float) -> int:
        """Choose an action in state s at step t, with one number u in [0, 1)."""
        ...

    def learn(learner: Learner, transition: Transition, t: int, numbers: Floats) -> None:
        """Learn from the transition of step t, with random numbers in [0, 1)."""
        ...


def run(
    learner: Learner,
    numbers: Floats,  # a buffer for the random numbers of one update
    world: World,
    rng: np.random.Generator,
    step: int,
    until: int,
) -> int:
    """Learn in a world whose model is known, from the absolute step `step` to `until`.

    Returns:
        The step after the last one: `until`, or an earlier one if `record_is_full`.
    """
    s = world.state[0]
    for t in range(step, until):
        if record_is_full(world):
            return t
        a = choose(learner, s, t, rng.random())
        transition = world_step(world, s, a)
        for k in range(len(numbers)):
            numbers[k] = rng.random()
        learn(learner, transition, t, numbers)
        s = transition.current
    return max(step, until)


class Algorithm(NamedTuple):
    """The compiled functions of a kind of agent."""

    choose: Choose
    learn: Learn
    run: Callable[[Learner, Floats, World, np.random.Generator, int, int], int]


def algorithm(learn: Learn, choose: Choose = choose_epsilon_greedy) -> Algorithm:
    """Return the compiled functions of a kind of agent, with its own copy of `run`."""
    return Algorithm(choose, learn, compiled_with(run, choose=choose, learn=learn))
