"""Scores on Atari games that Mnih et al. published, to set beside one's own.

`atari_scores.csv` holds the 49 games of Mnih et al. (2015), Nature 518:529, Extended Data Table 2
(DQN after 200 million frames, epsilon 0.05, up to 30 idle frames at the start), and the seven of
Mnih et al. (2013), arXiv 1312.5602, table 1. A game is called by its title, as environments are.
"""

from dataclasses import dataclass


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
    dqn_deviation: float  # standard deviation, over 30 games


@dataclass(frozen=True)
class AtariScores:
    """What was published of a game."""

    name: str  # as printed: Q*bert
    nature2015: Nature2015
    mnih2013: Mnih2013 | None  # of seven games


def scores(game: str) -> AtariScores | None:
    """What was published of a game, by its title (`SpaceInvaders`); None if nothing was."""
    raise NotImplementedError


def normalised(score: float, random: float, human: float) -> float:
    """A score on the scale where random play is 0 and a human 1.

    Mnih et al. (2015) print 100 times that, in per cent. The optimum may stand for the human.

    Raises:
        InputError: random and human are equal, so that there is no scale.
    """
    raise NotImplementedError
