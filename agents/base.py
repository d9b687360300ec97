"""The interface of an agent: required methods, and optional ones with defaults.

A policy is a function from observations to actions. An agent is a policy that learns from the steps
that the loop passes to it, and whose whole state can be saved and loaded. It never steps an
environment, opens a file or prints: the loop in `gridcade.experience` steps the environments, and
`gridcade.training` writes the run folder.

The smallest agent implements `act`, `observe`, `probabilities`, `state_dict` and
`load_state_dict`; `agents/tabular.py` does so for all agents with a table. Everything else has a
default.
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
Masks = NDArray[np.bool_]  # whether each action is allowed, by its number, [n, actions]
# [n, ...]; n environments, or n observations of a batch. Dicts and tuples of arrays are batches of
# Dict and Tuple observations.
Observations = Array
Actions = Array  # [n, ...], as the environment takes them; tables number them by `ActionIndex`
Tensors = dict[str, Array]
# One observation, or a batch.
Observation = Array | dict[str, Array] | tuple[Any, ...] | np.integer[Any] | int
PolicyState = tuple[Array, ...] | None  # the state of a recurrent policy; None: no state
Callback = Callable[[Step], bool]  # called after each step; returns whether to continue


@runtime_checkable
class AgentConfig(Protocol):
    """Hyperparameters: a frozen dataclass whose field docstrings are the command line's help."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


@runtime_checkable
class HasDevice(AgentConfig, Protocol):
    """Hyperparameters with a device."""

    device: str


class Storage(Protocol):
    """Makes arrays of zeros, in memory or in files that outlive the process; see `Replay`."""

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return a new array of zeros, or in a resumed run the file's array of this name."""
        ...


