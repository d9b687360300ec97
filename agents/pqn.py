"""PQN, deep Q-learning with neither replay nor target network: Gallici et al. (2024).

"Simplifying Deep Temporal Difference Learning", arXiv 2407.04811, Algorithm 1. Many environments
give fresh batches, layer normalization keeps the values from diverging, and the targets are
Q(lambda) returns.

Without `overlap` the order is the paper's: play a rollout, compute its targets with the current
weights, learn from it in epochs of minibatches. With `overlap`, which is faster, the agent learns
from one rollout, minibatch after minibatch, while it plays the next one. Actions always come from
the last weights. The values in a target are those from which the next action was chosen.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.agents.base import Actions, Masks, Observations, Storage, Tensors, check_tensors
from gridcade.agents.deep import DeepAgent, DeepConfig, Spaces, check_spaces
from gridcade.agents.fast import ArrayOrTensor
from gridcade.agents.probabilities import max_allowed
from gridcade.agents.schedules import Schedule
from gridcade.envs.types import Array, Env
from gridcade.errors import InputError
from gridcade.experience.step import Step

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PQNConfig(DeepConfig):
    """Hyperparameters of PQN.

    Raises:
        InputError: a field is out of its range.
    """

    trace_decay: float = 0.65
    """Trace decay lambda: 0 gives one-step targets, 1 Monte Carlo returns."""
    rollout: int = 32
    """Steps of each environment in a rollout (T)."""
    epochs: int = 2
    """Passes over a rollout."""
    minibatches: int = 32
    """Minibatches per pass; each makes one update."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(1.0, 0.001, 5_000_000))
    """Probability of a random action."""
    learning_rate: Schedule = field(default_factory=lambda: Schedule(0.00025))
    """Learning rate of RAdam."""
    max_grad_norm: float = 10.0
    """Largest norm of a gradient; longer gradients are scaled down to it."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        self.check(
            at_least={"rollout": 1, "epochs": 1, "minibatches": 1},
            shares=["trace_decay"],
            positive=["max_grad_norm", "learning_rate.initial"],
            schedules=["epsilon", "learning_rate"],
        )


@dataclass
class Rollout:
    """T steps of each of n environments, [T, n, ...]."""

    observations: ArrayOrTensor  # preprocessed, where the backend keeps them
    actions: NDArray[np.int64]
    rewards: Floats
    discounts: Floats  # gamma, and 0 after an end
    next_values: Floats  # max_a Q(s_{t+1}, a) over the allowed actions
    truncated: NDArray[np.bool_]  # whether the episode was truncated, and another one follows

    @classmethod
    def empty(cls, steps: int, num_envs: int, observation: Array) -> "Rollout":
        """Make a rollout of zeros for observations like `observation`, a preprocessed one."""
        shape = (steps, num_envs)
        observations = np.zeros((*shape, *observation.shape), observation.dtype)
        r, gamma, v = np.zeros((3, *shape), np.float32)
        return cls(observations, np.zeros(shape, int), r, gamma, v, np.zeros(shape, bool))


def lambda_returns(
    rewards: Floats, discounts: Floats, next_values: Floats, trace_decays: Floats
) -> Floats:
    """Compute the Q(lambda) targets of a rollout, backwards (Gallici et al. 2024, Algorithm 1).

    G_t = r_t + gamma_t ((1 - lambda_t) max_a Q(s_{t+1}, a) + lambda_t G_{t+1}), each [T, envs].

    Args:
        rewards: r_t.
        discounts: gamma_t, 0 after an end.
        next_values: max_a Q(s_{t+1}, a).
        trace_decays: lambda_t, 0 where an episode was truncated, because another one follows.
    """
    returns = np.empty_like(rewards)
    following = next_values[-1]
    for t in reversed(range(len(rewards))):
        mixed = next_values[t] + trace_decays[t] * (following - next_values[t])
        following = returns[t] = rewards[t] + discounts[t] * mixed
    return returns


class PQN(DeepAgent):
    """The PQN agent.

    Args:
        spaces: the environment's observation and action spaces.
        config: hyperparameters.
        seed: random seed of the initial weights and of the agent's random stream.

    Raises:
        InputError: PyTorch does not find the device, or the network does not fit the observations.
    """

    played: Rollout  # the rollout that the agent plays; its first `t` steps are valid
    batch: Rollout  # the rollout that the agent learns from
    t: int  # steps played in `played`
    learned: int  # minibatches of `batch` that the agent has learned from
    current: Observations  # the encoded observations for the next actions, [envs, ...]
    current_masks: Masks | None = None  # the actions allowed there, [envs, actions]; None: all
    targets: Floats  # targets of `batch`, [T, envs]
    order: NDArray[np.int64]  # steps of `batch` in the order of the minibatches, [epochs, T envs]

    def __init__(self, spaces: Spaces, config: PQNConfig | None = None, seed: int = 0):
        self.config = config = config or PQNConfig()
        super().__init__(spaces, config, seed, layer_norm=True)
        self._sums = np.zeros(4)  # losses, updates; max Q, rollouts: since the last metrics
        self._allocated = False

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """RAdam, made on first use: PyTorch then imports its compiler, which takes seconds."""
        return self.backend.radam(self.config.learning_rate.initial)

    # ---- the algorithm: act and observe T times, finish_rollout, learn

    def act(self, observations: Observations, masks: Masks | None = None) -> Actions:
        """Choose epsilon-greedy actions.  [n, ...]."""
        inputs = self.preprocess(observations)
        values = self.backend.values(inputs)
        actions = self.epsilon_greedy(len(values), lambda: values, masks)
        if self.t:
            self._set_next_values(values, masks)
        if self.t == self.config.rollout:
            self.finish_rollout()
        self.backend.store(self.played.observations, self.t, inputs)
        return actions

    def observe(self, step: Step) -> None:
        """Add one step of every environment to the rollout."""
        step = self.encode_step(step)
        rewards, terminated = self.learned_rewards(step, self.config.clip_rewards)
        rollout, t, truncated = self.played, self.t, step.truncated & ~terminated
        rollout.actions[t], rollout.rewards[t] = step.actions, rewards
        rollout.truncated[t] = truncated
        rollout.discounts[t] = np.where(terminated, 0, self.config.discount)
        rollout.next_values[t] = 0
        if truncated.any():  # `act` cannot set these values: it will see the next episodes
            masks = None if step.next_masks is None else step.next_masks[truncated]
            last = step.next_observations[truncated]
            rollout.next_values[t, truncated] = max_allowed(self._values(last), masks)
        self.t += 1
        self.steps += len(rewards)
        self.current[:] = step.current
        self.current_masks = step.current_masks

    def restart_episodes(
        self, lost: NDArray[np.bool_], observations: Observations, masks: Masks | None = None
    ) -> None:
        """Truncate the episodes that cannot continue; see `Agent.restart_episodes`."""
        rollout, last = self.played, self.t - 1
        if last >= 0:
            lost = lost & ~rollout.truncated[last] & (rollout.discounts[last] > 0)
            if lost.any():
                before = None if self.current_masks is None else self.current_masks[lost]
                values = max_allowed(self._values(self.current[lost]), before)
                rollout.next_values[last, lost] = values
                rollout.truncated[last, lost] = True
        self.current[:] = self.spaces.observations(observations)
        self.current_masks = masks

    def update(self) -> None:
        """Learn from the minibatches that are due; without overlap, from each complete rollout."""
        if not self.overlap_updates:
            if self.t == self.config.rollout:
                self._learn_last_rollout()
        elif self.order.size:  # else the first rollout is still being played
            self._learn_until((self.t + 1) * self._minibatches // self.config.rollout)

    def finish(self) -> bool:
        """Learn from the remaining minibatches, then from the last rollout if it is complete.

        Training that continues afterwards differs from training that was never finished, because
        with overlap these updates would have come later.
        """
        before = self.updates
        if self.order.size:
            self._learn_until(self._minibatches)
        if self.t == self.config.rollout:
            self._learn_last_rollout()
        return self.updates > before

    def finish_rollout(self) -> None:
        """Compute the targets of the rollout, and the order of its minibatches."""
        self.batch, self.played = self.played, self.batch
        batch = self.batch
        decays = np.where(batch.truncated, 0, self.config.trace_decay).astype(np.float32)
        self.targets = lambda_returns(batch.rewards, batch.discounts, batch.next_values, decays)
        self.order = np.array(
            [self._rng.permutation(decays.size) for _ in range(self.config.epochs)]
        )
        if (running := batch.discounts > 0).any():
            self._sums[2:] += batch.next_values[running].mean(), 1
        self.t = self.learned = 0

    def learn(self, rows: NDArray[np.int64]) -> None:
        """Perform a gradient step on (G - Q(s, a))^2 / 2 for some steps of a rollout, [batch]."""
        arrays = (self.batch.observations, self.batch.actions, self.targets)
        inputs = [self.backend.rows(array, rows) for array in arrays]
        loss = self.backend.gradients(self.loss, *inputs)
        nn.utils.clip_grad_norm_(self.q.parameters(), self.config.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate.at(self.steps)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.backend.weights_changed()
        self.add_losses(self._sums[:2], loss, lambda: (self.batch.observations,))
        self.count_update()

    def loss(self, observations: Tensor, actions: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean of (G - Q(s, a))^2 / 2 over a minibatch, [batch, ...] each."""
        q = self.backend.compute_network(observations).gather(1, actions[:, None])[:, 0]
        return 0.5 * nn.functional.mse_loss(q, targets)

    def _learn_last_rollout(self) -> None:
        """Complete the targets of the rollout just played, and learn from all its minibatches."""
        self._set_next_values(self._values(self.current), self.current_masks)
        self.finish_rollout()
        self._learn_until(self._minibatches)

    def _learn_until(self, number: int) -> None:
        """Learn from the first `number` minibatches of `batch`, without those learned already."""
        for minibatch in range(self.learned, number):
            epoch, part = divmod(minibatch, self.config.minibatches)
            self.learn(np.array_split(self.order[epoch], self.config.minibatches)[part])
        self.learned = max(number, self.learned)

    def _set_next_values(self, values: NDArray[np.float32], masks: Masks | None) -> None:
        """Store max_a Q(s_{t+1}, a) of the previous step, except after a truncation."""
        running = ~self.played.truncated[self.t - 1]
        self.played.next_values[self.t - 1, running] = max_allowed(values, masks)[running]

    def _values(self, observations: Observations) -> NDArray[np.float32]:
        """Compute Q(s, .) of encoded observations, [n, ...] -> [n, actions]."""
        return self.backend.values(self.backend.preprocess_there(observations))

    @property
    def epsilon(self) -> float:
        """The current probability of a random action."""
        return self.config.epsilon.at(self.steps)

    def metrics(self) -> dict[str, float]:
        """Return epsilon, updates, learning rate, and mean loss and max Q since the last call."""
        self.add_losses(self._sums[:2])
        self.check_weights()
        losses, updates, values, rollouts = self._sums.tolist()
        metrics: dict[str, float] = {"epsilon": self.epsilon, "updates": self.updates}
        metrics["learning_rate"] = self.config.learning_rate.at(self.steps)
        if updates:
            metrics["loss"] = losses / updates
        if rollouts:
            metrics["mean_max_q"] = values / rollouts
        self._sums[:] = 0
        return metrics

    # ---- memory and checkpoints

    def check_num_envs(self, num_envs: int) -> None:
        """Raise InputError unless each minibatch of a rollout gets a step."""
        if (given := self.config.minibatches) > (most := self.config.rollout * num_envs):
            raise InputError(
                f"minibatches is {given}; it must be {most} or less, because a rollout has {most} "
                "steps"
            )

    def memory_bytes(self, num_envs: int) -> int:
        """Return the bytes of two rollouts: one to play, and one to learn from."""
        arrays = vars(Rollout.empty(1, 1, self._observation)).values()
        step: int = sum(array.nbytes for array in arrays)
        return 2 * self.config.rollout * num_envs * step

    @property
    def _observation(self) -> Array:
        """One preprocessed observation of zeros."""
        empty = np.zeros((1, *self.spaces.shape), self.spaces.dtype)
        return np.asarray(self.backend.preprocess(empty)[0])

    def allocate(self, num_envs: int, slack: int, storage: Storage) -> None:
        """Allocate two rollouts; checkpoints hold them, so `storage` is not used."""
        del slack, storage
        config = self.config
        self.t = self.learned = 0
        self.current = np.zeros((num_envs, *self.spaces.shape), self.spaces.dtype)
        try:
            self.played, self.batch = (
                Rollout.empty(config.rollout, num_envs, self._observation) for _ in range(2)
            )
            for rollout in (self.played, self.batch):
                rollout.observations = self.backend.keep(np.asarray(rollout.observations))
        except (MemoryError, ValueError, torch.cuda.OutOfMemoryError) as error:
            raise InputError(
                f"rollout is {config.rollout}, which needs too much memory: {error}"
            ) from None
        self.targets = np.zeros((config.rollout, num_envs), np.float32)
        self.order = np.zeros((config.epochs, 0), np.int64)
        self._allocated = True

    def state_dict(self) -> Tensors:
        """Return everything that learning depends on."""
        self.add_losses(self._sums[:2])
        counters = np.array([self.steps, self.updates, self.t, self.learned])
        tensors = {"counters": counters, "sums": self._sums}
        tensors |= {"order": self.order, "targets": self.targets}
        tensors["current"] = self.current[: None if self.t else 0]
        if self.current_masks is not None and self.t:
            tensors["current_masks"] = self.current_masks
        unfinished = self.order.size and self.learned < self._minibatches
        rows = {"played": self.t, "batch": len(self.targets) if unfinished else 0}
        for name, rollout in self._rollouts().items():
            arrays = {k: array[: rows[name]] for k, array in vars(rollout).items()}
            tensors |= {f"{name}.{k}": self.backend.array(array) for k, array in arrays.items()}
        return tensors | self.save(self.optimizer, q=self.q)

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned; before `allocate`, only what acting needs.

        Raises:
            ValueError: a tensor is missing or has another shape.
        """
        check_tensors(tensors, ("counters", "sums", "order", "targets", "current", "agent_stream"))
        self.load(tensors, self.optimizer, q=self.q)
        self._sums[:] = tensors["sums"]
        if not self._allocated:
            return
        if (found := tensors["targets"].shape) != (wanted := self.targets.shape):
            raise ValueError(f"'targets' has shape {found}, not {wanted}")
        if len(tensors["order"]) != self.config.epochs:
            raise ValueError(f"'order' has {len(tensors['order'])} rows, not {self.config.epochs}")
        self.t, self.learned = (int(n) for n in tensors["counters"][2:])
        self.order, self.targets = np.array(tensors["order"]), np.array(tensors["targets"])
        self.current[: len(tensors["current"])] = tensors["current"]
        self.current_masks = tensors.get("current_masks")
        for name, rollout in self._rollouts().items():
            for key, array in vars(rollout).items():
                check_tensors(tensors, [f"{name}.{key}"])
                saved = tensors[f"{name}.{key}"]
                self.backend.store(array, slice(len(saved)), saved)

    def _rollouts(self) -> dict[str, Rollout]:
        return {"played": self.played, "batch": self.batch}

    @property
    def _minibatches(self) -> int:
        """Number of updates per rollout."""
        return self.config.epochs * self.config.minibatches


def make(env: Env, config: PQNConfig, seed: int) -> PQN:
    """Make an agent for an environment; InputError if they do not fit."""
    return PQN(check_spaces(env, "pqn"), config, seed)
