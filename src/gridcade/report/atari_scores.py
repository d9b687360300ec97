"""Published scores on Atari games, for comparison.

`atari_scores.csv` holds the 49 games of Mnih et al. (2015), Nature 518:529, Extended Data Table 2
(DQN after 200 million frames, epsilon 0.05, up to 30 no-op actions at the start), and the seven
games of Mnih et al. (2013), arXiv 1312.5602, table 1. Games have the names of their environments.
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
    """Average total rewards of 2013; the last three are those of the single best episode."""

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
    dqn_deviation: float  # standard deviation over 30 episodes


@dataclass(frozen=True)
class AtariScores:
    """The published scores of a game."""

    name: str  # as printed: Q*bert
    nature2015: Nature2015
    mnih2013: Mnih2013 | None  # seven games only


Published = TypeVar("Published", Mnih2013, Nature2015)


def atari_scores(game: str) -> AtariScores | None:
    """Return the published scores of a game such as `SpaceInvaders`; None if there are none."""
    return published_scores().get(game)


@cache
def published_scores() -> Mapping[str, AtariScores]:
    """Return the published scores of every game, by its name."""
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {
            row["game"]: AtariScores(
                name=row["name"],
                nature2015=_scores_of_year(Nature2015, row, 2015),
                mnih2013=_scores_of_year(Mnih2013, row, 2013) if row["dqn_2013"] else None,
            )
            for row in csv.DictReader(lines)
        }


def normalized_score(score: float, random: float, reference: float) -> float:
    """Return a score on the scale where random play is 0 and the reference is 1.

    The reference is the optimum, or a human's score, as in Mnih et al. (2015), who print the result
    in percent.

    Raises:
        InputError: random and reference are equal.
    """
    if random == reference:
        raise InputError(f"random play and the reference both score {random:g}; they must differ")
    return (score - random) / (reference - random)


def _scores_of_year(kind: type[Published], row: Mapping[str, str], year: int) -> Published:
    return kind(**{field.name: float(row[f"{field.name}_{year}"]) for field in fields(kind)})
