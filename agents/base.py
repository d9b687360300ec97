"""The contract of an agent: required methods, and optional ones with defaults.

A policy is a function from observations to actions. An agent is a policy that learns from the steps
that the loop hands to it, and whose whole state can be saved and loaded. It never steps an
environment, opens a file or prints: the loop in `gridcade.experience` steps the environments, and
`gridcade.training` keeps the run folder.

The smallest agent implements `act`, `observe`, `probabilities`, `state_dict` and
`load_state_dict`; `agents/q_learning.py` is an example. Everything else has a default.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gridcade.agents.probabilities import sample_actions
from gridcade.envs.actions import FROM_ZERO, ActionIndex
from gridcade.envs.masks import masks_by_number
from gridcade.envs.observations import as_batch, batch_size
from gridcade.envs.tabular import Model
from gridcade.envs.types import Array, Envs, Space
from gridcade.experience.step import Step

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]  # [n, actions], by the numbers of the actions: whether each is allowed
# [n, ...]; n environments, or n observations of a batch. Dicts and tuples of arrays are batches of
# Dict and Tuple observations.
Observations = Array
Actions = Array  # [n, ...], as the environment takes them; tables number them by `ActionIndex`
Tensors = dict[str, Array]
# Of one environment, or of a batch.
Observation = Array | dict[str, Array] | tuple[Any, ...] | np.integer[Any] | int
PolicyState = tuple[Array, ...] | None  # of a recurrent policy
Callback = Callable[[Step], bool]  # called after each step; returns whether to continue


@runtime_checkable
class AgentConfig(Protocol):
    """Hyperparameters: a frozen dataclass whose field docstrings are the command line's help."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Storage(Protocol):
    """Makes an array of zeros that survives the process, or not: see `Replay`."""

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """An array of this shape; the same one when it is called again in a resumed run."""
        ...


def in_memory(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Storage that does not outlive the process."""
    del name
    return np.zeros(shape, dtype=dtype)


# ---- policies


@runtime_checkable
class Policy(Protocol):
    """Anything that predicts as stable-baselines3's models do."""

    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
    ) -> tuple[Array, PolicyState]:
        """Actions for one observation or a batch, and the policy's inner state (None: none)."""
        ...


@runtime_checkable
class StochasticPolicy(Policy, Protocol):
    """A policy whose action probabilities are known, so that its exact value can be computed.

    If `probabilities` has a parameter `masks`, the policy is given the masks of an environment.
    """

    def probabilities(self, observations: Observations, deterministic: bool = True) -> Floats:
        """Action probabilities at observations [n, ...]: [n, actions]."""
        ...


@runtime_checkable
class ActionValues(Protocol):
    """A policy that predicts the value of each action."""

    def action_values(self, observations: Observations) -> Floats:
        """Q(s, a) at observations [n, ...]: [n, actions]."""
        ...


@runtime_checkable
class StateValues(Protocol):
    """A policy that predicts the value of a state."""

    def state_values(self, observations: Observations) -> Floats:
        """V(s) at observations [n, ...]: [n]."""
        ...


