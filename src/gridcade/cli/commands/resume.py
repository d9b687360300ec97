"""`gridcade resume`."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gridcade.cli.command import Command
from gridcade.cli.commands.train import run_session
from gridcade.cli.options import Trust
from gridcade.cli.output import longer_training, show_parts
from gridcade.printing import unbroken
from gridcade.training import sessions
from gridcade.training.options import ResumeOptions
from gridcade.training.run_folder import Run


@dataclass
class Resume(Command):
    """Arguments and options of `gridcade resume`.

    $ gridcade resume runs/FourRooms-q-learning-s0
    $ gridcade resume runs/FourRooms-q-learning-s0 --steps 1_000_000
    """

    folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """Run folder."""
    trust: Trust = False
    options: Annotated[ResumeOptions, arg(name="")] = field(default_factory=lambda: ResumeOptions())

    def run(self) -> None:
        """Continue the run from its last checkpoint."""
        run = Run(self.folder)
        if run.checkpoints() and run.finished and not self.options:
            steps = run.last_checkpoint()
            longer = longer_training(run, 2)
            show_parts(
                [unbroken(f"{run.path} is finished ({steps:,} steps); to train longer: {longer}")]
            )
            return
        run_session(partial(sessions.resume, self.folder, trust=self.trust, **self.options))
