"""A planner as a learner of the live page."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Tensors
from gridcade.envs.tabular import Model
from gridcade.exact import planning
from gridcade.exact.planning import Plan, PlanningConfig, SweepTerms
from gridcade.live.world.learner import Learner, Update, moved_rows
from gridcade.live.world.place import Place

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlannerKind:
    """A kind of planning; see `gridcade.exact.planning`."""

    about: str
    sweep: Callable[[Model, Plan, float], Plan]
    terms: Callable[[Model, Plan, Plan, float], SweepTerms]


class Planner(Learner):
    """A planner, whose steps are sweeps over all states."""

    unit = "sweep"
    is_random = False

    def __init__(self, kind: PlannerKind, place: Place, config: PlanningConfig):
        self._kind, self._place = kind, place
        self.config = config
        self.discount = config.discount
        self._plan = planning.first_plan(place.model)
        self._steps = 0

    @property
    def steps(self) -> int:
        """Number of sweeps so far."""
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
        """Sweep once, and return the update of the state whose value changed most."""
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
        """Return the plan, which needs no copy because its arrays never change."""
        counts = np.array([self.steps, int(self.converged)])
        return {"counts": counts, **self._plan._asdict()}

    def restore(self, snapshot: Tensors) -> None:
        """Return to a snapshot that was taken in this world."""
        self._plan = Plan(*(snapshot[name] for name in Plan._fields))
        self._steps, self.converged = int(snapshot["counts"][0]), bool(snapshot["counts"][1])

    def moved(self, place: Place) -> "Planner":
        """Create the planner in a changed world; new cells have value 0 and a random policy."""
        new = Planner(self._kind, place, PlanningConfig(self.discount))
        rows = zip(self._plan, new._plan, strict=True)
        new._plan = Plan(*(moved_rows(old, self._place, first, place) for old, first in rows))
        new._steps = self.steps
        return new
