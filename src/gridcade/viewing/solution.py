"""An optimal policy of an environment, printed as arrows over the values of the states."""

import re
import sys
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import Any

from rich.text import Text

from gridcade.envs.actions import action_index
from gridcade.envs.rendering import Overlay
from gridcade.envs.states import STATES_FROM_ZERO, finite_states, text_of
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env
from gridcade.evaluation.result import finite
from gridcade.exact.solver import Solution
from gridcade.formatting import format_number
from gridcade.printing import Part, Printed
from gridcade.viewing.text_pictures import ColorDepth, arrow_panel

MAX_STATES_LISTED = 64  # a solution with more states is not listed state by state
FILE_COLUMNS, FILE_ROWS = 100, 60  # size of a drawn policy where the output is no terminal


@dataclass(frozen=True, repr=False)
class EnvSolution(Printed, Solution):
    """An optimal policy and its value, with the environment for which it was computed."""

    env_name: str
    env: Env
    note: str | None  # one line for a criterion that does not tell policies or states apart, and
    # one for a discount that has no effect

    def as_dict(self) -> dict[str, Any]:
        """Convert to JSON types; infinities and nan to None."""
        return {
            "env": self.env_name,
            "criterion": self.criterion,
            "discount": self.discount,
            "value": finite(self.value),
            "values": [finite(value) for value in self.values.tolist()],
            "policy": self.policy.tolist(),
            "average_reward": finite(self.average_reward),
        }

    def parts(self) -> list[Part]:
        """The optimal value, notes, and a list of the states of a world that cannot be drawn."""
        criterion = {
            "return": "expected return",
            "discounted": f"expected return discounted by {self.discount}",
            "average-reward": "expected average reward",
        }[self.criterion]
        value = (format_number(self.value), "bold")
        parts: list[Part] = [
            Text.assemble((self.env_name, "bold"), f": the optimal {criterion} is ", value)
        ]
        if self.criterion != "average-reward":
            number = format_number(self.average_reward)
            parts.append(f"expected average reward of that policy: {number}")
        parts += [f"note: {note}" for note in (self.note or "").splitlines()]
        drawn = isinstance(self.env.unwrapped, TabularEnv)
        listed = not drawn and len(self.values) <= MAX_STATES_LISTED
        if self.bias is not None and (listed or re.search(r"\d\.\d\d", " ".join(self.drawing()))):
            place, zero = ("cell", "cell marked 0.00") if drawn else ("state", "state with 0")
            parts += [
                f"numbers: how much more reward than the average is still to come from a {place},",
                f"         compared with the {zero}",
            ]
        if listed:
            values = self.values if self.bias is None else self.bias
            states = finite_states(self.env.observation_space) or STATES_FROM_ZERO
            actions = action_index(self.env.action_space)
            names = [states.name(state) for state in range(len(values))]
            width = max(3, *map(len, names))
            for name, value, row in zip(names, values.tolist(), self.policy, strict=True):
                action = actions.decode(row.argmax())
                number = format_number(value)
                parts.append(f"state {name:>{width}}  value {number:>10}  action {text_of(action)}")
        return parts

    def drawing(self, depth: ColorDepth = "none") -> list[str]:
        """The policy as arrows over the values, as large as the terminal allows.

        Empty if the environment is not a drawn world. In a file, the drawing is whole.
        """
        world = self.env.unwrapped
        if not isinstance(world, TabularEnv):
            return []
        width, height = world.world.width, world.world.height
        columns, rows = max(FILE_COLUMNS, 2 * width), FILE_ROWS
        if sys.stdout.isatty():
            columns, lines = get_terminal_size()
            rows = lines - 4
        rows = max(rows, 20, height)  # long output scrolls
        overlay = Overlay(self.values if self.bias is None else self.bias, self.policy)
        drawing = arrow_panel(world, overlay, None, columns, rows, depth)
        if (hidden := width - columns // 2) > 0:
            drawing.insert(0, f"{hidden} of {width} columns do not fit into this terminal")
        return drawing

    def __str__(self) -> str:
        """Return the text that the command line prints, without colors."""
        return "\n".join([super().__str__(), *self.drawing()])
