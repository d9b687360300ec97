"""Watching: what happens, told moment by moment, and shown in a terminal, a window or a video."""

import os
import re
import sys
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pexpect
import pytest
from numpy.typing import NDArray
from PIL import Image

from gridcade.envs import registry
from gridcade.envs.gridworld import GridWorld
from gridcade.errors import InputError
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.policies import (
    Quit,
    TabularPolicy,
    UniformPolicy,
    optimal_policy,
    random_policy,
)
from gridcade.exact import solver
from gridcade.recording.frames import Frame, drawable, picture, play_frames, read_value_overlay
from gridcade.watch import show
from gridcade.watch.show import (
    Playback,
    panel,
    watch,
)

SMALL = "RussellNorvig4x3"
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def greedy(policy: Any, env: gym.Env[Any, Any]) -> EvaluatedPolicy:
    return EvaluatedPolicy(policy, env, None, deterministic=True)


def told(name: str, policy: Any, episodes: int, seed: int = 0) -> list[Frame]:
    env = drawable(name)
    return list(play_frames(greedy(policy, env), env, episodes, seed))


# Moments


def test_the_moments_of_known_episodes() -> None:
    seen = told("CliffWalk", optimal_policy(registry.make("CliffWalk")), 2)
    assert len(seen) == 2 * 14
    path = [(3, 0), *((2, column) for column in range(12)), (3, 11)]
    for episode in (1, 2):
        part = [m for m in seen if m.episode == episode]
        assert [m.steps for m in part] == list(range(14))
        assert [m.total for m in part] == [-float(n) for n in range(14)]
        assert [m.end for m in part] == [""] * 13 + ["ended"]
        assert [m.place for m in part] == path


def test_a_time_limit_and_a_task_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    walls = TabularPolicy(np.eye(4)[np.full(38, 3)])  # into the left wall
    seen = told("CliffWalk?time_limit=9", walls, 1)
    assert (len(seen), seen[-1].end, seen[-1].total) == (10, "cut by the time limit", -9)
    assert not any(m.end for m in seen[:-1])
    monkeypatch.setattr(show, "ENDLESS", 12)
    seen = told("NearAndFar", UniformPolicy(4), 2)
    assert [m.end for m in seen if m.end] == ["cut after 12 steps"] * 2
    assert len(seen) == 26


