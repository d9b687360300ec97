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

from gridcade.agents.deep import DeepAgent, Freeze, Tensors, check_ranges, fitting
from gridcade.agents.networks import NetworkName
from gridcade.agents.replay import Storage, in_memory
from gridcade.agents.schedule import Schedule
from gridcade.experience import Step

Numbers = NDArray[np.float32]
ROLLOUTS = 2  # that are kept: the one that is learnt from, and the one that is played


@dataclass(frozen=True)
class PQNConfig:
    """Hyperparameters of PQN; what they count is in their description.

    Raises:
        InputError: a field is out of its range.
    """

    network: NetworkName = "auto"
    """The network of 2013, of 2015, or an mlp; auto: 2013 for stacked frames, else mlp."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the mlp's layers."""
    discount: float = 0.99
    """Gamma, a decision."""
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
    clip_rewards: bool = True
    """Rewards to [-1, 1], for the learner only."""
    bfloat16: bool = False
    """Passes in bfloat16, where the processor has units for it; weights stay float32."""
    freeze: Freeze = "nothing"
    """conv: the convolutions keep their weights, such as those that --init-from gave them."""
    device: str = "cpu"
    """Where the network learns: cpu, cuda or mps."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(
            self,
            least={"rollout": 1, "epochs": 1, "minibatches": 1},
            shares=["discount", "trace_decay"],
            positive=["most_gradient"],
            schedules=["epsilon", "learning_rate"],
        )


class PQN(DeepAgent):
    """The agent.

    Args:
        shape: of an observation.
        dtype: of observations.
        stack: frames in an observation, [stack, …]; 0: none are stacked.
        num_actions: actions.
        config: hyperparameters.
        seed: of the network's first weights, and of the agent's random stream.

    Raises:
        InputError: PyTorch finds no such device here, or the network takes no such frames.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        stack: int,
        num_actions: int,
        config: PQNConfig | None = None,
        seed: int = 0,
    ):
        self.config = config = config or PQNConfig()
        super().__init__(
            shape,
            dtype,
            stack,
            num_actions,
            name=config.network,
            hidden=config.hidden,
            layer_norm=True,
            bfloat16=config.bfloat16,
            freeze=config.freeze,
            device=config.device,
            seed=seed,
        )
        self.decisions = self.updates = 0
        rate = config.learning_rate.initial
        self._optimiser = torch.optim.RAdam(self.q.parameters(), rate, foreach=True)
        self._sums = np.zeros(3)  # losses, max Q, updates, since the metrics were last asked for
        self.attach(1, 0, in_memory)

    def attach(self, envs: int, slack: int, storage: Storage) -> None:
        """Give the agent its memory, before it learns: a `Replay` for the frames alone."""
        config = self.config
        slots = max(self._stack, 1) + 1  # that a decision may take: with an episode's beginning
        length = ROLLOUTS * config.rollout * envs * slots
        self.frames = self._memory(envs, length, slack, storage)
        self._t = self._learnt = 0  # decisions of this rollout; minibatches of the last one
        shape = (config.rollout, envs)
        self._slots = np.zeros(shape, np.int64)  # of this rollout's observations
        self._actions = np.zeros(shape, np.int64)
        self._rewards, self._discounts = np.zeros((2, *shape), np.float32)
        self._next_values = np.zeros(shape, np.float32)  # max_a Q(s_{t+1}, a)
        self._truncated = np.zeros(shape, bool)
        self._newest: Numbers = np.zeros(envs, np.float32)  # max_a Q of what is acted on
        size = config.rollout * envs
        self._batch = np.zeros((3, size), np.int64)  # the last rollout's slots, actions, envs
        self._returns = np.zeros(size, np.float32)
        self._order = np.zeros(0, np.int64)  # in which it is learnt from, all epochs in a row

    @property
    def full(self) -> bool:
        """Whether a checkpoint has to be made before the next step."""
        return self.frames.full

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
        self.frames.add(step, rewards, terminated)
        t, cut = self._t, step.truncated & ~terminated
        starts = step.terminated | step.truncated  # there the newest frames are the next episode's
        self._slots[t] = self.frames.written - 2 - starts * max(self._stack, 1)
        self._actions[t], self._rewards[t], self._truncated[t] = step.actions, rewards, cut
        self._discounts[t] = np.where(terminated, 0, self.config.discount)
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
        count = config.epochs * config.minibatches
        due = (self._t + 1) * count // config.rollout if self._order.size else 0
        for rows in np.array_split(self._order, count)[self._learnt : due]:
            self._learn(rows)
            self._learnt += 1

    def _close(self) -> None:
        """Turn the rollout into the batch that is learnt from during the next one."""
        carried = np.where(self._truncated, 0, self.config.trace_decay).astype(np.float32)
        given = (self._rewards, self._discounts, self._next_values, carried)
        self._returns = lambda_returns(*given).ravel()
        envs = np.broadcast_to(np.arange(self._slots.shape[1]), self._slots.shape)
        self._batch = np.stack([self._slots.ravel(), self._actions.ravel(), envs.ravel()])
        passes = [self._rng.permutation(len(self._returns)) for _ in range(self.config.epochs)]
        self._order = np.concatenate(passes)
        self._sums[1] += self._next_values.mean()
        self._t = self._learnt = 0

    def _learn(self, rows: NDArray[np.int64]) -> None:
        """A gradient step on some decisions of the last rollout, [batch]."""
        slots, actions, envs = self._batch[:, rows]
        q = self._passes(self._tensor(self.frames.stacks(envs, slots)))
        q = q.gather(1, self._tensor(actions)[:, None])[:, 0]
        loss = 0.5 * nn.functional.mse_loss(q, self._tensor(self._returns[rows]))
        loss.backward()  # type: ignore[no-untyped-call]
        self._gather_gradients()
        nn.utils.clip_grad_norm_(self.q.parameters(), self.config.most_gradient)
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate.at(self.decisions)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._follow_weights()
        self._sums += [self._finite(loss, self.updates), 0, 1]
        self.updates += 1

    def metrics(self) -> dict[str, float]:
        """Of the decisions since the last call: epsilon, updates, mean loss, mean max Q."""
        config, (losses, values, updates) = self.config, self._sums.tolist()
        found: dict[str, float] = {"epsilon": self.epsilon, "updates": self.updates}
        found["learning_rate"] = config.learning_rate.at(self.decisions)
        if updates:
            rollouts = updates / (config.epochs * config.minibatches)
            found |= {"loss": losses / updates, "mean_max_q": values / rollouts}
        self._sums[:] = 0
        return found

    def state_dict(self) -> Tensors:
        """Everything that learning depends on, but for what the frames' storage holds."""
        counters = [self.decisions, self.updates, self._t, self._learnt]
        found = {"counters": np.array(counters), "sums": self._sums}
        found |= {f"frames.{k}": v for k, v in self.frames.state_dict().items()}
        found |= {f"rollout.{k}": v for k, v in self._rollout().items()}
        return found | self._kept(self._optimiser, q=self.q)

    def load_state_dict(self, tensors: Tensors) -> None:
        """Put back what `state_dict` gave.

        Raises:
            ValueError: a tensor is missing, or of another shape.
        """
        for key in ("counters", "sums", "agent_stream", "frames.written", "rollout.slots"):
            if key not in tensors:
                raise ValueError(f"it lacks the tensor '{key}'")
        self._put_back(tensors, self._optimiser, q=self.q)
        self.decisions, self.updates, t, learnt = (int(n) for n in tensors["counters"])
        self._sums[:] = tensors["sums"]
        if tensors["rollout.slots"].shape != self._slots.shape:
            return  # of other environments than these: fit to act, not to go on
        self._t, self._learnt = t, learnt
        self.frames.load_state_dict({"written": tensors["frames.written"]})
        for key in self._rollout():
            setattr(self, f"_{key}", np.array(tensors[f"rollout.{key}"]))

    def _rollout(self) -> dict[str, NDArray[Any]]:
        names = ("slots", "actions", "rewards", "discounts", "next_values", "truncated")
        return {name: getattr(self, f"_{name}") for name in (*names, "batch", "returns", "order")}


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
    return PQN(*fitting(env, "pqn"), config, seed)