class SamplingPolicy(ABC):
    """A policy that predicts by sampling from its `probabilities`.

    Samples come from a random stream of their own, `_prediction_rng`, so that prediction never
    changes what an agent learns.
    """

    _prediction_rng: np.random.Generator
    _observation_space: Space = gym.spaces.Discrete(1)  # distinguishes an observation from a batch
    _action_index: ActionIndex = FROM_ZERO

    @abstractmethod
    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Action probabilities at observations [n, ...]: [n, actions].

        Deterministic: the greedy policy. Otherwise the exploring policy at the current step.
        Actions that the masks forbid have probability 0.
        """

    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
        action_masks: ArrayLike | None = None,
    ) -> tuple[Array, PolicyState]:
        """Actions for one observation or a batch, with the signature of sb3-contrib's MaskablePPO.

        Raises:
            ValueError: a mask has another length than the actions.
        """
        del episode_start
        single = batch_size(observation, self._observation_space) is None
        batch: Any = as_batch(observation) if single else observation
        if action_masks is None:
            table = self.probabilities(batch, deterministic)
        else:
            masks = masks_by_number(action_masks, self._action_index)
            table = self.probabilities(batch, deterministic, masks)
        indices = sample_actions(table, self._prediction_rng.random(len(table)))
        actions = self._action_index.decode(indices)
        return (actions[0] if single else actions), state


# ---- agents


class BaseAgent(ABC):
    """Base class of all agents, whether Gridcade or the agent itself runs the training loop."""

    steps: int = 0  # environment steps taken so far, over all environments
    uses_masks: bool = True  # whether it heeds the action masks of its environment
    precision: str = ""  # number format of the network's passes; empty: no network
    torch_threads: int = 1  # threads of PyTorch while the agent learns

    @abstractmethod
    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
    ) -> tuple[Array, PolicyState]:
        """Actions for one observation or a batch; see `Policy`."""

    @abstractmethod
    def state_dict(self) -> Tensors:
        """Everything that the agent's future depends on, as arrays."""

    @abstractmethod
    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: a tensor is missing, or has another shape.
        """

    def metrics(self) -> dict[str, float]:
        """Metrics of the steps since the last call, by name; they are written to metrics.jsonl.

        Raises:
            InputError: learning has diverged.
        """
        return {}

    def warnings(self) -> list[str]:
        """Sentences that the user should read before training starts."""
        return []

    def memory_bytes(self, num_envs: int) -> int:
        """Bytes that training in so many environments allocates in memory, if that is much."""
        del num_envs
        return 0

    @property
    def storage_bytes(self) -> int:
        """Bytes that the agent requests from `Storage`, if that is much."""
        return 0


class Agent(SamplingPolicy, BaseAgent):
    """A policy that learns from the steps that the loop hands it."""

    overlap_updates: bool = False  # call `update` while the environments step, not after `observe`

    @abstractmethod
    def act(self, observations: Observations, masks: Masks | None = None) -> Actions:
        """Actions for the observations of n environments, exploring.  [n, ...] -> [n, ...].

        Masks are given only where the environments have them; then only allowed actions count.
        """

    @abstractmethod
    def observe(self, step: Step) -> None:
        """Take in one step of every environment. Adds their number to `steps`."""

    def restart_episodes(
        self, lost: NDArray[np.bool_], observations: Observations, masks: Masks | None = None
    ) -> None:
        """Take note that running episodes cannot go on: their last step counts as truncated.

        Called when a run is resumed in an environment whose state cannot be restored, and when an
        evaluation has used the only environment.

        Args:
            lost: in which environments, [n].
            observations: for which the next actions are chosen, [n, ...]; new ones where an episode
                was lost.
            masks: the allowed actions there, [n, actions]; None: all.
        """

    def update(self) -> None:
        """Learn. The loop calls it once a step, after `observe`; see also `overlap_updates`."""

    def check_num_envs(self, num_envs: int) -> None:
        """Raise InputError if the hyperparameters do not fit this number of environments."""

    def allocate(self, num_envs: int, slack: int, storage: Storage) -> None:
        """Make room for what the agent remembers. Called once, before the first step.

        Args:
            num_envs: environments that step side by side.
            slack: steps from one checkpoint to the next, over all environments, at most.
            storage: makes arrays that survive the process.

        Raises:
            InputError: there is not enough memory.
        """
        del num_envs, slack, storage

    def finish(self) -> bool:
        """Make the updates that remain after the budget's last step; returns whether any did."""
        return False

    def checkpoint_saved(self) -> None:
        """Take note that a checkpoint with the present `state_dict` has been written."""

    @property
    def needs_checkpoint(self) -> bool:
        """Whether a checkpoint must be written before the next step, as a replay would wrap."""
        return False


class SelfTrainedAgent(BaseAgent):
    """An agent that runs its own loop, as stable-baselines3's algorithms do. It cannot resume."""

    @abstractmethod
    def set_total_steps(self, steps: int | None) -> None:
        """Set the number of steps that the schedules refer to; None: only time bounds the run.

        Raises:
            InputError: the schedules need a number.
        """

    @abstractmethod
    def set_env(self, envs: Envs) -> None:
        """Set the environments to learn in.

        Raises:
            InputError: the algorithm cannot learn in them.
        """

    @abstractmethod
    def learn(self, callback: Callback) -> None:
        """Learn until the callback returns False, or the total number of steps is reached.

        Raises:
            InputError: the algorithm cannot continue, for example because it has diverged.
        """


@runtime_checkable
class Transferable(Protocol):
    """An agent that can start from the layers of another one."""

    @property
    def needs_layers(self) -> bool:
        """Whether layers are frozen, so that they must be loaded."""
        ...

    def take_layers(self, tensors: Tensors) -> list[str]:
        """Copy the layers that fit; returns the names of those that do not.

        Raises:
            InputError: no layer fits, or a layer that is to be frozen does not.
        """
        ...


class CompiledLoop(Protocol):
    """A loop that runs an agent on a known model in compiled code."""

    tick: int  # steps between two checks of the clock

    def advance(self, until: int) -> dict[str, float]:
        """Learn until `agent.steps` reaches `until`; returns sums by the names of TOTALS."""
        ...

    def state_dict(self) -> Tensors:
        """The world's state and its random stream."""
        ...

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        ...


@runtime_checkable
class Compiled(Protocol):
    """A tabular agent that runs in a compiled loop where the world's model is known."""

    def compiled_loop(self, model: Model, time_limit: int | None, seed: int) -> CompiledLoop:
        """The loop of one agent in one world. It makes the same updates as `observe`."""
        ...


def check_tensors(tensors: Tensors, names: Sequence[str]) -> None:
    """Raise ValueError if one of these tensors is missing."""
    for name in names:
        if name not in tensors:
            raise ValueError(f"it lacks the tensor '{name}'")
