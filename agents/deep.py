"""What deep agents share: a network of action values, acting by it, and keeping it."""

import ctypes
import sys
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.agents.base import SamplingPolicy
from gridcade.agents.networks import (
    ChannelNorm,
    FirstLayer,
    NetworkName,
    copy_weights,
    in_bfloat16,
    network,
    take_layers,
    to_blocks,
)
from gridcade.agents.probabilities import greedy, with_epsilon
from gridcade.agents.schedules import Schedule
from gridcade.errors import InputError, unknown
from gridcade.experience.step import Step
from gridcade.seeding import pack, stream, unpack

Floats = NDArray[np.float64]
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class DeepConfig:
    """Hyperparameters that deep agents share; what they count is in their description."""

    network: NetworkName = "auto"
    """The network of 2013, of 2015, or an mlp; auto: 2013 for images in bytes that fit it."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the mlp's layers."""
    discount: float = 0.99
    """Gamma, a step."""
    clip_rewards: bool = True
    """Rewards to [-1, 1], for the learner only."""
    bfloat16: bool = False
    """Passes of convolutions in bfloat16, where the processor has it; weights stay float32."""
    freeze: Literal["nothing", "conv"] = "nothing"
    """conv: convolutions and their norms keep their weights, such as --init-from gave them."""
    device: str = "cpu"
    """Where the network learns: cpu, cuda or mps."""

    def check(
        self,
        *,
        least: Mapping[str, int],
        shares: Iterable[str] = (),
        positive: Iterable[str] = (),
        schedules: Iterable[str] = (),
    ) -> None:
        """Raise InputError where a field is out of its range.

        Args:
            least: fields and the least that they take.
            shares: fields of 0 to 1.
            positive: fields of more than 0; `learning_rate.initial` is a field of a field.
            schedules: fields that are schedules of a number from 0 to 1.
        """
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"{name} is {getattr(self, name)}; it takes {low} or more")
        for name in ("discount", *shares):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it takes 0 to 1")
        if any(units < 1 for units in self.hidden):
            raise InputError(f"hidden is {self.hidden}; a layer takes 1 unit or more")
        for name in schedules:
            schedule: Schedule = getattr(self, name)
            schedule.check(name)
            if schedule.power:
                raise InputError(f"{name}.power takes a table of visits: a network has none")
        for name in positive:
            if not 0 < (value := attrgetter(name)(self)) < float("inf"):
                raise InputError(f"{name} is {value}; it takes more than 0")


class Form(NamedTuple):
    """What an agent sees, and among how much it chooses."""

    shape: tuple[int, ...]  # of an observation
    dtype: Any
    stack: int  # frames in an observation, [stack, …]; 0: none are stacked
    num_actions: int


