"""Scores on Atari games that Mnih et al. published, to set beside one's own.

`atari_scores.csv` holds the 49 games of Mnih et al. (2015), Nature 518:529, Extended Data Table 2
(DQN after 200 million frames, epsilon 0.05, up to 30 idle frames at the start), and the seven of
Mnih et al. (2013), arXiv 1312.5602, table 1. A game is called by its title, as environments are.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TypeVar

from gridcade.errors import InputError

FILE = Path(__file__).with_suffix(".csv")


@dataclass(frozen=True)
class Mnih2013:
    """Average total rewards of 2013; the last three are of the single best episode."""

    random: float
    sarsa: float
    contingency: float
    dqn: float
    human: float
    hneat_best: float
    hneat_pixel: float
    dqn_best: float


@dataclass(frozen=True)
class Nature2015:
    """Average scores of 2015."""

    random: float
    human: float  # a professional games tester
    dqn: float
    dqn_deviation: float  # standard deviation over 30 games


@dataclass(frozen=True)
class AtariScores:
    """What was published of a game."""

    name: str  # as printed: Q*bert
    nature2015: Nature2015
    mnih2013: Mnih2013 | None  # of seven games


Row = TypeVar("Row", Mnih2013, Nature2015)


def scores(game: str) -> AtariScores | None:
    """What was published of a game, by its title (`SpaceInvaders`); None if nothing was."""
    return published().get(game)


@cache
def published() -> Mapping[str, AtariScores]:
    """What was published of every game, by title."""
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {
            row["game"]: AtariScores(
                name=row["name"],
                nature2015=_of_year(Nature2015, row, 2015),
                mnih2013=_of_year(Mnih2013, row, 2013) if row["dqn_2013"] else None,
            )
            for row in csv.DictReader(lines)
        }


def normalised(score: float, random: float, human: float) -> float:
    """A score on the scale where random play is 0 and a human 1.

    Mnih et al. (2015) print 100 times that, in per cent. The optimum may stand for the human.

    Raises:
        InputError: random and human are equal, so that there is no scale.
    """
    if random == human:
        raise InputError(f"random play and a human both score {random:g}: that makes no scale")
    return (score - random) / (human - random)


def _of_year(kind: type[Row], row: Mapping[str, str], year: int) -> Row:
    return kind(**{field.name: float(row[f"{field.name}_{year}"]) for field in fields(kind)})
