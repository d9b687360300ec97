"""`gridcade check`."""

import json
import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from gridcade import api
from gridcade.cli.command import EnvCommand, disable_sdl_window
from gridcade.cli.options import EnvName
from gridcade.cli.output import show_parts


@dataclass
class Check(EnvCommand):
    """Arguments and options of `gridcade check`.

    $ gridcade check my_env.py:MyEnv
    $ gridcade check my_package:MyEnv-v0 --env.size 9

    Runs the checkers of Gymnasium and stable-baselines3, and Gridcade's own: seeds, time limit,
    speed, model, action masks, pictures, and which agents can learn there. The exit code is 1 if
    there is a problem, else 0; advice is not a problem.
    """

    env: EnvName
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print one JSON object and nothing else."""

    def run(self) -> None:
        """Check the environment and print the findings."""
        disable_sdl_window()
        result = api.check(self.env)
        if self.json:
            print(json.dumps(result.as_dict()))
        else:
            show_parts(result.parts())
        if not result.ok:
            sys.exit(1)
