"""Chooses a policy's actions, and reads the values or probabilities behind the choice."""

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
    """The action that a policy chooses in a state, and its values or probabilities there."""

    action: Any  # the action's number, if actions can be numbered
    per_action: Floats | None = None  # Q(s, a) or probabilities by `Chooser.kind`, [actions]
    value: float | None = None  # value of the state: max Q(s, a), or V(s)


class Chooser:
    """Chooses the same actions as an evaluation, and returns the values behind each choice.

    Args:
        actor: the policy, with epsilon.
        env: environment in which the policy acts.
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
            observation: one observation, without a batch axis.
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
        """Return values or probabilities, [1, actions], and the state's value, as far as known."""
        policy, per_action, value = self._policy, None, None
        if isinstance(policy, ActionValues):
            per_action = policy.action_values(batch)
            value = float(max_allowed(per_action, masks)[0])
        elif isinstance(policy, StochasticPolicy):
            per_action = probabilities_of(policy, batch, False, masks)
        if isinstance(policy, StateValues):
            value = float(policy.state_values(batch)[0])
        return per_action, value
