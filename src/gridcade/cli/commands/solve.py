"""`gridcade solve`."""

import sys
from dataclasses import dataclass, field
from typing import Annotated, TypedDict

from tyro.conf import arg

from gridcade import api
from gridcade.cli.command import EnvCommand
from gridcade.cli.options import EnvName
from gridcade.cli.output import show_solution
from gridcade.envs import registry
from gridcade.exact.solver import Criterion


class SolveOptions(TypedDict, total=False):
    """Options of `gridcade.api.solve`."""

    criterion: Criterion
    """Objective to maximize: the expected return, the discounted return, or the average reward per
    step (also called the gain). Default: return, and average-reward in continuing tasks."""
    discount: float
    """Discount factor of the discounted return, at least 0 and less than 1. Default: 0.99."""


@dataclass
class Solve(EnvCommand):
    """Arguments and options of `gridcade solve`.

    $ gridcade solve FourRooms --criterion average-reward
    $ gridcade solve "Maze?size=20&seed=1"
    """

    env: EnvName
    options: Annotated[SolveOptions, arg(name="")] = field(default_factory=lambda: SolveOptions())
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print one JSON object and nothing else."""

    def run(self) -> None:
        """Compute an optimal policy and print it."""
        for note in registry.notes_on_world(self.env, api.make(self.env)):
            print(f"gridcade: {note}", file=sys.stderr)
        show_solution(api.solve(self.env, **self.options), as_json=self.json)
