"""The learners of the live page: agents that walk through a world, and planners.

A lane knows only `Learner`. To offer another tabular agent, add its name to `AGENTS`.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade import agents
from gridcade.agents.base import AgentConfig, Tensors
from gridcade.agents.tabular_loop import TabularLoop, UpdateTerms
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.errors import InputError, unknown
from gridcade.exact import planning
from gridcade.exact.planning import Plan, PlanningConfig, SweepTerms
from gridcade.exact.solver import Criterion
from gridcade.serve.place import Place
from gridcade.study.brackets import read_changes
from gridcade.training.config import from_dict, read_recipe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PATH_LENGTH = 200  # states of the present episode that are shown
LONGEST_EPISODE = 100_000  # steps that `finish_episode` takes at most
FOLLOWED_STEPS = 20  # so many steps between two pictures are followed one by one, for the path


@dataclass(frozen=True)
class Update:
    """One update under the glass; see `UpdateTerms` and `SweepTerms`."""

    equation: str
    filled: str
    terms: tuple[tuple[str, float], ...]
    s: int
    a: int
    next_states: tuple[int, ...]  # whose values the update reads
    terminated: bool = False


@dataclass(frozen=True)
class Walk:
    """Where an agent is, and how it came there in this episode."""

    state: int
    path: tuple[int, ...]
    episode: int  # ended episodes
    episode_return: float


class Learner(ABC):
    """What a lane shows, and moves on by steps.

    Attributes:
        config: hyperparameters.
        criterion: the objective, by which the world is solved exactly.
        discount: discount factor.
        unit: what a step is.
        converged: whether further steps would change nothing.
    """

    unit: ClassVar[str] = "step"
    config: AgentConfig
    criterion: Criterion = "discounted"
    discount: float
    converged = False

    @property
    @abstractmethod
    def steps(self) -> int:
        """Steps so far."""

    @property
    @abstractmethod
    def q(self) -> Floats:
        """Action values.  [states, actions]."""

    @property
    @abstractmethod
    def values(self) -> Floats:
        """State values.  [states]."""

    @property
    @abstractmethod
    def policy(self) -> Floats:
        """The probabilities of the greedy policy.  [states, actions]."""

    @property
    def visits(self) -> Ints | None:
        """Updates of each action value, [states, actions]; None: all are updated alike."""
        return None

    @property
    def walk(self) -> Walk | None:
        """Where the agent is; None: no agent walks."""
        return None

    @abstractmethod
    def advance(self, steps: int) -> None:
        """Learn from a number of steps."""

    @abstractmethod
    def step(self) -> Update:
        """Learn from one step, and return its update."""

    def finish_episode(self) -> Update:
        """Learn to the end of the episode, and return the last update.

        Raises:
            InputError: there are no episodes.
        """
        raise InputError("planning has no episodes")

    @abstractmethod
    def snapshot(self) -> Tensors:
        """A copy of everything that the learner's future depends on."""

    @abstractmethod
    def restore(self, snapshot: Tensors) -> None:
        """Return to a snapshot that was taken in this place."""

    @abstractmethod
    def moved(self, place: Place) -> "Learner":
        """The learner in another drawing of its world; values stay with their cells."""


def open_learner(name: str, place: Place, parameters: dict[str, str], seed: int) -> Learner:
    """Make a learner.

    Args:
        name: one of LEARNERS.
        place: the world.
        parameters: hyperparameters by name, as texts.
        seed: seed of all random streams.

    Raises:
        InputError: there is no such learner or parameter, or a value is invalid.
    """
    if name not in LEARNERS:
        raise unknown("learner", name, LEARNERS)
    changes = ",".join(f"{key}={text}" for key, text in parameters.items())
    kind = agents.find(name) if name in AGENTS else None
    table = read_changes(changes, kind, name) if changes else {}
    if kind is None:
        return Planner(PLANNERS[name], place, from_dict(table, PlanningConfig, name))
    preset = kind.preset_for(gym.spaces.Discrete(place.model.num_states))
    return TabularLearner(
        name, place, read_recipe(kind, preset, overlay=table).hyperparameters, seed
    )


# ---- agents


@runtime_checkable
class TabularAgent(Protocol):
    """What a lane needs of a tabular agent of `gridcade.agents`."""

    steps: int
    q: Floats  # [states, actions]
    visits: Ints  # [states, actions]

    @property
    def values(self) -> Floats:
        """State values.  [states]."""
        ...

    def probabilities(self, observations: Ints, deterministic: bool = True) -> Floats:
        """Action probabilities in states [n]: [n, actions]."""
        ...

    def compiled_loop(self, model: Model, time_limit: int | None, seed: int) -> TabularLoop:
        """The compiled loop of this agent in one world."""
        ...

    def state_dict(self) -> Tensors:
        """Everything that the agent's future depends on."""
        ...

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        ...


