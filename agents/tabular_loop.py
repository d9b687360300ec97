"""The loop of a tabular agent in a world whose model is known, in compiled code.

It makes the same updates as the loop in `gridcade.experience.loop`, without Gymnasium in between:
tens of millions of updates per second. `run` in `tabular_updates.py` calls `world_step` where an
environment would step; each kind of agent has a compiled copy of it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Tensors
from gridcade.agents.compiled import compiled_in_place
from gridcade.envs.tabular import Model
from gridcade.experience.step import TOTALS
from gridcade.seeding import pack, stream, unpack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REWARD, EPISODES, RETURN, SQUARED_RETURN, LENGTH, TRUNCATED = range(len(TOTALS))


class World(NamedTuple):
    """A known model and the current episode in it, as compiled code takes them."""

    num_actions: int
    offsets: Ints  # this array and the next six: see `Model`
    next_states: Ints
    cumulative: Floats
    rewards: Floats
    deviations: Floats | None
    terminated: NDArray[np.bool_]
    start_cumulative: Floats
    time_limit: int  # steps of an episode; 0: no limit
    rng: np.random.Generator
    state: Ints  # [2]: the current state, steps of the current episode
    episode_return: Floats  # [1]: sum of the rewards of the current episode
    totals: Floats  # [len(TOTALS)], in the order of TOTALS
    returns: Floats  # [episodes to record]: their returns; empty: no episode is recorded
    lengths: Ints  # [episodes to record]: their lengths in steps
    recorded: Ints  # [1]: the number of episodes recorded so far


def make_world(model: Model, time_limit: int | None, rng: np.random.Generator) -> World:
    """Make a world for compiled code, and draw its first state."""
    start = sample_index(model.start_cumulative, 0, model.num_states, rng.random())
    return World(
        num_actions=model.num_actions,
        offsets=model.offsets,
        next_states=model.next_states,
        cumulative=model.cumulative,
        rewards=model.rewards,
        deviations=model.deviations,
        terminated=model.terminated,
        start_cumulative=model.start_cumulative,
        time_limit=time_limit or 0,
        rng=rng,
        state=np.array([start, 0]),
        episode_return=np.zeros(1),
        totals=np.zeros(len(TOTALS)),
        returns=np.empty(0),
        lengths=np.empty(0, dtype=np.int64),
        recorded=np.zeros(1, dtype=np.int64),
    )


def with_model(world: World, model: Model) -> World:
    """Return the same world, in its current state, with the outcomes of another model."""
    return world._replace(
        offsets=model.offsets,
        next_states=model.next_states,
        cumulative=model.cumulative,
        rewards=model.rewards,
        deviations=model.deviations,
        terminated=model.terminated,
    )


class Transition(NamedTuple):
    """One step of one environment, as compiled code takes it."""

    s: int
    a: int
    r: float
    s_next: int
    terminated: bool
    truncated: bool
    current: int  # the state of the next action: s_next, or the start of the next episode


@compiled_in_place
def sample_index(cumulative: Floats, low: int, high: int, u: float) -> int:
    """Return the first index from `low` whose running sum exceeds u; `high` - 1 at most."""
    while low < high - 1 and u >= cumulative[low]:
        low += 1
    return low


@compiled_in_place
def deviation_of(deviations: Floats | None, outcome: int) -> float:
    """Return the standard deviation of an outcome's reward."""
    if deviations is None:  # then numba leaves out the code that draws a number
        return 0.0
    return float(deviations[outcome])


@compiled_in_place
def world_step(world: World, s: int, a: int) -> Transition:
    """Take action a in state s, add to the totals, and start a new episode after an end."""
    row = s * world.num_actions + a
    low, high = world.offsets[row], world.offsets[row + 1]
    outcome = sample_index(world.cumulative, low, high, world.rng.random())
    r, s_next = world.rewards[outcome], world.next_states[outcome]
    terminated = world.terminated[outcome]
    deviation = deviation_of(world.deviations, outcome)
    if deviation > 0.0:
        r += deviation * world.rng.standard_normal()
    length, total = world.state[1] + 1, world.episode_return[0] + r
    world.totals[REWARD] += r
    truncated = not terminated and length == world.time_limit
    current = s_next
    if terminated or truncated:
        world.totals[EPISODES] += 1.0
        world.totals[RETURN] += total
        world.totals[SQUARED_RETURN] += total * total
        world.totals[LENGTH] += length
        world.totals[TRUNCATED] += truncated
        episode = world.recorded[0]
        if episode < len(world.returns):
            world.returns[episode], world.lengths[episode] = total, length
            world.recorded[0] = episode + 1
        length, total = 0, 0.0
        current = sample_index(
            world.start_cumulative, 0, len(world.start_cumulative), world.rng.random()
        )
    world.state[0], world.state[1], world.episode_return[0] = current, length, total
    return Transition(s, a, r, s_next, terminated, truncated, current)


@compiled_in_place
def record_is_full(world: World) -> bool:
    """Return whether the world has recorded all episodes that it has room for; then `run` ends."""
    return bool(0 < len(world.returns) <= world.recorded[0])


