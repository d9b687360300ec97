"""Policies that do not learn: random, tabular and optimal ones, and a person."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import ArrayLike, NDArray

from gridcade.agents.base import (
    Masks,
    Observation,
    Observations,
    Policy,
    PolicyState,
    SamplingPolicy,
)
from gridcade.agents.probabilities import restrict, uniform
from gridcade.envs.actions import FROM_ZERO, ActionIndex, action_index, finite_actions
from gridcade.envs.known_models import known_model, why_no_model
from gridcade.envs.masks import masks_by_number
from gridcade.envs.observations import batch_size
from gridcade.envs.states import STATES_FROM_ZERO, StateIndex, finite_states
from gridcade.envs.types import Array, Env, Space
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.seeding import stream

Floats = NDArray[np.float64]


class RandomPolicy:
    """Samples every action uniformly from the action space, also if `deterministic`.

    Args:
        action_space: a copy of it is sampled, with a random stream of its own.
        observation_space: distinguishes one observation from a batch.
        seed: random seed of the stream.
    """

    def __init__(self, action_space: Space, observation_space: Space, seed: int = 0):
        self._action_space = deepcopy(action_space)
        self._action_space.seed(seed)
        self._observation_space = observation_space

    def sample(self, rngs: Sequence[np.random.Generator]) -> Any:
        """Sample n actions with n random streams instead of the policy's own, as a batch."""
        samples = []
        for rng in rngs:
            self._action_space.seed(int(rng.integers(1 << 31)))
            samples.append(self._action_space.sample())
        return self._batch(samples)

    def _batch(self, samples: list[Any]) -> Any:
        """Combine n actions for a vector environment: an array, or a dict or tuple of arrays."""
        empty: Any = create_empty_array(self._action_space, len(samples))
        return concatenate(self._action_space, samples, empty)

    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
    ) -> tuple[Array, PolicyState]:
        """Sample one action for one observation, or n for a batch of n."""
        del episode_start, deterministic
        count = batch_size(observation, self._observation_space)
        if count is None:
            return self._action_space.sample(), state
        return self._batch([self._action_space.sample() for _ in range(count)]), state


class TabularPolicy(SamplingPolicy):
    """Acts by a table of action probabilities, also if `deterministic`.

    Args:
        table: action probabilities, [states, actions].
        seed: random seed of `predict`.
        values: values of the states to display, [states]; None: unknown.
        criterion: the criterion under which the policy is optimal; None: unknown.
        actions: the numbering of the actions.
        states: the numbering of the observations.
    """

    def __init__(
        self,
        table: ArrayLike,
        seed: int = 0,
        values: Floats | None = None,
        criterion: solver.Criterion | None = None,
        actions: ActionIndex = FROM_ZERO,
        states: StateIndex = STATES_FROM_ZERO,
    ):
        self.table: Floats = np.asarray(table, dtype=np.float64)
        self.values = values
        self.criterion: solver.Criterion | None = criterion
        self._action_index = actions
        self._states = states
        self._observation_space = states.space
        self._prediction_rng = stream(seed, "prediction")

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Return action probabilities at n states.  [n, ...] -> [n, actions]."""
        del deterministic
        return restrict(self.table[self._states.encode(observations)], masks)


class UniformPolicy(TabularPolicy):
    """Chooses all allowed actions with equal probability, whatever it observes.

    Args:
        num_actions: number of actions.
        seed: random seed of `predict`.
        observation_space: distinguishes one observation from a batch; None: observations are
            single numbers.
        actions: the numbering of the actions.
    """

    def __init__(
        self,
        num_actions: int,
        seed: int = 0,
        observation_space: Space | None = None,
        actions: ActionIndex = FROM_ZERO,
    ):
        super().__init__(np.full((1, num_actions), 1 / num_actions), seed, actions=actions)
        self._observation_space = observation_space or gym.spaces.Discrete(1)

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Return equal probabilities for each of n observations.  [n, ...] -> [n, actions]."""
        del deterministic
        if masks is not None:
            return uniform(masks)
        count = batch_size(observations, self._observation_space)
        return np.repeat(self.table, 1 if count is None else count, axis=0)

    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
        action_masks: ArrayLike | None = None,
    ) -> tuple[Array, PolicyState]:
        """Sample one action for one observation, or n for a batch of n."""
        count = batch_size(observation, self._observation_space)
        if action_masks is not None:
            several = observation if count is not None else np.zeros(1)
            actions, _ = super().predict(
                several, None, episode_start, deterministic, np.atleast_2d(action_masks)
            )
            return actions if count is not None else actions[0], state
        drawn: Any = self._prediction_rng.integers(self.table.shape[1], size=count)
        return self._action_index.decode(drawn), state


class Quit(Exception):  # noqa: N818 - not an error
    """Raised when a person ends the game."""


class Human:
    """A person who chooses every action.

    Args:
        choose: waits for the person's next action and returns its number, or raises Quit.
        actions: the numbering of the actions.
    """

    def __init__(self, choose: Callable[[], int], actions: ActionIndex = FROM_ZERO):
        self._choose = choose
        self._action_index = actions

    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
        action_masks: ArrayLike | None = None,
    ) -> tuple[Array, PolicyState]:
        """Wait for an allowed action in the single environment that is displayed.  [1, ...]."""
        del observation, episode_start, deterministic
        number = self._choose()
        if action_masks is not None:
            masks = masks_by_number(action_masks, self._action_index)
            while not masks[0, number]:
                number = self._choose()
        return self._action_index.decode(np.array([number])), state


def random_policy(env: Env) -> Policy:
    """Create a policy of uniformly random actions.

    If the actions can be numbered, it is a UniformPolicy, whose exact value can be computed.
    """
    actions = finite_actions(env.action_space)
    if actions is None:
        return RandomPolicy(env.action_space, env.observation_space)
    space = env.observation_space
    return UniformPolicy(actions.count, observation_space=space, actions=actions)


def optimal_policy(env: Env) -> TabularPolicy:
    """Compute a policy with the largest expected return, or average reward in a continuing task.

    Raises:
        InputError: the environment's model is unknown, or its observations are not states.
    """
    model = known_model(env)
    if model is None:
        why = why_no_model(env)
        reason = f"; {why}" if why else ""
        raise InputError(f"'optimal' needs an environment whose model is known{reason}")
    states = finite_states(env.observation_space)
    if states is None:
        raise InputError("'optimal' needs states as observations; use observation=state")
    solution = solver.solve(model)
    values = solution.values if solution.bias is None else solution.bias
    actions = action_index(env.action_space)
    return TabularPolicy(
        solution.policy,
        values=values,
        criterion=solution.criterion,
        actions=actions,
        states=states,
    )


@runtime_checkable
class HasValues(Protocol):
    """A tabular policy with a value for each state."""

    @property
    def values(self) -> Floats | None:
        """Values of the states, [states]; None: unknown."""
        ...


def state_values(policy: Policy) -> Floats | None:
    """Return the state values of a tabular policy, [states]; None if they are unknown."""
    return policy.values if isinstance(policy, HasValues) else None
