"""Tabular Expected Sarsa (van Seijen, van Hasselt, Whiteson & Wiering 2009)."""

from dataclasses import dataclass

from gridcade.agents.base import Tensors
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.epsilon_greedy import epsilon_at, expected_q
from gridcade.agents.tabular import TabularAgent
from gridcade.agents.tabular_config import TabularConfig
from gridcade.agents.tabular_loop import Transition
from gridcade.agents.tabular_updates import (
    Floats,
    Learner,
    algorithm,
    next_state,
    one_step_update,
)


@dataclass(frozen=True)
class ExpectedSarsaConfig(TabularConfig):
    """Hyperparameters of tabular Expected Sarsa."""


@compiled_in_place
def expected_sarsa(learner: Learner, transition: Transition, t: int, _: Floats) -> None:
    """Update Q(S, A) after step t (Sutton & Barto 2018, eq. 6.9).

    Q(S, A) += alpha [R + gamma sum_a pi(a|S') Q(S', a) - Q(S, A)]

    pi is the epsilon-greedy policy of the next step.
    """
    s_next, next_value = next_state(learner, transition), 0.0
    if s_next >= 0:
        epsilon = epsilon_at(learner.hyperparameters.epsilon, learner.visits, s_next, t + 1)
        next_value = expected_q(learner.q, s_next, epsilon, learner.allowed)
    one_step_update(learner, transition, t, next_value)


class ExpectedSarsa(TabularAgent[ExpectedSarsaConfig]):
    """An Expected Sarsa agent."""

    name = "expected-sarsa"
    config_type = ExpectedSarsaConfig
    algorithm = algorithm(expected_sarsa)
    next_value_name = "Σ π(b|s′) Q(s′,b)"

    def next_value(self, before: Tensors, transition: Transition) -> float:
        """Return the expected value of the next action, or 0 if S' is terminal."""
        s_next = self.next_state(transition)
        if s_next < 0:
            return 0.0
        schedule, visits = self.hyperparameters.epsilon, before["visits"]
        epsilon = epsilon_at(schedule, visits, s_next, int(before["steps"][0]) + 1)
        return expected_q(before["q"], s_next, epsilon, self.allowed)


make = ExpectedSarsa.make
