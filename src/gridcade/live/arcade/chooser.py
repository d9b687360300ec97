"""How a policy values a state, and the action that it chooses there."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import ActionValues, StateValues, StochasticPolicy
from gridcade.agents.masked_policies import probabilities_of
from gridcade.agents.probabilities import greedy, max_allowed, sample_actions, with_epsilon
from gridcade.envs.actions import finite_actions
from gridcade.envs.types import Array, Env
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.recording.frames import batch_of_one, first_of_batch

Floats = NDArray[np.float64]
Kind = Literal["q", "probabilities", "none"]


@dataclass(frozen=True)
class Choice:
    """What a policy says of a state, and what it does there."""

    action: Any  # its number, where actions can be numbered
    per_action: Floats | None = None  # Q(s, a) or probabilities by `Chooser.kind`, [actions]
    value: float | None = None  # of the state: max Q(s, a), or V(s)


class Chooser:
    """Chooses as evaluation does, from the same random numbers, and shows what it is based on.

    Args:
        actor: the policy, with epsilon.
        env: an environment of the kind that it acts in.
    """

    def __init__(self, actor: EvaluatedPolicy, env: Env):
        self._actor, self._policy = actor, actor.policy
        self._env = env
        self.kind: Kind = "none"
        if isinstance(self._policy, ActionValues):
            self.kind = "q"
        elif isinstance(self._policy, StochasticPolicy):
            self.kind = "probabilities"

    def choose(
        self,
        observation: Any,
        rng: np.random.Generator,
        start: bool,
        mask: NDArray[np.bool_] | None = None,
    ) -> Choice:
        """Choose an action.

        Args:
            observation: a single one.
            rng: the random stream of the episode.
            start: whether the observation is the first of an episode.
            mask: the allowed actions, [actions]; None: all.
        """
        batch = batch_of_one(self._env, observation)
        masks = None if mask is None else mask[None]
        used = masks if self._actor.uses_masks else None
        per_action, value = self._read(batch, used)
        if per_action is None:
            actions = self._actor.act(batch, np.array([start]), [rng], masks)
            if (index := finite_actions(self._env.action_space)) is not None:
                return Choice(int(index.encode(actions)[0]), None, value)
            return Choice(first_of_batch(self._env.action_space, actions), None, value)
        table = per_action
        if self._actor.deterministic:
            table = greedy(per_action, used)
        elif self.kind == "q" and isinstance(self._policy, StochasticPolicy):
            table = probabilities_of(self._policy, batch, False, masks)
        table = with_epsilon(table, self._actor.epsilon, masks)
        action = int(sample_actions(table, np.array([rng.random()]))[0])
        return Choice(action, per_action[0], value)

    def _read(
        self, batch: Array, masks: NDArray[np.bool_] | None
    ) -> tuple[Floats | None, float | None]:
        """Values or probabilities of the actions, [1, actions], and the value of the state."""
        policy, per_action, value = self._policy, None, None
        if isinstance(policy, ActionValues):
            per_action = policy.action_values(batch)
            value = float(max_allowed(per_action, masks)[0])
        elif isinstance(policy, StochasticPolicy):
            per_action = probabilities_of(policy, batch, False, masks)
        if isinstance(policy, StateValues):
            value = float(policy.state_values(batch)[0])
        return per_action, value
