"""`gridcade play`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from gridcade.cli.command import EnvCommand, disable_sdl_window
from gridcade.cli.options import EnvName
from gridcade.cli.output import show_evaluation
from gridcade.viewing import play


@dataclass
class Play(EnvCommand):
    """Arguments and options of `gridcade play`.

    $ gridcade play CliffWalk

    In gridworlds, the arrow keys move; elsewhere, digits choose the action. q ends the game.
    """

    env: EnvName
    episodes: Annotated[int, arg(metavar="N")] = 3
    """Number of episodes."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Random seed of the episodes, which are those of `gridcade evaluate --seed N`."""
    confidence: Annotated[float, arg(metavar="X")] = 0.95
    """Confidence level of the intervals, between 0 and 1."""

    def run(self) -> None:
        """Let a human play, and print the evaluation."""
        disable_sdl_window()
        show_evaluation(play.play(self.env, self.episodes, self.seed, self.confidence))
