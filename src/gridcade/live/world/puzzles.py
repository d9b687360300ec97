"""Puzzles of the live page: worlds with a question, from `puzzles.toml`."""

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gridcade.envs.gridworld import grid_model
from gridcade.envs.maps import World, parse_world
from gridcade.exact import solver
from gridcade.formatting import format_result

Floats = NDArray[np.float64]

FILE = Path(__file__).with_name("puzzles.toml")
DISCOUNT = 0.99


class Tempting(msgspec.Struct, forbid_unknown_fields=True):
    """How the task for which the tempting policy is optimal differs; None: as in the puzzle."""

    criterion: solver.Criterion | None = None
    discount: float = DISCOUNT
    slip: float | None = None
    wind: tuple[int, ...] | None = None
    overlooked: str = ""  # symbols whose reward does not count


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A puzzle as the file has it."""

    map: str
    criterion: Literal["return", "discounted", "average-reward"]
    after: str
    tempting: Tempting
    discount: float = DISCOUNT


@dataclass(frozen=True)
class Puzzle:
    """A world with a question, which stands in the world's description.

    Attributes:
        name: its name in messages and addresses.
        world: the world.
        criterion: what the best policy maximizes.
        discount: discount factor, of the discounted criterion.
    """

    name: str
    world: World
    criterion: solver.Criterion
    discount: float
    _after: str
    _tempting: Tempting

    def tempting_policy(self) -> Floats:
        """The policy that a person may find best at first sight.  [states, actions]."""
        other = self._tempting
        changes = {name: getattr(other, name) for name in ("slip", "wind")}
        legend = {
            symbol: replace(cell, reward=0.0) if symbol in other.overlooked else cell
            for symbol, cell in self.world.legend.items()
        }
        world = replace(
            self.world, legend=legend, **{k: v for k, v in changes.items() if v is not None}
        )
        criterion = other.criterion or self.criterion
        return solver.solve(grid_model(world), criterion, other.discount).policy

    def value(self, policy: Floats) -> float:
        """The value of a policy, [states, actions], by the puzzle's criterion."""
        value = solver.policy_value(grid_model(self.world), policy, self.discount)
        return value.by(self.criterion)

    def lesson(self) -> str:
        """The explanation, with its numbers."""
        best = solver.solve(grid_model(self.world), self.criterion, self.discount)
        return self._after.format(
            optimum=format_result(best.value),
            tempting=format_result(self.value(self.tempting_policy())),
        )


@cache
def puzzles() -> dict[str, Puzzle]:
    """All puzzles by their names."""
    entries = msgspec.convert(tomllib.loads(FILE.read_text(encoding="utf-8")), dict[str, Entry])
    return {
        name: Puzzle(
            name,
            parse_world(entry.map.strip(), name),
            entry.criterion,
            entry.discount,
            " ".join(entry.after.split()),
            entry.tempting,
        )
        for name, entry in entries.items()
    }