def test_the_seed_decides_what_is_seen() -> None:
    first, again, other = (
        [(m.place, m.total) for m in told("FourRooms?time_limit=40", UniformPolicy(4), 3, seed)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_return_is_the_sum_of_the_rewards_and_the_picture_that_of_the_place() -> None:
    env = drawable(SMALL)
    rewards: list[float] = []
    pictures: list[NDArray[np.uint8]] = []

    class Noted(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            received = self.env.step(action)
            rewards.append(float(received[1]))
            pictures.append(np.asarray(self.env.render()))
            return received

    noted = Noted(env)
    stream = play_frames(greedy(random_policy(env), noted), noted, 4, seed=5)
    for moment in stream:
        if moment.steps == 0:
            rewards.clear()
            continue
        assert moment.total == pytest.approx(sum(rewards))
        np.testing.assert_array_equal(moment.picture, pictures[-1])


@pytest.mark.parametrize("name", ["Blackjack", "FourRooms?observation=pixels", "CartPole"])
def test_observations_of_every_kind_are_handed_on_in_batches_of_one(name: str) -> None:
    pytest.importorskip("pygame")
    env = drawable(name)
    single = gym.vector.utils.batch_space(env.observation_space, 1)

    class Asserting(UniformPolicy):
        def probabilities(self, observations: Any, deterministic: bool = True) -> Any:
            assert single.contains(observations)
            return super().probabilities(observations, deterministic)

    actions: Any = env.action_space
    policy = Asserting(int(actions.n), observation_space=env.observation_space)
    seen = list(islice(play_frames(greedy(policy, env), env, 2, 0), 30))
    assert seen[-1].steps > 0 or seen[-1].episode == 2


# Videos


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.uint8]]:
    """The frames that are handed to the writer of videos."""
    frames: list[NDArray[np.uint8]] = []

    def keep(path: Path, stream: Iterator[NDArray[np.uint8]], fps: float) -> None:
        del path, fps
        frames.extend(stream)

    monkeypatch.setattr(show, "save_video", keep)
    return frames


def test_a_video_has_a_frame_a_step_and_a_pause_at_each_end(
    saved: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    policy = optimal_policy(registry.make("CliffWalk"))
    watch(policy, "CliffWalk", video=tmp_path / "film.gif", episodes=2, fps=10)
    assert len(saved) == 2 * (14 + 10)  # a start, 13 steps, and a second more of the end
    for episode in (saved[:24], saved[24:]):
        changes = [not np.array_equal(a, b) for a, b in pairwise(episode)]
        assert changes == [True] * 13 + [False] * 10


def test_beside_the_world_stands_what_a_tabular_policy_thinks_of_it(
    saved: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    env = drawable(SMALL)
    policy = optimal_policy(env)
    watch(policy, SMALL, video=tmp_path / "film.gif", episodes=1)
    seen = list(play_frames(greedy(policy, env), env, 1, 0))
    plain = seen[0].picture
    height, width = plain.shape[:2]
    assert saved[0].shape == (height, 2 * width + 8, 3)
    for frame, moment in zip(saved, seen, strict=False):
        np.testing.assert_array_equal(frame[:, :width], moment.picture)
    assert (saved[0][:, width : width + 8] == 255).all()
    thoughts = saved[0][:, width + 8 :]
    assert (thoughts != plain).any(axis=-1).mean() > 0.1  # heat and arrows
    saved.clear()
    watch(random_policy(env), SMALL, video=tmp_path / "film.gif", episodes=1)
    other = saved[0][:, width + 8 :]
    assert (other != thoughts).any()  # another value_overlay


def test_a_world_without_a_drawing_shows_only_its_picture(
    saved: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    pytest.importorskip("pygame")
    env = drawable("CartPole")
    watch(random_policy(env), "CartPole", video=tmp_path / "film.gif", episodes=1)
    assert {frame.shape for frame in saved} == {(400, 600, 3)}
    assert read_value_overlay(greedy(random_policy(env), env), env) is None


def test_a_video_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    policy = optimal_policy(registry.make("CliffWalk"))
    path = tmp_path / "film.webp"
    watch(policy, "CliffWalk", video=path, episodes=1, fps=20)
    with Image.open(path) as film:
        lasts = []
        for n in range(getattr(film, "n_frames", 1)):
            film.seek(n)
            film.load()
            lasts.append(film.info["duration"])
    assert sum(lasts) == (14 + 20) * 50  # milliseconds
    assert lasts[-1] == 21 * 50  # the end stays in sight


def test_an_environment_object_is_shown_and_left_open(
    saved: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    env = drawable("FourRooms?time_limit=5")
    watch(random_policy(env), env, video=tmp_path / "film.gif", episodes=1)
    assert saved
    assert np.asarray(env.render()).ndim == 3


def test_nothing_is_written_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: False)
    with pytest.raises(InputError, match="no terminal to watch in"):
        watch(UniformPolicy(4), "FourRooms", where="terminal", video=tmp_path / "film.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fps": 0}, "fps is 0"),
        ({"fps": float("inf")}, "fps is inf"),
        ({"episodes": 0}, "episodes is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"epsilon": 2}, "epsilon is 2"),
        ({"where": "widow"}, "did you mean window"),
    ],
)
def test_wrong_arguments_are_told(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        watch(UniformPolicy(4), "FourRooms", video=tmp_path / "film.gif", **wrong)
    assert not list(tmp_path.iterdir())


# The keys, and the window


def test_keys_change_the_tempo() -> None:
    playback = Playback(8)
    playback.hear(["+", "x", "up"])
    assert playback.fps == 12
    playback.hear(["-", "-"])
    assert playback.fps == pytest.approx(8 / 1.5)
    playback.hear(["="] * 50)  # the key of +, without shift
    assert playback.fps == 1000
    playback.hear(["-"] * 50)
    assert playback.fps == 0.5
    slow = Playback(0.2)  # asked for: slower than keys would make it
    slow.hear(["-"])
    assert slow.fps == 0.2
    for paused in (True, False):
        playback.hear(["space"])
        assert playback.paused == paused
    for key in ("q", "escape"):
        with pytest.raises(Quit):
            playback.hear([key])


def test_a_window_shows_every_frame_and_heeds_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    from gridcade.envs import window

    shown: list[tuple[NDArray[np.uint8], float]] = []
    pressed = iter([[], ["space"], [], [], ["space"], ["+"], [], ["q"], ["never"]])
    windows: list[Any] = []

    class Scripted(window.Window):
        def __init__(self, title: str, width: int, height: int):
            super().__init__(title, width, height)
            windows.append(self)

        def show(self, picture: NDArray[np.uint8], fps: float) -> None:
            super().show(picture, 1000)
            shown.append((picture, fps))

        def keys(self) -> list[str]:
            return next(pressed)

    monkeypatch.setattr(window, "Window", Scripted)
    watch(optimal_policy(registry.make("CliffWalk")), "CliffWalk", where="window", fps=10)
    same = [np.array_equal(a[0], b[0]) for a, b in pairwise(shown)]
    assert same == [False, True, True, True, False, False, False]  # it stood while paused
    assert [fps for _, fps in shown] == [10] * 6 + [15] * 2
    assert next(pressed) == ["never"]
    assert not pygame.display.get_init()  # it is closed


def test_the_window_of_a_small_screen_is_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    from gridcade.envs import window

    sizes: list[tuple[int, int]] = []

    class Noted(window.Window):
        def __init__(self, title: str, width: int, height: int):
            super().__init__(title, width, height)
            sizes.append((width, height))

        def keys(self) -> list[str]:
            return ["q"]

    monkeypatch.setattr(window, "Window", Noted)
    for name in ("Breakout", "CliffWalk"):
        env = drawable(name)
        watch(UniformPolicy(4), env, where="window")
        env.reset(seed=0)
        height, width = picture(env).shape[:2]
        (last,) = sizes[-1:]
        beside = (2 * width + 8, height)  # the world, and what the policy thinks of it
        assert last == ((480, 630) if name == "Breakout" else beside)
        env.close()


# The terminal


def test_keys_are_heard_where_pictures_take_longer_than_there_is_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And two presses of space are a step: one picture, shown for a step's time."""
    script = iter([[], [], ["-"], ["space"], ["space"], ["space"], [], ["q"]])
    heard: list[tuple[int, bool, list[str]]] = []  # step and pause on the screen, keys

    class Slow:
        """A terminal behind a line that takes 50 ms a picture."""

        def __enter__(self) -> "Slow":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def size(self) -> tuple[int, int]:
            return 80, 24

        def show(self, lines: list[str]) -> None:
            self.shown = int(re.findall(r"step (\d+)", lines[1])[0]), "paused" in lines[1]
            time.sleep(0.05)

        def keys(self, timeout: float) -> list[str]:
            time.sleep(timeout)
            heard.append((*self.shown, next(script)))
            return heard[-1][-1]

    monkeypatch.setattr(show, "TerminalScreen", Slow)
    watch(UniformPolicy(4), "CliffWalk?time_limit=100", where="terminal", fps=50)
    assert [step for step, *_ in heard] == [0, 1, 2, 3, 3, 3, 4, 4]
    assert [paused for _, paused, _ in heard] == [False] * 4 + [True, False, True, True]


def screen(output: str) -> list[str]:
    """The lines on the terminal, after all that was written."""
    lines = [""] * 40
    for row, text in re.findall(r"\x1b\[(\d+);1H([^\r\n]*?)(?=\x1b\[\d+;1H|\x1b\[\?)", output):
        lines[int(row) - 1] = STYLE.sub("", text).replace("\x1b[K", "")
    return lines


class Watched:
    """`gridcade watch` in a terminal of its own."""

    def __init__(self, *words: str, columns: int = 100, rows: int = 30):
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        command = ["-m", "gridcade.cli.main", "watch", *words]
        self.child: Any = pexpect.spawn(
            sys.executable,
            command,
            env=env,
            dimensions=(rows, columns),
            timeout=60,
            encoding="utf-8",
        )
        self.output = ""
        self.times: list[float] = []  # of the reads
        self.statuses: list[str] = []

    def read(self, seconds: float) -> None:
        """Take in what is written for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                self.output += self.child.read_nonblocking(1 << 16, timeout=left)
            except (pexpect.TIMEOUT, pexpect.EOF):
                return
            self.times.append(time.monotonic())
            self.statuses.append(screen(self.output)[1])

    def until(self, pattern: str, seconds: float = 30) -> str:
        """Read until the screen shows a pattern; returns what was found."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if found := re.search(pattern, "\n".join(screen(self.output))):
                return found[0]
            self.read(0.05)
        pytest.fail(f"{pattern!r} was not shown: {screen(self.output)}")

    def press(self, keys: str) -> None:
        self.child.send(keys)

    def end(self) -> int:
        """The exit code, once it has ended."""
        while not self.output.endswith("\x1b[?1049l") and self.child.isalive():
            self.read(0.1)
        self.child.expect(pexpect.EOF, timeout=30)
        self.child.close()
        return int(self.child.exitstatus)


@pytest.fixture
def terminal() -> Iterator[Any]:
    """Start `gridcade watch` in a terminal."""
    started: list[Watched] = []

    def start(*words: str, **size: int) -> Watched:
        started.append(Watched(*words, **size))
        return started[-1]

    yield start
    for watched in started:
        watched.child.close(force=True)


def test_a_terminal_shows_a_policy_and_heeds_keys(terminal: Any) -> None:
    watched = terminal("random", "--env", "FourRooms?time_limit=50", "--fps", "20")
    watched.until("step [5-9] ")
    lines = screen(watched.output)
    assert lines[0] == "random on FourRooms?time_limit=50"
    assert re.match(r"episode 1 of 3   step \d+   return 0", lines[1])
    assert "q quits, space pauses, + and - change the speed (20 a second)" in lines

    watched.press(" ")
    watched.until("paused")
    status = watched.until("step .* paused")
    watched.read(0.4)
    assert screen(watched.output)[1].startswith("episode 1 of 3   " + status)  # it stands still
    watched.press("+")
    watched.until(r"\(30 a second\)")
    watched.press("---")
    watched.until(r"\(8.89 a second\)")
    watched.press("++ ")
    watched.until(r"\(20 a second\)")
    watched.until("step [1-4][0-9] ")
    watched.press("q")
    began = time.monotonic()
    assert watched.end() == 0
    assert time.monotonic() - began < 5
    assert "\x1b[?1049h" in watched.output
    assert watched.output.rstrip().endswith("\x1b[?1049l")  # the terminal is as it was
    assert "\x1b[?25h" in watched.output


def test_a_terminal_shows_steps_at_a_steady_rate(terminal: Any) -> None:
    watched = terminal("random", "--env", "FourRooms?time_limit=500", "--fps", "25")
    watched.until("step 4[0-9] ")
    seen: dict[int, float] = {}  # step -> clock
    for moment, status in zip(watched.times, watched.statuses, strict=True):
        if found := re.search(r"step (\d+)", status):
            seen.setdefault(int(found[1]), moment)
    stretches = [(seen[n + 15] - seen[n]) / 15 for n in range(2, 25) if {n, n + 15} <= set(seen)]
    assert len(stretches) > 10
    assert min(stretches) < 1.15 / 25  # a busy machine may be slower
    assert np.median(stretches) > 0.85 / 25
    watched.press("\x1b")
    assert watched.end() == 0


def test_values_and_arrows_stand_beside_the_world(terminal: Any) -> None:
    watched = terminal("optimal", "--env", SMALL, "--fps", "4", columns=120, rows=40)
    watched.until("step [1-3] ")
    watched.press(" ")
    watched.until("paused")
    watched.read(0.3)  # the whole picture
    env = registry.make(SMALL).unwrapped
    assert isinstance(env, GridWorld)
    solution = solver.solve(env.model, "return")
    lines = screen(watched.output)
    right = [line[61:] for line in lines[3:]]
    assert "▀" in "".join(line[:58] for line in lines)
    assert "▀" not in "".join(right[:9])
    for (row, column), value, best in zip(
        env.places.tolist(), solution.values, solution.policy.argmax(axis=1), strict=True
    ):
        cell = [line[7 * column :][:7] for line in right[3 * row :][:3]]
        if env.world.cell(row, column).end:
            continue
        assert cell[1].strip() in ("↑→↓←"[best], "@")
        assert cell[2].strip() == f"{value:.2f}"
    assert sum(line.count("@") for line in right) == 1
    watched.press("q")
    assert watched.end() == 0


def test_a_world_without_a_drawing_is_shown_as_its_picture(terminal: Any) -> None:
    pytest.importorskip("pygame")
    watched = terminal("random", "--env", "CartPole", "--episodes", "1", "--fps", "20")
    watched.until("step [2-9] ")
    body = screen(watched.output)[3:29]
    assert set("".join(body)) == {" ", "▀"}
    assert max(len(line.rstrip()) for line in body) <= 100
    assert watched.end() == 0  # after one episode, by itself


def test_a_panel_fits_every_terminal() -> None:
    env = drawable("FourRooms")
    env.reset(seed=0)
    value_overlay = read_value_overlay(greedy(optimal_policy(env), env), env)
    picture = np.asarray(env.render(), np.uint8)
    for columns, rows in ((10, 3), (40, 10), (80, 20), (120, 36), (300, 100)):
        for thoughts in (value_overlay, None):
            lines = panel(picture, (1, 1), env, thoughts, columns, rows)
            assert len(lines) <= rows
            assert all(len(STYLE.sub("", line)) <= columns for line in lines)
