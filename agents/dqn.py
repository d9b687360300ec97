"""Deep Q-learning with experience replay: Mnih et al. (2013), Algorithm 1, and (2015).

The papers' order of a step is: act, store the transition, update. With `overlap`, which is faster,
the update runs while the environments take the step, so the newest transition is not sampled yet.
The papers do not mention lost lives. As in the code of 2015, losing a life ends bootstrapping,
except under the protocol machado2018.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.agents.base import Actions, Masks, Observations, Tensors
from gridcade.agents.deep import Spaces, check_spaces
from gridcade.agents.fast import ArrayOrTensor, Lazy, evaluated
from gridcade.agents.networks import copy_weights
from gridcade.agents.optimizers import MnihRMSProp, minatar_rmsprop
from gridcade.agents.replay import Batch
from gridcade.agents.replay_agent import ReplayAgent, ReplayConfig
from gridcade.agents.schedules import Schedule
from gridcade.envs.observations import count_batch
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.experience.step import Step


@dataclass(frozen=True)
class DQNConfig(ReplayConfig):
    """Hyperparameters of DQN.

    Raises:
        InputError: a field is out of its range.
    """

    update_every: int = 4
    """Steps per update."""
    target_every: int = 10_000
    """Steps between two copies to the target network (C), in whole updates. 0: no such network."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(1.0, 0.1, 1_000_000))
    """Probability of a random action; its steps count from learn_start on."""
    optimizer: Literal["adam", "mnih", "minatar"] = "adam"
    """adam, mnih (RMSProp of Mnih et al. 2015), or minatar (RMSProp of Young & Tian 2019)."""
    learning_rate: float = 0.00025
    """Learning rate of the optimizer."""
    loss: Literal["huber", "squared"] = "huber"
    """Loss: the squared TD error, or huber, whose gradient is clipped to [-1, 1]."""

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
        """Updates between two copies to the target network; 0: no target network."""
        return max(self.target_every // self.update_every, 1) if self.target_every else 0


class DQN(ReplayAgent[DQNConfig]):
    """The DQN agent. `act`, `observe` and `update`, in this order, are Algorithm 1.

    Args:
        spaces: the environment's observation and action spaces.
        config: hyperparameters.
        seed: random seed of the initial weights and of the agent's random stream.

    Raises:
        InputError: PyTorch does not find the device, or the network does not fit the observations.
    """

    def __init__(self, spaces: Spaces, config: DQNConfig | None = None, seed: int = 0):
        self.config = config = config or DQNConfig()
        super().__init__(spaces, config, seed)
        network = self.backend.compute_network
        self.q_target = copy.deepcopy(network) if config.target_every else network
        if config.optimizer == "adam":
            self.optimizer = self.backend.adam(config.learning_rate)
        else:
            rmsprop = MnihRMSProp if config.optimizer == "mnih" else minatar_rmsprop
            self.optimizer = rmsprop(self.q.parameters(), config.learning_rate)
        self._reduction = "sum" if config.optimizer == "mnih" else "mean"  # over the minibatch
        self._losses = np.zeros(2)  # sum and number since the last metrics
        self._loss_divisor = config.batch_size if self._reduction == "sum" else 1

    def act(self, observations: Observations, masks: Masks | None = None) -> Actions:
        """With probability epsilon select a random action a_t, else a_t = argmax_a Q(s_t, a)."""

        def values() -> NDArray[np.float32]:
            return self.backend.values(self.preprocess(observations))

        return self.epsilon_greedy(count_batch(observations), values, masks)

    def observe(self, step: Step) -> None:
        """Store the transition (s_t, a_t, r_t, s_{t+1}) in D."""
        step = self.encode_step(step)
        rewards, terminated = self.learned_rewards(step, self.config.clip_rewards)
        self.D.add(step, rewards, terminated)
        before, self.steps = self.steps, self.steps + len(rewards)
        if before < self.config.learn_start <= self.steps:
            sample = self.D.sample(len(self.held_out), self._rng)
            self.keep_held_out(sample)

    def update(self) -> None:
        """Make the updates that are due: one for every `update_every` steps since learn_start."""
        config, copies = self.config, self.config.updates_per_copy
        if self.steps < config.learn_start:
            return
        due = (self.steps - config.learn_start) // config.update_every + 1
        while self.updates < due:
            # All minibatches up to the next copy of the target network are sampled at once, so that
            # the backend can compute their targets ahead.
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
        arrays = (batch.observations, batch.actions, batch.returns, batch.discounts)
        best = partial(self.best_values, batch, next_values)
        loss = self.backend.gradients(self.loss, *map(self.backend.tensor, arrays), best)
        self.optimizer.step()
        self.optimizer.zero_grad()

        def observations() -> tuple[ArrayOrTensor, ArrayOrTensor]:
            return batch.observations, batch.next_observations

        self.add_losses(self._losses, loss, observations, self._loss_divisor)
        self.count_update()

    def best_values(self, batch: Batch, next_values: Callable[[], Tensor]) -> Tensor:
        """Compute max_a' Q^(s', a') over the actions that are allowed in s', [batch]."""
        values = next_values()
        if batch.next_masks is not None:
            values = values.masked_fill(~self.backend.tensor(batch.next_masks), -torch.inf)
        return values.amax(dim=1)

    def loss(self, s: Tensor, a: Tensor, r: Tensor, gamma: Tensor, best: Lazy) -> Tensor:
        """Compute (y - Q(s, a))^2 / 2, or its Huber form, with y = r + gamma max_a' Q^(s', a').

        Args:
            s: observations, [batch, ...].
            a: actions, [batch].
            r: rewards, [batch]; discounted sums of n_step rewards.
            gamma: discounts, [batch]; 0 after an end, so that y = r.
            best: max_a' Q^(s', a'), [batch].
        """
        q = self.backend.compute_network(s)[torch.arange(len(a), device=self.device), a]
        with torch.no_grad():
            y = r + gamma * evaluated(best)
        if self.config.loss == "huber":
            return nn.functional.smooth_l1_loss(q, y, reduction=self._reduction)
        return 0.5 * nn.functional.mse_loss(q, y, reduction=self._reduction)

    @property
    def epsilon(self) -> float:
        """The current probability of a random action."""
        return self.config.epsilon.at(max(self.steps - self.config.learn_start, 0))

    def take_layers(self, tensors: Tensors, whole: bool = False) -> list[str]:
        """Copy another agent's layers, also to the target network; see `DeepAgent.take_layers`."""
        left_out = super().take_layers(tensors, whole)
        copy_weights(self.backend.compute_network, self.q_target)
        return left_out

    def networks(self) -> dict[str, nn.Module]:
        """The networks whose weights a checkpoint holds, by name."""
        networks: dict[str, nn.Module] = {"q": self.q}
        return networks | ({"q_target": self.q_target} if self.config.target_every else {})


def make(env: Env, config: DQNConfig, seed: int) -> DQN:
    """Make an agent for an environment; InputError if they do not fit."""
    return DQN(check_spaces(env, "dqn"), config, seed)
