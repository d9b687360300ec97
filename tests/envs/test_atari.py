"""Atari: preprocessing as in stable-baselines3's wrappers, protocols, seeds and the screen."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ale_py
import gymnasium as gym
import numpy as np
import pytest
from ale_py import roms
from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv, WarpFrame

from gridcade.envs import atari, registry
from gridcade.envs.atari import AtariGame, AtariGames, AtariProtocol, resolve_protocol
from gridcade.envs.wrappers import SupportsAsyncStep
from gridcade.errors import InputError

UseProtocol = Callable[..., str]


@pytest.fixture
def use_protocol(monkeypatch: pytest.MonkeyPatch) -> UseProtocol:
    """Return a function that registers a protocol with given fields and returns its name."""

    def use(**fields: Any) -> str:
        defaults = {"noop_max": 0, "sticky": 0.0, "full_actions": False, "life_loss": True}
        protocol = AtariProtocol(about="", **{"two_frame_max": True, **defaults, **fields})
        monkeypatch.setitem(atari.PROTOCOLS, "custom", protocol)
        return "custom"

    return use


@pytest.fixture(scope="module")
def breakout() -> AtariGames:
    """Two games in the default protocol. Tests start with a reset."""
    return AtariGames("Breakout", 2)


def num_actions(games: AtariGames | AtariGame) -> int:
    space = games.single_action_space if isinstance(games, AtariGames) else games.action_space
    assert isinstance(space, gym.spaces.Discrete)
    return int(space.n)


def play(games: AtariGames, actions: Any) -> list[Any]:
    """Return the results of the steps with these actions, [steps, games]."""
    return [games.step(row) for row in actions]


@pytest.mark.parametrize(("game", "maximum"), [("Breakout", True), ("SpaceInvaders", False)])
def test_frames_equal_those_of_stable_baselines3(
    use_protocol: UseProtocol, game: str, maximum: bool
) -> None:
    """Frame skip, maximum, gray and resize, pixel by pixel.

    (The maximum is compared in a game whose moving objects do not overlap: ALE takes the maximum of
    gray frames, stable-baselines3 of colors.)
    """
    gym.register_envs(ale_py)
    raw: Any = gym.make(f"{game}NoFrameskip-v4", frameskip=1 if maximum else 4)
    reference = WarpFrame(MaxAndSkipEnv(raw, skip=4) if maximum else raw)
    ours = AtariGames(game, 1, use_protocol(two_frame_max=maximum))
    rng = np.random.default_rng(0)
    frame, _ = reference.reset(seed=0)
    observations, _ = ours.reset(seed=[0])
    history = [observations[0, -1]]
    for _ in range(150):
        np.testing.assert_array_equal(observations[0, -1], frame[..., 0])
        for back, past in enumerate(reversed(history[-4:]), 1):
            np.testing.assert_array_equal(observations[0, -back], past)  # the oldest first
        action = int(rng.integers(num_actions(ours)))
        frame, reward, terminated, _, _ = reference.step(action)
        observations, rewards, ends, _, _ = ours.step(np.array([action]))
        history.append(observations[0, -1])
        assert rewards[0] == reward
        assert ends[0] == terminated
        if terminated:
            break


def test_observations_and_actions_have_the_sizes_of_the_protocol(breakout: AtariGames) -> None:
    observations, _ = breakout.reset(seed=[1, 2])
    assert observations.shape == (2, 4, 84, 84)
    assert observations.dtype == np.uint8
    assert num_actions(breakout) == 4
    assert num_actions(AtariGame("Breakout", "machado2018")) == 18
    assert num_actions(AtariGame("Breakout", "machado2018", actions="minimal")) == 4


@pytest.mark.parametrize(
    ("game", "notes"),
    [
        ("Breakout?actions=minimal", []),
        ("Breakout?actions=full", ["played with 18 actions; nature2015 has 4"]),
        ("Boxing?actions=full", []),  # its minimal set has all 18
        ("Breakout?sticky=0.25", ["sticky actions with probability 0.25; nature2015 has 0"]),
        ("Breakout?sticky=0.25&protocol=machado2018", []),
    ],
)
def test_notes_name_the_differences_from_the_protocol(game: str, notes: list[str]) -> None:
    assert registry.make(game).notes == notes  # type: ignore[attr-defined]


def test_a_game_depends_only_on_its_seed_and_its_actions(breakout: AtariGames) -> None:
    """A masked reset seeds one game and does not affect the others."""
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 4, (120, 2))
    breakout.reset(seed=[11, 12])
    expected = play(breakout, actions)
    breakout.reset(seed=[5, 6])
    before = play(breakout, rng.integers(0, 4, (60, 2)))[-1][0]
    mask = np.array([True, False])
    observations, _ = breakout.reset(seed=[11, 99], options={"reset_mask": mask})
    np.testing.assert_array_equal(observations[1], before[1])
    for row, wanted in zip(actions, expected, strict=True):
        observations, rewards, terminated, *_ = breakout.step(row)
        np.testing.assert_array_equal(observations[0], wanted[0][0])
        assert rewards[0] == wanted[1][0]
        if terminated[0]:
            break


def test_an_asynchronous_step_equals_a_step(breakout: AtariGames) -> None:
    assert isinstance(breakout, SupportsAsyncStep)
    assert not isinstance(gym.make_vec("CartPole-v1", 2), SupportsAsyncStep)
    actions = np.random.default_rng(0).integers(0, 4, (20, 2))
    breakout.reset(seed=[1, 2])
    expected = play(breakout, actions)
    breakout.reset(seed=[1, 2])
    for row, wanted in zip(actions, expected, strict=True):
        breakout.step_async(row)
        result = breakout.step_wait()
        for part, wanted_part in zip(result[:4], wanted[:4], strict=True):
            np.testing.assert_array_equal(part, wanted_part)
        np.testing.assert_array_equal(result[4]["life_lost"], wanted[4]["life_lost"])


@pytest.mark.parametrize("max_frames", [80, 18_000])
def test_the_first_action_after_a_reset_is_played(
    max_frames: int, use_protocol: UseProtocol
) -> None:
    """Emulators that reset an ended game in a step of its own would skip that action."""
    protocol = use_protocol(max_frames=max_frames)
    games, fresh = (AtariGames("Breakout", 1, protocol) for _ in range(2))
    rng = np.random.default_rng(1)
    games.reset(seed=[3])
    _, _, terminated, truncated, _ = games.step(rng.integers(0, 4, 1))
    while not terminated[0] | truncated[0]:
        _, _, terminated, truncated, _ = games.step(rng.integers(0, 4, 1))
    assert truncated[0] == (max_frames == 80)
    mask = {"reset_mask": np.array([True])}
    (start, _), (wanted, _) = games.reset(seed=[7], options=mask), fresh.reset(seed=[7])
    np.testing.assert_array_equal(start, wanted)
    for _ in range(3):
        right = np.array([2])
        result, expected = games.step(right), fresh.step(right)
        np.testing.assert_array_equal(result[0], expected[0])
        assert not np.array_equal(result[0][0, -1], result[0][0, -2])  # the paddle has moved


def test_protocols_have_the_settings_of_the_papers() -> None:
    """Mnih et al. (2013); (2015), Extended Data Table 1; Machado et al. (2018), section 5."""
    settings = {
        name: (p.two_frame_max, p.noop_max, p.sticky, p.full_actions, p.life_loss)
        for name, p in atari.PROTOCOLS.items()
    }
    assert settings == {
        "mnih2013": (False, 0, 0.0, False, True),
        "nature2015": (True, 30, 0.0, False, True),
        "machado2018": (True, 0, 0.25, True, False),
    }


def test_arguments_override_the_protocol() -> None:
    for sticky in (0, 0.5):
        assert resolve_protocol("machado2018", sticky=sticky).sticky == sticky
    for actions in ("minimal", "full"):
        assert resolve_protocol("mnih2013", actions).full_actions == (actions == "full")


@pytest.fixture(scope="module")
def first_frame() -> int:
    """The frame number of Breakout's first observation in a game without no-op frames."""
    _, info = AtariGames("Breakout", 1, "mnih2013").reset(seed=[0])
    return int(info["episode_frame_number"][0])


