"""Exact values of a policy in an environment whose model is known, reported beside estimates."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Policy, StochasticPolicy
from gridcade.agents.masked_policies import predict_allowed, probabilities_of
from gridcade.agents.predictions import check_probabilities
from gridcade.envs.actions import action_index
from gridcade.envs.states import finite_states
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.exact.solver import Criterion, UnsolvableError
from gridcade.formatting import format_number

Floats = NDArray[np.float64]
BATCH_STATES = 512  # observations in one call of a policy; bounds the memory for pixels
NAMES: dict[Criterion, str] = {
    "return": "return",
    "discounted": "discounted return",
    "average-reward": "average reward",
}


@dataclass(frozen=True)
class ExactValues:
    """The exact values of a policy, with epsilon mixed in, and of the optimal policies."""

    expected_return: float | None  # within the environment's time limit; None: continuing task
    average_reward: float  # within the time limit
    discounted_return: float  # within the time limit
    episode_length: float | None  # steps, within the time limit; None: continuing task
    unlimited_return: float | None
    unlimited_average_reward: float
    unlimited_discounted_return: float
    optimal_return: float | None  # without time limit; None: not defined
    optimal_average_reward: float
    optimal_discounted_return: float | None
    gap_return: float | None  # optimal minus unlimited
    gap_average_reward: float
    gap_discounted_return: float | None


def policy_table(
    policy: Policy,
    env: Env,
    model: Model,
    deterministic: bool = True,
    check: Callable[[], None] = lambda: None,
) -> Floats | None:
    """Compute a policy's action probabilities in every state, [states, actions].

    A policy without `probabilities` is called twice in every state. Its probabilities are unknown
    if it keeps an inner state, if its actions differ, or if `deterministic` is False. A policy
    that uses masks gets those of the model.

    Args:
        policy: the policy.
        env: the environment.
        model: its model.
        deterministic: whether the policy acts deterministically, for example greedily.
        check: called repeatedly; it can stop the computation by raising an exception.

    Returns:
        The probabilities; None if they, or the states' observations, are unknown.
    """
    bare = env.unwrapped
    encode = bare.encode if isinstance(bare, TabularEnv) else None
    numbers = finite_states(env.observation_space)
    if encode is None and numbers is None:
        return None
    index = action_index(env.action_space)
    rows = []
    for first in range(0, model.num_states, BATCH_STATES):
        check()
        states = np.arange(first, min(first + BATCH_STATES, model.num_states))
        observations: Any = states
        if encode is not None:
            observations = np.array([encode(int(s)) for s in states])
        elif numbers is not None:
            observations = numbers.batch(states)
        masks = None if model.allowed is None else model.allowed[states]
        if isinstance(policy, StochasticPolicy):
            table = probabilities_of(policy, observations, deterministic, masks)
            rows.append(check_probabilities(policy, table, len(states), model.num_actions))
            continue
        starts = np.ones(len(states), dtype=bool)
        (actions, inner_state), (repeated, _) = (
            predict_allowed(
                policy, observations, None, starts, deterministic, masks, index, env.action_space
            )
            for _ in range(2)
        )
        if inner_state is not None or not deterministic or not np.array_equal(actions, repeated):
            return None
        rows.append(np.eye(model.num_actions)[index.encode(np.asarray(actions, dtype=np.int64))])
    return np.concatenate(rows)


def two_possible_returns(model: Model | None) -> tuple[float, float] | None:
    """Return the low and the high return of an episode, if the model allows only two; else None.

    Recognizes the models in which all rewards other than 0 have one value and end the episode.
    """
    if model is None or (model.deviations is not None and model.deviations.any()):
        return None
    nonzero = model.rewards != 0
    values = set(model.rewards[nonzero].tolist())
    if len(values) != 1 or not model.terminated[nonzero].all():
        return None
    value = values.pop()
    return min(0.0, value), max(0.0, value)


def informative_criteria(model: Model, discount: float = 0.99) -> dict[Criterion, bool]:
    """Find whether each criterion tells policies apart: whether the best value exceeds the worst.

    For example, if every step costs 1 and nothing else is paid, every policy has the same average
    reward. Criteria that have no optimum in this model are missing from the result.

    Args:
        model: the model.
        discount: discount factor of the discounted return.
    """
    solver.check_discount(discount)
    informative: dict[Criterion, bool] = {}
    for criterion in get_args(Criterion):
        try:
            best = solver.solve(model, criterion, discount).value
        except InputError:
            continue
        informative[criterion] = _is_informative(model, criterion, best, discount)
    return informative


def _is_informative(model: Model, criterion: Criterion, best: float, discount: float) -> bool:
    """Whether some policy has a smaller value than the best one.

    The worst policy is the best one for negated rewards. Under `return`, both are among the
    policies whose episodes end with probability 1.
    """
    negated = replace(model, rewards=-model.rewards)
    try:
        return _gap(best, -solver.solve(negated, criterion, discount).value) != 0
    except UnsolvableError:  # for example, the worst return is unbounded
        return True


def _uninformative_notes(
    model: Model, optima: dict[Criterion, float], discount: float
) -> list[str]:
    """Write notes on those criteria of `optima` under which all policies have the same value."""
    informative: dict[Criterion, bool] = {
        criterion: _is_informative(model, criterion, best, discount)
        for criterion, best in optima.items()
    }
    others = " or the ".join(NAMES[criterion] for criterion, tells in informative.items() if tells)
    return [
        _uninformative_note(criterion, optima[criterion])
        + (f" Compare the {others}." if others else "")
        for criterion, tells in informative.items()
        if not tells
    ]


def _uninformative_note(criterion: Criterion, value: float) -> str:
    """Write a note on a criterion under which all policies have this value."""
    policies = "every policy that is sure to end" if criterion == "return" else "every policy"
    name = NAMES[criterion]
    return f"The {name} does not tell policies apart here: {policies} has {format_number(value)}."


def solution_note(model: Model, solution: solver.Solution) -> str | None:
    """Write a note on a solution in which all states have the same value; else return None.

    The note names the criteria under which the values of the states differ.
    """
    if solver.tells_states_apart(model, solution):
        return None
    discount = 0.99 if solution.discount is None else solution.discount
    others = []
    for criterion in get_args(Criterion):
        try:
            other = solver.solve(model, criterion, discount)
        except InputError:
            continue
        if solver.tells_states_apart(model, other):
            others.append(criterion)
    if _is_informative(model, solution.criterion, solution.value, discount):
        name = NAMES[solution.criterion]
        note = f"The {name} does not tell states apart here: all of them have the same value."
    else:
        note = _uninformative_note(solution.criterion, solution.value)
    return f"{note} Try --criterion {' or '.join(others)}." if others else note


def exact_values(
    model: Model, table: Floats, time_limit: int | None, discount: float
) -> tuple[ExactValues, list[str]]:
    """Compute the exact values of a policy, [states, actions], and notes that explain them.

    Raises:
        UnsolvableError: without a time limit, the episodes are too long to be solved.
    """
    unlimited = solver.policy_value(model, table, discount)
    limited = solver.policy_value(model, table, discount, time_limit) if time_limit else unlimited
    notes = []
    optima: dict[Criterion, float] = {
        "average-reward": solver.solve(model, "average-reward").average_reward
    }
    others: tuple[Criterion, ...] = (
        ("discounted",) if model.continuing else ("return", "discounted")
    )
    for criterion in others:
        try:
            optima[criterion] = solver.solve(model, criterion, discount).value
        except InputError as error:
            notes.append(f"No optimal {NAMES[criterion]}: {error}.")
    notes += _uninformative_notes(model, optima, discount)
    if unlimited.episode_length == math.inf:
        notes.append("Without a time limit, an episode of this policy may never end.")
    exact = ExactValues(
        expected_return=limited.expected_return,
        average_reward=limited.average_reward,
        discounted_return=limited.discounted_return,
        episode_length=limited.episode_length,
        unlimited_return=unlimited.expected_return,
        unlimited_average_reward=unlimited.average_reward,
        unlimited_discounted_return=unlimited.discounted_return,
        optimal_return=optima.get("return"),
        optimal_average_reward=optima["average-reward"],
        optimal_discounted_return=optima.get("discounted"),
        gap_return=_gap(optima.get("return"), unlimited.expected_return),
        gap_average_reward=_gap(optima["average-reward"], unlimited.average_reward) or 0.0,
        gap_discounted_return=_gap(optima.get("discounted"), unlimited.discounted_return),
    )
    return exact, notes


def gap_between(optimal: float, value: float) -> float:
    """Return the optimum minus a value; 0 if they differ by rounding errors only."""
    return 0.0 if math.isclose(optimal, value, rel_tol=1e-9, abs_tol=1e-12) else optimal - value


def _gap(optimal: float | None, value: float | None) -> float | None:
    """Return `gap_between` two values; None if one of them is undefined."""
    return None if optimal is None or value is None else gap_between(optimal, value)
