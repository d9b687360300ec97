"""Tabular Q-learning: Watkins' (1989), and differential Q-learning for the average reward.

The update is written once, in `learn`, and so is the choice of an action, in `choose`. Two loops
call them: gridcade.experience, on any Gymnasium environment, and `run`, compiled, on a world whose
model is known. Fed the same random numbers they agree bit for bit.

Draws, in order: the agent draws one uniform number a decision, which decides both whether to
explore and which action to take; the environment draws one for its outcome, and after an end one
for the next start.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.agents.compiled import compiled
from gridcade.envs.lookup import known_model, time_limit
from gridcade.envs.model import Model
from gridcade.errors import InputError
from gridcade.experience import TOTALS, Step
from gridcade.streams import pack, stream, unpack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """A number that changes over training, counted in absolute decisions.

    Runs linearly from `initial` to `final` over `decisions`, then stays; and is divided by N^power,
    where N counts the updates of this state and action (step size) or of this state (epsilon).
    """

    initial: float
    """Value at the first decision."""
    final: float | None = None
    """Value in the end; none: the initial one, so a constant."""
    decisions: int = 0
    """Decisions from the initial value to the final one."""
    power: float = 0.0
    """Omega in 1 / N^omega; 0: no such decay."""

    def check(self, name: str) -> None:
        """Raise InputError unless the values are probabilities and the rest is not negative."""
        for key in ("initial", "final"):
            value = getattr(self, key)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{name}.{key} is {value}; it takes 0 to 1")
        if self.decisions < 0:
            raise InputError(f"{name}.decisions is {self.decisions}; it takes 0 or more")
        if not 0 <= self.power <= 1:
            raise InputError(f"{name}.power is {self.power}; it takes 0 to 1")

    def numbers(self) -> tuple[float, float, float, float]:
        """Initial, final, decisions and power, for the compiled code."""
        final = self.initial if self.final is None else self.final
        return float(self.initial), float(final), float(self.decisions), float(self.power)


@dataclass(frozen=True)
class QLearningConfig:
    """Hyperparameters of tabular Q-learning.

    Raises:
        InputError: a field is out of its range.
    """

    criterion: Literal["discounted", "average"] = "discounted"
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
            raise InputError(f"rate_step_ratio is {self.rate_step_ratio}; it takes more than 0")
        self.step_size.check("step_size")
        self.epsilon.check("epsilon")

    def numbers(self) -> tuple[Any, ...]:
        """What the compiled code takes: (differential, gamma, eta, step size, epsilon)."""
        differential = self.criterion == "average"
        gamma = 1.0 if differential else float(self.discount)
        eta = float(self.rate_step_ratio)
        return differential, gamma, eta, self.step_size.numbers(), self.epsilon.numbers()


@compiled
def scheduled(schedule: Any, t: int, count: int) -> float:
    """A schedule's value at absolute decision t (from 0), for the N-th visit."""
    initial, final, decisions, power = schedule
    value: float = final if t >= decisions else initial + (final - initial) * (t / decisions)
    return value if power == 0.0 else value / float(count) ** power


@compiled
def choose(q: Any, s: int, epsilon: float, u: float) -> int:
    """An epsilon-greedy action, ties broken evenly, by one uniform number u in [0, 1).

    Below epsilon, u / epsilon is uniform again and picks any action; above it, what is left
    of u picks one of the best.
    """
    num_actions = q.shape[1]
    if u < epsilon:
        return int(min(int(u / epsilon * num_actions), num_actions - 1))
    best, ties = q[s, 0], 1
    for a in range(1, num_actions):
        if q[s, a] > best:
            best, ties = q[s, a], 1
        elif q[s, a] == best:
            ties += 1
    nth = 0 if ties == 1 else min(int((u - epsilon) / (1.0 - epsilon) * ties), ties - 1)
    for a in range(num_actions):
        if q[s, a] == best:
            if nth == 0:
                return a
            nth -= 1
    return 0  # only where a value is not a number


@compiled
def epsilon_at(numbers: Any, visits: Any, s: int, t: int) -> float:
    """Epsilon in state s at decision t."""
    schedule = numbers[4]
    seen = 1
    if schedule[3] != 0.0:
        for a in range(visits.shape[1]):
            seen += visits[s, a]
    return scheduled(schedule, t, seen)


