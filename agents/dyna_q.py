"""Tabular Dyna-Q and Dyna-Q+ (Sutton 1990): Q-learning, and planning with a learned model."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gridcade.agents.base import Tensors
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.epsilon_greedy import max_q, uniform_action, value_at
from gridcade.agents.tabular import Explanation, TabularAgent
from gridcade.agents.tabular_config import TabularConfig
from gridcade.agents.tabular_loop import Transition
from gridcade.agents.tabular_updates import (
    Bools,
    Floats,
    Ints,
    Learner,
    algorithm,
    next_state,
    one_step_update,
)
from gridcade.errors import InputError

MOST_PLANNING_STEPS = 1_000_000


@dataclass(frozen=True)
class DynaQConfig(TabularConfig):
    """Hyperparameters of tabular Dyna-Q."""

    planning_steps: int = 10
    """Updates from the model after each step, n. 0: Q-learning."""
    exploration_bonus: float = 0.0
    """Weight kappa of the bonus of Dyna-Q+, kappa sqrt(tau) after tau steps. 0: Dyna-Q."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if not 0 <= self.planning_steps <= MOST_PLANNING_STEPS:
            raise InputError(
                f"planning_steps is {self.planning_steps}; it must be between 0 and "
                f"{MOST_PLANNING_STEPS}"
            )
        if not 0 <= self.exploration_bonus < math.inf:
            raise InputError(
                f"exploration_bonus is {self.exploration_bonus}; it must be 0 or greater"
            )


class DynaModel(NamedTuple):
    """The learned model of the world: the last outcome of each state and action."""

    exploration_bonus: float
    tried: Bools  # [states, actions]
    rewards: Floats  # [states, actions]; 0 for untried actions
    next_states: Ints  # [states, actions]; the same state for untried actions
    ends: Bools  # [states, actions]: whether the next state is terminal
    tried_at: Ints  # [states, actions]: the step of the last try; 0 for untried actions
    observed: Ints  # [states]: the first `observed_count` are the states with tried actions
    observed_count: Ints  # [1]


@compiled_in_place
def dyna_q(learner: Learner, transition: Transition, t: int, numbers: Floats) -> None:
    """Learn from step t and plan (Sutton & Barto 2018, section 8.2, box Tabular Dyna-Q).

    Letters are those of the box. Each planning step uses one random number.
    """
    s_next = next_state(learner, transition)
    next_value = max_q(learner.q, s_next, learner.allowed) if s_next >= 0 else 0.0
    one_step_update(learner, transition, t, next_value)  # (d)
    learn_model(learner.own, transition, t)  # (e)
    for k in range(len(numbers)):  # (f)
        plan(learner, t, numbers[k])


@compiled_in_place
def learn_model(model: DynaModel, transition: Transition, t: int) -> None:
    """Store an outcome: Model(S, A) = R, S'. This assumes a deterministic world."""
    s, a = transition.s, transition.a
    if not model.tried[s].any():
        model.observed[model.observed_count[0]] = s
        model.observed_count[0] += 1
    model.tried[s, a] = True
    model.rewards[s, a] = transition.r
    model.next_states[s, a] = transition.s_next
    model.ends[s, a] = transition.terminated
    model.tried_at[s, a] = t


@compiled_in_place
def plan(learner: Learner, t: int, u: float) -> None:
    """Update Q(S, A) from the model, for a random observed state S and an action A tried there.

    Q(S, A) += alpha [R + kappa sqrt(tau) + gamma max_a Q(S', a) - Q(S, A)]

    With the bonus of Dyna-Q+ (section 8.3), tau is the number of steps since the last try, and
    untried actions are planned too, as if they led back to the same state for reward 0 (footnote).
    """
    q, model, hyperparameters = learner.q, learner.own, learner.hyperparameters
    position = u * model.observed_count[0]
    s = model.observed[int(position)]
    rest = position - int(position)  # uniform in [0, 1), like u
    if model.exploration_bonus > 0.0:
        a = uniform_action(q, s, rest, learner.allowed)
    else:
        a = uniform_action(q, s, rest, model.tried)
    r = model.rewards[s, a]
    if model.exploration_bonus > 0.0:
        r += model.exploration_bonus * math.sqrt(t - model.tried_at[s, a])
    next_value = 0.0 if model.ends[s, a] else max_q(q, model.next_states[s, a], learner.allowed)
    alpha = value_at(hyperparameters.step_size, t, max(learner.visits[s, a], 1))
    q[s, a] += alpha * (r + hyperparameters.discount * next_value - q[s, a])


class DynaQ(TabularAgent[DynaQConfig]):
    """A Dyna-Q agent.

    Planning does not count as visits: step sizes and epsilons that decay depend on real steps only.
    """

    name = "dyna-q"
    config_type = DynaQConfig
    algorithm = algorithm(dyna_q)

    @property
    def numbers_per_update(self) -> int:
        """One for each planning step."""
        return self.config.planning_steps

    def new_tables(self) -> Tensors:
        """Make a model without observations."""
        shape = self.q.shape
        return {
            "tried": np.zeros(shape, dtype=bool),
            "rewards": np.zeros(shape),
            "next_states": np.repeat(np.arange(shape[0])[:, None], shape[1], axis=1),
            "ends": np.zeros(shape, dtype=bool),
            "tried_at": np.zeros(shape, dtype=np.int64),
            "observed": np.zeros(shape[0], dtype=np.int64),
            "observed_count": np.zeros(1, dtype=np.int64),
        }

    def own(self, episode: Tensors) -> DynaModel:
        """Return the model for compiled code."""
        del episode
        return DynaModel(float(self.config.exploration_bonus), **self.own_tables)

    def explain(self, before: Tensors, transition: Transition, t: int) -> Explanation:
        """Explain the update by Q-learning; planning may change the value again afterwards."""
        explanation = super().explain(before, transition, t)
        q, alpha, r, gamma, next_value = explanation.terms.values()
        return explanation._replace(
            formula=f"{explanation.formula}; then {self.config.planning_steps} planning steps",
            new=q + alpha * (r + gamma * next_value - q),
        )

    def take_over(self, old: TabularAgent[DynaQConfig], numbers: Ints) -> None:
        """Continue the learning of another agent, without outcomes that led to removed states."""
        super().take_over(old, numbers)
        model, known = DynaModel(0.0, **self.own_tables), numbers >= 0
        new_numbers = np.full(len(old.q), -1)
        new_numbers[numbers[known]] = np.flatnonzero(known)
        next_states = new_numbers[model.next_states[known]]
        lost = next_states < 0
        stays = np.broadcast_to(np.flatnonzero(known)[:, None], lost.shape)
        model.next_states[known] = np.where(lost, stays, next_states)
        model.rewards[known] *= ~lost
        for table in (model.tried, model.ends):
            table[known] &= ~lost
        observed = np.flatnonzero(model.tried.any(axis=1))
        model.observed[: len(observed)] = observed
        model.observed_count[0] = len(observed)


make = DynaQ.make
