"""`gridcade solve`."""

import sys
from dataclasses import dataclass, field
from typing import Annotated, TypedDict

from tyro.conf import arg

from gridcade import api
from gridcade.cli.command import EnvCommand
from gridcade.cli.options import EnvName
from gridcade.cli.output import show_drawn, show_solution
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.exact.solver import Criterion
from gridcade.exact.sweeps import Method
from gridcade.viewing.sweeps import DEFAULT_FPS, watch_sweeps


class SolveOptions(TypedDict, total=False):
    """Options of `gridcade.api.solve`."""

    criterion: Criterion
    """Objective to maximize: the expected return, the discounted return, or the average reward per
    step (also called the gain). Default: return, and average-reward in continuing tasks."""
    discount: float
    """Discount factor of the discounted return, at least 0 and less than 1. Default: 0.99."""


class SweepOptions(TypedDict, total=False):
    """Options of `--watch`."""

    method: Method
    """Method to watch. Default: value-iteration."""
    policy: str
    """Policy that policy-evaluation evaluates: a run folder, a checkpoint or a name. Default:
    random."""
    fps: float
    """Speed in sweeps per second. Default: 4."""


@dataclass
class Solve(EnvCommand):
    """Arguments and options of `gridcade solve`.

    $ gridcade solve FourRooms --criterion average-reward
    $ gridcade solve "Maze?size=20&seed=1"
    $ gridcade solve FourRooms --watch --criterion discounted --discount 0.9
    $ gridcade solve CliffWalk --watch --method policy-iteration --fps 1

    Keys while watching: q quits, space pauses, + and - change the speed.
    """

    env: EnvName
    options: Annotated[SolveOptions, arg(name="")] = field(default_factory=lambda: SolveOptions())
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print one JSON object and nothing else."""
    watch: Annotated[bool, arg(help_behavior_hint="")] = False
    """First show in the terminal how planning finds the solution, sweep by sweep."""
    watching: Annotated[SweepOptions, arg(name="")] = field(default_factory=lambda: SweepOptions())

    def run(self) -> None:
        """Compute an optimal policy and print it."""
        if self.watching and not self.watch:
            raise InputError(f"--{next(iter(self.watching))} needs --watch")
        if self.watch and self.json:
            raise InputError("--watch and --json cannot be combined: --json prints only JSON")
        criterion = self.options.get("criterion", "average-reward")  # of continuing tasks
        for note in registry.notes_on_world(self.env, api.make(self.env), criterion):
            print(f"gridcade: {note}", file=sys.stderr)
        if self.watch:
            method = self.watching.get("method", "value-iteration")
            policy = self.watching.get("policy", "random")
            sweeps = api.sweeps(self.env, method, policy=policy, **self.options)
            last = watch_sweeps(sweeps, self.watching.get("fps", DEFAULT_FPS))
            if method == "policy-evaluation":
                show_drawn(last)
                return
        show_solution(api.solve(self.env, **self.options), as_json=self.json)
