"""PQN, deep Q-learning with neither replay nor target network: Gallici et al. (2024).

"Simplifying Deep Temporal Difference Learning", arXiv 2407.04811, Algorithm 1. Many environments
give fresh batches, layer normalisation keeps the values from diverging, and the targets are
Q(lambda) returns. One thing is moved: a rollout is learnt from while the next one is played,
minibatch after minibatch, so that emulators and learner run side by side. Actions always come from
the newest weights; targets are as old as the rollout, where the paper's are made at its end.
"""

from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gridcade.agents.deep import DeepAgent, DeepConfig, Form, Tensors, fitting
from gridcade.agents.schedules import Schedule
from gridcade.errors import InputError
from gridcade.experience.step import Step

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class PQNConfig(DeepConfig):
    """Hyperparameters of PQN; what they count is in their description.

    Raises:
        InputError: a field is out of its range.
    """

    trace_decay: float = 0.65
    """Lambda: 0 gives one-step targets, 1 Monte Carlo's."""
    rollout: int = 32
    """T, steps in each environment between two rounds of learning."""
    epochs: int = 2
    """Passes over a rollout."""
    minibatches: int = 32
    """Of a pass; each makes one update."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(1.0, 0.001, 5_000_000))
    """Probability of a random action."""
    learning_rate: Schedule = field(default_factory=lambda: Schedule(0.00025))
    """Of RAdam."""
    max_grad_norm: float = 10.0
    """Norm that longer gradients are clipped to."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        self.check(
            least={"rollout": 1, "epochs": 1, "minibatches": 1},
            shares=["trace_decay"],
            positive=["max_grad_norm", "learning_rate.initial"],
            schedules=["epsilon", "learning_rate"],
        )


def lambda_returns(
    rewards: Numbers, discounts: Numbers, next_values: Numbers, trace_decays: Numbers
) -> Numbers:
    """Q(lambda) targets of a rollout, backwards (Gallici et al. 2024, Algorithm 1).

    G_t = r_t + gamma_t ((1 - lambda_t) max_a Q(s_{t+1}, a) + lambda_t G_{t+1}), each [T, envs].

    Args:
        rewards: r_t.
        discounts: gamma_t, 0 after an end.
        next_values: max_a Q(s_{t+1}, a), of the observation that the step led to.
        trace_decays: lambda_t, 0 where an episode was truncated: what follows is another one.
    """
    returns = np.empty_like(rewards)
    following = next_values[-1]
    for t in reversed(range(len(rewards))):
        mixed = next_values[t] + trace_decays[t] * (following - next_values[t])
        following = returns[t] = rewards[t] + discounts[t] * mixed
    return returns


@dataclass
class Rollout:
    """T steps in each of n environments, [T, n, …]."""

    observations: NDArray[Any]
    actions: NDArray[np.int64]
    rewards: Numbers
    discounts: Numbers  # 0 after an end
    next_values: Numbers  # max_a Q of what the step led to
    truncated: NDArray[np.bool_]  # what follows is another episode