class TabularLearner(Learner):
    """A tabular agent that walks through a world, in its compiled loop."""

    def __init__(self, name: str, place: Place, config: AgentConfig, seed: int):
        self._name, self._place, self.config, self._seed = name, place, config, seed
        env = TabularEnv(place.world, place.model, place.moves)
        agent = agents.find(name).make(env, config, seed)
        assert isinstance(agent, TabularAgent)  # noqa: S101 - for the type checker
        self.agent = agent
        self.loop = agent.compiled_loop(place.model, place.time_limit, seed)
        if getattr(config, "criterion", "") == "average-reward":
            self.criterion = "average-reward"
        self.discount = float(getattr(config, "discount", 1.0))
        self._episodes = 0
        self._path: deque[int] = deque([self.loop.state], PATH_LENGTH)

    @property
    def steps(self) -> int:
        """Steps so far."""
        return self.agent.steps

    @property
    def q(self) -> Floats:
        """Action values.  [states, actions]."""
        return self.agent.q

    @property
    def values(self) -> Floats:
        """State values.  [states]."""
        return self.agent.values

    @property
    def policy(self) -> Floats:
        """The probabilities of the greedy policy.  [states, actions]."""
        return self.agent.probabilities(np.arange(self._place.model.num_states))

    @property
    def visits(self) -> Ints:
        """Updates of each action value.  [states, actions]."""
        return self.agent.visits

    @property
    def walk(self) -> Walk:
        """Where the agent is."""
        path = tuple(self._path)
        return Walk(self.loop.state, path, self._episodes, self.loop.episode_return)

    def advance(self, steps: int) -> None:
        """Learn from a number of steps; a few are followed one by one, for the path."""
        if steps > FOLLOWED_STEPS:
            self._count(self.loop.advance(self.agent.steps + steps)["episodes"])
            self._path = deque([self.loop.state], PATH_LENGTH)
            return
        for _ in range(steps):
            self._count(self.loop.advance(self.agent.steps + 1)["episodes"])

    def step(self) -> Update:
        """Learn from one step, and return its update."""
        terms = self.loop.step()
        self._count(self.loop.elapsed == 0)
        return tabular_update(terms)

    def finish_episode(self) -> Update:
        """Learn to the end of the episode, and return the last update."""
        episodes, end = self._episodes, self.agent.steps + LONGEST_EPISODE
        update = self.step()
        while self._episodes == episodes and self.agent.steps < end:
            update = self.step()
        return update

    def _count(self, episodes: float) -> None:
        """Count the episodes that ended, and follow the path of the present one."""
        if episodes:
            self._episodes += int(episodes)
            self._path.clear()
        self._path.append(self.loop.state)

    def snapshot(self) -> Tensors:
        """A copy of the agent, its world's state, and the path."""
        parts = {"agent": self.agent.state_dict(), "loop": self.loop.state_dict()}
        copy = {f"{k}.{n}": v.copy() for k, part in parts.items() for n, v in part.items()}
        return copy | {"episodes": np.array([self._episodes]), "path": np.array(self._path)}

    def restore(self, snapshot: Tensors) -> None:
        """Return to a snapshot that was taken in this place."""
        self.agent.load_state_dict(_part(snapshot, "agent."))
        self.loop.load_state_dict(_part(snapshot, "loop."))
        self._episodes = int(snapshot["episodes"][0])
        self._path = deque(snapshot["path"].tolist(), PATH_LENGTH)

    def moved(self, place: Place) -> "TabularLearner":
        """The learner in another drawing; a table of a new cell begins as that of a new agent."""
        new = TabularLearner(self._name, place, self.config, self._seed)
        first, tensors = new.agent.state_dict(), self.agent.state_dict()
        for name, tensor in tensors.items():
            if tensor.ndim == 2:  # [states, actions]
                tensors[name] = moved_rows(tensor, self._place, first[name].copy(), place)
        new.agent.load_state_dict(tensors)
        new._episodes = self._episodes
        old = self.loop.state_dict()
        here = self._place.world.places()[self.loop.state]
        places = place.world.places()
        stays = here in places and not place.world.cell(*here).end
        state = places.index(here) if stays else new.loop.state
        new.loop.load_state_dict(
            old | {"state": np.array([state, 0]), "episode_return": np.zeros(1)}
        )
        new._path = deque([new.loop.state], PATH_LENGTH)
        return new


