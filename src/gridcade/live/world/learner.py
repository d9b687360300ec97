"""The interface between a lane of the live page and its learner."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import AgentConfig, Tensors
from gridcade.errors import InputError
from gridcade.exact.solver import Criterion
from gridcade.live.world.place import Place

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Update:
    """One update with its numbers; see `UpdateTerms` and `SweepTerms`."""

    equation: str
    filled: str
    terms: tuple[tuple[str, float], ...]
    s: int
    a: int
    next_states: tuple[int, ...]  # states whose values the update reads
    terminated: bool = False


@dataclass(frozen=True)
class Walk:
    """Where an agent is, and its path in this episode."""

    state: int
    path: tuple[int, ...]
    episode: int  # number of ended episodes
    episode_return: float


class Learner(ABC):
    """A learner that a lane runs step by step and shows.

    Attributes:
        config: hyperparameters.
        criterion: objective of the learner and of the exact solution.
        discount: discount factor.
        unit: name of one step: "step" or "sweep".
        converged: whether further steps would change nothing.
    """

    unit: ClassVar[str] = "step"
    config: AgentConfig
    criterion: Criterion = "discounted"
    discount: float
    converged = False
    is_random: ClassVar[bool] = True  # whether the result depends on the seed

    @property
    @abstractmethod
    def steps(self) -> int:
        """Number of steps so far."""

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
        """Number of updates of each value, [states, actions]; None: every sweep updates all."""
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
        """Copy everything on which the learner's future depends."""

    @abstractmethod
    def restore(self, snapshot: Tensors) -> None:
        """Return to a snapshot that was taken in this world."""

    @abstractmethod
    def moved(self, place: Place) -> "Learner":
        """Create the learner in a changed world; values stay with their cells."""


def moved_rows(old: Any, old_place: Place, new: Any, place: Place) -> Any:
    """Copy rows from `old`, [old states, …], to `new`, [states, …], for cells in both worlds."""
    rows_of = {cell: s for s, cell in enumerate(old_place.world.places())}
    for s, cell in enumerate(place.world.places()):
        if cell in rows_of:
            new[s] = old[rows_of[cell]]
    return new
