"""What deep agents share: a network of action values, acting by it, and saving it."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.agents.base import Actions, Agent, Floats, Masks, Observations, Tensors
from gridcade.agents.fast import AgentOptimizer, Backend, FastBackend
from gridcade.agents.networks import (
    ChannelNorm,
    NetworkName,
    Parts,
    PixelConv,
    network,
    take_layers,
)
from gridcade.agents.probabilities import greedy, sample_actions, uniform, with_epsilon
from gridcade.agents.schedules import Schedule
from gridcade.agents.spaces import numbered_actions
from gridcade.envs.actions import FROM_ZERO, ActionIndex
from gridcade.envs.atari import AtariGame
from gridcade.envs.observations import ArrayEncoder
from gridcade.envs.types import Array, Env
from gridcade.errors import InputError, unknown
from gridcade.experience.step import Step
from gridcade.seeding import pack, stream, unpack


@dataclass(frozen=True)
class DeepConfig:
    """Hyperparameters that deep agents share."""

    network: NetworkName = "auto"
    """Network of Mnih et al. (2013) or (2015), minatar (Young & Tian 2019: small images) or mlp.
    auto: what suits each image."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the mlp's hidden layers."""
    discount: float = 0.99
    """Discount factor gamma, per step."""
    clip_rewards: bool = True
    """Clip rewards to [-1, 1] for learning; reported rewards stay raw."""
    overlap: bool = True
    """Update while the environments step. --no-overlap: after each step, as in the papers."""
    fast: bool = True
    """Compute with the shortcuts of agents/fast.py. --no-fast: as PyTorch does, in float32."""
    bfloat16: bool = False
    """With fast, compute convolutions in bfloat16 on CPUs that support it; weights stay float32."""
    freeze: Literal["nothing", "conv"] = "nothing"
    """conv: the convolutions and their norms keep the weights that --init-from loads."""
    device: str = "cpu"
    """Device on which the network learns: cpu, cuda or mps."""

    def check(
        self,
        *,
        at_least: Mapping[str, int],
        shares: Iterable[str] = (),
        positive: Iterable[str] = (),
        schedules: Iterable[str] = (),
    ) -> None:
        """Raise InputError where a field is out of its range.

        Args:
            at_least: fields and their smallest values.
            shares: fields from 0 to 1.
            positive: fields above 0; `learning_rate.initial` is a field of a field.
            schedules: fields that are schedules of a number from 0 to 1.
        """
        for name, low in at_least.items():
            if getattr(self, name) < low:
                raise InputError(f"{name} is {getattr(self, name)}; it must be {low} or more")
        for name in ("discount", *shares):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        if any(units < 1 for units in self.hidden):
            raise InputError(f"hidden is {self.hidden}; every layer must have 1 unit or more")
        for name in schedules:
            schedule: Schedule = getattr(self, name)
            schedule.check(name)
            if schedule.power:
                raise InputError(f"{name}.power needs a table of visits, which a network lacks")
        for name in positive:
            if not 0 < (value := attrgetter(name)(self)) < math.inf:
                raise InputError(f"{name} is {value}; it must be more than 0")


class Spaces(NamedTuple):
    """Observations and actions of an environment, as a network takes them."""

    observations: ArrayEncoder
    stack: int  # frames in an observation, [stack, ...]; 0: frames are not stacked
    num_actions: int
    actions: ActionIndex = FROM_ZERO

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an encoded observation."""
        return self.observations.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of encoded observations."""
        return self.observations.dtype


