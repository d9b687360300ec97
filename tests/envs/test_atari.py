"""Atari: frames as stable-baselines3's wrappers make them, lives, seeds, and the game's picture."""

import sys
from typing import Any

import ale_py
import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv, WarpFrame

from gridcade.envs import atari, registry
from gridcade.envs.atari import AtariGame, AtariGames, Protocol
from gridcade.errors import InputError


def num_actions(games: AtariGames) -> int:
    assert isinstance(games.single_action_space, gym.spaces.Discrete)
    return int(games.single_action_space.n)


def play(games: AtariGames, actions: Any) -> list[Any]:
    return [games.step(row) for row in actions]


@pytest.mark.parametrize(
    ("game", "maximum"), [("Breakout", True), ("Pong", False), ("SpaceInvaders", False)]
)
def test_frames_are_those_of_the_reference(
    monkeypatch: pytest.MonkeyPatch, game: str, maximum: bool
) -> None:
    """Skip, maximum, grey and resize: stable-baselines3's, frame by frame.

    (The maximum is compared on a game whose moving things do not overlap: ALE takes it of grey
    frames, stable-baselines3 of colours.)
    """
    plain = Protocol("", maximum, 0, 0.0, full_actions=False, life_loss=False)
    monkeypatch.setitem(atari.PROTOCOLS, "plain", plain)
    gym.register_envs(ale_py)
    raw: Any = gym.make(f"{game}NoFrameskip-v4", frameskip=1 if maximum else 4)
    reference = WarpFrame(MaxAndSkipEnv(raw, skip=4) if maximum else raw)
    ours = AtariGames(game, 1, "plain")
    rng = np.random.default_rng(0)
    frame, _ = reference.reset(seed=0)
    observations, _ = ours.reset(seed=[0])
    history = [observations[0, -1]]
    for _ in range(400):
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


def test_shapes_and_actions() -> None:
    games = AtariGames("Breakout", 3)
    observations, _ = games.reset(seed=[1, 2, 3])
    assert observations.shape == (3, 4, 84, 84)
    assert observations.dtype == np.uint8
    assert num_actions(games) == 4
    assert num_actions(AtariGames("Breakout", 1, "machado2018")) == 18
    (note,) = AtariGame("Breakout", actions="full").notes
    assert note == "played with 18 actions, where nature2015 has 4"
    assert AtariGame("Breakout", actions="minimal").notes == []
    assert AtariGame("Boxing", actions="full").notes == []  # which are its own
    (note,) = registry.make("Breakout?sticky=0.25").notes  # type: ignore[attr-defined]
    assert note == "sticky actions 0.25, where nature2015 has 0"
    assert AtariGame("Breakout", "machado2018", sticky=0.25).notes == []


