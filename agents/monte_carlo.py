"""Tabular Monte Carlo control: on-policy, first-visit (Sutton & Barto 2018, section 5.4)."""

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np

from gridcade.agents.base import Observations, Tensors
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.epsilon_greedy import value_at
from gridcade.agents.schedules import Schedule
from gridcade.agents.tabular import Explanation, TabularAgent
from gridcade.agents.tabular_config import TabularConfig
from gridcade.agents.tabular_loop import Transition
from gridcade.agents.tabular_updates import (
    Bools,
    Floats,
    Ints,
    Learner,
    algorithm,
    count_visit,
)
from gridcade.envs.registry import known_model, name_of
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.formatting import shell_command


@dataclass(frozen=True)
class MonteCarloConfig(TabularConfig):
    """Hyperparameters of tabular Monte Carlo control."""

    step_size: Schedule = field(default_factory=lambda: Schedule(1.0, power=1.0))
    """Step size alpha of the updates. Default: 1 / N, so that values are means of returns."""


class Episode(NamedTuple):
    """The running episode: the first visits to states and actions, and the rewards between them.

    Later visits are not updated, so one discounted sum of rewards between two first visits is
    enough. The first `visit_count` rows of `first_visits`, `rewards` and `discounts` are valid.
    """

    visited: Bools  # [states, actions]
    first_visits: Ints  # [states * actions, 2]: states and actions, in the order of their visits
    rewards: Floats  # [states * actions]: sums until the next first visit; at the end, returns
    discounts: Floats  # [states * actions]: gamma ^ steps until the next first visit
    visit_count: Ints  # [1]: the number of first visits
    discarded: Ints  # [1]: number of episodes discarded so far, because they were truncated


@compiled_in_place
def monte_carlo(learner: Learner, transition: Transition, t: int, _: Floats) -> None:
    """Store step t, and learn if it terminated the episode. A truncated episode is discarded."""
    episode, s, a = learner.own, transition.s, transition.a
    if not episode.visited[s, a]:
        k = episode.visit_count[0]
        episode.visited[s, a] = True
        episode.first_visits[k, 0], episode.first_visits[k, 1] = s, a
        episode.rewards[k], episode.discounts[k] = 0.0, 1.0
        episode.visit_count[0] = k + 1
    last = episode.visit_count[0] - 1
    episode.rewards[last] += episode.discounts[last] * transition.r
    episode.discounts[last] *= learner.hyperparameters.discount
    if transition.terminated:
        learn_from_returns(learner, t)
    if transition.truncated:
        episode.discarded[0] += 1
    if transition.terminated or transition.truncated:
        for k in range(episode.visit_count[0]):
            episode.visited[episode.first_visits[k, 0], episode.first_visits[k, 1]] = False
        episode.visit_count[0] = 0


@compiled_in_place
def learn_from_returns(learner: Learner, t: int) -> None:
    """Update Q(S, A) of all first visits (Sutton & Barto 2018, section 5.4, box; eq. 6.1).

    From the end of the episode to its start, G = R + gamma G and Q(S, A) += alpha [G - Q(S, A)].
    With the step size 1 / N, Q(S, A) is the mean of the returns, as in the box.
    """
    q, episode, g = learner.q, learner.own, 0.0
    for k in range(episode.visit_count[0] - 1, -1, -1):
        g = episode.rewards[k] + episode.discounts[k] * g
        episode.rewards[k] = g
        s, a = episode.first_visits[k, 0], episode.first_visits[k, 1]
        q[s, a] += count_visit(learner, s, a, t) * (g - q[s, a])


class MonteCarlo(TabularAgent[MonteCarloConfig]):
    """A Monte Carlo agent."""

    name = "monte-carlo"
    config_type = MonteCarloConfig
    algorithm = algorithm(monte_carlo)

    def new_tables(self) -> Tensors:
        """Make the count of discarded episodes."""
        return {"discarded": np.zeros(1, dtype=np.int64)}

    def new_episode(self) -> Tensors:
        """Make an episode without visits."""
        size = self.q.size
        return {
            "visited": np.zeros(self.q.shape, dtype=bool),
            "first_visits": np.zeros((size, 2), dtype=np.int64),
            "rewards": np.zeros(size),
            "discounts": np.zeros(size),
            "visit_count": np.zeros(1, dtype=np.int64),
        }

    def own(self, episode: Tensors) -> Episode:
        """Return the running episode for compiled code."""
        return Episode(**episode, discarded=self.own_tables["discarded"])

    def restart_episodes(
        self, lost: Bools, observations: Observations, masks: Bools | None = None
    ) -> None:
        """Discard the running episodes that cannot continue."""
        self.own_tables["discarded"] += (self.episodes["visit_count"][lost] > 0).sum()
        super().restart_episodes(lost, observations, masks)

    def explain(self, before: Tensors, transition: Transition, t: int) -> Explanation:
        """Explain the update of Q(S, A) at the end of an episode."""
        s, a = transition.s, transition.a
        old = before["q"][s, a]
        if not transition.terminated:
            why = (
                "no update: the episode was truncated"
                if transition.truncated
                else "no update before the episode ends"
            )
            return Explanation(f"{{new}} ← {{Q(s,a)}}; {why}", {"Q(s,a)": old}, old)
        visits = self.episodes["first_visits"][0, : before["visit_count"][0, 0] + 1]
        k = int(np.argmax((visits == (s, a)).all(axis=1)))
        terms = {
            "Q(s,a)": old,
            "α": value_at(self.hyperparameters.step_size, t, self.visits[s, a]),
            "G": self.episodes["rewards"][0, k],
        }
        formula = "{new} ← {Q(s,a)} + {α} [{G} − {Q(s,a)}]"
        return Explanation(f"{formula}; the same for all first visits", terms, self.q[s, a])

    def metrics(self) -> dict[str, float]:
        """Return the metrics of tabular agents, and the number of discarded episodes."""
        return super().metrics() | {"discarded_episodes": int(self.own_tables["discarded"][0])}

    @classmethod
    def make(cls, env: Env, config: MonteCarloConfig, seed: int) -> Self:
        """Create an agent for an environment.

        Raises:
            InputError: episodes do not end; or see `TabularAgent.make`.
        """
        model = known_model(env)
        if model is not None and model.continuing:
            name = shell_command(name_of(env))
            raise InputError(
                f"{cls.name} learns when episodes end, and here they never do; try: gridcade "
                f"train q-learning {name} --preset average-reward"
            )
        return super().make(env, config, seed)


make = MonteCarlo.make
