"""Results that are drawn over their world: values as colors, a policy as arrows."""

import sys
from abc import abstractmethod
from shutil import get_terminal_size

import numpy as np
from markupsafe import Markup

from gridcade import notebook
from gridcade.envs import rendering
from gridcade.envs.actions import action_index
from gridcade.envs.rendering import Overlay
from gridcade.envs.states import STATES_FROM_ZERO, finite_states, text_of
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env
from gridcade.formatting import format_number
from gridcade.printing import Printed
from gridcade.recording.legend import ARROWS_TEXT, cell_kinds
from gridcade.viewing.text_pictures import ColorDepth, arrow_panel

PICTURE_PIXELS, CELL_PIXELS = 560, 44  # largest side of a picture in a notebook, and of a cell
MAX_STATES_LISTED = 64  # a result with more states is not listed state by state
FILE_COLUMNS, FILE_ROWS = 100, 60  # size of a drawing where the output is no terminal


class Drawn(Printed):
    """A result with a value and a policy for each state of an environment.

    Attributes:
        env: the environment.
    """

    env: Env

    @property
    @abstractmethod
    def overlay(self) -> Overlay:
        """The values, [states], and the policy, [states, actions]."""

    def drawing(self, depth: ColorDepth = "none") -> list[str]:
        """Draw the policy as arrows over the values, as large as the terminal allows.

        Empty if the environment is not a drawn world. In a file, nothing is cut off.
        """
        world = self.env.unwrapped
        if not isinstance(world, TabularEnv):
            return []
        width, height = world.world.width, world.world.height
        wraps = height == 1  # a single row is drawn in several lines
        columns, rows = FILE_COLUMNS if wraps else max(FILE_COLUMNS, 2 * width), FILE_ROWS
        if sys.stdout.isatty():
            columns, lines = get_terminal_size()
            rows = lines - 4
        rows = max(rows, 20, height)  # long output scrolls
        drawing = arrow_panel(world, self.overlay, None, columns, rows, depth)
        if (hidden := width - columns // 2) > 0 and not wraps:
            drawing.insert(0, f"{hidden} of {width} columns do not fit into this terminal")
        return drawing

    def state_lines(self) -> list[str]:
        """Return a line for each state of an environment that is not drawn; [] if too many."""
        values = np.asarray(self.overlay.values, np.float64)
        policy = self.overlay.policy
        if isinstance(self.env.unwrapped, TabularEnv) or policy is None:
            return []
        if len(values) > MAX_STATES_LISTED:
            return []
        states = finite_states(self.env.observation_space) or STATES_FROM_ZERO
        actions = action_index(self.env.action_space)
        names = [states.name(state) for state in range(len(values))]
        width = max(3, *map(len, names))
        lines = []
        for name, value, row in zip(names, values.tolist(), policy, strict=True):
            best = np.flatnonzero(row >= row.max() - 1e-6)
            chosen = " or ".join(text_of(actions.decode(action)) for action in best)
            chosen = "any" if 1 < len(row) == len(best) else chosen
            lines.append(
                f"state {name:>{width}}  value {format_number(value):>10}  action {chosen}"
            )
        return lines

    def pictures(self) -> list[Markup]:
        """Draw the world with values and arrows, and a legend; empty if it is not a drawn world."""
        world = self.env.unwrapped
        if not isinstance(world, TabularEnv):
            return []
        overlay = self.overlay
        return [world_picture(world, overlay, str(self)), world_legend(world, overlay)]

    def __str__(self) -> str:
        """Return the text that the command line prints, without colors."""
        return "\n".join([super().__str__(), *self.drawing()])


def world_picture(env: TabularEnv, overlay: Overlay, alt: str) -> Markup:
    """Draw a world with values and a policy, as HTML.

    Args:
        env: the world.
        overlay: values [states] and action probabilities [states, actions].
        alt: text for readers who do not see the picture.
    """
    pixels = min(PICTURE_PIXELS, CELL_PIXELS * max(env.world.height, env.world.width))
    painter = rendering.WorldPainter(env.world, pixels)
    return notebook.picture(painter.draw(None, overlay, env.signs), alt)


def world_legend(env: TabularEnv, overlay: Overlay) -> Markup:
    """Explain the colors of a world's cells and of a policy's values, as HTML."""
    entries = [notebook.swatch(color, text) for color, text in cell_kinds(env.world)]
    values = np.asarray([] if overlay.values is None else overlay.values, np.float64)
    values = values[np.isfinite(values)]
    if values.size:
        low, high = float(values.min()), float(values.max())
        entries.append(notebook.scale(low, high, rendering.VALUE_SCALE, "value"))
    if overlay.policy is not None and env.draws_arrows:
        entries.append(Markup("<span>{}</span>").format(ARROWS_TEXT))
    return Markup('<div style="font-size: 0.9em">{}</div>').format(Markup(" ").join(entries))
