"""What acts: a policy is a function from what is seen to what is done."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Policy, SamplingPolicy
from gridcade.envs.registry import known_model
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.seeding import stream

Floats = NDArray[np.float64]


class RandomPolicy:
    """Uniformly random actions, whatever `deterministic` says.

    Args:
        action_space: what they are drawn from; a copy is, with a stream of its own.
        observation_space: tells one observation from a batch.
        seed: of the stream.
    """

    def __init__(
        self, action_space: gym.Space[Any], observation_space: gym.Space[Any], seed: int = 0
    ):
        self._actions = deepcopy(action_space)
        self._actions.seed(seed)
        self._observations = observation_space

    def draw(self, rng: np.random.Generator) -> Any:
        """An action drawn by a given stream, not by the policy's own."""
        self._actions.seed(int(rng.integers(1 << 31)))
        return self._actions.sample()

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Random actions: one for one observation, n for a batch of n."""
        del episode_start, deterministic
        count = batch_size(observation, self._observations)
        if count is None:
            return self._actions.sample(), state
        return np.array([self._actions.sample() for _ in range(count)]), state


class TabularPolicy(SamplingPolicy):
    """Action probabilities by state.

    Args:
        table: [states, actions].
        seed: of the stream that `predict` draws from.
        values: [states], where they are known, to be shown.
    """

    def __init__(self, table: Any, seed: int = 0, values: Floats | None = None):
        self.table: Floats = np.asarray(table, dtype=np.float64)
        self.values = values
        self._prediction_rng = stream(seed, "prediction")

    def probabilities(self, observations: Any, deterministic: bool = True) -> Floats:
        """Action probabilities in states [n]: [n, actions]."""
        del deterministic
        return np.asarray(self.table[np.asarray(observations, dtype=np.int64)])


def batch_size(observation: Any, space: gym.Space[Any]) -> int | None:
    """How many observations of a space these are; None for one by itself."""
    while isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):  # their first part tells
        key: Any = next(iter(space.keys())) if isinstance(space, gym.spaces.Dict) else 0
        observation, space = observation[key], space[key]
    return len(observation) if np.ndim(observation) > len(space.shape or ()) else None


def random_policy(env: gym.Env[Any, Any]) -> Policy:
    """Uniformly random actions; on discrete ones with probabilities, so its value can be exact."""
    actions = env.action_space
    if isinstance(actions, gym.spaces.Discrete) and actions.start == 0:
        return UniformPolicy(int(actions.n), observation_space=env.observation_space)
    return RandomPolicy(actions, env.observation_space)


class UniformPolicy(TabularPolicy):
    """Uniformly random discrete actions, whatever is seen.

    Args:
        num_actions: they are 0 to num_actions - 1.
        seed: of the stream that `predict` draws from.
        observation_space: tells one observation from a batch; None: single numbers are observed.
    """

    def __init__(
        self, num_actions: int, seed: int = 0, observation_space: gym.Space[Any] | None = None
    ):
        super().__init__(np.full((1, num_actions), 1 / num_actions), seed)
        self._observations = observation_space or gym.spaces.Discrete(1)

    def probabilities(self, observations: Any, deterministic: bool = True) -> Floats:
        """The same probabilities for each of n observations: [n, actions]."""
        del deterministic
        count = batch_size(observations, self._observations)
        return np.repeat(self.table, 1 if count is None else count, axis=0)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Random actions: one for one observation, n for a batch of n."""
        del episode_start, deterministic
        count = batch_size(observation, self._observations)
        return self._prediction_rng.integers(self.table.shape[1], size=count), state


def optimal_policy(env: gym.Env[Any, Any]) -> TabularPolicy:
    """The exact solution: of the expected return, or on a continuing world of the gain.

    Raises:
        InputError: the environment's model is not known, or it does not show its states.
    """
    model = known_model(env)
    if model is None:
        raise InputError("'optimal' takes a world whose model is known; this one's is not")
    if not isinstance(env.observation_space, gym.spaces.Discrete):
        raise InputError("'optimal' takes the state as observation: use observation=state")
    solution = solver.solve(model)
    values = solution.values if solution.bias is None else solution.bias
    return TabularPolicy(solution.policy, values=values)


class Quit(Exception):  # noqa: N818 - no error
    """A person has had enough."""


class Human:
    """A person, asked for every action.

    Args:
        choose: returns an action, or raises Quit.
    """

    def __init__(self, choose: Callable[[], int]):
        self._choose = choose

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """The action that the person chooses, for the one environment that is shown."""
        del observation, episode_start, deterministic
        return np.array([self._choose()]), state


def state_values(policy: Policy) -> Floats | None:
    """The values that a tabular policy gives to states [states]; None where it gives none."""
    values = getattr(policy, "values", None)
    return values if isinstance(values, np.ndarray) else None