class DeepAgent(SamplingPolicy):
    """An agent whose greedy action maximises a network's Q(s, a).

    Args:
        form: of its observations and actions.
        config: hyperparameters.
        seed: of the network's first weights, and of the agent's random stream.
        layer_norm: whether layers are normalised.

    Raises:
        InputError: PyTorch finds no such device here, or the network takes no such frames.
    """

    def __init__(self, form: Form, config: DeepConfig, seed: int, layer_norm: bool = False):
        keep_freed_memory()
        shape, dtype = form.shape, np.dtype(form.dtype)
        self.device = find_device(config.device)
        self.steps = self.updates = 0
        self._shape, self._dtype, self._stack, self._num_actions = form
        self._observation_axes = len(shape)
        self._rng = stream(seed, "agent")
        self._prediction_rng = stream(seed, "prediction")
        with torch.random.fork_rng(devices=[]):  # PyTorch initialises from its global stream
            torch.manual_seed(seed)
            name = "mlp" if config.network == "auto" and dtype != np.uint8 else config.network
            self.q = network(name, shape, form.num_actions, config.hidden, layer_norm)
        self.q.to(self.device)
        convolutions = [layer for layer in self.q if isinstance(layer, nn.Conv2d | ChannelNorm)]
        if config.freeze == "conv" and not convolutions:
            raise InputError("freeze is conv; this network has no convolutions")
        self._frozen = convolutions if config.freeze == "conv" else []
        for layer in self._frozen:
            layer.requires_grad_(False)
        self._blocks = isinstance(self.q[0], FirstLayer)
        self._channels_last = self._blocks and shape[1] != shape[2]
        if self._blocks and dtype != np.uint8:
            given = f"these frames are {dtype}: take network mlp"
            raise InputError(f"the convolutions take bytes (uint8); {given}")
        asked = config.bfloat16 and self._blocks
        low = asked and _has_bfloat16(self.device)
        self._compute_network = in_bfloat16(self.q) if low else self.q  # what the passes run on
        self.precision = "bfloat16" if low else "float32"  # of the passes
        # so that it is slower than its preset was made for
        self.lacks_units = asked and not low and self.device.type == "cpu"

    @property
    @abstractmethod
    def epsilon(self) -> float:
        """The probability of a random action, now."""

    def probabilities(self, observations: Any, deterministic: bool = True) -> Floats:
        """Action probabilities at observations [n, …]: greedy, or epsilon-greedy as it acts now."""
        table = greedy(self._values(self._seen(np.asarray(observations))))
        return table if deterministic else with_epsilon(table, self.epsilon)

    @property
    def layers(self) -> int:
        """The number of layers that have weights."""
        return sum(bool(layer.state_dict()) for layer in self.q)

    def take_layers(self, tensors: Tensors) -> list[str]:
        """Start from another agent's layers, where they fit; the names of those that do not.

        Raises:
            InputError: one that is frozen does not.
        """
        left = take_layers(self.q, tensors, "q.", self._frozen)
        self._follow_weights()
        return left

    def _clip_and_mask(
        self, step: Step, clip_rewards: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Rewards as they are learnt from, and where nothing is bootstrapped from, [n] each.

        A lost life is an end to the learner, though the game goes on.
        """
        rewards = np.clip(step.rewards, -1, 1) if clip_rewards else step.rewards
        lost = step.life_lost
        return rewards, step.terminated if lost is None else step.terminated | lost

    def _finite(self, loss: Tensor) -> float:
        """A loss as a number; InputError if it is none any more."""
        value = float(loss.detach())
        if not np.isfinite(value):
            raise InputError(f"the loss is {value} at update {self.updates}: it has diverged")
        return value

    def _gather_gradients(self) -> None:
        """Give the learnt weights the gradients of those that the passes ran on."""
        if self._compute_network is self.q:
            return
        for weight, copied in zip(
            self.q.parameters(), self._compute_network.parameters(), strict=True
        ):
            if copied is not weight and copied.grad is not None:
                weight.grad, copied.grad = copied.grad.float(), None

    def _follow_weights(self) -> None:
        """Let the passes know that the weights were set."""
        if self._compute_network is not self.q:
            copy_weights(self.q, self._compute_network)

    def _check_weights(self) -> None:
        """Raise InputError if an update has spoilt them, so that no checkpoint holds such."""
        if not all(bool(weight.isfinite().all()) for weight in self.q.parameters()):
            raise InputError(f"update {self.updates} left weights that are no numbers")

    def _kept(self, optimiser: Any, **modules: nn.Module) -> Tensors:
        """The agent's stream, the weights of modules and the optimiser's moments, by name."""
        self._check_weights()
        found = {"agent_stream": pack(self._rng)}
        for name, module in modules.items():
            found |= {f"{name}.{k}": _array(v) for k, v in module.state_dict().items()}
        for i, state in optimiser.state_dict()["state"].items():
            found |= {f"optimiser.{i}.{k}": _array(v) for k, v in state.items()}
        return found

    def _load(self, tensors: Tensors, optimiser: Any, **modules: nn.Module) -> None:
        """Undo `_kept`, and set the counters; ValueError if a tensor is missing, or misshapen.

        Once there were updates, every weight that is learnt has its moments.
        """
        self.steps, self.updates = (int(n) for n in tensors["counters"][:2])
        for name, module in modules.items():
            for key, present in module.state_dict().items():
                given = tensors.get(f"{name}.{key}")
                if given is None:
                    raise ValueError(f"it lacks the tensor '{name}.{key}'")
                if given.shape != tuple(present.shape):
                    has, wants = given.shape, tuple(present.shape)
                    raise ValueError(f"'{name}.{key}' has shape {has}, not {wants}")
                with torch.no_grad():
                    present.copy_(torch.from_numpy(np.array(given)))
        self._follow_weights()
        moments: dict[int, dict[str, Tensor]] = {}
        for key, given in tensors.items():
            if key.startswith("optimiser."):
                _, i, name = key.split(".")
                moments.setdefault(int(i), {})[name] = torch.from_numpy(np.array(given))
        kinds = sorted({name for state in moments.values() for name in state}) or ["step"]
        learnt = [n for n, weight in enumerate(self.q.parameters()) if weight.requires_grad]
        for number, name in product(learnt, kinds) if self.updates else ():
            if name not in moments.get(number, {}):
                raise ValueError(f"it lacks the tensor 'optimiser.{number}.{name}'")
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        unpack(self._rng, tensors["agent_stream"])

    def _seen(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Observations [n, …], or of stacked ones single frames, in the form of the network."""
        if not self._blocks:
            return observations
        return to_blocks(np.moveaxis(observations, -1, 1) if self._channels_last else observations)

    def _values(self, observations: Any) -> NDArray[np.float32]:
        """Q(s, .) of observations [n, …] in the network's form: [n, actions]."""
        with torch.no_grad():
            values = self._compute_network(self._tensor(np.asarray(observations)))
        return np.asarray(values.cpu().numpy())

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def fitting(env: gym.Env[Any, Any], agent: str) -> Form:
    """The form of an environment's observations and actions.

    Raises:
        InputError: its actions are not Discrete from 0 on, or its observations no plain arrays.
    """
    space, actions = env.observation_space, env.action_space
    if not isinstance(actions, gym.spaces.Discrete) or actions.start != 0:
        raise InputError(f"{agent} takes Discrete actions from 0 on; these are {actions}")
    if not isinstance(space, gym.spaces.Box) or not space.shape:
        hint = "; a gridworld shows itself as observation=one_hot or pixels"
        raise InputError(f"{agent} takes arrays as observations; these are {space}{hint}")
    stack = int(getattr(env.unwrapped, "stack", 0))
    return Form(space.shape, space.dtype, stack, int(actions.n))


@cache
def keep_freed_memory() -> None:
    """Have this process keep the memory that it frees, where the C library is GNU's.

    Else an update's large tensors are given back to the system and taken anew each time, and the
    page faults cost a tenth of it. (mallopt(3): M_MMAP_THRESHOLD, of which older versions take
    32 MiB at most, and M_TRIM_THRESHOLD, which alone would make it worse.)
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        if library.mallopt(-3, 1 << 25):
            library.mallopt(-1, 1 << 30)


def find_device(name: str) -> torch.device:
    """A device by its name; InputError if PyTorch does not find it here."""
    found = {"cpu": True, "cuda": torch.cuda.is_available()}
    found["mps"] = torch.backends.mps.is_available()
    kind = name.partition(":")[0]
    if kind not in found:
        raise unknown("device", name, found)
    if not found[kind]:
        raise InputError(f"PyTorch finds no device '{name}' here; take --device cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"'{name}' is no device; take such as {kind} or {kind}:0") from None
    if kind == "cuda" and (device.index or 0) >= (many := torch.cuda.device_count()):
        raise InputError(f"there is no '{name}': PyTorch finds {many} here, from cuda:0 on")
    return device


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.array(tensor.detach().float().cpu().numpy())


def _has_bfloat16(device: torch.device) -> bool:
    """Whether it has units for it; a processor without is slower in bfloat16, not faster."""
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(asked())
