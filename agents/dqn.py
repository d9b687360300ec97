"""Deep Q-learning with experience replay: Mnih et al. (2013), Algorithm 1, and (2015)."""

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.agents.networks import (
    FirstLayer,
    NetworkName,
    copy_weights,
    in_bfloat16,
    network,
    stack_blocks,
    take_layers,
    to_blocks,
)
from gridcade.agents.optimisers import AdamBeside, MnihRMSProp
from gridcade.agents.replay import Batch, Replay, Storage, in_memory
from gridcade.agents.schedule import Schedule
from gridcade.errors import InputError, unknown
from gridcade.experience import Step
from gridcade.probabilities import greedy, pick, with_epsilon
from gridcade.streams import pack, stream, unpack

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DQNConfig:
    """Hyperparameters of DQN; what they count is in their description.

    Raises:
        InputError: a field is out of its range.
    """

    network: NetworkName = "auto"
    """The network of 2013, of 2015, or an mlp; auto: 2013 for stacked frames, else mlp."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the mlp's layers."""
    discount: float = 0.99
    """Gamma, a decision."""
    replay_capacity: int = 1_000_000
    """N, frames in the replay, over all environments."""
    learn_start: int = 50_000
    """Decisions before the first update."""
    update_every: int = 4
    """Decisions for each update."""
    batch_size: int = 32
    """Transitions in a minibatch."""
    target_every: int = 10_000
    """Decisions from one copy of the target network to the next; 0: no target network."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(1.0, 0.1, 1_000_000))
    """Probability of a random action; its decisions count from learn_start on."""
    optimiser: Literal["adam", "mnih"] = "adam"
    """Adam, or the RMSProp of Mnih et al."""
    learning_rate: float = 0.00025
    """Of the optimiser."""
    loss: Literal["huber", "squared"] = "huber"
    """Huber: the error is clipped to [-1, 1]."""
    clip_rewards: bool = True
    """Rewards to [-1, 1], for the learner only."""
    double: bool = False
    """Double Q-learning (van Hasselt et al. 2016): the online network picks the target's action."""
    n_step: int = 1
    """Decisions whose rewards are summed before bootstrapping."""
    held_out: int = 100
    """Observations, taken at learn_start, over which max Q is reported (Mnih et al. 2013)."""
    bfloat16: bool = False
    """Passes in bfloat16, where the processor has units for it; weights stay float32."""
    freeze: Literal["nothing", "conv"] = "nothing"
    """conv: the convolutions keep their weights, such as those that --init-from gave them."""
    device: str = "cpu"
    """Where the network learns: cpu, cuda or mps."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        least = {"replay_capacity": 2, "learn_start": 1, "update_every": 1, "batch_size": 1}
        least |= {"target_every": 0, "n_step": 1, "held_out": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"{name} is {getattr(self, name)}; it takes {low} or more")
        if not 0 <= self.discount <= 1:
            raise InputError(f"discount is {self.discount}; it takes 0 to 1")
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(f"learning_rate is {self.learning_rate}; it takes more than 0")
        if any(units < 1 for units in self.hidden):
            raise InputError(f"hidden is {self.hidden}; a layer takes 1 unit or more")
        if self.bfloat16 and self.optimiser != "adam":
            raise InputError("bfloat16 takes the optimiser adam")
        if self.epsilon.power:
            raise InputError("epsilon.power takes a table of visits: DQN has none")
        self.epsilon.check("epsilon")


class DQN:
    """The agent.

    Args:
        shape: of an observation.
        dtype: of observations.
        stack: frames in an observation, [stack, …]; 0: none are stacked.
        num_actions: actions.
        config: hyperparameters.
        seed: of the network's first weights, and of the agent's random stream.

    Raises:
        InputError: PyTorch finds no such device here.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        stack: int,
        num_actions: int,
        config: DQNConfig | None = None,
        seed: int = 0,
    ):
        self.config = config or DQNConfig()
        self.decisions = self.updates = 0
        self.device = find_device(self.config.device)
        self._shape, self._dtype, self._stack = shape, dtype, stack
        self._num_actions = num_actions
        self._rng = stream(seed, "agent")
        self._prediction_rng = stream(seed, "prediction")
        with torch.random.fork_rng(devices=[]):  # PyTorch initialises from its global stream
            torch.manual_seed(seed)
            self.q = network(self.config.network, shape, num_actions, self.config.hidden)
        self.q.to(self.device)
        if self.config.freeze == "conv":
            for layer in self.q:
                layer.requires_grad_(not isinstance(layer, nn.Conv2d))
        self._blocks = isinstance(self.q[0], FirstLayer)
        low = self.config.bfloat16 and _has_bfloat16(self.device)
        self._passes = in_bfloat16(self.q) if low else self.q
        self.q_target = copy.deepcopy(self._passes) if self.config.target_every else self._passes
        self._beside = ThreadPoolExecutor(1)  # for the target network, and large weights' updates
        self._optimiser: Any
        rate = self.config.learning_rate
        if self.config.optimiser == "mnih":
            self._optimiser = MnihRMSProp(self.q.parameters(), rate)
        elif low:
            self._optimiser = AdamBeside(self.q, self._passes, rate, self._beside)
        else:
            self._optimiser = torch.optim.Adam(self.q.parameters(), rate, fused=True)
        self._losses: Floats = np.zeros(2)  # sum and number, since the metrics were last asked for
        self.attach(1, 0, in_memory, empty=True)

    def attach(self, envs: int, slack: int, storage: Storage, empty: bool = False) -> None:
        """Give the agent its memory, before it learns; see `Replay`. Empty: it will not learn."""
        config = self.config
        capacity = self._depth * envs if empty else config.replay_capacity
        frame = self._shape[1:] if self._stack else self._shape
        encode = to_blocks if self._blocks else np.asarray
        self.replay = Replay(
            envs, capacity, slack, frame, self._dtype, self._stack, storage, encode
        )
        count = 0 if empty else config.held_out
        seen = self._seen(np.zeros((count, *self._shape), self._dtype))
        self._held_out = storage("held_out", seen.shape, self._dtype)

    @property
    def full(self) -> bool:
        """Whether a checkpoint has to be made before the next step."""
        return self.replay.full

    @property
    def epsilon(self) -> float:
        """The probability of a random action, now."""
        numbers = self.config.epsilon.numbers()
        t = max(self.decisions - self.config.learn_start, 0)
        share = min(t / numbers.decisions, 1.0) if numbers.decisions else 1.0
        return numbers.initial + (numbers.final - numbers.initial) * share

    def act(self, observations: Any) -> NDArray[np.int64]:
        """With probability epsilon a random action, else argmax_a Q(s, a).  [n]."""
        random = self._rng.random(len(observations)) < self.epsilon
        actions = self._rng.integers(self._num_actions, size=len(observations))
        if not random.all():
            greedy = self._values(self._seen(observations)).argmax(axis=1)
            actions = np.where(random, actions, greedy)
        return np.asarray(actions)

    def observe(self, step: Step) -> None:
        """Store the transitions in the replay. A lost life ends bootstrapping, not the game."""
        rewards = np.clip(step.rewards, -1, 1) if self.config.clip_rewards else step.rewards
        terminated = step.terminated
        if step.life_lost is not None:
            terminated = terminated | step.life_lost
        self.replay.add(step, rewards, terminated)
        before, self.decisions = self.decisions, self.decisions + len(rewards)
        if before < self.config.learn_start <= self.decisions:
            drawn = self.replay.sample(len(self._held_out), self._rng)
            self._held_out[:] = drawn.observations

    def update(self) -> None:
        """The updates that are due: one for every `update_every` decisions since learn_start."""
        config = self.config
        if self.decisions < config.learn_start:
            return
        due = (self.decisions - config.learn_start) // config.update_every + 1
        copies = config.target_every // config.update_every  # updates from copy to copy
        while self.updates < due:
            # the target network stands still until its next copy: its passes run beside the others
            ahead = min(due - self.updates, copies - self.updates % copies) if copies else 1
            self._learn(ahead)
            if copies and self.updates % copies == 0:
                copy_weights(self._passes, self.q_target)

    def _sample(self) -> Batch:
        config = self.config
        return self.replay.sample(config.batch_size, self._rng, config.n_step, config.discount)

    def _next_values(self, batch: Batch) -> Tensor:
        """Q of the target network at the next observations: [batch, actions]."""
        with torch.no_grad():
            values: Tensor = self.q_target(self._tensor(batch.next_observations))
        return values

    def _learn(self, count: int = 1) -> None:
        """So many updates towards one target network."""
        batches = [self._sample() for _ in range(count)]
        targets = [self._beside.submit(self._next_values, batch) for batch in batches]
        for batch, next_values in zip(batches, targets, strict=True):
            self._step(batch, next_values)
            self.updates += 1

    def _step(self, batch: Batch, next_values: Future[Tensor]) -> None:
        """A gradient step on a minibatch."""
        loss = self._loss(batch, next_values)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._optimiser.zero_grad()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise InputError(f"the loss is {value} at update {self.updates}: it has diverged")
        summed = self.config.optimiser == "mnih"
        self._losses += [value / (self.config.batch_size if summed else 1), 1]

    def _loss(self, batch: Batch, next_values: Future[Tensor]) -> Tensor:
        """(y - Q(s, a))^2 or its Huber form, where y = r + gamma max_a' Q_target(s', a')."""
        config = self.config
        rows = torch.arange(config.batch_size, device=self.device)
        a, r = self._tensor(batch.actions), self._tensor(batch.returns)
        gamma = self._tensor(batch.discounts)  # 0 after an end: there y = r
        q = self._passes(self._tensor(batch.observations))[rows, a]
        with torch.no_grad():
            chosen = self._passes(self._tensor(batch.next_observations)) if config.double else None
            q_next = next_values.result()
            a_next = (q_next if chosen is None else chosen).argmax(dim=1)
            y = r + gamma * q_next[rows, a_next]
        summed = "sum" if config.optimiser == "mnih" else "mean"
        if config.loss == "huber":
            return nn.functional.smooth_l1_loss(q, y, reduction=summed)
        return 0.5 * nn.functional.mse_loss(q, y, reduction=summed)

    def metrics(self) -> dict[str, float]:
        """Of the decisions since the last call: epsilon, updates, mean loss, held-out max Q."""
        found: dict[str, float] = {"epsilon": self.epsilon, "updates": self.updates}
        if self._losses[1]:
            found["loss"] = float(self._losses[0] / self._losses[1])
            found["held_out_max_q"] = float(self._values(self._held_out).max(axis=1).mean())
        self._losses[:] = 0
        return found

    def probabilities(self, observations: Any, deterministic: bool = True) -> Floats:
        """Action probabilities at observations [n, …]: greedy, or epsilon-greedy as it acts now."""
        table = greedy(self._values(self._seen(np.asarray(observations))))
        return table if deterministic else with_epsilon(table, self.epsilon)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Actions for one observation or a batch, as stable-baselines3 asks for them."""
        del episode_start
        one = np.ndim(observation) == len(self._shape)
        batch = np.asarray(observation)[None] if one else np.asarray(observation)
        table = self.probabilities(batch, deterministic)
        actions = pick(table, self._prediction_rng.random(len(batch)))
        return (actions[0] if one else actions), state

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that learning depends on, but for what the replay's storage holds."""
        found = {
            "counters": np.array([self.decisions, self.updates]),
            "losses": self._losses,
            "agent_stream": pack(self._rng),
        }
        found |= {f"replay.{k}": v for k, v in self.replay.state_dict().items()}
        found |= {f"q.{k}": _array(v) for k, v in self.q.state_dict().items()}
        if self.config.target_every:
            found |= {f"q_target.{k}": _array(v) for k, v in self.q_target.state_dict().items()}
        for i, state in self._optimiser.state_dict()["state"].items():
            found |= {f"optimiser.{i}.{k}": _array(v) for k, v in state.items()}
        return found

    def load_state_dict(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Put back what `state_dict` gave.

        Raises:
            ValueError: a tensor is missing, or of another shape.
        """
        for key in ("counters", "losses", "agent_stream", "replay.written"):
            if key not in tensors:
                raise ValueError(f"it lacks the tensor '{key}'")
        for name, module in (("q", self.q), ("q_target", self.q_target)):
            if name == "q_target" and not self.config.target_every:
                continue
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
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        if len(self.replay.written) == len(tensors["replay.written"]):
            self.replay.load_state_dict({"written": tensors["replay.written"]})
        self.decisions, self.updates = (int(n) for n in tensors["counters"])
        self._losses[:] = tensors["losses"]
        unpack(self._rng, tensors["agent_stream"])

    @property
    def layers(self) -> int:
        """The number of layers that have weights."""
        return sum(bool(layer.state_dict()) for layer in self.q)

    def take_layers(self, tensors: dict[str, NDArray[Any]]) -> list[str]:
        """Start from another agent's layers, where they fit; the names of those that do not."""
        left = take_layers(self.q, tensors, "q.")
        self._follow_weights()
        if self.config.target_every:
            copy_weights(self._passes, self.q_target)
        return left

    def _follow_weights(self) -> None:
        if self._passes is not self.q:
            copy_weights(self.q, self._passes)

    @property
    def _depth(self) -> int:
        return max(self._stack, 1)

    def _seen(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Observations [n, …] in the form that the network takes."""
        return stack_blocks(observations) if self._blocks else observations

    def _values(self, observations: Any) -> NDArray[np.float32]:
        """Q(s, .) of observations [n, …] in the network's form: [n, actions]."""
        with torch.no_grad():
            values = self._passes(self._tensor(np.asarray(observations)))
        return np.asarray(values.cpu().numpy())

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def make(env: gym.Env[Any, Any], config: DQNConfig, seed: int) -> DQN:
    """An agent that fits an environment.

    Raises:
        InputError: its actions are not Discrete from 0 on, or its observations no plain arrays.
    """
    space, actions = env.observation_space, env.action_space
    if not isinstance(actions, gym.spaces.Discrete) or actions.start != 0:
        raise InputError(f"dqn takes Discrete actions from 0 on; these are {actions}")
    if not isinstance(space, gym.spaces.Box) or not space.shape:
        hint = "; a gridworld shows itself as observation=one_hot or pixels"
        raise InputError(f"dqn takes arrays as observations; these are {space}{hint}")
    stack = int(getattr(env.unwrapped, "stack", 0))
    return DQN(space.shape, space.dtype, stack, int(actions.n), config, seed)


def find_device(name: str) -> torch.device:
    """A device by its name; InputError if PyTorch does not find it here."""
    found = {"cpu": True, "cuda": torch.cuda.is_available()}
    found["mps"] = torch.backends.mps.is_available()
    kind = name.partition(":")[0]
    if kind not in found:
        raise unknown("device", name, found)
    if not found[kind]:
        raise InputError(f"PyTorch finds no device '{name}' here; take --device cpu")
    return torch.device(name)


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.array(tensor.detach().float().cpu().numpy())


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device has units for it; without, passes in bfloat16 are slower, not faster."""
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(asked())
