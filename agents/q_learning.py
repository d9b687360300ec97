"""Tabular Q-learning: Watkins' (1989), and differential Q-learning for the average reward.

The update is written once, in `learn`, and so is the choice of an action, in `choose`. Two loops
call them: gridcade.experience.loop on any Gymnasium environment, and the compiled one of
q_learning_loop.py on a world whose model is known. Fed the same random numbers, they agree bit for
bit.

Draws, in order: the agent draws one uniform number a step, which decides both whether to
explore and which action to take; the environment draws one for its outcome, and after an end one
for the next start.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import SamplingPolicy
from gridcade.agents.compiled import compiled
from gridcade.agents.probabilities import greedy, with_epsilon
from gridcade.agents.schedules import Schedule, ScheduleNumbers
from gridcade.envs.registry import known_model, time_limit
from gridcade.errors import InputError
from gridcade.experience.step import Step
from gridcade.seeding import pack, stream, unpack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Numbers(NamedTuple):
    """The hyperparameters as the compiled code takes them."""

    differential: bool
    discount: float
    rate_step_ratio: float
    step_size: ScheduleNumbers
    epsilon: ScheduleNumbers


@dataclass(frozen=True)
class QLearningConfig:
    """Hyperparameters of tabular Q-learning.

    Raises:
        InputError: a field is out of its range.
    """

    criterion: Literal["discounted", "average-reward"] = "discounted"
    """discounted: Watkins & Dayan (1992). average: differential, Wan, Naik & Sutton (2021)."""
    discount: float = 0.99
    """Discount of the discounted criterion, 0 to 1."""
    step_size: Schedule = field(default_factory=lambda: Schedule(0.1))
    """Alpha, the share of each error that is learnt."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(0.1))
    """Probability of a uniformly random action."""
    initial_value: float = 0.0
    """Every action's value at first; above what can be had it is optimistic, and explores."""
    rate_step_ratio: float = 0.1
    """Eta of the average criterion: the reward rate's step size over the values'."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.discount <= 1:
            raise InputError(f"discount is {self.discount}; it takes 0 to 1")
        if not np.isfinite(self.initial_value):
            raise InputError(f"initial_value is {self.initial_value}; it takes a finite number")
        if not 0 < self.rate_step_ratio <= 100:
            wrong = f"rate_step_ratio is {self.rate_step_ratio}"
            raise InputError(f"{wrong}; it takes more than 0, and 100 at most")
        self.step_size.check("step_size")
        self.epsilon.check("epsilon")

    def numbers(self) -> Numbers:
        """For the compiled code."""
        differential = self.criterion == "average-reward"
        return Numbers(
            differential,
            1.0 if differential else float(self.discount),
            float(self.rate_step_ratio),
            self.step_size.numbers(),
            self.epsilon.numbers(),
        )


@compiled
def scheduled(schedule: ScheduleNumbers, t: int, count: int) -> float:
    """A schedule's value at absolute step t (from 0), for the N-th visit."""
    value = schedule.final
    if t < schedule.steps:
        value = schedule.initial + (schedule.final - schedule.initial) * (t / schedule.steps)
    return value if schedule.power == 0.0 else value / float(count) ** schedule.power


@compiled
def choose(q: Any, s: int, epsilon: float, u: float) -> int:
    """An epsilon-greedy action, ties broken evenly, by one uniform number u in [0, 1).

    Below epsilon, u / epsilon is uniform again and picks any action; above it, what is left
    of u picks one of the best.
    """
    num_actions = q.shape[1]
    if u < epsilon:
        return int(min(int(u / epsilon * num_actions), num_actions - 1))
    best, ties = 0, 1
    for a in range(1, num_actions):
        if q[s, a] > q[s, best]:
            best, ties = a, 1
        elif q[s, a] == q[s, best]:
            ties += 1
    if ties > 1:
        nth = min(int((u - epsilon) / (1.0 - epsilon) * ties), ties - 1)
        highest = q[s, best]
        while nth > 0:
            best += 1
            if q[s, best] == highest:
                nth -= 1
    return best


