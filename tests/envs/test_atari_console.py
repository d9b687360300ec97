"""The console plays the games of AtariGames, bit for bit, and can be saved and restored."""

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gridcade.envs import atari
from gridcade.envs.area_resize import resize_area
from gridcade.envs.atari import AtariGame, AtariGames, known_games
from gridcade.envs.atari_console import AtariConsole, ConsoleStep


def picture(console: AtariConsole, screens: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The maximum of screens in color, in the size of `AtariGame`'s pictures."""
    colors = console.palette[screens].max(axis=0)
    height, width = atari.SCREEN_SIZE
    return np.asarray(cv2.resize(colors, (width, height), interpolation=cv2.INTER_AREA))


def check_equal_games(
    game: str, protocol: str, seed: int, most_steps: int, sticky: float | None = None
) -> ConsoleStep:
    """Play the same random actions in both, for at most `most_steps`; return the last step."""
    games = AtariGames(game, 1, protocol, sticky=sticky)
    colored = AtariGame(game, protocol, sticky=sticky, render_mode="rgb_array")
    console = AtariConsole(game, protocol, sticky=sticky)
    assert console.action_names == games.action_names
    assert (console.frame_skip, console.time_limit) == (colored.frame_skip, colored.time_limit)
    rng = np.random.default_rng(seed)
    observations, info = games.reset(seed=[seed])
    colored.reset(seed=seed)
    np.testing.assert_array_equal(console.reset(seed), observations[0])
    assert console.lives == info["lives"][0]
    np.testing.assert_array_equal(picture(console, console.screen[None]), colored.render())
    steps = 0
    while True:
        steps += 1
        action = int(rng.integers(len(console.action_names)))
        observations, rewards, terminated, truncated, info = games.step(np.array([action]))
        colored.step(action)
        step = console.step(action)
        np.testing.assert_array_equal(step.observation, observations[0])
        wanted = rewards[0], terminated[0], truncated[0], info["life_lost"][0]
        assert (step.reward, step.terminated, step.truncated, step.life_lost) == wanted
        if step.terminated or step.truncated or steps == most_steps:
            return step
        assert len(step.screens) == console.frame_skip
        seen = step.screens[-2 if console.protocol.two_frame_max else -1 :]
        np.testing.assert_array_equal(picture(console, seen), colored.render())


@pytest.mark.parametrize("protocol", atari.PROTOCOLS)
def test_games_equal_those_of_the_emulators_that_agents_learn_in(protocol: str) -> None:
    assert check_equal_games("Breakout", protocol, 1, 1000).terminated


@pytest.mark.parametrize(
    ("game", "protocol", "sticky"),
    [
        ("SpaceInvaders", "mnih2013", None),  # 3 frames per step
        ("Qbert", "nature2015", 0.1),  # draws of no-ops as well as of sticky actions
        ("AirRaid", "nature2015", None),  # in PAL; begins with frames before the no-ops
    ],
)
def test_games_with_other_frame_skips_draws_and_starts_are_equal(
    game: str, protocol: str, sticky: float | None
) -> None:
    check_equal_games(game, protocol, 3, 150, sticky)


@pytest.mark.slow
@pytest.mark.parametrize("game", known_games())
def test_every_game_is_equal(game: str) -> None:
    draws_before = game in ("Berzerk", "DoubleDunk")  # see the console's module
    check_equal_games(game, "machado2018", 0, 100, sticky=0 if draws_before else None)


@pytest.mark.parametrize("protocol", ["mnih2013", "nature2015"])
def test_truncated_games_are_equal(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(atari.PROTOCOLS[protocol], max_frames=81)  # within a step
    monkeypatch.setitem(atari.PROTOCOLS, protocol, short)
    last = check_equal_games("Breakout", protocol, 0, 30)
    assert last.truncated
    assert len(last.screens) == 1


def future(console: AtariConsole, actions: NDArray[np.int64]) -> list[ConsoleStep]:
    return [console.step(int(action)) for action in actions]


def equal(one: list[ConsoleStep], other: list[ConsoleStep]) -> bool:
    """Whether all screens, observations, rewards, ends and lives are the same."""
    return all(
        np.array_equal(a.screens, b.screens)
        and np.array_equal(a.observation, b.observation)
        and a[1:6] == b[1:6]
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("protocol", ["nature2015", "machado2018"])
def test_a_restored_game_has_the_same_future(protocol: str) -> None:
    """Both in the console that saved it, and, after a pickle, in another console."""
    console, other = AtariConsole("Breakout", protocol), AtariConsole("Breakout", protocol)
    actions = np.random.default_rng(0).integers(len(console.action_names), size=140)
    console.reset(3)
    future(console, actions[:60])
    state, screen, observation = console.save(), console.screen, console.observation
    expected = future(console, actions[60:])
    console.reset(4)
    future(console, actions[:30])
    for player, saved in ((console, state), (other, pickle.loads(pickle.dumps(state)))):
        player.restore(saved)
        np.testing.assert_array_equal(player.screen, screen)
        np.testing.assert_array_equal(player.observation, observation)
        assert equal(future(player, actions[60:]), expected)


@pytest.mark.parametrize(("protocol", "differ"), [("nature2015", False), ("machado2018", True)])
def test_fresh_draws_change_only_sticky_actions(protocol: str, differ: bool) -> None:
    console = AtariConsole("Breakout", protocol)
    actions = np.random.default_rng(0).integers(len(console.action_names), size=100)
    console.reset(3)
    future(console, actions[:40])
    state = console.save()
    futures = []
    for seed in (None, 1, 2, 1):
        console.restore(state, seed)
        futures.append(future(console, actions[40:]))
    saved, first, second, again = futures
    assert equal(first, again)
    assert equal(saved, first) is not differ
    assert equal(first, second) is not differ


@pytest.mark.parametrize("height", [210, 250, 230, 214])
def test_images_are_resized_as_by_opencv(height: int) -> None:
    """Also images of few values, whose means often lie halfway between two integers."""
    rng = np.random.default_rng(0)
    for colors in (2, 3, 256):
        image = rng.integers(0, 256, colors).astype(np.uint8)[
            rng.integers(0, colors, (height, 160))
        ]
        expected = cv2.resize(image, (84, 84), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(resize_area(image, 84, 84), expected)
