"""Deep Q-learning with experience replay: Mnih et al. (2013), Algorithm 1, and (2015).

The papers' order of a step is: act, store the transition, update. With `overlap`, which is faster,
the update runs while the environments take the step, so the newest transition is not sampled yet.
The papers do not say where a lost life ends bootstrapping; the code of 2015 does so in training,
and so does this agent under every protocol but machado2018.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from gridcade.agents.base import (
    Actions,
    Observations,
    Storage,
    Tensors,
    check_tensors,
)
from gridcade.agents.deep import DeepAgent, DeepConfig, Spaces, check_spaces
from gridcade.agents.fast import AgentOptimizer
from gridcade.agents.networks import copy_weights
from gridcade.agents.optimizers import MnihRMSProp
from gridcade.agents.replay import Batch, Replay
from gridcade.agents.schedules import Schedule
from gridcade.errors import InputError
from gridcade.experience.step import Step


@dataclass(frozen=True)
class DQNConfig(DeepConfig):
    """Hyperparameters of DQN.

    Raises:
        InputError: a field is out of its range.
    """

    replay_capacity: int = 1_000_000
    """Frames in the replay (N), over all environments."""
    learn_start: int = 50_000
    """Steps before the first update."""
    update_every: int = 4
    """Steps per update."""
    batch_size: int = 32
    """Transitions in a minibatch."""
    target_every: int = 10_000
    """Steps from one copy of the target network to the next, in whole updates (C). 0: no target."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(1.0, 0.1, 1_000_000))
    """Probability of a random action; its steps count from learn_start on."""
    optimizer: Literal["adam", "mnih"] = "adam"
    """Adam, or the RMSProp of Mnih et al."""
    learning_rate: float = 0.00025
    """Learning rate of the optimizer."""
    loss: Literal["huber", "squared"] = "huber"
    """huber: the TD error is clipped to [-1, 1]."""
    n_step: int = 1
    """Steps whose rewards are summed before bootstrapping."""
    held_out: int = 100
    """Observations, sampled at learn_start, over which max Q is averaged (Mnih et al. 2013)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        at_least = {"replay_capacity": 2, "learn_start": 1, "update_every": 1, "batch_size": 1}
        self.check(
            at_least=at_least | {"target_every": 0, "n_step": 1, "held_out": 1},
            positive=["learning_rate"],
            schedules=["epsilon"],
        )
        if self.bfloat16 and self.optimizer != "adam":
            raise InputError("bfloat16 needs the optimizer adam")

    @property
    def updates_per_copy(self) -> int:
        """Updates from one copy of the target network to the next; 0: no target network."""
        return max(self.target_every // self.update_every, 1) if self.target_every else 0


class DQN(DeepAgent):
    """The agent. `act`, `observe` and `update`, in this order, are Algorithm 1.

    Args:
        spaces: of the environment.
        config: hyperparameters.
        seed: of the network's first weights and of the agent's random stream.

    Raises:
        InputError: PyTorch does not find the device, or the network does not fit the observations.
    """

    D: Replay  # the replay memory of Algorithm 1; `allocate` makes it

    def __init__(self, spaces: Spaces, config: DQNConfig | None = None, seed: int = 0):
        self.config = config = config or DQNConfig()
        super().__init__(spaces, config, seed)
        network = self.backend.compute_network
        self.q_target = copy.deepcopy(network) if config.target_every else network
        self.optimizer: AgentOptimizer = (
            MnihRMSProp(self.q.parameters(), config.learning_rate)
            if config.optimizer == "mnih"
            else self.backend.adam(config.learning_rate)
        )
        self._reduction = "sum" if config.optimizer == "mnih" else "mean"  # over the minibatch
        self._losses = np.zeros(2)  # sum and number since the last metrics
        self._held_out = np.zeros(0)
        self._allocated = False

    def act(self, observations: Observations) -> Actions:
        """With probability epsilon select a random action a_t, else a_t = argmax_a Q(s_t, a)."""

        def values() -> Any:
            return self.backend.values(self.backend.preprocess(observations))

        return self.epsilon_greedy(len(observations), values)

    def observe(self, step: Step) -> None:
        """Store the transition (s_t, a_t, r_t, s_{t+1}) in D."""
        rewards, terminated = self.learned_rewards(step, self.config.clip_rewards)
        self.D.add(step, rewards, terminated)
        before, self.steps = self.steps, self.steps + len(rewards)
        if before < self.config.learn_start <= self.steps:
            sample = self.D.sample(len(self._held_out), self._rng)
            self._held_out[:] = sample.observations

    def update(self) -> None:
        """Make the updates that are due: one for every `update_every` steps since learn_start."""
        config, copies = self.config, self.config.updates_per_copy
        if self.steps < config.learn_start:
            return
        due = (self.steps - config.learn_start) // config.update_every + 1
        while self.updates < due:
            # minibatches up to the next copy of the target network, which may compute them ahead
            count = min(due - self.updates, copies - self.updates % copies) if copies else 1
            minibatches = [self.sample() for _ in range(count)]  # random transitions from D
            targets = self.backend.target_values(self.q_target, minibatches)
            for batch, next_values in zip(minibatches, targets, strict=True):
                self.learn(batch, next_values)
            if copies and self.updates % copies == 0:  # every C updates reset Q^ = Q
                copy_weights(self.backend.compute_network, self.q_target)

    def sample(self) -> Batch:
        """Sample a random minibatch of transitions (s_j, a_j, r_j, s_{j+1}) from D."""
        config = self.config
        return self.D.sample(config.batch_size, self._rng, config.n_step, config.discount)

    def learn(self, batch: Batch, next_values: Callable[[], Tensor]) -> None:
        """Perform a gradient step on (y_j - Q(s_j, a_j))^2.

        Args:
            batch: the minibatch.
            next_values: returns Q^(s_{j+1}, .), [batch, actions].
        """
        loss = self.loss(batch, next_values)
        loss.backward()  # type: ignore[no-untyped-call]
        self.backend.gather_gradients()
        self.optimizer.step()
        self.optimizer.zero_grad()
        value = self.finite(loss)
        self._losses += [value / (len(batch.actions) if self._reduction == "sum" else 1), 1]
        self.updates += 1

    def loss(self, batch: Batch, next_values: Callable[[], Tensor]) -> Tensor:
        """(y - Q(s, a))^2 / 2, or its Huber form, with y = r + gamma max_a' Q^(s', a')."""
        a, r = self.backend.tensor(batch.actions), self.backend.tensor(batch.returns)
        gamma = self.backend.tensor(batch.discounts)  # 0 after an end: there y = r
        observations = self.backend.tensor(batch.observations)
        q = self.backend.compute_network(observations)[torch.arange(len(a), device=self.device), a]
        with torch.no_grad():
            y = r + gamma * next_values().amax(dim=1)
        if self.config.loss == "huber":
            return nn.functional.smooth_l1_loss(q, y, reduction=self._reduction)
        return 0.5 * nn.functional.mse_loss(q, y, reduction=self._reduction)

    @property
    def epsilon(self) -> float:
        """The probability of a random action, now."""
        return self.config.epsilon.at(max(self.steps - self.config.learn_start, 0))

    def metrics(self) -> dict[str, float]:
        """Of the steps since the last call: epsilon, updates, mean loss, held-out max Q."""
        self.check_weights()
        metrics: dict[str, float] = {"epsilon": self.epsilon, "updates": self.updates}
        if self._losses[1]:
            metrics["loss"] = float(self._losses[0] / self._losses[1])
            best = self.backend.values(self._held_out).max(axis=1)
            metrics["held_out_max_q"] = float(best.mean())
        self._losses[:] = 0
        return metrics

    # ---- memory and checkpoints

    def check_num_envs(self, num_envs: int) -> None:
        """Raise InputError unless the first update finds transitions of so many environments."""
        config, depth = self.config, max(self.spaces.stack, 1)
        for name, least in (
            ("replay_capacity", num_envs * (2 * depth + config.n_step)),
            ("learn_start", num_envs * config.n_step),
        ):
            if (value := getattr(config, name)) < least:
                raise InputError(f"{name} is {value}; it must be {least} or more here")

    def allocate(self, num_envs: int, slack: int, storage: Storage) -> None:
        """Make the replay; see `Replay` for the arguments."""
        config, stack = self.config, self.spaces.stack
        self.D = Replay(
            num_envs,
            config.replay_capacity,
            slack,
            self._frame_shape,
            self.spaces.dtype,
            stack,
            storage,
            self.backend.preprocess,
        )
        empty = np.zeros((config.held_out, *self.spaces.shape), self.spaces.dtype)
        held_out = self.backend.preprocess(empty)
        self._held_out = storage("held_out", held_out.shape, self.spaces.dtype)
        self._allocated = True

    @property
    def _frame_shape(self) -> tuple[int, ...]:
        """Shape of one slot of the replay."""
        return self.spaces.shape[1:] if self.spaces.stack else self.spaces.shape

    @property
    def storage_bytes(self) -> int:
        """Size of the frames of a full replay."""
        frame = np.empty(self._frame_shape, self.spaces.dtype)
        return self.config.replay_capacity * frame.nbytes

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the next step might overwrite frames that the last checkpoint refers to."""
        return self.D.needs_checkpoint

    def take_layers(self, tensors: Tensors) -> list[str]:
        """Start from another agent's layers; returns the names of those that do not fit."""
        left_out = super().take_layers(tensors)
        copy_weights(self.backend.compute_network, self.q_target)
        return left_out

    def state_dict(self) -> Tensors:
        """Everything that learning depends on, but for what the replay's storage holds."""
        tensors = {"counters": np.array([self.steps, self.updates]), "losses": self._losses}
        tensors |= {f"replay.{k}": v for k, v in self.D.state_dict().items()}
        return tensors | self.save(self.optimizer, **self._networks())

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned; without a replay, enough to act by.

        Raises:
            ValueError: a tensor is missing or has another shape.
        """
        check_tensors(tensors, ("counters", "losses", "agent_stream", "replay.written"))
        self.load(tensors, self.optimizer, **self._networks())
        if self._allocated:
            self.D.load_state_dict({"written": tensors["replay.written"]})
        self._losses[:] = tensors["losses"]

    def _networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {"q": self.q}
        return networks | ({"q_target": self.q_target} if self.config.target_every else {})


def make(env: gym.Env[Any, Any], config: DQNConfig, seed: int) -> DQN:
    """Make an agent that fits an environment; InputError if none does."""
    return DQN(check_spaces(env, "dqn"), config, seed)