@compiled
def epsilon_at(epsilon: ScheduleNumbers, visits: Any, s: int, t: int) -> float:
    """Epsilon in state s at step t."""
    seen = 1
    if epsilon.power != 0.0:
        for a in range(visits.shape[1]):
            seen += visits[s, a]
    return scheduled(epsilon, t, seen)


@compiled
def learn(
    q: Any,  # [states, actions]
    visits: Any,  # [states, actions]
    rate: Any,  # [1]: the estimate of the reward rate
    numbers: Numbers,
    t: int,
    s: int,
    a: int,
    r: float,
    s_next: int,
    terminated: bool,
    s_start: int,
) -> None:
    """One update, from step t.

    Discounted, Watkins: delta = r + gamma max Q(s', .) - Q(s, a), where an end is worth 0.
    Average, Wan et al. (2021), eqs. 3 and 4: delta = r - rate + max Q(s', .) - Q(s, a), where after
    an end s' is the start of the next episode: the reward rate counts over episodes.
    A truncated step is not terminated: it bootstraps from where it led.
    """
    visits[s, a] += 1
    alpha = scheduled(numbers.step_size, t, visits[s, a])
    following = 0.0
    if numbers.differential or not terminated:
        s_after = s_start if terminated else s_next
        following = q[s_after, 0]
        for b in range(1, q.shape[1]):
            following = max(following, q[s_after, b])
    delta = r - rate[0] + numbers.discount * following - q[s, a]
    q[s, a] += alpha * delta
    if numbers.differential:
        rate[0] += numbers.rate_step_ratio * alpha * delta


@compiled
def draw(cumulative: Any, low: int, high: int, u: float) -> int:
    """The first place from low on whose running sum exceeds u; the last one is high - 1."""
    while low < high - 1 and u >= cumulative[low]:
        low += 1
    return low


@compiled
def run(
    q: Any,
    visits: Any,
    rate: Any,
    numbers: Numbers,
    model: Any,  # offsets, next states, cumulative, rewards, terminated, start's cumulative
    limit: int,  # steps; 0: none
    place: Any,  # [3] int: step, state, steps since the start
    returned: Any,  # [1] float: rewards since the start
    agent_rng: Any,
    env_rng: Any,
    until: int,  # step
    totals: Any,  # [len(TOTALS)] float, in the order of their names: added to
) -> None:
    """Q-learning on a known model from step place[0] until `until`."""
    offsets, next_states, cumulative, rewards, ends, start_cumulative = model
    num_actions, num_states = q.shape[1], q.shape[0]
    t, s, elapsed = place
    total = returned[0]
    while t < until:
        a = choose(q, s, epsilon_at(numbers.epsilon, visits, s, t), agent_rng.random())
        row = s * num_actions + a
        outcome = draw(cumulative, offsets[row], offsets[row + 1], env_rng.random())
        s_next, r, terminated = next_states[outcome], rewards[outcome], ends[outcome]
        elapsed += 1
        total += r
        totals[0] += r
        truncated = not terminated and elapsed == limit
        s_start = s_next
        if terminated or truncated:
            totals[1] += 1.0
            totals[2] += total
            totals[3] += total * total
            totals[4] += elapsed
            totals[5] += truncated
            elapsed, total = 0, 0.0
            s_start = draw(start_cumulative, 0, num_states, env_rng.random())
        learn(q, visits, rate, numbers, t, s, a, r, s_next, terminated, s_start)
        s = s_start
        t += 1
    place[0], place[1], place[2] = t, s, elapsed
    returned[0] = total


