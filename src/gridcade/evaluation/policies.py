"""Policies that do not learn: random, tabular and optimal ones, and a person."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridcade.agents.base import Observation, Observations, Policy, PolicyState, SamplingPolicy
from gridcade.envs.registry import known_model
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

    def sample(self, rng: np.random.Generator) -> Any:
        """Sample one action with the given random stream instead of the policy's own."""
        self._action_space.seed(int(rng.integers(1 << 31)))
        return self._action_space.sample()

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
        return np.array([self._action_space.sample() for _ in range(count)]), state


class TabularPolicy(SamplingPolicy):
    """Acts by a table of action probabilities, also if `deterministic`.

    Args:
        table: action probabilities, [states, actions].
        seed: random seed of `predict`.
        values: values of the states to display, [states]; None: unknown.
        criterion: the criterion under which the policy is optimal; None: unknown.
    """

    def __init__(
        self,
        table: ArrayLike,
        seed: int = 0,
        values: Floats | None = None,
        criterion: solver.Criterion | None = None,
    ):
        self.table: Floats = np.asarray(table, dtype=np.float64)
        self.values = values
        self.criterion: solver.Criterion | None = criterion
        self._prediction_rng = stream(seed, "prediction")

    def probabilities(self, observations: Observations, deterministic: bool = True) -> Floats:
        """Action probabilities in states, [n] -> [n, actions]."""
        del deterministic
        return np.asarray(self.table[np.asarray(observations, dtype=np.int64)])


class UniformPolicy(TabularPolicy):
    """Chooses all discrete actions with equal probability, whatever it observes.

    Args:
        num_actions: number of actions; they are 0 to num_actions - 1.
        seed: random seed of `predict`.
        observation_space: distinguishes one observation from a batch; None: observations are
            single numbers.
    """

    def __init__(self, num_actions: int, seed: int = 0, observation_space: Space | None = None):
        super().__init__(np.full((1, num_actions), 1 / num_actions), seed)
        self._observation_space = observation_space or gym.spaces.Discrete(1)

    def probabilities(self, observations: Observations, deterministic: bool = True) -> Floats:
        """Equal probabilities for each of n observations.  [n, ...] -> [n, actions]."""
        del deterministic
        count = batch_size(observations, self._observation_space)
        return np.repeat(self.table, 1 if count is None else count, axis=0)

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
        return self._prediction_rng.integers(self.table.shape[1], size=count), state


class Quit(Exception):  # noqa: N818 - not an error
    """Raised when a person ends the game."""


class Human:
    """A person who chooses every action.

    Args:
        choose: waits for the person's next action and returns it, or raises Quit.
    """

    def __init__(self, choose: Callable[[], int]):
        self._choose = choose

    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
    ) -> tuple[Array, PolicyState]:
        """Wait for the action in the single environment that is displayed.  [1]."""
        del observation, episode_start, deterministic
        return np.array([self._choose()]), state


def random_policy(env: Env) -> Policy:
    """Create a policy of uniformly random actions.

    If the actions are 0 to n - 1, it is a UniformPolicy, whose exact value can be computed.
    """
    actions = env.action_space
    if isinstance(actions, gym.spaces.Discrete) and actions.start == 0:
        return UniformPolicy(int(actions.n), observation_space=env.observation_space)
    return RandomPolicy(actions, env.observation_space)


def optimal_policy(env: Env) -> TabularPolicy:
    """Compute a policy with the largest expected return, or average reward in a continuing task.

    Raises:
        InputError: the environment's model is unknown, or its observations are not states.
    """
    model = known_model(env)
    if model is None:
        raise InputError("'optimal' needs an environment whose model is known")
    if not isinstance(env.observation_space, gym.spaces.Discrete):
        raise InputError("'optimal' needs states as observations; use observation=state")
    solution = solver.solve(model)
    values = solution.values if solution.bias is None else solution.bias
    return TabularPolicy(solution.policy, values=values, criterion=solution.criterion)


@runtime_checkable
class HasValues(Protocol):
    """A tabular policy with a value for each state."""

    @property
    def values(self) -> Floats | None:
        """Values of the states, [states]; None: unknown."""
        ...


def state_values(policy: Policy) -> Floats | None:
    """The values that a tabular policy assigns to the states, [states]; None if unknown."""
    return policy.values if isinstance(policy, HasValues) else None


def batch_size(observation: Any, space: Space) -> int | None:
    """The number of observations in a batch; None if `observation` is a single one."""
    while isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):  # look at the first component
        key: Any = next(iter(space.keys())) if isinstance(space, gym.spaces.Dict) else 0
        observation, space = observation[key], space[key]
    return len(observation) if np.ndim(observation) > len(space.shape or ()) else None