def in_memory(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Make an array in memory, which does not outlive the process."""
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
        """Return actions for one observation or a batch, and the policy's state, if it has one."""
        ...


@runtime_checkable
class StochasticPolicy(Policy, Protocol):
    """A policy whose action probabilities are known, so that its exact value can be computed.

    If `probabilities` has a parameter `masks`, it receives the environment's action masks.
    """

    def probabilities(self, observations: Observations, deterministic: bool = True) -> Floats:
        """Return the action probabilities at observations [n, ...]: [n, actions]."""
        ...


@runtime_checkable
class ActionValues(Protocol):
    """A policy that predicts the value of each action."""

    def action_values(self, observations: Observations) -> Floats:
        """Return Q(s, a) at observations [n, ...]: [n, actions]."""
        ...


@runtime_checkable
class StateValues(Protocol):
    """A policy that predicts the value of a state."""

    def state_values(self, observations: Observations) -> Floats:
        """Return V(s) at observations [n, ...]: [n]."""
        ...


class SamplingPolicy(ABC):
    """A policy that predicts by sampling from its `probabilities`.

    Samples come from a separate random stream, `_prediction_rng`, so that prediction never changes
    what an agent learns.
    """

    _prediction_rng: np.random.Generator
    _observation_space: Space = gym.spaces.Discrete(1)  # distinguishes an observation from a batch
    _action_index: ActionIndex = FROM_ZERO

    @abstractmethod
    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Return the action probabilities at observations [n, ...]: [n, actions].

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
        """Return actions for one observation or a batch; the parameters are MaskablePPO's.

        Raises:
            ValueError: a mask does not have one entry per action.
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
    uses_masks: bool = True  # whether it takes only actions that the environment's masks allow
    precision: str = ""  # number format in which the network computes; empty: no network
    accelerator: str = ""  # name of the GPU on which the agent learns; empty: none
    torch_threads: int = 1  # threads of PyTorch while the agent learns

    @abstractmethod
    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
    ) -> tuple[Array, PolicyState]:
        """Return actions for one observation or a batch; see `Policy`."""

    @abstractmethod
    def state_dict(self) -> Tensors:
        """Return everything that the agent's future depends on, as arrays."""

    @abstractmethod
    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: a tensor is missing, or has another shape.
        """

    def metrics(self) -> dict[str, float]:
        """Return metrics of the steps since the last call, by name, for metrics.jsonl.

        Raises:
            InputError: learning has diverged.
        """
        return {}

    def warnings(self) -> list[str]:
        """Return sentences that the user should read before training starts."""
        return []

    def memory_bytes(self, num_envs: int) -> int:
        """Return the bytes of memory that training in these environments takes; 0: not much."""
        del num_envs
        return 0

    @property
    def storage_bytes(self) -> int:
        """Bytes that the agent requests from `Storage`, without masks; 0: not much."""
        return 0

    @property
    def mask_bytes(self) -> int:
        """Bytes that the agent also requests where the environment gives action masks."""
        return 0


class Agent(SamplingPolicy, BaseAgent):
    """A policy that learns from the steps that the loop passes to it."""

    overlap_updates: bool = False  # call `update` while the environments step, not after `observe`

    @abstractmethod
    def act(self, observations: Observations, masks: Masks | None = None) -> Actions:
        """Choose actions for n environments by the exploring policy.  [n, ...] -> [n, ...].

        Args:
            observations: the current ones, [n, ...].
            masks: the allowed actions, [n, actions]; None: the environments have no masks.
        """

    @abstractmethod
    def observe(self, step: Step) -> None:
        """Receive one step of every environment, and add their number to `steps`."""

    def restart_episodes(
        self, lost: NDArray[np.bool_], observations: Observations, masks: Masks | None = None
    ) -> None:
        """Truncate running episodes after their last step, because they cannot continue.

        Called when a run is resumed in an environment whose state cannot be restored, and when an
        evaluation has used the only environment.

        Args:
            lost: whether each environment lost its episode, [n].
            observations: the observations for the next actions, [n, ...]: the first of a new
                episode where an episode was lost.
            masks: the actions allowed next, [n, actions]; None: all.
        """

    def update(self) -> None:
        """Learn. The loop calls this once a step, after `observe`; see also `overlap_updates`."""

    def check_num_envs(self, num_envs: int) -> None:
        """Raise InputError if the hyperparameters do not fit this number of environments."""

    def allocate(self, num_envs: int, slack: int, storage: Storage) -> None:
        """Allocate the agent's memory, such as a replay. Called once, before the first step.

        Args:
            num_envs: number of environments that step side by side.
            slack: most steps between two checkpoints, summed over the environments.
            storage: makes arrays that outlive the process.

        Raises:
            InputError: there is not enough memory.
        """
        del num_envs, slack, storage

    def finish(self) -> bool:
        """Make the updates that remain after the budget's last step; returns whether any did."""
        return False

    def checkpoint_saved(self) -> None:
        """Called after a checkpoint with the current `state_dict` was written."""

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the next step could overwrite data of the last checkpoint, as a replay does."""
        return False


class SelfTrainedAgent(BaseAgent):
    """An agent that runs its own loop, as stable-baselines3's algorithms do. It cannot resume."""

    @abstractmethod
    def set_total_steps(self, steps: int | None) -> None:
        """Set the run's number of steps, which schedules need; None: only time bounds the run.

        Raises:
            InputError: the schedules need a number of steps.
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
        """Whether the agent must load layers, because hyperparameters freeze or select some."""
        ...

    def take_layers(self, tensors: Tensors, whole: bool = False) -> list[str]:
        """Copy the layers that fit; returns the names of those that do not.

        Args:
            tensors: the other agent's state.
            whole: copy all layers, not only those that the hyperparameters select.

        Raises:
            InputError: no layer fits, a layer to be frozen does not fit, or `freeze` is
                random-conv and `whole` is False.
        """
        ...


class CompiledLoop(Protocol):
    """A loop that runs an agent on a known model in compiled code."""

    tick: int  # steps between two checks of the clock

    def advance(self, until: int) -> dict[str, float]:
        """Learn until `agent.steps` reaches `until`; returns sums by the names of TOTALS."""
        ...

    def record_episodes(
        self, episodes: int, check: Callable[[], object]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Learn until this many more episodes have ended; returns their returns and lengths."""
        ...

    def state_dict(self) -> Tensors:
        """Return the world's state and its random stream."""
        ...

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        ...


@runtime_checkable
class Compiled(Protocol):
    """A tabular agent that runs in a compiled loop where the world's model is known."""

    def compiled_loop(self, model: Model, time_limit: int | None, seed: int) -> CompiledLoop:
        """Return a loop of this agent in one world. It makes the same updates as `observe`."""
        ...


def check_tensors(tensors: Tensors, names: Sequence[str]) -> None:
    """Raise ValueError if one of these tensors is missing."""
    for name in names:
        if name not in tensors:
            raise ValueError(f"it lacks the tensor '{name}'")
