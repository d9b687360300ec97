"""Tabular Sarsa: discounted (Rummery & Niranjan 1994), or differential for the average reward."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gridcade.agents.base import Tensors
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.tabular import TabularAgent
from gridcade.agents.tabular_config import CriterionConfig
from gridcade.agents.tabular_loop import Transition
from gridcade.agents.tabular_updates import (
    Floats,
    Ints,
    Learner,
    algorithm,
    choose_epsilon_greedy,
    next_state,
    one_step_update,
)


@dataclass(frozen=True)
class SarsaConfig(CriterionConfig):
    """Hyperparameters of tabular Sarsa.

    With the criterion average-reward, it is differential Sarsa (Sutton & Barto 2018, section 10.3).
    """


class SarsaMemory(NamedTuple):
    """The next action, which Sarsa draws for an update and takes in the next step."""

    next_action: Ints  # [2]: the action A' of the last update; 1 if the agent takes it next, else 0


@compiled_in_place
def sarsa(learner: Learner, transition: Transition, t: int, numbers: Floats) -> None:
    """Update Q(S, A) after step t (Sutton & Barto 2018, eq. 6.7).

    Q(S, A) += alpha [R + gamma Q(S', A') - Q(S, A)]

    A' is drawn here, and the agent takes it in the next step. If the episode was truncated, A' is
    drawn at the last observation, for this update only.
    """
    s_next, next_value = next_state(learner, transition), 0.0
    next_action = learner.own.next_action
    next_action[1] = 0
    if s_next >= 0:
        next_action[0] = choose_epsilon_greedy(learner, s_next, t + 1, numbers[0])
        next_action[1] = not transition.truncated
        next_value = learner.q[s_next, next_action[0]]
    one_step_update(learner, transition, t, next_value)


@compiled_in_place
def choose_next_action(learner: Learner, s: int, t: int, u: float) -> int:
    """Return the action A' of the last update, or draw one at the start of an episode."""
    if learner.own.next_action[1]:
        return int(learner.own.next_action[0])
    return choose_epsilon_greedy(learner, s, t, u)


class Sarsa(TabularAgent[SarsaConfig]):
    """A Sarsa agent."""

    name = "sarsa"
    config_type = SarsaConfig
    algorithm = algorithm(sarsa, choose_next_action)
    next_value_name = "Q(s′,a′)"

    @property
    def numbers_per_update(self) -> int:
        """One: it selects the next action."""
        return 1

    def new_episode(self) -> Tensors:
        """Make a memory without a next action."""
        return {"next_action": np.zeros(2, dtype=np.int64)}

    def own(self, episode: Tensors) -> SarsaMemory:
        """Return the next action for compiled code."""
        return SarsaMemory(episode["next_action"])

    def next_value(self, before: Tensors, transition: Transition) -> float:
        """Return Q(S', A'), or 0 if S' is terminal."""
        s_next = self.next_state(transition)
        a_next = self.episodes["next_action"][0, 0]
        return float(before["q"][s_next, a_next]) if s_next >= 0 else 0.0


make = Sarsa.make
