"""Planning, sweep by sweep: values and arrows over the world, printed or in the terminal."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from rich.text import Text

from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env
from gridcade.exact.solver import Criterion
from gridcade.exact.sweeps import Method, Sweep
from gridcade.formatting import format_number
from gridcade.printing import Part, unbroken
from gridcade.viewing.drawn import Drawn
from gridcade.viewing.legend import legend_lines
from gridcade.viewing.playback import Playback
from gridcade.viewing.text_pictures import arrow_panel, color_depth
from gridcade.viewing.viewers import MIN_PICTURE_ROWS, SCREEN_MARGIN, show_in_terminal

DEFAULT_FPS = 4.0  # sweeps per second
INSTEAD = "gridcade.sweeps yields the sweeps in Python"


@dataclass(frozen=True, repr=False)
class EnvSweep(Drawn, Sweep):
    """A sweep of planning, with the environment in which it plans."""

    env: Env
    env_name: str
    method: Method
    criterion: Criterion
    discount: float | None  # None unless the criterion is `discounted`

    @property
    def title(self) -> str:
        """The method, the environment and the criterion."""
        by = self.criterion.replace("-", " ")
        by = by if self.discount is None else f"return discounted by {self.discount:g}"
        return f"{self.method.replace('-', ' ')} on {self.env_name}: {by}"

    @property
    def status(self) -> str:
        """The sweep's number, the start's value, the largest change, and the largest error."""
        change = "" if math.isinf(self.change) else f"   change {format_number(self.change)}"
        return (
            f"sweep {self.number}   value {format_number(self.value)}{change}   "
            f"error {format_number(self.error)}"
        )

    @property
    def end(self) -> str:
        """The word `converged` if the values no longer change; else empty."""
        return "converged" if self.converged else ""

    @property
    def overlay(self) -> Overlay:
        """The values (the bias, if the criterion is the average reward) and the policy."""
        return Overlay(self.values if self.bias is None else self.bias, self.policy)

    def parts(self) -> list[Part]:
        """Return the title, the numbers of the sweep, and a list of states that cannot be drawn."""
        status = f"{self.status}   {self.end}".rstrip()
        return [Text(self.title, "bold"), status, *map(unbroken, self.state_lines())]


def draw_sweep(sweep: EnvSweep, columns: int, rows: int) -> tuple[str, list[str]]:
    """Draw a sweep for the terminal's screen; see `viewers.Draw`."""
    world = sweep.env.unwrapped
    if not isinstance(world, TabularEnv):
        return sweep.status, [line[:columns] for line in sweep.state_lines()]
    depth, rows = color_depth(sys.stdout), rows - SCREEN_MARGIN
    legend = legend_lines(sweep.env, sweep.overlay, "", columns, depth)
    if rows - len(legend) - 1 < MIN_PICTURE_ROWS:
        legend = []
    elif legend:
        legend, rows = ["", *legend], rows - len(legend) - 1
    return sweep.status, [
        *arrow_panel(world, sweep.overlay, None, columns, rows, depth),
        *legend,
    ]


def watch_sweeps(sweeps: Iterator[EnvSweep], fps: float = DEFAULT_FPS) -> EnvSweep:
    """Show sweeps in the terminal, until they end or the user quits.

    Args:
        sweeps: the sweeps to show; at least one.
        fps: sweeps per second at the start.

    Returns:
        The last sweep that was shown.

    Raises:
        InputError: the standard output is not a terminal, or fps is out of range.
    """
    playback = Playback(fps)
    first = next(sweeps)
    shown: list[EnvSweep] = []  # the last one

    def remembered() -> Iterator[EnvSweep]:
        for sweep in chain([first], sweeps):
            shown[:] = [sweep]
            yield sweep

    show_in_terminal(remembered(), first.title, draw_sweep, playback, "sweeps", INSTEAD)
    return shown[0]