class QLearning(SamplingPolicy):
    """A Q-learning agent on Discrete observations and actions.

    Args:
        num_states: observations 0 … num_states - 1.
        num_actions: actions 0 … num_actions - 1.
        config: hyperparameters.
        seed: of the agent's random stream.
    """

    def __init__(
        self,
        num_states: int,
        num_actions: int,
        config: QLearningConfig | None = None,
        seed: int = 0,
    ):
        self.config = config or QLearningConfig()
        self.q: Floats = np.full((num_states, num_actions), float(self.config.initial_value))
        self.visits: Ints = np.zeros((num_states, num_actions), dtype=np.int64)
        self.rate: Floats = np.zeros(1)  # reward a step, of the average criterion
        self.steps = 0
        self.numbers = self.config.numbers()
        self.rng = stream(seed, "agent")
        self._prediction_rng = stream(seed, "prediction")

    def act(self, observations: Any) -> Ints:
        """Epsilon-greedy actions for states [n], at the present step."""
        actions = np.empty(len(observations), dtype=np.int64)
        for i, s in enumerate(observations):
            epsilon = epsilon_at(self.numbers.epsilon, self.visits, int(s), self.steps + i)
            actions[i] = choose(self.q, int(s), epsilon, self.rng.random())
        return actions

    def observe(self, step: Step) -> None:
        """Learn from one step of every environment, in their order."""
        for i in range(len(step.actions)):
            learn(
                self.q,
                self.visits,
                self.rate,
                self.numbers,
                self.steps,
                int(step.observations[i]),
                int(step.actions[i]),
                float(step.rewards[i]),
                int(step.next_observations[i]),
                bool(step.terminated[i]),
                int(step.current[i]),
            )
            self.steps += 1

    def update(self) -> None:
        """Nothing: a table learns at once, in `observe`."""

    def metrics(self) -> dict[str, float]:
        """What to report of an epoch: epsilon, and the reward rate of the average criterion."""
        if not np.isfinite(self.q).all():
            raise InputError("the values have diverged: take smaller step sizes")
        values = {}
        if self.config.epsilon.power == 0:
            values["epsilon"] = scheduled(self.numbers.epsilon, self.steps, 1)
        if self.config.criterion == "average-reward":
            values["reward_rate"] = float(self.rate[0])
        return values

    @property
    def values(self) -> Floats:
        """The value of each state: its best action's.  [states]."""
        return np.asarray(self.q.max(axis=1))

    def probabilities(self, observations: Any, deterministic: bool = True) -> Floats:
        """Action probabilities in states [n]: [n, actions].

        Deterministic: greedy, ties shared evenly. Otherwise epsilon-greedy, as it acts now.
        """
        states = np.asarray(observations, dtype=np.int64)
        table = greedy(self.q[states])
        if deterministic:
            return table
        rows = [epsilon_at(self.numbers.epsilon, self.visits, int(s), self.steps) for s in states]
        return with_epsilon(table, np.array(rows)[:, None])

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything there is to know of the agent, as arrays."""
        return {
            "q": self.q,
            "visits": self.visits,
            "rate": self.rate,
            "steps": np.array([self.steps]),
            "agent_stream": pack(self.rng),
        }

    def load_state_dict(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Put back what `state_dict` gave.

        Raises:
            ValueError: a tensor is missing, or of another shape.
        """
        for key, present in self.state_dict().items():
            if key not in tensors:
                raise ValueError(f"it lacks the tensor '{key}'")
            if tensors[key].shape != present.shape:
                raise ValueError(f"'{key}' has shape {tensors[key].shape}, not {present.shape}")
        self.q[:] = tensors["q"]
        self.visits[:] = tensors["visits"]
        self.rate[:] = tensors["rate"]
        self.steps = int(tensors["steps"][0])
        unpack(self.rng, tensors["agent_stream"])


def make(env: gym.Env[Any, Any], config: QLearningConfig, seed: int) -> QLearning:
    """An agent that fits an environment.

    Raises:
        InputError: its observations or actions are not Discrete.
    """
    sizes = []
    for name, space in (("observations", env.observation_space), ("actions", env.action_space)):
        if not isinstance(space, gym.spaces.Discrete) or space.start != 0:
            kind = type(space).__name__
            raise InputError(f"q-learning takes Discrete {name} from 0 on; these are a {kind}")
        sizes.append(int(space.n))
    return QLearning(sizes[0], sizes[1], config, seed)


def compiled_loop(agent: QLearning, env: gym.Env[Any, Any], seed: int) -> Any:
    """The compiled loop, where the environment's model is known; else None."""
    from gridcade.agents.tabular_loop import CompiledLoop

    model = known_model(env)
    return None if model is None else CompiledLoop(agent, model, time_limit(env), seed)