class DeepAgent(Agent):
    """An agent whose greedy action maximizes a network's Q(s, a).

    Args:
        spaces: of the environment.
        config: hyperparameters.
        seed: of the network's first weights and of the agent's random stream.
        layer_norm: normalize the layers.

    Raises:
        InputError: PyTorch does not find the device, or the network does not fit the observations.
    """

    def __init__(self, spaces: Spaces, config: DeepConfig, seed: int, layer_norm: bool = False):
        self.spaces = spaces
        self.device = find_device(config.device)
        self.steps = self.updates = 0
        self.overlap_updates = config.overlap
        self._observation_space = spaces.observations.space
        self._action_index = spaces.actions
        self._rng = stream(seed, "agent")
        self._prediction_rng = stream(seed, "prediction")
        with torch.random.fork_rng(devices=[]):  # PyTorch initializes from its global stream
            torch.manual_seed(seed)
            parts = spaces.observations.parts
            q = network(config.network, parts, spaces.num_actions, config.hidden, layer_norm)
        has_convolutions = any(isinstance(module, nn.Conv2d) for module in q.modules())
        if config.freeze == "conv" and not has_convolutions:
            raise InputError("freeze is conv, but this network has no convolutions")
        if config.freeze == "conv":
            for layer in _convolutions(q):
                layer.requires_grad_(False)
        self.backend = (
            FastBackend(q, self.device, config.bfloat16) if config.fast else Backend(q, self.device)
        )
        self.q = self.backend.q
        self._frozen = _convolutions(self.q) if config.freeze == "conv" else []
        self.precision = self.backend.precision
        wants_bfloat16 = config.bfloat16 and config.fast and isinstance(q[0], PixelConv)
        self._lacks_bfloat16 = wants_bfloat16 and self.precision == "float32"

    @property
    @abstractmethod
    def epsilon(self) -> float:
        """The probability of a random action, now."""

    def warnings(self) -> list[str]:
        """Warn where bfloat16 was requested for a processor that does not support it."""
        if not self._lacks_bfloat16 or self.device.type != "cpu":
            return []
        return [
            "bfloat16 was requested, but this CPU does not support it: training runs in float32 "
            "and is slower"
        ]

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Probabilities of the greedy policy, or of the epsilon-greedy one: [n, actions]."""
        table = greedy(self.action_values(observations), masks)
        return table if deterministic else with_epsilon(table, self.epsilon, masks)

    def action_values(self, observations: Observations) -> Floats:
        """Q(s, a) at observations [n, ...]: [n, actions]."""
        return self.backend.values(self.preprocess(observations)).astype(np.float64)

    def preprocess(self, observations: Observations) -> Array:
        """Observations of the environment, [n, ...], as the network takes them."""
        return self.backend.preprocess(self.spaces.observations(observations))

    def epsilon_greedy(
        self, count: int, values: Callable[[], NDArray[np.float32]], masks: Masks | None = None
    ) -> Actions:
        """With probability epsilon a random action, else argmax_a Q(s, a).  [count, ...].

        Args:
            count: of states.
            values: computes Q(s, .), [count, actions]; not called where all actions are random.
            masks: the allowed actions, [count, actions]; None: all.
        """
        random = self._rng.random(count) < self.epsilon
        if masks is None:
            indices = self._rng.integers(self.spaces.num_actions, size=count)
        else:
            indices = sample_actions(uniform(masks), self._rng.random(count))
        if not random.all():
            best = values() if masks is None else np.where(masks, values(), -np.inf)
            indices = np.where(random, indices, best.argmax(axis=1))
        return self._action_index.decode(indices)

    def encode_step(self, step: Step) -> Step:
        """A step with its observations as arrays, and the numbers of its actions."""
        encode = self.spaces.observations
        return replace(
            step,
            observations=encode(step.observations),
            actions=self._action_index.encode(step.actions),
            next_observations=encode(step.next_observations),
            current=encode(step.current),
        )

    @property
    def needs_layers(self) -> bool:
        """Whether layers are frozen, so that they must be loaded."""
        return bool(self._frozen)

    def take_layers(self, tensors: Tensors) -> list[str]:
        """Start from another agent's layers; returns the names of those that do not fit.

        Raises:
            InputError: no layer fits, or a frozen one does not.
        """
        first = "q.0.weight"
        if first in tensors:
            tensors = tensors | {first: self.backend.convert_layout(tensors[first])}
        left_out = take_layers(self.q, tensors, "q.", self._frozen)
        self.backend.weights_changed()
        return left_out

    def learned_rewards(
        self, step: Step, clip_rewards: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Rewards that are learned from, and where targets do not bootstrap, [n] each.

        A lost life ends bootstrapping, though the game goes on (Mnih et al. 2015, in the code).
        """
        rewards = np.clip(step.rewards, -1, 1) if clip_rewards else step.rewards
        lost = step.life_lost
        return rewards, step.terminated if lost is None else step.terminated | lost

    def finite(self, loss: Tensor, seen: Callable[[], tuple[Array, ...]]) -> float:
        """A loss as a number.

        Args:
            loss: the loss.
            seen: returns the observations that it was computed from.

        Raises:
            InputError: it is infinite or nan, because learning diverged or an observation is.
        """
        value = float(loss.detach())
        if not np.isfinite(value):
            if not all(np.isfinite(observations).all() for observations in seen()):
                raise InputError(
                    "the environment returned an observation that is infinite; a network cannot "
                    "learn from it"
                )
            raise InputError(f"the loss is {value} at update {self.updates}: learning diverged")
        return value

    def check_weights(self) -> None:
        """Raise InputError if a weight is infinite or nan, so that no checkpoint holds it."""
        if not all(bool(weight.isfinite().all()) for weight in self.q.parameters()):
            raise InputError(
                f"weights are not finite after update {self.updates}: learning diverged"
            )

    def save(self, optimizer: AgentOptimizer, **networks: nn.Module) -> Tensors:
        """The agent's random stream, the weights of networks and the optimizer's moments."""
        self.check_weights()
        tensors: Tensors = {"agent_stream": pack(self._rng)}
        for name, module in networks.items():
            tensors |= {f"{name}.{k}": _array(v) for k, v in module.state_dict().items()}
        for i, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": _array(v) for k, v in state.items()}
        return tensors

    def load(self, tensors: Tensors, optimizer: AgentOptimizer, **networks: nn.Module) -> None:
        """Restore what `save` returned, and the counters.

        Raises:
            ValueError: a tensor is missing or has another shape. After the first update every
                weight that is learned needs its moments.
        """
        self.steps, self.updates = (int(n) for n in tensors["counters"][:2])
        for name, module in networks.items():
            for key, present in module.state_dict().items():
                saved = tensors.get(f"{name}.{key}")
                if saved is None:
                    raise ValueError(f"it lacks the tensor '{name}.{key}'")
                if saved.shape != tuple(present.shape):
                    shapes = f"{saved.shape}, not {tuple(present.shape)}"
                    raise ValueError(f"'{name}.{key}' has shape {shapes}")
                with torch.no_grad():
                    present.copy_(torch.from_numpy(np.array(saved)))
        self.backend.weights_changed()
        moments: dict[int, dict[str, Tensor]] = {}
        for key, saved in tensors.items():
            if key.startswith("optimizer."):
                _, i, name = key.split(".")
                moments.setdefault(int(i), {})[name] = torch.from_numpy(np.array(saved))
        kinds = sorted({name for state in moments.values() for name in state}) or ["step"]
        learned = [i for i, weight in enumerate(self.q.parameters()) if weight.requires_grad]
        for number, name in product(learned, kinds) if self.updates else ():
            if name not in moments.get(number, {}):
                raise ValueError(f"it lacks the tensor 'optimizer.{number}.{name}'")
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
        unpack(self._rng, tensors["agent_stream"])


