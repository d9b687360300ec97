"""The base class of deep agents: they act by a network of action values, and save it."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, product
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.agents.accelerator import AcceleratorBackend, is_accelerator
from gridcade.agents.averaging import WeightAverage
from gridcade.agents.base import Actions, Agent, Floats, Masks, Observations, Tensors
from gridcade.agents.fast import AgentOptimizer, ArrayOrTensor, Backend, FastBackend
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
from gridcade.envs.types import Env
from gridcade.errors import InputError, unknown
from gridcade.experience.step import Step
from gridcade.seeding import pack, stream, unpack

INFINITE_OBSERVATION = (
    "the environment returned an observation that is infinite; a network cannot learn from it"
)


@dataclass(frozen=True)
class DeepConfig:
    """Hyperparameters that deep agents share."""

    network: NetworkName = "auto"
    """Network: 2013 or 2015 (Mnih et al.), minatar (Young & Tian 2019, for small images), or mlp.
    auto: selected by the observations."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the mlp's hidden layers."""
    discount: float = 0.99
    """Discount factor gamma, per step."""
    clip_rewards: bool = True
    """Clip rewards to [-1, 1] for learning; reported rewards stay raw."""
    overlap: bool = True
    """Update while the environments step. --no-overlap: after each step, as in the papers."""
    fast: bool = True
    """Compute with the shortcuts of agents/fast.py. --no-fast: with plain PyTorch, in float32."""
    bfloat16: bool = False
    """With fast, compute the networks 2013 and 2015 except their last layer in bfloat16, on devices
    that support it; weights stay float32."""
    average_over: int = 0
    """Updates over which weights are averaged for predictions and evaluations. 0: no average.
    Training always acts by the last weights."""
    init_layers: Literal["all", "conv"] = "all"
    """Layers that --init-from loads. all: every layer that fits. conv: the convolutions and their
    norms."""
    freeze: Literal["nothing", "conv", "random-conv"] = "nothing"
    """Layers that do not learn. conv: the convolutions and their norms, as loaded by --init-from.
    random-conv: the same layers, with their random initial weights."""
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
        """Raise InputError if a field is out of its range.

        Args:
            at_least: fields and their smallest values.
            shares: fields from 0 to 1.
            positive: fields above 0, also nested ones, such as `learning_rate.initial`.
            schedules: fields that are schedules of a number from 0 to 1.
        """
        for name, low in {"average_over": 0, **at_least}.items():
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
                raise InputError(
                    f"{name}.power is {schedule.power}; it must be 0, because only tabular agents "
                    "count visits"
                )
        for name in positive:
            if not 0 < (value := attrgetter(name)(self)) < math.inf:
                raise InputError(f"{name} is {value}; it must be more than 0")


