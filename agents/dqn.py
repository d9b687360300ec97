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

from gridcade.agents.deep import DeepAgent, DeepConfig, Floats, Form, Tensors, fitting
from gridcade.agents.networks import copy_weights
from gridcade.agents.optimisers import MnihRMSProp, OverlappedAdam
from gridcade.agents.replay import Batch, Replay, Storage, in_memory
from gridcade.agents.schedules import Schedule
from gridcade.errors import InputError
from gridcade.experience.step import Step


@dataclass(frozen=True)
class DQNConfig(DeepConfig):
    """Hyperparameters of DQN; what they count is in their description.

    Raises:
        InputError: a field is out of its range.
    """

    replay_capacity: int = 1_000_000
    """N, frames in the replay, over all environments."""
    learn_start: int = 50_000
    """Steps before the first update."""
    update_every: int = 4
    """Steps for each update."""
    batch_size: int = 32
    """Transitions in a minibatch."""
    target_every: int = 10_000
    """Steps from one copy of the target network to the next, in whole updates; 0: none."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(1.0, 0.1, 1_000_000))
    """Probability of a random action; its steps count from learn_start on."""
    optimiser: Literal["adam", "mnih"] = "adam"
    """Adam, or the RMSProp of Mnih et al."""
    learning_rate: float = 0.00025
    """Of the optimiser."""
    loss: Literal["huber", "squared"] = "huber"
    """Huber: the error is clipped to [-1, 1]."""
    n_step: int = 1
    """Steps whose rewards are summed before bootstrapping."""
    held_out: int = 100
    """Observations, taken at learn_start, over which max Q is reported (Mnih et al. 2013)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        least = {"replay_capacity": 2, "learn_start": 1, "update_every": 1, "batch_size": 1}
        self.check(
            least=least | {"target_every": 0, "n_step": 1, "held_out": 1},
            positive=["learning_rate"],
            schedules=["epsilon"],
        )
        if self.bfloat16 and self.optimiser != "adam":
            raise InputError("bfloat16 takes the optimiser adam")