@compiled
def learn(
    q: Any,  # [states, actions]
    visits: Any,  # [states, actions]
    rate: Any,  # [1]: the estimate of the reward rate
    numbers: Any,  # QLearningConfig.numbers()
    t: int,
    s: int,
    a: int,
    r: float,
    s_next: int,
    terminated: bool,
    s_start: int,
) -> None:
    """One update, from decision t.

    Discounted, Watkins: delta = r + gamma max Q(s', .) - Q(s, a), where an end is worth 0.
    Average, Wan et al. (2021), eqs. 3 and 4: delta = r - rate + max Q(s', .) - Q(s, a), where after
    an end s' is the start of the next episode: the reward rate counts over episodes.
    A truncated decision is not terminated: it bootstraps from where it led.
    """
    differential, gamma, eta, step_size, _ = numbers
    visits[s, a] += 1
    alpha = scheduled(step_size, t, visits[s, a])
    following = 0.0
    if differential or not terminated:
        s_after = s_start if terminated else s_next
        following = q[s_after, 0]
        for b in range(1, q.shape[1]):
            following = max(following, q[s_after, b])
    delta = r - rate[0] + gamma * following - q[s, a]
    q[s, a] += alpha * delta
    if differential:
        rate[0] += eta * alpha * delta


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
    numbers: Any,
    model: Any,  # offsets, next states, cumulative, rewards, terminated, start's cumulative
    time_limit: int,  # decisions; 0: none
    place: Any,  # [3] int: decision, state, decisions since the start
    returned: Any,  # [1] float: rewards since the start
    agent_rng: Any,
    env_rng: Any,
    until: int,  # decision
    totals: Any,  # [len(TOTALS)] float, in the order of their names: added to
) -> None:
    """Q-learning on a known model from decision place[0] until `until`."""
    offsets, next_states, cumulative, rewards, ends, start_cumulative = model
    num_actions, num_states = q.shape[1], q.shape[0]
    t, s, elapsed = place
    total = returned[0]
    while t < until:
        a = choose(q, s, epsilon_at(numbers, visits, s, t), agent_rng.random())
        row = s * num_actions + a
        outcome = draw(cumulative, offsets[row], offsets[row + 1], env_rng.random())
        s_next, r, terminated = next_states[outcome], rewards[outcome], ends[outcome]
        elapsed += 1
        total += r
        totals[0] += r
        truncated = not terminated and elapsed == time_limit
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


def model_arrays(model: Model) -> tuple[Any, ...]:
    """A model as `run` takes it."""
    return (
        model.offsets,
        model.next_states,
        model.cumulative,
        model.rewards,
        model.terminated,
        model.start_cumulative,
    )