@pytest.mark.parametrize(
    ("protocol", "noop_max", "random_repeats"),
    [("mnih2013", 0, False), ("nature2015", 30, False), ("machado2018", 0, True)],
)
def test_a_seed_determines_no_op_frames_and_sticky_actions(
    protocol: str, noop_max: int, random_repeats: bool, first_frame: int
) -> None:
    count = 3 if noop_max else 2
    games = AtariGames("Breakout", count, protocol)
    _, info = games.reset(seed=range(count))
    no_ops = info["episode_frame_number"].astype(int) - first_frame
    assert no_ops.min() >= 0
    assert no_ops.max() <= noop_max
    assert (len({*no_ops.tolist()}) > 1) == (noop_max > 0)
    if not noop_max:
        actions = np.random.default_rng(0).integers(0, 4, (40, 1)).repeat(count, axis=1)
        screens = play(games, actions)[-1][0]
        assert (len({screen.tobytes() for screen in screens}) > 1) == random_repeats


def test_losing_a_life_is_reported_and_does_not_end_the_game(breakout: AtariGames) -> None:
    losses = []
    for games in (breakout, AtariGames("Breakout", 2, "machado2018")):
        rng = np.random.default_rng(3)
        games.reset(seed=[1, 2])
        lost, terminated = 0, np.array([False, False])
        while not terminated[0]:
            _, _, terminated, _, info = games.step(rng.integers(0, 4, 2))
            assert not (terminated & info["life_lost"]).any()
            lost += int(info["life_lost"][0])
        losses.append(lost)
    assert losses == [4, 0]  # of five lives


