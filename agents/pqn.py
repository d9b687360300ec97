"""PQN, deep Q-learning with neither replay nor target network: Gallici et al. (2024).

"Simplifying Deep Temporal Difference Learning", arXiv 2407.04811, Algorithm 1. Many environments
give fresh batches, layer normalisation keeps the values from diverging, and the targets are
Q(lambda) returns. One thing is moved: a rollout is learnt from while the next one is played,
minibatch after minibatch, so that emulators and learner run side by side. Actions always come from
the newest weights.
"""

from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gridcade.agents.deep import DeepAgent, DeepConfig, Form, Tensors, fitting
from gridcade.agents.replay import Storage, in_memory
from gridcade.agents.schedule import Schedule
from gridcade.experience import Step

Numbers = NDArray[np.float32]
ROLLOUTS = 2  # that are kept: the one that is learnt from, and the one that is played


@dataclass(frozen=True)
class PQNConfig(DeepConfig):
    """Hyperparameters of PQN; what they count is in their description.

    Raises:
        InputError: a field is out of its range.
    """

    trace_decay: float = 0.65
    """Lambda: 0 gives one-step targets, 1 Monte Carlo's."""
    rollout: int = 32
    """T, decisions in each environment between two rounds of learning."""
    epochs: int = 2
    """Passes over a rollout."""
    minibatches: int = 32
    """Of a pass; each makes one update."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(1.0, 0.001, 5_000_000))
    """Probability of a random action."""
    learning_rate: Schedule = field(default_factory=lambda: Schedule(0.00025))
    """Of RAdam."""
    most_gradient: float = 10.0
    """Norm that longer gradients are cut to."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        self.check(
            least={"rollout": 1, "epochs": 1, "minibatches": 1},
            shares=["trace_decay"],
            positive=["most_gradient"],
            schedules=["epsilon", "learning_rate"],
        )


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
        self._sums = np.zeros(4)  # losses, updates; max Q, rollouts: since the last metrics
        self.attach(1, 0, in_memory)

    def attach(self, envs: int, slack: int, storage: Storage) -> None:
        """Give the agent its memory, before it learns; see `Replay`."""
        config = self.config
        slots = max(self._stack, 1) + 1  # that a decision may take: with an episode's beginning
        length = ROLLOUTS * config.rollout * envs * slots
        self.memory = self._memory(envs, length, slack, storage)
        self._t = self._learnt = 0  # decisions of this rollout; minibatches of the last one
        shape = (config.rollout, envs)
        self._slots = np.zeros(shape, np.int64)  # of this rollout's observations
        self._discounts, self._next_values = np.zeros((2, *shape), np.float32)
        self._truncated = np.zeros(shape, bool)
        self._newest: Numbers = np.zeros(envs, np.float32)  # max_a Q of what is acted on
        self._batch = np.zeros(shape, np.int64)  # slots of the rollout that is learnt from
        self._returns = np.zeros(shape, np.float32)  # and its targets
        self._order = np.zeros((config.epochs, 0), np.int64)  # in which, an epoch a row

    @property
    def full(self) -> bool:
        """Whether a checkpoint has to be made before the next step."""
        return self.memory.full

    @property
    def epsilon(self) -> float:
        """The probability of a random action, now."""
        return self.config.epsilon.at(self.decisions)

    def act(self, observations: Any) -> NDArray[np.int64]:
        """With probability epsilon a random action, else argmax_a Q(s, a).  [n]."""
        values = self._values(self._seen(observations))
        self._newest = values.max(axis=1)
        random = self._rng.random(len(values)) < self.epsilon
        drawn = self._rng.integers(self._num_actions, size=len(values))
        return np.asarray(np.where(random, drawn, values.argmax(axis=1)))

    def observe(self, step: Step) -> None:
        """Take in a decision of each environment. A lost life ends bootstrapping, not the game."""
        rewards, terminated = self._learnable(step, self.config.clip_rewards)
        self.memory.add(step, rewards, terminated)
        t, cut = self._t, step.truncated & ~terminated
        starts = step.terminated | step.truncated  # there the newest frames are the next episode's
        self._slots[t] = self.memory.written - 2 - starts * max(self._stack, 1)
        self._discounts[t] = np.where(terminated, 0, self.config.discount)
        self._truncated[t] = cut
        if cut.any():
            ends = self._values(self._seen(np.asarray(step.next_observations)[cut]))
            self._next_values[t, cut] = ends.max(axis=1)
        self._t += 1
        self.decisions += len(rewards)

    def update(self) -> None:
        """The minibatches that are due, so that a rollout is learnt from when the next one ends."""
        config, t = self.config, self._t
        if t:  # what was acted on just now is where the last decision led, but for cut episodes
            going = ~self._truncated[t - 1]
            self._next_values[t - 1, going] = self._newest[going]
        if t == config.rollout:
            self._close()
        if not self._order.size:
            return  # the first rollout is still played
        due = (self._t + 1) * config.epochs * config.minibatches // config.rollout
        for number in range(self._learnt, due):
            epoch, part = divmod(number, config.minibatches)
            self._learn(np.array_split(self._order[epoch], config.minibatches)[part])
        self._learnt = due

    def _close(self) -> None:
        """Turn the rollout into the batch that is learnt from during the next one."""
        carried = np.where(self._truncated, 0, self.config.trace_decay).astype(np.float32)
        rewards = self.memory.rewards[self._places(self._slots)]
        self._returns = lambda_returns(rewards, self._discounts, self._next_values, carried)
        self._batch = self._slots.copy()
        shuffled = [self._rng.permutation(self._batch.size) for _ in range(self.config.epochs)]
        self._order = np.array(shuffled)
        if (going := self._discounts > 0).any():
            self._sums[2:] += self._next_values[going].mean(), 1
        self._t = self._learnt = 0

    def _places(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where a rollout's slots [T, envs] lie in the memory's arrays."""
        envs = np.broadcast_to(np.arange(slots.shape[1]), slots.shape)
        return envs, slots % self.memory.ring

    def _learn(self, rows: NDArray[np.int64]) -> None:
        """A gradient step on some decisions of the last rollout, [batch]."""
        if not rows.size:
            return  # of more minibatches than decisions
        envs, slots = (part.ravel()[rows] for part in self._places(self._batch))
        q = self._passes(self._tensor(self.memory.stacks(envs, slots)))
        actions = self._tensor(self.memory.actions[envs, slots].astype(np.int64))
        q = q.gather(1, actions[:, None])[:, 0]
        loss = 0.5 * nn.functional.mse_loss(q, self._tensor(self._returns.ravel()[rows]))
        loss.backward()  # type: ignore[no-untyped-call]
        self._gather_gradients()
        nn.utils.clip_grad_norm_(self.q.parameters(), self.config.most_gradient)
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate.at(self.decisions)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._follow_weights()
        self._sums[:2] += self._finite(loss), 1
        self.updates += 1

    def metrics(self) -> dict[str, float]:
        """Of the decisions since the last call: epsilon, updates, mean loss, mean max Q."""
        losses, updates, values, rollouts = self._sums.tolist()
        found: dict[str, float] = {"epsilon": self.epsilon, "updates": self.updates}
        found["learning_rate"] = self.config.learning_rate.at(self.decisions)
        if updates:
            found["loss"] = losses / updates
        if rollouts:
            found["mean_max_q"] = values / rollouts
        self._sums[:] = 0
        return found

    def state_dict(self) -> Tensors:
        """Everything that learning depends on, but for what the memory's storage holds."""
        counters = [self.decisions, self.updates, self._t, self._learnt]
        found = {"counters": np.array(counters), "sums": self._sums}
        found |= {f"memory.{k}": v for k, v in self.memory.state_dict().items()}
        found |= {f"rollout.{k}": v for k, v in self._rollout().items()}
        return found | self._kept(self._optimiser, q=self.q)

    def load_state_dict(self, tensors: Tensors) -> None:
        """Put back what `state_dict` gave.

        Raises:
            ValueError: a tensor is missing, or of another shape.
        """
        for key in ("counters", "sums", "agent_stream", "memory.written", "rollout.slots"):
            if key not in tensors:
                raise ValueError(f"it lacks the tensor '{key}'")
        self._put_back(tensors, self._optimiser, q=self.q)
        self.decisions, self.updates, t, learnt = (int(n) for n in tensors["counters"])
        self._sums[:] = tensors["sums"]
        if tensors["rollout.slots"].shape != self._slots.shape:
            return  # of other environments than these: fit to act, not to go on
        self._t, self._learnt = t, learnt
        self.memory.load_state_dict({"written": tensors["memory.written"]})
        for key in self._rollout():
            setattr(self, f"_{key}", np.array(tensors[f"rollout.{key}"]))

    def _rollout(self) -> dict[str, NDArray[Any]]:
        names = ("slots", "discounts", "next_values", "truncated", "batch", "returns", "order")
        return {name: getattr(self, f"_{name}") for name in names}


def lambda_returns(
    rewards: Numbers, discounts: Numbers, next_values: Numbers, trace_decays: Numbers
) -> Numbers:
    """Q(lambda) targets of a rollout, backwards (Gallici et al. 2024, Algorithm 1).

    G_t = r_t + gamma_t ((1 - lambda_t) max_a Q(s_{t+1}, a) + lambda_t G_{t+1}), each [T, envs].

    Args:
        rewards: r_t.
        discounts: gamma_t, 0 after an end.
        next_values: max_a Q(s_{t+1}, a), of the observation that the decision led to.
        trace_decays: lambda_t, 0 where an episode was truncated: what follows is another one.
    """
    returns = np.empty_like(rewards)
    following = next_values[-1]
    for t in reversed(range(len(rewards))):
        mixed = next_values[t] + trace_decays[t] * (following - next_values[t])
        following = returns[t] = rewards[t] + discounts[t] * mixed
    return returns


def make(env: gym.Env[Any, Any], config: PQNConfig, seed: int) -> PQN:
    """An agent that fits an environment; InputError if none can."""
    return PQN(fitting(env, "pqn"), config, seed)
