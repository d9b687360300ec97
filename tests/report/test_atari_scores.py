"""Published Atari scores: known rows, the paper's percentages, and names of games."""

import pytest

from gridcade.envs.atari import MNIH2013_GAMES, known_games
from gridcade.errors import InputError
from gridcade.report.atari_scores import (
    Mnih2013,
    Nature2015,
    atari_scores,
    normalized_score,
    published_scores,
)

# The last column of Extended Data Table 2 (Mnih et al. 2015), in per cent.
PRINTED = {
    "Alien": 42.7,
    "Amidar": 43.9,
    "Assault": 246.2,
    "Asterix": 70.0,
    "Asteroids": 7.3,
    "Atlantis": 449.9,
    "BankHeist": 57.7,
    "BattleZone": 67.6,
    "BeamRider": 119.8,
    "Bowling": 14.7,
    "Boxing": 1707.9,
    "Breakout": 1327.2,
    "Centipede": 63.0,
    "ChopperCommand": 64.8,
    "CrazyClimber": 419.5,
    "DemonAttack": 294.2,
    "DoubleDunk": 17.1,
    "Enduro": 97.5,
    "FishingDerby": 93.5,
    "Freeway": 102.4,
    "Frostbite": 6.2,
    "Gopher": 400.4,
    "Gravitar": 5.3,
    "Hero": 76.5,
    "IceHockey": 79.3,
    "Jamesbond": 145.0,
    "Kangaroo": 224.2,
    "Krull": 277.0,
    "KungFuMaster": 102.4,
    "MontezumaRevenge": 0.0,
    "MsPacman": 13.0,
    "NameThisGame": 278.3,
    "Pong": 132.0,
    "PrivateEye": 2.5,
    "Qbert": 78.5,
    "Riverraid": 57.3,
    "RoadRunner": 232.9,
    "Robotank": 509.0,
    "Seaquest": 25.9,
    "SpaceInvaders": 121.5,
    "StarGunner": 598.1,
    "Tennis": 143.2,
    "TimePilot": 100.9,
    "Tutankham": 112.2,
    "UpNDown": 92.7,
    "Venture": 32.0,
    "VideoPinball": 2539.4,
    "WizardOfWor": 67.5,
    "Zaxxon": 54.1,
}


def test_known_rows() -> None:
    breakout, qbert = atari_scores("Breakout"), atari_scores("Qbert")
    assert breakout is not None
    assert qbert is not None
    assert breakout.nature2015 == Nature2015(random=1.7, human=31.8, dqn=401.2, dqn_deviation=26.9)
    assert breakout.mnih2013 == Mnih2013(
        random=1.2,
        sarsa=5.2,
        contingency=6,
        dqn=168,
        human=31,
        hneat_best=52,
        hneat_pixel=4,
        dqn_best=225,
    )
    assert qbert.name == "Q*bert"
    assert qbert.mnih2013 is not None
    assert (qbert.mnih2013.dqn, qbert.nature2015.dqn) == (1952, 10596)


def test_games_have_the_names_of_environments() -> None:
    assert published_scores().keys() <= set(known_games())
    assert {game for game, row in published_scores().items() if row.mnih2013} == set(MNIH2013_GAMES)
    assert atari_scores("Adventure") is None


def test_normalized_scores_are_the_percentages_of_the_paper() -> None:
    assert published_scores().keys() == PRINTED.keys()
    for game, printed in PRINTED.items():
        row = published_scores()[game].nature2015
        percentage = 100 * normalized_score(row.dqn, row.random, row.human)
        span = abs(row.human - row.random)
        rounding = (0.1 if span < 1000 else 1) / span  # the paper rounds the scores
        assert percentage == pytest.approx(printed, abs=0.05 + rounding * (100 + abs(printed))), (
            game
        )


def test_random_play_is_0_and_the_reference_1() -> None:
    assert normalized_score(-20.7, random=-20.7, reference=9.3) == 0
    assert normalized_score(9.3, random=-20.7, reference=9.3) == 1
    with pytest.raises(InputError, match="both score 5"):
        normalized_score(1, 5, 5)