class PQN(DeepAgent):
    """The agent.

    Args:
        form: of its observations and actions.
        config: hyperparameters.
        seed: of the network's first weights, and of the agent's random stream.

    Raises:
        InputError: PyTorch finds no such device here, or the network takes no such frames.
    """

    def __init__(self, form: Form, config: PQNConfig | None = None, seed: int = 0):
        self.config = config = config or PQNConfig()
        super().__init__(form, config, seed, layer_norm=True)
        rate = config.learning_rate.initial
        self._optimiser = torch.optim.RAdam(self.q.parameters(), rate, foreach=True)
        self.memory_bytes = 0  # of two rollouts, when the environments are known
        self._sums = np.zeros(4)  # losses, updates; max Q, rollouts: since the last metrics
        self.attach(1)

    def check_envs(self, envs: int) -> None:
        """Raise InputError unless each minibatch of a rollout has a step."""
        if (given := self.config.minibatches) > (most := self.config.rollout * envs):
            raise InputError(f"minibatches is {given}; it takes {most} or less here")
        self.memory_bytes = 2 * most * self._played.observations[0, 0].nbytes

    def attach(self, envs: int, slack: int = 0, storage: Any = None) -> None:
        """Make room for two rollouts: the one that is played, and the one that is learnt from."""
        del slack, storage  # all of it goes into checkpoints
        self._t = self._learnt = 0  # steps of the one, minibatches of the other
        try:
            self._played, self._batch = self._rollout(envs), self._rollout(envs)
        except (MemoryError, ValueError) as error:
            raise InputError(f"rollout is {self.config.rollout}: {error}") from None
        self._returns = np.zeros((self.config.rollout, envs), np.float32)  # the batch's targets
        self._order = np.zeros((self.config.epochs, 0), np.int64)  # in which, an epoch a row

    def _rollout(self, envs: int) -> Rollout:
        shape = (self.config.rollout, envs)
        seen = self._seen(np.zeros((1, *self._shape), self._dtype))
        observations = np.zeros((*shape, *seen.shape[1:]), seen.dtype)
        r, gamma, v = np.zeros((3, *shape), np.float32)
        return Rollout(observations, np.zeros(shape, int), r, gamma, v, np.zeros(shape, bool))

    @property
    def epsilon(self) -> float:
        """The probability of a random action, now."""
        return self.config.epsilon.at(self.steps)

    def act(self, observations: Any) -> NDArray[np.int64]:
        """With probability epsilon a random action, else argmax_a Q(s, a).  [n]."""
        seen = self._seen(observations)
        values = self._values(seen)
        random = self._rng.random(len(values)) < self.epsilon
        drawn = self._rng.integers(self._num_actions, size=len(values))
        if self._t:  # here the last steps led, but for those that ended a truncated episode
            going = ~self._played.truncated[self._t - 1]
            self._played.next_values[self._t - 1, going] = values.max(axis=1)[going]
        if self._t == self.config.rollout:
            self._close()
        self._played.observations[self._t] = seen
        return np.asarray(np.where(random, drawn, values.argmax(axis=1)))

    def observe(self, step: Step) -> None:
        """Take in a step of each environment. A lost life ends bootstrapping, not the game."""
        rewards, terminated = self._clip_and_mask(step, self.config.clip_rewards)
        played, t, truncated = self._played, self._t, step.truncated & ~terminated
        played.actions[t], played.rewards[t] = step.actions, rewards
        played.truncated[t] = truncated
        played.discounts[t] = np.where(terminated, 0, self.config.discount)
        played.next_values[t] = 0  # until it is acted on, if it is
        if truncated.any():
            last = self._values(self._seen(np.asarray(step.next_observations)[truncated]))
            played.next_values[t, truncated] = last.max(axis=1)
        self._t += 1
        self.steps += len(rewards)

    def _close(self) -> None:
        """Turn the rollout into the batch that is learnt from during the next one."""
        batch = self._played
        self._batch, self._played = batch, self._batch
        decays = np.where(batch.truncated, 0, self.config.trace_decay).astype(np.float32)
        terms = (batch.rewards, batch.discounts, batch.next_values)
        self._returns = lambda_returns(*terms, decays)
        shuffled = [self._rng.permutation(decays.size) for _ in range(self.config.epochs)]
        self._order = np.array(shuffled)
        if (going := batch.discounts > 0).any():
            self._sums[2:] += batch.next_values[going].mean(), 1
        self._t = self._learnt = 0

    def update(self) -> None:
        """The minibatches that are due, so that a rollout is learnt from when the next one ends."""
        config = self.config
        if not self._order.size:
            return  # the first rollout is still played
        due = (self._t + 1) * config.epochs * config.minibatches // config.rollout
        for number in range(self._learnt, due):
            epoch, part = divmod(number, config.minibatches)
            self._learn(np.array_split(self._order[epoch], config.minibatches)[part])
        self._learnt = due

    def _learn(self, rows: NDArray[np.int64]) -> None:
        """A gradient step on some steps of the last rollout, [batch]."""
        given = (self._batch.observations, self._batch.actions, self._returns)
        flat = (array.reshape(-1, *array.shape[2:])[rows] for array in given)
        observations, actions, targets = map(self._tensor, flat)
        q = self._compute_network(observations).gather(1, actions[:, None])[:, 0]
        loss = 0.5 * nn.functional.mse_loss(q, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        self._gather_gradients()
        nn.utils.clip_grad_norm_(self.q.parameters(), self.config.max_grad_norm)
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate.at(self.steps)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._follow_weights()
        self._sums[:2] += self._finite(loss), 1
        self.updates += 1

    def metrics(self) -> dict[str, float]:
        """Of the steps since the last call: epsilon, updates, mean loss, mean max Q."""
        self._check_weights()
        losses, updates, values, rollouts = self._sums.tolist()
        found: dict[str, float] = {"epsilon": self.epsilon, "updates": self.updates}
        found["learning_rate"] = self.config.learning_rate.at(self.steps)
        if updates:
            found["loss"] = losses / updates
        if rollouts:
            found["mean_max_q"] = values / rollouts
        self._sums[:] = 0
        return found

    def state_dict(self) -> Tensors:
        """Everything that learning depends on."""
        counters = np.array([self.steps, self.updates, self._t, self._learnt])
        found = {"counters": counters, "sums": self._sums}
        found |= {"order": self._order, "returns": self._returns}
        done = not self._order.size or self._learnt == self.config.epochs * self.config.minibatches
        rollouts = {"played": (self._played, self._t)}
        rollouts["batch"] = (self._batch, 0 if done else len(self._returns))
        for name, (rollout, kept) in rollouts.items():
            found |= {f"{name}.{key}": array[:kept] for key, array in vars(rollout).items()}
        return found | self._kept(self._optimiser, q=self.q)

    def load_state_dict(self, tensors: Tensors) -> None:
        """Put back what `state_dict` gave.

        Raises:
            ValueError: a tensor is missing, or of another shape.
        """
        if missing := self.state_dict().keys() - tensors.keys():
            raise ValueError(f"it lacks the tensor '{min(missing)}'")
        self._load(tensors, self._optimiser, q=self.q)
        self._sums[:] = tensors["sums"]
        if tensors["returns"].shape[1] != self._returns.shape[1]:
            return  # of other environments than these: fit to act, not to go on
        for key, present in (("order", self._order), ("returns", self._returns)):
            if (rows := len(tensors[key])) != len(present):
                raise ValueError(f"'{key}' has {rows} rows, not {len(present)}")
        self._t, self._learnt = (int(n) for n in tensors["counters"][2:])
        self._order, self._returns = np.array(tensors["order"]), np.array(tensors["returns"])
        for name, rollout in (("played", self._played), ("batch", self._batch)):
            for key, array in vars(rollout).items():
                given = tensors[f"{name}.{key}"]
                array[: len(given)] = given


def make(env: gym.Env[Any, Any], config: PQNConfig, seed: int) -> PQN:
    """An agent that fits an environment; InputError if none can."""
    return PQN(fitting(env, "pqn"), config, seed)
