"""Tabular Q-learning: discounted (Watkins 1989), or differential for the average reward."""

from dataclasses import dataclass

from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.epsilon_greedy import max_q
from gridcade.agents.tabular import TabularAgent
from gridcade.agents.tabular_config import CriterionConfig
from gridcade.agents.tabular_loop import Transition
from gridcade.agents.tabular_updates import (
    Floats,
    Learner,
    algorithm,
    next_state,
    one_step_update,
)


@dataclass(frozen=True)
class QLearningConfig(CriterionConfig):
    """Hyperparameters of tabular Q-learning.

    With the criterion average-reward, it is the differential Q-learning of Wan, Naik & Sutton 2021.
    """


@compiled_in_place
def q_learning(learner: Learner, transition: Transition, t: int, _: Floats) -> None:
    """Update Q(S, A) after step t (Sutton & Barto 2018, eq. 6.8).

    Q(S, A) += alpha [R + gamma max_a Q(S', a) - Q(S, A)]
    """
    s_next = next_state(learner, transition)
    next_value = max_q(learner.q, s_next, learner.allowed) if s_next >= 0 else 0.0
    one_step_update(learner, transition, t, next_value)


class QLearning(TabularAgent[QLearningConfig]):
    """A Q-learning agent."""

    name = "q-learning"
    config_type = QLearningConfig
    algorithm = algorithm(q_learning)


make = QLearning.make
