"""`gridcade watch`."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from gridcade import api
from gridcade.cli.command import EnvCommand, disable_sdl_window
from gridcade.cli.options import OtherEnv, PolicyName, Trust, VecNormalizeFile
from gridcade.viewing import show
from gridcade.viewing.show import WatchOptions


@dataclass
class Watch(EnvCommand):
    """Arguments and options of `gridcade watch`.

    $ gridcade watch runs/FourRooms-q-learning-s0
    $ gridcade watch optimal --env CliffWalk --in window
    $ gridcade watch breakout
    $ gridcade watch random --env SlipperyLake --video lake.webp --episodes 1

    Keys: q quits, space pauses, + and - change the speed.
    """

    policy: PolicyName
    env: OtherEnv = None
    trust: Trust = False
    vecnormalize: VecNormalizeFile = None
    options: Annotated[WatchOptions, arg(name="")] = field(default_factory=lambda: WatchOptions())

    def run(self) -> None:
        """Show episodes of the policy."""
        if self.options.get("where") != "window":
            disable_sdl_window()
        contender = api.find(
            self.policy, self.env, trust=self.trust, vecnormalize=self.vecnormalize
        )
        show.watch(
            contender.policy,
            contender.env,
            name=contender.name,
            env_name=contender.env_name,
            **self.options,
        )