def test_games_are_truncated_after_max_frames(use_protocol: UseProtocol) -> None:
    protocol = use_protocol(max_frames=80)
    games = AtariGames("Breakout", 1, protocol)
    games.reset(seed=[0])
    truncated = [step[3][0] for step in play(games, np.zeros((20, 1), dtype=int))]
    assert truncated == [False] * 19 + [True]
    assert AtariGame("Breakout", protocol).time_limit == 20


@pytest.mark.parametrize(
    ("game", "protocol", "frames"),
    [("SpaceInvaders", "mnih2013", 3), ("SpaceInvaders", "nature2015", 4), ("Pong", "mnih2013", 4)],
)
def test_a_step_has_the_frames_of_its_protocol(
    game: str, protocol: str, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The game is truncated at exactly the step in which the emulator has run `max_frames`."""
    steps = 10
    settings = atari.PROTOCOLS[protocol]
    short = replace(settings, noop_max=0, max_frames=steps * frames)
    monkeypatch.setitem(atari.PROTOCOLS, protocol, short)
    game_env = AtariGame(game, protocol)
    game_env.reset(seed=0)
    truncated = [game_env.step(0)[3] for _ in range(steps)]
    assert truncated == [False] * (steps - 1) + [True]
    assert game_env.frame_skip == frames
    assert game_env.time_limit == steps
    assert game_env.metadata["render_fps"] == 60 / frames


def test_rewards_are_raw() -> None:
    """Space Invaders pays 5 or more for an alien."""
    games = AtariGames("SpaceInvaders", 1)
    games.reset(seed=[0])
    rng = np.random.default_rng(0)
    rewards = [step[1][0] for step in play(games, rng.integers(0, 6, (150, 1)))]
    assert max(rewards) >= 5


def test_render_returns_the_screen_of_the_current_observation() -> None:
    """The screen is the emulator's, in color; resized and gray, it is the observation."""
    game = AtariGame("Breakout", "mnih2013", render_mode="rgb_array")
    gym.register_envs(ale_py)
    raw: Any = gym.make("BreakoutNoFrameskip-v4", frameskip=4)
    warped = WarpFrame(raw)
    observation, _ = game.reset(seed=4)
    frame, _ = raw.reset(seed=4)
    rng = np.random.default_rng(1)
    for _ in range(60):
        np.testing.assert_array_equal(game.render(), frame)
        np.testing.assert_array_equal(observation[-1], warped.observation(frame)[..., 0])
        action = int(rng.integers(4))
        frame, *_ = raw.step(action)
        observation, *_ = game.step(action)


def test_games_for_two_players_are_unknown() -> None:
    """With such a game, the emulator would end the process."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    for rom in roms.get_all_rom_ids():
        path = str(roms.get_rom_path(rom))
        supported = ale_py.ALEInterface.isSupportedROM(path) is not None
        assert supported == (rom.title().replace("_", "") in atari.known_games())
    with pytest.raises(InputError, match="unknown game 'Combat'"):
        AtariGame("Combat")


def test_invalid_arguments_and_a_missing_library_are_input_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match=r"unknown game 'Breakot'; did you mean Breakout"):
        AtariGame("Breakot")
    with pytest.raises(InputError, match=r"unknown protocol 'nature2016'; did you mean nature2015"):
        AtariGame("Breakout", protocol="nature2016")
    for protocol in ("2015", "none", "[1]"):  # in a name, these are not parsed as text
        with pytest.raises(InputError, match=r"unknown protocol '.*'"):
            registry.make(f"Breakout?protocol={protocol}")
    for sticky in ("1", "-0.1", "nan", "often", "true"):
        with pytest.raises(InputError, match=r"sticky is .*; it must be at least 0 and less than"):
            registry.make(f"Breakout?sticky={sticky}")
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(InputError, match=r"pip install 'gridcade\[atari\]'"):
        AtariGame("Breakout")