def check_spaces(env: Env, agent: str) -> Spaces:
    """The observations and actions of an environment, as a network takes them.

    Raises:
        InputError: its actions cannot be numbered, or its observations cannot become arrays.
    """
    actions = numbered_actions(env, agent)
    stack = env.unwrapped.stack if isinstance(env.unwrapped, AtariGame) else 0
    try:
        encoder = ArrayEncoder(env.observation_space)
    except InputError as error:
        raise InputError(f"{agent} cannot learn here: {error}") from None
    return Spaces(encoder, stack, actions.count, actions)


def find_device(name: str) -> torch.device:
    """A device by its name; InputError if PyTorch does not find it here."""
    available = {"cpu": True, "cuda": torch.cuda.is_available()}
    available["mps"] = torch.backends.mps.is_available()
    kind = name.partition(":")[0]
    if kind not in available:
        raise unknown("device", name, available)
    if not available[kind]:
        raise InputError(f"PyTorch finds no device '{name}' here; use --device cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"'{name}' is not a device; try {kind} or {kind}:0") from None
    if kind == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise InputError(f"no device '{name}': PyTorch finds {count} here, from cuda:0 on")
    return device


def _convolutions(q: nn.Sequential) -> list[nn.Module]:
    """The convolutions and their norms, alone or of several parts of an observation."""
    return [layer for layer in q if isinstance(layer, nn.Conv2d | ChannelNorm | Parts)]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.array(tensor.detach().float().cpu().numpy())
