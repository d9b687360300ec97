"""Tabular double Q-learning (van Hasselt 2010)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gridcade.agents.base import Tensors
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.epsilon_greedy import epsilon_greedy, value_at
from gridcade.agents.tabular import Explanation, TabularAgent
from gridcade.agents.tabular_config import TabularConfig
from gridcade.agents.tabular_loop import Transition
from gridcade.agents.tabular_updates import Floats, Ints, Learner, algorithm

SUBSCRIPTS = {1: "₁", 2: "₂"}


@dataclass(frozen=True)
class DoubleQLearningConfig(TabularConfig):
    """Hyperparameters of tabular double Q-learning.

    If the step size decays, each of the two tables counts its own updates.
    """


class DoubleTables(NamedTuple):
    """The two tables of action values; the agent acts by their mean, `Learner.q`."""

    q1: Floats  # [states, actions]
    q2: Floats
    updates1: Ints  # [states, actions]: number of updates of each value in q1
    updates2: Ints  # the same for q2


@compiled_in_place
def double_q_learning(learner: Learner, transition: Transition, t: int, numbers: Floats) -> None:
    """Update Q1(S, A) or Q2(S, A), each with probability 0.5, after step t.

    One random number selects the table, and then breaks ties between actions.
    """
    s, a, own, u = transition.s, transition.a, learner.own, numbers[0]
    learner.visits[s, a] += 1
    if u < 0.5:
        update_one_table(learner, transition, t, own.q1, own.q2, own.updates1, 2.0 * u)
    else:
        update_one_table(learner, transition, t, own.q2, own.q1, own.updates2, 2.0 * u - 1.0)
    learner.q[s, a] = (own.q1[s, a] + own.q2[s, a]) / 2.0


@compiled_in_place
def update_one_table(
    learner: Learner,
    transition: Transition,
    t: int,
    q1: Floats,  # is updated
    q2: Floats,
    updates: Ints,
    u: float,
) -> None:
    """Update Q1(S, A) (Sutton & Barto 2018, eq. 6.10).

    Q1(S, A) += alpha [R + gamma Q2(S', argmax_a Q1(S', a)) - Q1(S, A)]
    """
    s, a, r, s_next = transition.s, transition.a, transition.r, transition.s_next
    updates[s, a] += 1
    alpha = value_at(learner.hyperparameters.step_size, t, updates[s, a])
    next_value = 0.0
    if not transition.terminated:
        next_value = q2[s_next, epsilon_greedy(q1, s_next, 0.0, u, learner.allowed)]
    q1[s, a] += alpha * (r + learner.hyperparameters.discount * next_value - q1[s, a])


class DoubleQLearning(TabularAgent[DoubleQLearningConfig]):
    """A double Q-learning agent."""

    name = "double-q-learning"
    config_type = DoubleQLearningConfig
    algorithm = algorithm(double_q_learning)

    @property
    def numbers_per_update(self) -> int:
        """One: it selects the table, and breaks ties."""
        return 1

    def new_tables(self) -> Tensors:
        """Make the two tables, and the counts of their updates."""
        tables = {"q1": self.q.copy(), "q2": self.q.copy()}
        counts = {f"updates{k}": np.zeros(self.q.shape, dtype=np.int64) for k in (1, 2)}
        return tables | counts

    def own(self, episode: Tensors) -> DoubleTables:
        """Return the two tables for compiled code."""
        del episode
        return DoubleTables(**self.own_tables)

    def explain(self, before: Tensors, transition: Transition, t: int) -> Explanation:
        """Explain the update of one of the two tables."""
        s, a, s_next = transition.s, transition.a, transition.s_next
        u = float(self._numbers[0])
        one, other = (1, 2) if u < 0.5 else (2, 1)
        first, second = f"Q{SUBSCRIPTS[one]}", f"Q{SUBSCRIPTS[other]}"
        best = epsilon_greedy(before[f"q{one}"], s_next, 0.0, 2.0 * u % 1.0, self.allowed)
        next_value = 0.0 if transition.terminated else before[f"q{other}"][s_next, best]
        updates = self.own_tables[f"updates{one}"][s, a]
        old, following = f"{first}(s,a)", f"{second}(s′, argmax {first}(s′,b))"
        terms = {
            old: before[f"q{one}"][s, a],
            "α": value_at(self.hyperparameters.step_size, t, updates),
            "r": transition.r,
            "γ": self.hyperparameters.discount,
            following: next_value,
        }
        formula = f"{{new}} ← {{{old}}} + {{α}} [{{r}} + {{γ}} · {{{following}}} − {{{old}}}]"
        new = self.own_tables[f"q{one}"][s, a]
        return Explanation(f"{formula}; Q = (Q₁ + Q₂) / 2", terms, new, old)


make = DoubleQLearning.make