def test_a_game_is_its_seed_and_the_actions_since() -> None:
    """A masked reset seeds one game and leaves the others alone, whatever was played before."""
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 4, (300, 2))
    alone = AtariGames("Breakout", 1)
    alone.reset(seed=[11])
    expected = play(alone, actions[:, :1])
    games = AtariGames("Breakout", 2)
    games.reset(seed=[5, 6])
    before = play(games, rng.integers(0, 4, (150, 2)))[-1][0]
    observations, _ = games.reset(seed=[11, 99], options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(observations[1], before[1])
    for row, wanted in zip(actions, expected, strict=True):
        got = games.step(row)
        np.testing.assert_array_equal(got[0][0], wanted[0][0])
        assert got[1][0] == wanted[1][0]
        if got[2][0]:
            break


@pytest.mark.parametrize("max_frames", [80, 18_000])
def test_the_first_action_after_a_game_is_played_in_the_next(
    max_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulators that reset an ended game in a step of its own would pass over it."""
    short = Protocol("", True, 0, 0.0, False, True, max_frames)
    monkeypatch.setitem(atari.PROTOCOLS, "short", short)
    games, fresh = (AtariGames("Breakout", 1, "short") for _ in range(2))
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
        got, expected = games.step(right), fresh.step(right)
        np.testing.assert_array_equal(got[0], expected[0])
        assert not np.array_equal(got[0][0, -1], got[0][0, -2])  # the paddle has moved


def test_protocols_are_those_of_the_papers() -> None:
    """Mnih et al. (2013); (2015), Extended Data Table 1; Machado et al. (2018), section 5."""
    told = {
        name: (p.two_frame_max, p.noop_max, p.sticky, p.full_actions, p.life_loss)
        for name, p in atari.PROTOCOLS.items()
    }
    assert told == {
        "mnih2013": (False, 0, 0.0, False, True),
        "nature2015": (True, 30, 0.0, False, True),
        "machado2018": (True, 0, 0.25, True, False),
    }


@pytest.mark.parametrize(
    ("protocol", "asked", "most_idle", "sticky"),
    [
        ("mnih2013", None, 0, False),
        ("mnih2013", 0.25, 0, True),
        ("nature2015", None, 30, False),
        ("machado2018", None, 0, True),
        ("machado2018", 0, 0, False),
    ],
)
def test_a_seed_decides_idle_frames_and_sticky_actions_where_there_are_any(
    protocol: str, asked: float | None, most_idle: int, sticky: bool
) -> None:
    games = AtariGames("Breakout", 1, protocol, sticky=asked)
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 4, (200, 1))
    begun, ends = [], set()
    for seed in range(8):
        _, info = games.reset(seed=[seed])
        begun.append(int(info["episode_frame_number"][0]))
        ends.add(play(games, actions)[-1][0].tobytes())
    idle = (
        np.array(begun)
        - AtariGames("Breakout", 1, "mnih2013").reset(seed=[0])[1]["episode_frame_number"]
    )
    assert idle.min() >= 0
    assert idle.max() <= most_idle
    assert (len({*begun}) > 1) == (most_idle > 0)
    if not most_idle:
        assert (len(ends) > 1) == sticky


def test_losing_a_life_is_told_and_does_not_end_the_game() -> None:
    rng = np.random.default_rng(3)
    losses = {}
    for protocol in ("nature2015", "machado2018"):
        games = AtariGames("Breakout", 1, protocol)
        games.reset(seed=[1])
        lost, terminated = 0, np.array([False])
        for _ in range(3000):
            _, _, terminated, _, info = games.step(rng.integers(0, 4, 1))
            assert not (terminated[0] and info["life_lost"][0])
            lost += int(info["life_lost"][0])
            if terminated[0]:
                break
        assert terminated[0]
        losses[protocol] = lost
    assert losses == {"nature2015": 4, "machado2018": 0}  # five lives


def test_games_are_cut_at_the_frame_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    short = Protocol("", True, 0, 0.0, full_actions=False, life_loss=True, max_frames=80)
    monkeypatch.setitem(atari.PROTOCOLS, "short", short)
    games = AtariGames("Breakout", 1, "short")
    games.reset(seed=[0])
    flags = [step[3][0] for step in play(games, np.zeros((20, 1), dtype=int))]
    assert flags == [False] * 19 + [True]
    assert AtariGame("Breakout", "short").time_limit == 20


@pytest.mark.parametrize(
    ("game", "protocol", "frames"),
    [("SpaceInvaders", "mnih2013", 3), ("SpaceInvaders", "nature2015", 4), ("Pong", "mnih2013", 4)],
)
def test_a_step_is_four_frames_but_for_the_space_invaders_of_2013(
    game: str, protocol: str, frames: int
) -> None:
    """By the emulator's own count; frames of a game, cap and pace are told accordingly."""
    single = AtariGame(game, protocol)
    single.reset(seed=0)
    _, before = single._games._games.reset(seed=np.array([0]))
    *_, after = single._games._games.step(np.array([0]))
    assert after["episode_frame_number"] - before["episode_frame_number"] == frames
    assert single.frame_skip == frames
    assert single.time_limit == 18_000 // frames
    assert single.metadata["render_fps"] == 60 / frames


def test_rewards_are_raw() -> None:
    """Space Invaders pays 5 and more for an alien: nothing is clipped."""
    games = AtariGames("SpaceInvaders", 1)
    games.reset(seed=[0])
    rng = np.random.default_rng(0)
    rewards = [step[1][0] for step in play(games, rng.integers(0, 6, (300, 1)))]
    assert max(rewards) >= 5


def test_the_picture_is_the_games_own_at_the_same_moment() -> None:
    """In colour, to the pixel; the protocol of 2013 takes the emulator's frames as they are.

    And it is what the agent sees, grey and small.
    """
    game = AtariGame("Breakout", "mnih2013", render_mode="rgb_array")
    gym.register_envs(ale_py)
    raw: Any = gym.make("BreakoutNoFrameskip-v4", frameskip=4)
    warped = WarpFrame(raw)
    seen, _ = game.reset(seed=4)
    frame, _ = raw.reset(seed=4)
    rng = np.random.default_rng(1)
    shown = 0
    for _ in range(200):
        np.testing.assert_array_equal(game.render(), frame)
        np.testing.assert_array_equal(seen[-1], warped.observation(frame)[..., 0])
        action = int(rng.integers(4))
        frame, _, terminated, _, _ = raw.step(action)
        seen, _, ended, _, _ = game.step(action)
        assert ended == terminated
        shown += 1
        if ended:
            break
    assert shown > 50


def test_wrong_names_and_a_missing_library_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"unknown game 'Breakot'; did you mean Breakout"):
        AtariGame("Breakot")
    with pytest.raises(InputError, match=r"unknown protocol 'nature2016'; did you mean nature2015"):
        AtariGame("Breakout", protocol="nature2016")
    for number in ("2015", "none", "[1]"):  # which are no words to who reads them
        with pytest.raises(InputError, match=r"unknown protocol '.*'"):
            registry.make(f"Breakout?protocol={number}")
    for number in ("1", "-0.1", "nan", "often", "true"):
        with pytest.raises(InputError, match=r"sticky is .*; it is a probability, 0 or more"):
            registry.make(f"Breakout?sticky={number}")
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(InputError, match=r"pip install 'gridcade\[atari\]'"):
        AtariGame("Breakout")