@dataclass(frozen=True)
class UpdateTerms:
    """One update of a tabular agent, with its numbers.

    Attributes:
        equation: the update rule, under its paper's names.
        filled: the same with numbers.
        terms: names and values, in the order of the equation; the last one is the new value.
        transition: the step that the agent learned from.
    """

    equation: str
    filled: str
    terms: tuple[tuple[str, float], ...]
    transition: Transition


class TabularAgent(Protocol):
    """A tabular agent that learns in compiled code."""

    steps: int

    def step(self, world: World) -> UpdateTerms:
        """Take one step as `run` does, and return the terms of its update."""
        ...

    def run(self, world: World, until: int) -> None:
        """Learn from `world.state` on until `steps` reaches `until`, or `record_is_full`."""
        ...


class TabularLoop:
    """The compiled loop of one agent in one world; see `gridcade.agents.base.CompiledLoop`.

    The world draws from one random stream through all its episodes, for speed. The loop in
    `gridcade.experience.loop` gives each episode its own seed instead.

    Args:
        agent: the agent.
        model: the model of the world. If it has a `change`, `agent.steps` decides when it happens.
        time_limit: steps after which an episode is truncated; None: no limit.
        seed: seed of the world's random stream.
    """

    tick = 100_000  # steps from one check of the clock to the next

    def __init__(self, agent: TabularAgent, model: Model, time_limit: int | None, seed: int):
        self.agent = agent
        self._first = make_world(model, time_limit, stream(seed, "training"))
        self._change = model.change
        self._later = with_model(self._first, model.change.model) if model.change else self._first
        # This takes no step, but compiles the loop, so that measured times contain only learning.
        self.advance(agent.steps)

    def advance(self, until: int) -> dict[str, float]:
        """Learn until `agent.steps` reaches `until`; return sums by the names of TOTALS."""
        self._world.totals[:] = 0
        self.agent.run(self._world, self._until(until))
        if self.agent.steps < until:  # the world changes in between
            self.agent.run(self._world, until)
        return dict(zip(TOTALS, self._world.totals.tolist(), strict=True))

    def record_episodes(
        self, episodes: int, check: Callable[[], object] = lambda: None
    ) -> tuple[Floats, Ints]:
        """Learn until exactly `episodes` more episodes have ended.

        Args:
            episodes: number of episodes, the current one included.
            check: called every `tick` steps; it can end the loop by an exception.

        Returns:
            The return and the length of each episode.  [episodes] each.
        """
        returns, lengths = np.empty(episodes), np.empty(episodes, dtype=np.int64)
        recorded = np.zeros(1, dtype=np.int64)
        while recorded[0] < episodes:
            world = self._world._replace(returns=returns, lengths=lengths, recorded=recorded)
            self.agent.run(world, self._until(self.agent.steps + self.tick))
            check()
        return returns, lengths

    def step(self) -> UpdateTerms:
        """Learn from one step, as `advance` does, and return the terms of its update."""
        return self.agent.step(self._world)

    @property
    def _world(self) -> World:
        """The world of the agent's next step."""
        changed = self._change is not None and self.agent.steps >= self._change.step
        return self._later if changed else self._first

    def _until(self, until: int) -> int:
        """Return the step at which the world changes next, or `until` if that comes first."""
        if self._change is None or self.agent.steps >= self._change.step:
            return until
        return min(until, self._change.step)

    @property
    def state(self) -> int:
        """The current state of the world."""
        return int(self._world.state[0])

    @property
    def elapsed(self) -> int:
        """The number of steps so far in the current episode."""
        return int(self._world.state[1])

    @property
    def episode_return(self) -> float:
        """The sum of the rewards so far in the current episode."""
        return float(self._world.episode_return[0])

    def state_dict(self) -> Tensors:
        """Return the state of the world, the return so far and the random stream."""
        return {
            "state": self._world.state,
            "episode_return": self._world.episode_return,
            "world_stream": pack(self._world.rng),
        }

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        self._world.state[:] = tensors["state"]
        self._world.episode_return[:] = tensors["episode_return"]
        unpack(self._world.rng, tensors["world_stream"])


def train_many(
    model: Model,
    agents: Sequence[TabularAgent],
    seeds: Sequence[int],
    steps: int,
    *,
    windows: int = 1,
    time_limit: int | None = None,
    threads: int = 2,
) -> dict[str, Floats]:
    """Train several agents in the same world, on several threads.

    Args:
        model: the model of the world.
        agents: the agents, which learn in place.
        seeds: seeds of the worlds' random streams, one per agent.
        steps: environment steps of each agent.
        windows: number of windows of equal length over which rewards and episodes are summed.
        time_limit: steps after which an episode is truncated; None: no limit.
        threads: threads that train agents at the same time.

    Returns:
        Sums over each window, by the names of TOTALS.  [agents, windows].
    """
    curves = np.empty((len(agents), windows, len(TOTALS)))

    def train(i: int) -> None:
        loop = TabularLoop(agents[i], model, time_limit, seeds[i])
        for window in range(windows):
            totals = loop.advance(steps * (window + 1) // windows)
            curves[i, window] = list(totals.values())

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(train, range(len(agents))))
    return {name: curves[:, :, k] for k, name in enumerate(TOTALS)}
