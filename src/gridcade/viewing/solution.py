"""An optimal policy of an environment, printed as arrows over the values of the states."""

import re
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from gridcade.envs.rendering import Overlay
from gridcade.envs.types import Env
from gridcade.evaluation.result import finite
from gridcade.exact.solver import Solution
from gridcade.formatting import format_number
from gridcade.printing import Part, unbroken
from gridcade.viewing.drawn import Drawn


@dataclass(frozen=True, repr=False)
class EnvSolution(Drawn, Solution):
    """An optimal policy and its value, with the environment for which it was computed."""

    env_name: str
    env: Env
    note: str | None  # one line per note, for example on a discount that has no effect

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
        """Return the optimal value, notes, and a list of states if the world cannot be drawn."""
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
        states = self.state_lines()
        if self.bias is not None and (states or re.search(r"\d\.\d\d", " ".join(self.drawing()))):
            place, zero = ("state", "state with 0") if states else ("cell", "cell marked 0.00")
            parts += [
                f"numbers: how much more reward than the average is still to come from a {place},",
                f"         compared with the {zero}",
            ]
        return [*parts, *map(unbroken, states)]

    @property
    def overlay(self) -> Overlay:
        """The values (the bias, if the criterion is the average reward) and the policy."""
        return Overlay(self.values if self.bias is None else self.bias, self.policy)
