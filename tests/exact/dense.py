"""Dense methods and random models for tests of exact results; they share no code with those."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.tabular import Model, Outcome

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass
class Dense:
    """A model as dense arrays over all states and actions."""

    onward: Floats  # [states, actions, states]: without transitions that end the episode
    ends: Floats  # [states, actions]
    rewards: Floats  # [states, actions]
    start: Floats  # [states]

    @classmethod
    def of(cls, model: Model) -> "Dense":
        states, actions = model.num_states, model.num_actions
        dense = cls(
            np.zeros((states, actions, states)),
            np.zeros((states, actions)),
            np.zeros((states, actions)),
            model.start,
        )
        for s, row in model.table().items():
            for a, outcomes in row.items():
                for p, s_next, reward, terminated in outcomes:
                    dense.rewards[s, a] += p * reward
                    if terminated:
                        dense.ends[s, a] += p
                    else:
                        dense.onward[s, a, s_next] += p
        return dense

    @property
    def restarted(self) -> Floats:
        """Transitions with every end leading to the start.  [states, actions, states]."""
        return self.onward + self.ends[:, :, None] * self.start

    def under(self, policy: Floats) -> tuple[Floats, Floats, Floats]:
        """Transitions, ends and rewards of a policy."""
        return (
            np.einsum("sa,sat->st", policy, self.onward),
            (policy * self.ends).sum(axis=1),
            (policy * self.rewards).sum(axis=1),
        )


def long_run(chain: Floats) -> Floats:
    """The limiting average of a chain's powers. The lazy chain has the same one, and no period."""
    power = (np.eye(len(chain)) + chain) / 2
    for _ in range(50):
        power = power @ power
        power /= power.sum(axis=1, keepdims=True)
    return power


def dense_gain(dense: Dense, policy: Floats) -> Floats:
    """The average reward from each state, ends leading to the start.  [states]."""
    transitions, ends, rewards = dense.under(policy)
    return np.asarray(long_run(transitions + np.outer(ends, dense.start)) @ rewards)


def dense_totals(dense: Dense, policy: Floats) -> tuple[float, float]:
    """Expected return and length by the deviation matrix, with a state for ended episodes."""
    transitions, ends, rewards = dense.under(policy)
    size = len(rewards) + 1
    chain = np.zeros((size, size))
    chain[:-1, :-1], chain[:-1, -1], chain[-1, -1] = transitions, ends, 1.0
    limit = long_run(chain)
    start, paid = np.append(dense.start, 0.0), np.append(rewards, 0.0)
    deviation = np.linalg.solve(np.eye(size) - chain + limit, np.eye(size) - limit)
    stays = np.flatnonzero((start @ limit > 1e-9)[:-1])
    if not stays.size:
        steps = np.append(np.ones(size - 1), 0.0)
        return float(start @ deviation @ paid), float(start @ deviation @ steps)
    if not paid[stays].any():
        return float(start @ deviation @ paid), math.inf
    gains = (limit @ paid)[stays]
    if gains.max() > 1e-9 and gains.min() > -1e-9:
        return math.inf, math.inf
    if gains.min() < -1e-9 and gains.max() < 1e-9:
        return -math.inf, math.inf
    return math.nan, math.inf


def random_model(
    rng: np.random.Generator,
    states: int,
    actions: int,
    ending: float,
    *,
    branches: int = 2,
    traps: int = 0,
    rewards: tuple[float, ...] = (-1.0, 0.0, 0.0, 1.0),
) -> Model:
    """A model of few outcomes, with loops and ties; the first `traps` states stay for reward 0."""
    table: dict[int, dict[int, list[Outcome]]] = {}
    for s in range(states):
        table[s] = {}
        for a in range(actions):
            weights = rng.integers(1, 4, size=rng.integers(1, branches + 1))
            table[s][a] = [
                (
                    float(w / weights.sum()),
                    int(rng.integers(states)),
                    float(rng.choice(rewards)),
                    bool(rng.random() < ending),
                )
                for w in weights
            ]
            if s < traps:
                table[s][a] = [(1.0, s, 0.0, False)]
    start = rng.integers(0, 3, size=states).astype(float)
    start[rng.integers(states)] += 1
    return Model.from_table(table, start / start.sum())


def random_policy(rng: np.random.Generator, model: Model) -> Floats:
    """Random probabilities, some of them 0."""
    table = rng.random((model.num_states, model.num_actions))
    table *= rng.random(table.shape) < 0.6
    table[np.arange(len(table)), rng.integers(model.num_actions, size=len(table))] += 0.1
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def all_policies(model: Model) -> list[Floats]:
    """Every deterministic policy."""
    choices = itertools.product(range(model.num_actions), repeat=model.num_states)
    return [np.eye(model.num_actions)[list(actions)] for actions in choices]


def uniform(model: Model) -> Floats:
    """The policy that takes all actions with the same probability."""
    return np.full((model.num_states, model.num_actions), 1 / model.num_actions)


def same(one: float | None, other: float) -> bool:
    """Whether two numbers are nearly equal, or both the same infinity, or both nan."""
    return one is not None and bool(np.isclose(one, other, rtol=1e-7, atol=1e-8, equal_nan=True))