def _part(snapshot: Tensors, prefix: str) -> Tensors:
    return {k.removeprefix(prefix): v for k, v in snapshot.items() if k.startswith(prefix)}


def moved_rows(old: Any, old_place: Place, new: Any, place: Place) -> Any:
    """Copy the rows of cells that both drawings have.  [old states, …], [states, …]."""
    rows_of = {cell: s for s, cell in enumerate(old_place.world.places())}
    for s, cell in enumerate(place.world.places()):
        if cell in rows_of:
            new[s] = old[rows_of[cell]]
    return new


def tabular_update(terms: UpdateTerms) -> Update:
    """An agent's update as the page shows it."""
    s, a, _, s_next, terminated, _ = terms.transition
    return Update(
        terms.equation,
        terms.filled,
        terms.terms,
        int(s),
        int(a),
        (int(s_next),),
        bool(terminated),
    )


# ---- planners


@dataclass(frozen=True)
class PlannerKind:
    """A kind of planning; see `gridcade.exact.planning`."""

    about: str
    sweep: Callable[[Model, Plan, float], Plan]
    terms: Callable[[Model, Plan, Plan, float], SweepTerms]


class Planner(Learner):
    """A planner, whose steps are sweeps over all states."""

    unit = "sweep"

    def __init__(self, kind: PlannerKind, place: Place, config: PlanningConfig):
        self._kind, self._place = kind, place
        self.config = config
        self.discount = config.discount
        self._plan = planning.first_plan(place.model.num_states, place.model.num_actions)
        self._steps = 0

    @property
    def steps(self) -> int:
        """Sweeps so far."""
        return self._steps

    @property
    def q(self) -> Floats:
        """Action values.  [states, actions]."""
        return self._plan.q

    @property
    def values(self) -> Floats:
        """State values.  [states]."""
        return self._plan.values

    @property
    def policy(self) -> Floats:
        """The probabilities of the greedy policy.  [states, actions]."""
        return self._plan.policy

    def advance(self, steps: int) -> None:
        """Sweep a number of times, or until nothing changes any more."""
        for _ in range(steps):
            if self.converged:
                return
            self._sweep()

    def step(self) -> Update:
        """Sweep once, and return what happened in the state whose value changed most."""
        before = self._sweep()
        terms = self._kind.terms(self._place.model, before, self._plan, self.discount)
        return Update(**vars(terms))

    def _sweep(self) -> Plan:
        """Sweep once, and return the plan before it."""
        before = self._plan
        self._plan = self._kind.sweep(self._place.model, before, self.discount)
        self._steps += 1
        self.converged = planning.has_converged(before, self._plan)
        return before

    def snapshot(self) -> Tensors:
        """The plan, whose arrays never change."""
        counts = np.array([self.steps, int(self.converged)])
        return {"counts": counts, **self._plan._asdict()}

    def restore(self, snapshot: Tensors) -> None:
        """Return to a snapshot that was taken in this place."""
        self._plan = Plan(*(snapshot[name] for name in Plan._fields))
        self._steps, self.converged = int(snapshot["counts"][0]), bool(snapshot["counts"][1])

    def moved(self, place: Place) -> "Planner":
        """The planner in another drawing; a new cell has value 0 and a random policy."""
        new = Planner(self._kind, place, PlanningConfig(self.discount))
        rows = zip(self._plan, new._plan, strict=True)
        new._plan = Plan(*(moved_rows(old, self._place, first, place) for old, first in rows))
        new._steps = self.steps
        return new


# ---- the kinds

AGENTS = ("q-learning",)  # of gridcade.agents
PLANNERS = {
    "value-iteration": PlannerKind(
        "value iteration, sweep by sweep (Sutton & Barto 2018, section 4.4)",
        planning.value_iteration_sweep,
        planning.value_iteration_terms,
    ),
    "policy-iteration": PlannerKind(
        "policy iteration with exact evaluation (Sutton & Barto 2018, section 4.3)",
        planning.policy_iteration_sweep,
        planning.policy_iteration_terms,
    ),
}
LEARNERS = (*AGENTS, *PLANNERS)


class LearnerKind(NamedTuple):
    """What the page knows of a kind of learner."""

    about: str
    config: type[AgentConfig]
    unit: str  # what a step is
    walks: bool  # whether an agent walks; if not, there are no episodes and no visits


def describe(name: str) -> LearnerKind:
    """Describe one of LEARNERS."""
    if name in PLANNERS:
        return LearnerKind(PLANNERS[name].about, PlanningConfig, Planner.unit, walks=False)
    kind = agents.find(name)
    return LearnerKind(kind.about, kind.config, TabularLearner.unit, walks=True)
