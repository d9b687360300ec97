"""MinAtar: the ids, episodes that depend on their seed alone, time limits and pictures."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("minatar")

from gridcade.envs import registry
from gridcade.envs.minatar import CELL, TIME_LIMIT
from gridcade.errors import InputError

GAMES = ["Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders"]


@pytest.mark.parametrize("game", GAMES)
def test_version_1_has_the_minimal_actions_and_is_the_newest(game: str) -> None:
    newest, all_actions = registry.make(f"MinAtar/{game}"), registry.make(f"MinAtar/{game}-v0")
    assert newest.spec is not None
    assert newest.spec.id == f"MinAtar/{game}-v1"
    assert registry.make(registry.name_of(newest)).spec == newest.spec
    assert newest.action_space.n <= 6 == all_actions.action_space.n  # type: ignore[attr-defined]


@pytest.mark.parametrize("game", GAMES)
def test_an_episode_depends_on_its_seed_alone(game: str) -> None:
    used, fresh = (registry.make(f"MinAtar/{game}-v0") for _ in range(2))
    rng = np.random.default_rng(0)
    used.reset(seed=1)
    for _ in range(50):  # the last action is one that a sticky action would repeat
        used.step(3)
    for seed in range(20):
        np.testing.assert_array_equal(used.reset(seed=seed)[0], fresh.reset(seed=seed)[0])
        for action in rng.integers(6, size=30):
            one, other = used.step(action), fresh.step(action)
            np.testing.assert_array_equal(one[0], other[0])
            assert one[1:] == other[1:]
        used.step(3)


def test_all_games_have_the_time_limit_of_freeway() -> None:
    freeway = registry.make("MinAtar/Freeway?max_episode_steps=none")
    assert registry.time_limit(freeway) is None
    freeway.reset(seed=0)
    steps = 1
    while not freeway.step(0)[2]:
        steps += 1
    assert steps == TIME_LIMIT + 1  # the step in which the timer is below 0
    assert registry.time_limit(registry.make("MinAtar/Breakout")) == TIME_LIMIT
    assert registry.time_limit(registry.make("MinAtar/Breakout?max_episode_steps=1000")) == 1000


@pytest.mark.parametrize("game", GAMES)
def test_pictures_show_every_object_in_its_own_cell(game: str) -> None:
    env = registry.make(f"MinAtar/{game}", render_mode="rgb_array")
    env.action_space.seed(0)
    state, _ = env.reset(seed=0)
    for _ in range(40):
        picture: Any = env.render()
        assert picture.shape == (10 * CELL, 10 * CELL, 3)
        assert picture.dtype == np.uint8
        middles = picture[CELL // 2 :: CELL, CELL // 2 :: CELL]
        empty = (middles == picture[0, 0]).all(axis=-1)
        np.testing.assert_array_equal(empty, ~state.any(axis=-1))
        state = env.step(env.action_space.sample())[0]


def test_unknown_games_are_refused() -> None:
    with pytest.raises(InputError, match="unknown environment 'MinAtar/Pong'; did you mean"):
        registry.make("MinAtar/Pong")