class DQN(DeepAgent):
    """The agent.

    Args:
        form: of its observations and actions.
        config: hyperparameters.
        seed: of the network's first weights, and of the agent's random stream.

    Raises:
        InputError: PyTorch finds no such device here, or the network takes no such frames.
    """

    def __init__(self, form: Form, config: DQNConfig | None = None, seed: int = 0):
        self.config = config = config or DQNConfig()
        super().__init__(form, config, seed)
        self.q_target = (
            copy.deepcopy(self._compute_network) if config.target_every else self._compute_network
        )
        self._beside = ThreadPoolExecutor(1)  # for the target network, and large weights' updates
        self._optimiser: Any
        if config.optimiser == "mnih":
            self._optimiser = MnihRMSProp(self.q.parameters(), config.learning_rate)
        elif self._blocks and self.device.type == "cpu":
            given = (self.q, self._compute_network, config.learning_rate, self._beside)
            self._optimiser = OverlappedAdam(*given)
        else:
            rate = config.learning_rate
            self._optimiser = torch.optim.Adam(self.q.parameters(), rate, fused=True)
        self._sum = "sum" if config.optimiser == "mnih" else "mean"  # over the minibatch
        self._losses: Floats = np.zeros(2)  # sum and number, since the metrics were last asked for
        self.attach(1, 0, in_memory, empty=True)

    def check_envs(self, envs: int) -> None:
        """Raise InputError unless the first update finds transitions of so many environments."""
        config, depth = self.config, max(self._stack, 1)
        for name, least in (
            ("replay_capacity", envs * (2 * depth + config.n_step)),
            ("learn_start", envs * config.n_step),
        ):
            if (value := getattr(config, name)) < least:
                raise InputError(f"{name} is {value}; it takes {least} or more here")

    def attach(self, envs: int, slack: int, storage: Storage, empty: bool = False) -> None:
        """Give the agent its memory, before it learns; see `Replay`. Empty: it will not learn."""
        config = self.config
        capacity = max(self._stack, 1) * envs if empty else config.replay_capacity
        given = (self._frame, self._dtype, self._stack, storage, self._seen)
        self.replay = Replay(envs, capacity, slack, *given)
        count = 0 if empty else config.held_out
        seen = self._seen(np.zeros((count, *self._shape), self._dtype))
        self._held_out = storage("held_out", seen.shape, self._dtype)

    @property
    def _frame(self) -> tuple[int, ...]:
        """Shape of what takes a slot of the replay."""
        return self._shape[1:] if self._stack else self._shape

    @property
    def replay_bytes(self) -> int:
        """What the frames of a full replay take."""
        return self.config.replay_capacity * np.empty(self._frame, self._dtype).nbytes

    @property
    def full(self) -> bool:
        """Whether a checkpoint has to be made before the next step."""
        return self.replay.full

    @property
    def epsilon(self) -> float:
        """The probability of a random action, now."""
        return self.config.epsilon.at(max(self.steps - self.config.learn_start, 0))

    def act(self, observations: Any) -> NDArray[np.int64]:
        """With probability epsilon a random action, else argmax_a Q(s, a).  [n]."""
        random = self._rng.random(len(observations)) < self.epsilon
        actions = self._rng.integers(self._num_actions, size=len(observations))
        if not random.all():
            best = self._values(self._seen(observations)).argmax(axis=1)
            actions = np.where(random, actions, best)
        return np.asarray(actions)

    def observe(self, step: Step) -> None:
        """Store the transitions in the replay. A lost life ends bootstrapping, not the game."""
        rewards, terminated = self._clip_and_mask(step, self.config.clip_rewards)
        self.replay.add(step, rewards, terminated)
        before, self.steps = self.steps, self.steps + len(rewards)
        if before < self.config.learn_start <= self.steps:
            drawn = self.replay.sample(len(self._held_out), self._rng)
            self._held_out[:] = drawn.observations

    def update(self) -> None:
        """The updates that are due: one for every `update_every` steps since learn_start."""
        config = self.config
        if self.steps < config.learn_start:
            return
        due = (self.steps - config.learn_start) // config.update_every + 1
        every = config.target_every
        copies = max(every // config.update_every, 1) if every else 0  # updates from copy to copy
        while self.updates < due:
            # the target network stands still until its next copy: its passes run beside the others
            ahead = min(due - self.updates, copies - self.updates % copies) if copies else 1
            self._learn(ahead)
            if copies and self.updates % copies == 0:
                copy_weights(self._compute_network, self.q_target)

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
        value = self._finite(loss)
        self._losses += [value / (self.config.batch_size if self._sum == "sum" else 1), 1]

    def _loss(self, batch: Batch, next_values: Future[Tensor]) -> Tensor:
        """(y - Q(s, a))^2 / 2 or its Huber form, where y = r + gamma max_a' Q_target(s', a')."""
        config = self.config
        rows = torch.arange(config.batch_size, device=self.device)
        a, r = self._tensor(batch.actions), self._tensor(batch.returns)
        gamma = self._tensor(batch.discounts)  # 0 after an end: there y = r
        q = self._compute_network(self._tensor(batch.observations))[rows, a]
        with torch.no_grad():
            y = r + gamma * next_values.result().amax(dim=1)
        if config.loss == "huber":
            return nn.functional.smooth_l1_loss(q, y, reduction=self._sum)
        return 0.5 * nn.functional.mse_loss(q, y, reduction=self._sum)

    def metrics(self) -> dict[str, float]:
        """Of the steps since the last call: epsilon, updates, mean loss, held-out max Q."""
        self._check_weights()
        found: dict[str, float] = {"epsilon": self.epsilon, "updates": self.updates}
        if self._losses[1]:
            found["loss"] = float(self._losses[0] / self._losses[1])
            found["held_out_max_q"] = float(self._values(self._held_out).max(axis=1).mean())
        self._losses[:] = 0
        return found

    def take_layers(self, tensors: Tensors) -> list[str]:
        """Start from another agent's layers, where they fit; the names of those that do not."""
        left = super().take_layers(tensors)
        copy_weights(self._compute_network, self.q_target)
        return left

    def state_dict(self) -> Tensors:
        """Everything that learning depends on, but for what the replay's storage holds."""
        found = {"counters": np.array([self.steps, self.updates]), "losses": self._losses}
        found |= {f"replay.{k}": v for k, v in self.replay.state_dict().items()}
        return found | self._kept(self._optimiser, **self._networks())

    def load_state_dict(self, tensors: Tensors) -> None:
        """Put back what `state_dict` gave.

        Raises:
            ValueError: a tensor is missing, or of another shape.
        """
        for key in ("counters", "losses", "agent_stream", "replay.written"):
            if key not in tensors:
                raise ValueError(f"it lacks the tensor '{key}'")
        self._load(tensors, self._optimiser, **self._networks())
        if len(self.replay.written) == len(tensors["replay.written"]):
            self.replay.load_state_dict({"written": tensors["replay.written"]})
        self._losses[:] = tensors["losses"]

    def _networks(self) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {"q": self.q}
        return found | ({"q_target": self.q_target} if self.config.target_every else {})


def make(env: gym.Env[Any, Any], config: DQNConfig, seed: int) -> DQN:
    """An agent that fits an environment; InputError if none can."""
    return DQN(fitting(env, "dqn"), config, seed)
