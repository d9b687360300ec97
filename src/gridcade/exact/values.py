"""Exact values of a policy where the model is known, to stand beside estimates."""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Policy, StochasticPolicy
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.errors import InputError
from gridcade.exact import solver

Floats = NDArray[np.float64]
STATES_AT_ONCE = 512  # observations handed to a policy, when its whole table is asked for


@dataclass(frozen=True)
class Exact:
    """The exact values of the policy that was evaluated, its epsilon and tie-breaks included."""

    expected_return: float | None  # as run: with the time limit
    average_reward: float  # as run
    unlimited_return: float | None
    unlimited_average_reward: float
    optimal_return: float | None
    optimal_average_reward: float
    gap_return: float | None  # optimal less unlimited
    gap_average_reward: float


def policy_table(
    policy: Policy, env: gym.Env[Any, Any], model: Model, deterministic: bool = True
) -> Floats | None:
    """A policy's action probabilities in every state [states, actions]; None if it cannot tell.

    One that only predicts is asked twice: where its answers differ it is not a function of states.
    """
    bare = env.unwrapped
    encode = bare.encode if isinstance(bare, TabularEnv) else None
    if encode is None and not isinstance(env.observation_space, gym.spaces.Discrete):
        return None
    rows = []
    for low in range(0, model.num_states, STATES_AT_ONCE):
        states = np.arange(low, min(low + STATES_AT_ONCE, model.num_states))
        observations = np.array([encode(int(s)) for s in states]) if encode else states
        if isinstance(policy, StochasticPolicy):
            rows.append(policy.probabilities(observations, deterministic))
            continue
        starts = np.ones(len(states), dtype=bool)
        actions, inner = policy.predict(observations, None, starts, deterministic)
        again, _ = policy.predict(observations, None, starts, deterministic)
        if inner is not None or not deterministic or not np.array_equal(actions, again):
            return None
        rows.append(np.eye(model.num_actions)[np.asarray(actions, dtype=np.int64)])
    return np.concatenate(rows)


def two_values(model: Model | None) -> tuple[float, float] | None:
    """The two returns there can be, if the only rewards are one value, paid at ends."""
    if model is None:
        return None
    paying = model.rewards != 0
    values = set(model.rewards[paying].tolist())
    if len(values) != 1 or not model.terminated[paying].all():
        return None
    value = values.pop()
    return min(0.0, value), max(0.0, value)


def exact_values(
    model: Model, table: Floats, limit: int | None, discount: float
) -> tuple[Exact, list[str]]:
    """The exact values of a policy [states, actions], and what a reader should know of them."""
    unlimited = solver.policy_value(model, table, discount)
    run = solver.policy_value(model, table, discount, limit) if limit else unlimited
    notes = []
    optimal_return = None
    if not model.continuing:
        try:
            optimal_return = solver.solve(model, "return").value
        except InputError as error:
            notes.append(f"no optimal return: {error}")
    optimal_gain = solver.solve(model, "average-reward").average_reward
    if unlimited.episode_length == math.inf:
        notes.append("without the time limit an episode of this policy may never end")
    exact = Exact(
        expected_return=run.expected_return,
        average_reward=run.average_reward,
        unlimited_return=unlimited.expected_return,
        unlimited_average_reward=unlimited.average_reward,
        optimal_return=optimal_return,
        optimal_average_reward=optimal_gain,
        gap_return=_gap(optimal_return, unlimited.expected_return),
        gap_average_reward=_gap(optimal_gain, unlimited.average_reward) or 0.0,
    )
    return exact, notes


def _gap(optimal: float | None, value: float | None) -> float | None:
    """How much less than the optimum; rounding errors are none."""
    if optimal is None or value is None:
        return None
    return 0.0 if math.isclose(optimal, value, rel_tol=1e-9, abs_tol=1e-12) else optimal - value
