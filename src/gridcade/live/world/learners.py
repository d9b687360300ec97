"""The learners that the live page offers, by name: all tabular agents, and planners."""

from typing import NamedTuple

from gridcade import agents
from gridcade.agents.base import AgentConfig
from gridcade.errors import unknown
from gridcade.exact import planning
from gridcade.exact.planning import PlanningConfig
from gridcade.live.world.learner import Learner
from gridcade.live.world.place import Place
from gridcade.live.world.planner import Planner, PlannerKind
from gridcade.live.world.tabular_learner import TabularLearner
from gridcade.study.brackets import read_changes
from gridcade.training.config import from_dict, read_recipe

AGENTS = tuple(name for name, kind in agents.AGENTS.items() if kind.is_tabular)
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
    """A kind of learner, as the page describes it."""

    about: str
    config: type[AgentConfig]
    unit: str  # name of one step: "step" or "sweep"
    walks: bool  # whether an agent walks; if not, there are no episodes and no visits
    is_random: bool  # whether the result depends on the seed


def describe(name: str) -> LearnerKind:
    """Describe one of LEARNERS."""
    if name in PLANNERS:
        return LearnerKind(
            PLANNERS[name].about, PlanningConfig, Planner.unit, False, Planner.is_random
        )
    kind = agents.find(name)
    return LearnerKind(kind.about, kind.config, TabularLearner.unit, True, TabularLearner.is_random)


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
    preset = kind.preset_for_states(place.model.num_states)
    return TabularLearner(
        name, place, read_recipe(kind, preset, overlay=table).hyperparameters, seed
    )
