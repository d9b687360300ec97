"""`gridcade evaluate`."""

import sys
from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from gridcade import api
from gridcade.cli.command import EnvCommand
from gridcade.cli.options import OtherEnv, PolicyName, Trust, VecNormalizeFile
from gridcade.cli.output import show_evaluation
from gridcade.cli.progress import progress_bar
from gridcade.evaluation.options import EvaluationOptions


@dataclass
class Evaluate(EnvCommand):
    """Arguments and options of `gridcade evaluate`.

    $ gridcade evaluate runs/FourRooms-q-learning-s0 --episodes 2000
    $ gridcade evaluate breakout --precision 0.05
    $ gridcade evaluate optimal --env CliffWalk --epsilon 0.1
    $ gridcade evaluate random --env RiverSwim --steps 200_000 --json

    Each estimate has a confidence interval. If the environment's model is known, the exact value of
    the same policy and the optimum are printed too. The result is saved in the run folder.
    """

    policy: PolicyName
    env: OtherEnv = None
    trust: Trust = False
    vecnormalize: VecNormalizeFile = None
    options: Annotated[EvaluationOptions, arg(name="")] = field(
        default_factory=lambda: EvaluationOptions()
    )
    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print one JSON object and nothing else."""

    def run(self) -> None:
        """Evaluate the policy, print the result, and save it in the run folder."""
        contender = api.find(
            self.policy, self.env, trust=self.trust, vecnormalize=self.vecnormalize
        )
        with progress_bar("evaluating") as progress:
            result = api.evaluate(contender, progress=progress, **self.options)
        show_evaluation(result, as_json=self.json)
        if contender.run is not None:
            try:
                api.save_evaluation(contender.run, result)
            except OSError as error:  # for example, another user's run folder
                print(
                    f"gridcade: cannot save the result in {contender.run.path}: {error}",
                    file=sys.stderr,
                )
