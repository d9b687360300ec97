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
    """How the task of the tempting policy differs from the puzzle; None: it does not differ."""

    criterion: solver.Criterion | None = None
    discount: float = DISCOUNT
    slip: float | None = None
    wind: tuple[int, ...] | None = None
    overlooked: str = ""  # symbols of cells whose reward counts as 0


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A puzzle as written in the file."""

    map: str
    criterion: Literal["return", "discounted", "average-reward"]
    after: str
    tempting: Tempting
    discount: float = DISCOUNT


@dataclass(frozen=True)
class Puzzle:
    """A world whose description asks a question.

    Attributes:
        name: name of the puzzle in messages and addresses.
        world: the world.
        criterion: objective that the best policy maximizes.
        discount: discount factor of the criterion `discounted`.
    """

    name: str
    world: World
    criterion: solver.Criterion
    discount: float
    _after: str
    _tempting: Tempting

    def tempting_policy(self) -> Floats:
        """Return the policy that may look best at first sight.  [states, actions]."""
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
        """Return the value of a policy, [states, actions], by the puzzle's criterion."""
        value = solver.policy_value(grid_model(self.world), policy, self.discount)
        return value.by(self.criterion)

    def lesson(self) -> str:
        """Return the explanation of the answer, with the values of both policies."""
        best = solver.solve(grid_model(self.world), self.criterion, self.discount)
        return self._after.format(
            optimum=format_result(best.value),
            tempting=format_result(self.value(self.tempting_policy())),
        )


@cache
def puzzles() -> dict[str, Puzzle]:
    """Read all puzzles, {name: puzzle}."""
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