class QLearning:
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
        self.rate: Floats = np.zeros(1)  # reward a decision, of the average criterion
        self.decisions = 0
        self._numbers = self.config.numbers()
        self._rng = stream(seed, "agent")
        self._prediction_rng = stream(seed, "prediction")

    def act(self, observations: Any) -> Ints:
        """Epsilon-greedy actions for states [n], at the present decision."""
        actions = np.empty(len(observations), dtype=np.int64)
        for i, s in enumerate(observations):
            epsilon = epsilon_at(self._numbers, self.visits, int(s), self.decisions + i)
            actions[i] = choose(self.q, int(s), epsilon, self._rng.random())
        return actions

    def observe(self, step: Step) -> None:
        """Learn from one step of every environment, in their order."""
        for i in range(len(step.actions)):
            learn(
                self.q,
                self.visits,
                self.rate,
                self._numbers,
                self.decisions,
                int(step.observations[i]),
                int(step.actions[i]),
                float(step.rewards[i]),
                int(step.next_observations[i]),
                bool(step.terminated[i]),
                int(step.current[i]),
            )
            self.decisions += 1

    def update(self) -> None:
        """Nothing: a table learns at once, in `observe`."""

    def metrics(self) -> dict[str, float]:
        """What to report of an epoch: epsilon, and the reward rate of the average criterion."""
        t = self.decisions
        values = {"epsilon": scheduled(self._numbers[4], t, 1)} if not self._numbers[4][3] else {}
        if self.config.criterion == "average":
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
        best = self.q[states] == self.q[states].max(axis=1, keepdims=True)
        table = best / best.sum(axis=1, keepdims=True)
        if deterministic:
            return np.asarray(table)
        rows = [epsilon_at(self._numbers, self.visits, int(s), self.decisions) for s in states]
        epsilon = np.array(rows)[:, None]
        return np.asarray((1 - epsilon) * table + epsilon / table.shape[1])

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Actions for one state or for states [n], as stable-baselines3 asks for them.

        Draws from a stream of its own: being asked does not change what is learnt.
        """
        del episode_start
        states = np.atleast_1d(np.asarray(observation))
        table = self.probabilities(states, deterministic)
        draws = self._prediction_rng.random((len(states), 1))
        actions = np.minimum((table.cumsum(axis=1) <= draws).sum(axis=1), table.shape[1] - 1)
        return (actions if np.ndim(observation) else actions[0]), state

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything there is to know of the agent, as arrays."""
        return {
            "q": self.q,
            "visits": self.visits,
            "rate": self.rate,
            "decisions": np.array([self.decisions]),
            "agent_stream": pack(self._rng),
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
        self.decisions = int(tensors["decisions"][0])
        unpack(self._rng, tensors["agent_stream"])


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


class CompiledLoop:
    """One agent on one world with a known model, compiled: the same update, without Gymnasium.

    The world draws from one stream through all its episodes. (gridcade.experience, which takes any
    environment, gives each episode a seed instead: this is the one exception, for speed.)

    Args:
        agent: the agent.
        model: the world.
        limit: the time limit in decisions; None: none.
        seed: of the world's random stream.
    """

    tick = 100_000  # decisions between two looks at the clock

    def __init__(self, agent: QLearning, model: Model, limit: int | None, seed: int):
        self.agent = agent
        self._model = model_arrays(model)
        self._limit = limit or 0
        self._rng = stream(seed, "training")
        start = draw(model.start_cumulative, 0, model.num_states, self._rng.random())
        self._place: Ints = np.array([0, start, 0])
        self._returned: Floats = np.zeros(1)
        self.advance(agent.decisions)  # no decision: compiles, so that clocks measure learning

    def advance(self, until: int) -> dict[str, float]:
        """Learn until an absolute decision; sums over what happened, by the names of TOTALS."""
        totals = np.zeros(len(TOTALS))
        self._place[0] = self.agent.decisions
        run(
            self.agent.q,
            self.agent.visits,
            self.agent.rate,
            self.agent._numbers,
            self._model,
            self._limit,
            self._place,
            self._returned,
            self.agent._rng,
            self._rng,
            until,
            totals,
        )
        self.agent.decisions = int(self._place[0])
        return dict(zip(TOTALS, totals.tolist(), strict=True))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Where the world stands, and its stream."""
        return {
            "place": self._place,
            "returned": self._returned,
            "world_stream": pack(self._rng),
        }

    def load_state_dict(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Put back what `state_dict` gave."""
        self._place[:] = tensors["place"]
        self._returned[:] = tensors["returned"]
        unpack(self._rng, tensors["world_stream"])

    def position(self) -> dict[str, Any]:
        """Nothing besides the tensors."""
        return {}

    def restore(self, position: dict[str, Any]) -> None:
        """Nothing besides the tensors."""


def compiled_loop(agent: QLearning, env: gym.Env[Any, Any], seed: int) -> CompiledLoop | None:
    """The compiled loop, where the environment's model is known."""
    model = known_model(env)
    return None if model is None else CompiledLoop(agent, model, time_limit(env), seed)


def train_many(
    model: Model,
    config: QLearningConfig,
    seeds: Sequence[int],
    decisions: int,
    windows: int = 50,
    limit: int | None = None,
    threads: int = 2,
) -> tuple[Floats, dict[str, Floats]]:
    """Train one agent for each seed, all on one world, on several threads.

    Args:
        model: the world.
        config: hyperparameters, the same for all.
        seeds: one an agent.
        decisions: of each agent.
        windows: stretches of equal length, over which learning curves are taken.
        limit: decisions after which an episode is cut; None: none.
        threads: run at once.

    Returns:
        Action values [seeds, states, actions], and by the names of TOTALS the sums over each
        window [seeds, windows].
    """
    values = np.empty((len(seeds), model.num_states, model.num_actions))
    curves = np.empty((len(seeds), windows, len(TOTALS)))

    def train(i: int) -> None:
        agent = QLearning(model.num_states, model.num_actions, config, seeds[i])
        loop = CompiledLoop(agent, model, limit, seeds[i])
        for w in range(windows):
            totals = loop.advance(decisions * (w + 1) // windows)
            curves[i, w] = [totals[name] for name in TOTALS]
        values[i] = agent.q

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(train, range(len(seeds))))
    return values, {name: curves[:, :, k] for k, name in enumerate(TOTALS)}
