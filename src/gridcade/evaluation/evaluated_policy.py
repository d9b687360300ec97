"""The policy that evaluations and videos play: greedy or stochastic, with epsilon mixed in."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import (
    Masks,
    Policy,
    PolicyState,
    StochasticPolicy,
)
from gridcade.agents.masked_policies import predict_allowed, probabilities_of, uses_masks
from gridcade.agents.predictions import check_probabilities
from gridcade.agents.probabilities import sample_actions, with_epsilon
from gridcade.envs.actions import finite_actions
from gridcade.envs.tabular import Model
from gridcade.envs.types import Array, Env
from gridcade.errors import InputError, brief, single_line
from gridcade.evaluation.policies import Human, RandomPolicy
from gridcade.exact.values import policy_table

Floats = NDArray[np.float64]
ATARI_EPSILON = 0.05  # Mnih et al. (2013, 2015)


class EvaluatedPolicy:
    """A policy that acts in an environment, with epsilon mixed in.

    Random actions come from the random stream of each episode, not from the policy's own stream, so
    an episode does not depend on what the policy did before.

    Args:
        policy: any policy.
        env: an environment like those in which the policy acts.
        epsilon: probability of a uniformly random action; None: ATARI_EPSILON on Atari games, 0
            elsewhere.
        deterministic: act greedily; otherwise sample from the policy's probabilities.

    Raises:
        InputError: the policy has no `predict`, epsilon is out of its range, or epsilon is
            positive and the actions cannot be numbered.
    """

    def __init__(self, policy: Policy, env: Env, epsilon: float | None, deterministic: bool):
        if not isinstance(policy, Policy):
            raise InputError(f"a policy has predict(observation, …); {brief(policy)} does not")
        if epsilon is None:
            is_atari = env.spec is not None and env.spec.namespace == "ALE"
            epsilon = ATARI_EPSILON if is_atari else 0.0
        if not 0 <= epsilon <= 1:
            raise InputError(f"epsilon is {epsilon}; it must be between 0 and 1")
        self._action_space = env.action_space
        self._action_index = finite_actions(env.action_space)
        if epsilon and self._action_index is None:
            raise InputError(
                f"epsilon is {epsilon}; it must be 0 because the actions cannot be numbered: they "
                f"are {single_line(env.action_space)}"
            )
        self.policy, self.epsilon, self.deterministic = policy, epsilon, deterministic
        self._by_probabilities = None
        if isinstance(policy, StochasticPolicy) and self._action_index is not None:
            self._by_probabilities = policy, self._action_index
        self._state: PolicyState = None  # the policy's inner state

    @property
    def has_inner_state(self) -> bool:
        """Whether actions may depend on more than the current observation; known after `act`."""
        return self._state is not None or isinstance(self.policy, Human)

    @property
    def chooses_alone(self) -> bool:
        """Whether an action depends on its observation and episode only, not on earlier calls."""
        return isinstance(self.policy, RandomPolicy) or self._by_probabilities is not None

    def table(self, env: Env, model: Model) -> Floats | None:
        """Return action probabilities, [states, actions]; None: see `policy_table`."""
        if isinstance(self.policy, Human):  # a person cannot choose an action in every state
            return None
        table = policy_table(self.policy, env, model, self.deterministic)
        return None if table is None else with_epsilon(table, self.epsilon, model.allowed)

    @property
    def uses_masks(self) -> bool:
        """Whether the policy uses action masks."""
        return uses_masks(self.policy)

    def act(
        self,
        observations: Array,
        starts: NDArray[np.bool_],
        rngs: list[np.random.Generator],
        masks: Masks | None = None,
    ) -> Any:
        """Choose an action in each of n environments.  [n, ...] -> [n, ...].

        The batch of Dict or Tuple actions is a dict or tuple of arrays.

        Args:
            observations: one of each environment.
            starts: whether each observation is the first of an episode, [n].
            rngs: the random stream of each environment's episode, n of them.
            masks: the allowed actions, [n, actions]; None: all. A policy that does not use masks
                may take forbidden ones, though epsilon's random actions are allowed ones.
        """
        if isinstance(self.policy, RandomPolicy):
            return self.policy.sample(rngs)
        if self._by_probabilities is not None:
            policy, numbering = self._by_probabilities
            table = probabilities_of(policy, observations, self.deterministic, masks)
            check_probabilities(policy, table, len(starts), numbering.count)
            draws = np.array([rng.random() for rng in rngs])
            return numbering.decode(sample_actions(with_epsilon(table, self.epsilon, masks), draws))
        actions, self._state = predict_allowed(
            self.policy,
            observations,
            self._state,
            starts,
            self.deterministic,
            masks,
            self._action_index,
            self._action_space,
        )
        if isinstance(self._action_space, gym.spaces.Dict | gym.spaces.Tuple):
            return actions
        actions = np.array(actions)
        index = self._action_index
        if self.epsilon and index is not None:
            for i, rng in enumerate(rngs):
                if rng.random() < self.epsilon:
                    random = rng.integers(index.count if masks is None else masks[i].sum())
                    allowed = random if masks is None else np.flatnonzero(masks[i])[random]
                    actions[i] = index.decode(allowed)
        return actions