class Spaces(NamedTuple):
    """The observation and action spaces of an environment, as a network needs them."""

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
        spaces: the environment's observation and action spaces.
        config: hyperparameters.
        seed: random seed of the initial weights and of the agent's random stream.
        layer_norm: normalize the output of each layer but the last.

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
        if not any(isinstance(module, nn.Conv2d) for module in q.modules()):
            for name in ("freeze", "init_layers"):
                if "conv" in (value := getattr(config, name)):
                    raise InputError(f"{name} is {value}, but this network has no convolutions")
        if config.freeze == "random-conv" and config.init_layers == "conv":
            raise InputError(
                "freeze is random-conv, so no layers can be loaded: remove init_layers, or set "
                "freeze to conv"
            )
        if config.freeze != "nothing":
            for layer in _convolutions(q):
                layer.requires_grad_(False)
        if not config.fast:
            self.backend = Backend(q, self.device)
        elif is_accelerator(self.device):
            self.backend = AcceleratorBackend(q, self.device, config.bfloat16)
        else:
            self.backend = FastBackend(q, self.device, config.bfloat16)
        self.q = self.backend.q
        self._freeze = config.freeze
        self._convolutions = _convolutions(self.q)
        self._initialized = self._convolutions if config.init_layers == "conv" else [*self.q]
        over = config.average_over
        self.average = WeightAverage(self.backend, over) if over else None  # predicts, if any
        self.precision = self.backend.precision
        if self.device.type == "cuda":
            self.accelerator = torch.cuda.get_device_name(self.device)
        wants_bfloat16 = config.bfloat16 and config.fast and isinstance(q[0], PixelConv)
        self._lacks_bfloat16 = wants_bfloat16 and self.precision == "float32"

    @property
    @abstractmethod
    def epsilon(self) -> float:
        """The current probability of a random action."""

    def warnings(self) -> list[str]:
        """Warn if bfloat16 was requested for a device that does not support it."""
        device = "CPU" if self.device.type == "cpu" else "device"
        return [
            f"bfloat16 was requested, but this {device} does not support it: training runs in "
            "float32 and is slower"
        ][: self._lacks_bfloat16]

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Return the probabilities of the greedy or epsilon-greedy policy, [n, actions]."""
        values = self.action_values(observations)
        if not np.isfinite(values).all():
            array = self.backend.array(self.preprocess(observations))
            raise InputError(
                "action values are not finite: learning diverged"
                if np.isfinite(array).all()
                else INFINITE_OBSERVATION
            )
        table = greedy(values, masks)
        return table if deterministic else with_epsilon(table, self.epsilon, masks)

    def action_values(self, observations: Observations) -> Floats:
        """Return Q(s, a) at observations [n, ...] by the averaged weights, if any: [n, actions]."""
        predictor = self.average or self.backend
        return predictor.values(self.preprocess(observations)).astype(np.float64)

    def preprocess(self, observations: Observations) -> ArrayOrTensor:
        """Convert observations of the environment, [n, ...], to inputs of the network."""
        return self.backend.preprocess_there(self.spaces.observations(observations))

    def epsilon_greedy(
        self, count: int, values: Callable[[], NDArray[np.float32]], masks: Masks | None = None
    ) -> Actions:
        """Choose a random action with probability epsilon, else argmax_a Q(s, a).  [count, ...].

        Args:
            count: number of states.
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
        """Return a step with observations as arrays, and actions as numbers from 0."""
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
        """Whether the agent must load layers, because `freeze` or `init_layers` selects some."""
        return self._freeze == "conv" or len(self._initialized) < len(self.q)

    def take_layers(self, tensors: Tensors, whole: bool = False) -> list[str]:
        """Copy another agent's layers; returns the names of those that do not fit.

        If the other agent averages its weights, the averaged ones are copied.

        Args:
            tensors: the other agent's state.
            whole: copy all layers, not only those that `init_layers` and `freeze` select.

        Raises:
            InputError: no layer fits, a layer to be frozen does not fit, or `freeze` is
                random-conv and `whole` is False.
        """
        if self._freeze == "random-conv" and not whole:
            raise InputError("freeze is random-conv, so no layers can be loaded")
        prefix = "q_average." if any(name.startswith("q_average.") for name in tensors) else "q."
        first = f"{prefix}0.weight"
        if first in tensors:
            tensors = tensors | {first: self.backend.convert_layout(tensors[first])}
        layers = [*self.q] if whole else self._initialized
        frozen = self._convolutions if self._freeze == "conv" else ()
        left_out = take_layers(self.q, tensors, prefix, layers, frozen)
        self.backend.weights_changed()
        if self.average:
            self.average.restart()
        return left_out

    def learned_rewards(
        self, step: Step, clip_rewards: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the rewards to learn from, and whether targets must not bootstrap, [n] each.

        A lost life ends bootstrapping although the game goes on, as in the code of Mnih et al.
        (2015).
        """
        rewards = np.clip(step.rewards, -1, 1) if clip_rewards else step.rewards
        lost = step.life_lost
        return rewards, step.terminated if lost is None else step.terminated | lost

    def count_update(self) -> None:
        """Count an update of the weights, and average them."""
        self.updates += 1
        if self.average:
            self.average.update(self.updates)

    def add_losses(
        self,
        sums: NDArray[np.float64],
        loss: Tensor | None = None,
        seen: Callable[[], tuple[ArrayOrTensor, ...]] | None = None,
        divisor: int = 1,
    ) -> None:
        """Add the newest loss to `sums`; an accelerator adds several losses at once, later.

        Args:
            sums: sum and number of the losses, [2]; changed in place.
            loss: the loss of this update; None: add all losses that have not been added yet.
            seen: returns the observations of this update's minibatch.
            divisor: divides each loss.

        Raises:
            InputError: a loss is infinite or nan: learning diverged, or an observation is not
                finite.
        """
        losses = self.backend.known_losses(loss)
        first = self.updates - len(losses) + (loss is not None)  # the update of the first loss
        for update, value in enumerate(losses, first):
            if not math.isfinite(value):
                arrays = () if seen is None else map(self.backend.array, seen())
                if not all(np.isfinite(array).all() for array in arrays):
                    raise InputError(INFINITE_OBSERVATION)
                cause = "learning diverged"
                if self.spaces.dtype.kind == "f" and (seen is None or update < self.updates):
                    # The observations of an earlier update are no longer known.
                    cause += ", or an observation is infinite"
                raise InputError(
                    f"the loss is {value} at update {update}: {cause}; try a smaller learning_rate"
                )
            sums += value / divisor, 1

    def check_weights(self) -> None:
        """Raise InputError if a weight is infinite or nan, so that no checkpoint holds it."""
        networks = [self.q, self.average.q] if self.average else [self.q]
        weights = chain.from_iterable(network.parameters() for network in networks)
        if not all(bool(weight.isfinite().all()) for weight in weights):
            raise InputError(
                f"weights are not finite after update {self.updates}: learning diverged; try a "
                "smaller learning_rate"
            )

    def save(self, optimizer: AgentOptimizer, **networks: nn.Module) -> Tensors:
        """Return the agent's random stream, the networks' weights and the optimizer's moments."""
        self.check_weights()
        networks |= {"q_average": self.average.q} if self.average else {}
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
        networks |= {"q_average": self.average.q} if self.average else {}
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
        if self.average:
            self.average.weights_changed()
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
    """Return the spaces of an environment as a network needs them.

    Raises:
        InputError: the actions cannot be numbered, or the observations cannot become arrays.
    """
    actions = numbered_actions(env, agent)
    stack = env.unwrapped.stack if isinstance(env.unwrapped, AtariGame) else 0
    try:
        encoder = ArrayEncoder(env.observation_space)
    except InputError as error:
        raise InputError(f"{agent} cannot learn here: {error}") from None
    return Spaces(encoder, stack, actions.count, actions)


def find_device(name: str) -> torch.device:
    """Return the device of a name; InputError if PyTorch does not find it here."""
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
        raise InputError(f"no device '{name}': PyTorch finds {count} here, numbered from cuda:0")
    return device


def _convolutions(q: nn.Sequential) -> list[nn.Module]:
    """Return the convolutions and their norms; `Parts`, which holds several, is one layer."""
    return [layer for layer in q if isinstance(layer, nn.Conv2d | ChannelNorm | Parts)]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.array(tensor.detach().float().cpu().numpy())
