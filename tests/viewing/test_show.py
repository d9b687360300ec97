"""Watching a policy: in a terminal, in a window and as a video."""

import os
import re
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pexpect
import pytest
from numpy.typing import NDArray
from PIL import Image
from screens import Screen, ScriptedScreen

from gridcade.envs import registry
from gridcade.envs.gridworld import GridWorld
from gridcade.errors import InputError
from gridcade.evaluation.policies import UniformPolicy, optimal_policy, random_policy
from gridcade.exact import solver
from gridcade.recording.frames import make_rgb_env
from gridcade.viewing import playback, viewers
from gridcade.viewing.show import watch

SMALL = "RussellNorvig4x3"


# Videos


def test_video_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    policy = optimal_policy(registry.make("CliffWalk"))
    path = tmp_path / "film.webp"
    watch(policy, "CliffWalk", video=path, episodes=1, fps=20)
    with Image.open(path) as film:
        durations = []
        for n in range(getattr(film, "n_frames", 1)):
            film.seek(n)
            film.load()
            durations.append(film.info["duration"])
    assert sum(durations) == (14 + 20) * 50  # milliseconds
    assert durations[-1] == 21 * 50  # the end is shown for another second


def test_environment_object_is_shown_and_stays_open(tmp_path: Path) -> None:
    env = make_rgb_env("FourRooms?time_limit=5")
    watch(random_policy(env), env, video=tmp_path / "film.gif", episodes=1)
    assert (tmp_path / "film.gif").stat().st_size
    assert np.asarray(env.render()).ndim == 3


def test_no_video_is_written_if_the_terminal_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no terminal to watch in"):
        watch(UniformPolicy(4), "FourRooms", where="terminal", video=tmp_path / "film.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fps": 0}, "fps is 0"),
        ({"fps": float("inf")}, "fps is inf"),
        ({"episodes": 0}, "episodes is 0; it must be 1 or more"),
        ({"seed": -1}, "seed is -1"),
        ({"epsilon": 2}, "epsilon is 2"),
        ({"where": "widow"}, "did you mean window"),
    ],
)
def test_wrong_options_are_errors(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        watch(UniformPolicy(4), "FourRooms", video=tmp_path / "film.gif", **wrong)
    assert not list(tmp_path.iterdir())


def test_the_score_of_each_episode_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the terminal up to the interrupted episode; a video shows all of them."""
    policy = optimal_policy(registry.make("CliffWalk"))
    screen = TimedScreen([*[[]] * 80, ["q"]])
    watch_scripted(screen, monkeypatch, policy, "CliffWalk", fps=20)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "episode 1: return -13 in 13 steps, terminated"
    assert re.fullmatch(r"episode 2: return -\d in \d steps, interrupted", second)
    watch(policy, "CliffWalk", video=tmp_path / "film.gif", episodes=2)
    assert capsys.readouterr().out.splitlines() == [
        first,
        first.replace("1:", "2:"),
        f"video: {tmp_path / 'film.gif'}",
    ]


# Windows


def test_window_shows_every_frame_and_handles_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    from gridcade.envs import window

    shown: list[tuple[NDArray[np.uint8], float]] = []
    pressed = iter([[], ["space"], [], [], ["space"], ["+"], [], ["q"], ["never"]])

    class Scripted(window.Window):
        def show(self, picture: NDArray[np.uint8], fps: float) -> None:
            super().show(picture, 1000)
            shown.append((picture, fps))

        def keys(self) -> list[str]:
            return next(pressed)

    monkeypatch.setattr(window, "Window", Scripted)
    watch(optimal_policy(registry.make("CliffWalk")), "CliffWalk", where="window", fps=10)
    same = [np.array_equal(a[0], b[0]) for a, b in pairwise(shown)]
    assert same == [False, True, True, True, False, False, False]  # still while paused
    assert [fps for _, fps in shown] == [10] * 6 + [15] * 2
    assert next(pressed) == ["never"]
    assert not pygame.display.get_init()  # it is closed


class Picture(gym.Wrapper[Any, Any, Any, Any]):
    """An environment with a picture of another size."""

    def __init__(self, env: gym.Env[Any, Any], height: int, width: int):
        super().__init__(env)
        self.picture = np.zeros((height, width, 3), np.uint8)

    def render(self) -> Any:
        return self.picture


@pytest.mark.parametrize(
    ("height", "width", "window_size"), [(210, 160, (480, 630)), (500, 700, (700, 500))]
)
def test_window_enlarges_a_small_picture(
    height: int, width: int, window_size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pygame")
    from gridcade.envs import window

    sizes: list[tuple[int, int]] = []

    class Quitting(window.Window):
        def __init__(self, title: str, width: int, height: int):
            super().__init__(title, width, height)
            sizes.append((width, height))

        def keys(self) -> list[str]:
            return ["q"]

    monkeypatch.setattr(window, "Window", Quitting)
    env = Picture(make_rgb_env("Blackjack"), height, width)
    watch(UniformPolicy(2, observation_space=env.observation_space), env, where="window")
    assert sizes == [window_size]


# Terminals


class TimedScreen(ScriptedScreen):
    """A screen with a clock, which only drawing and waiting for keys advance.

    Args:
        batches: the keys that each call of `keys` returns.
        drawing: seconds that drawing takes.
    """

    def __init__(self, batches: Any = (), drawing: float = 0.0):
        super().__init__(batches)
        self.drawing = drawing
        self.now = 100.0
        self.changes: list[tuple[float, str]] = []  # clock, status line

    def monotonic(self) -> float:
        return self.now

    def show(self, lines: list[str]) -> None:
        self.now += self.drawing
        if not self.shown or lines[1] != self.shown[-1][1]:
            self.changes.append((self.now, lines[1]))
        super().show(lines)

    def keys(self, timeout: float = 0.0) -> list[str]:
        self.now += timeout
        return super().keys(timeout)


def watch_scripted(
    screen: TimedScreen, monkeypatch: pytest.MonkeyPatch, policy: Any, env: str, **options: Any
) -> None:
    monkeypatch.setattr(viewers, "TerminalScreen", screen)
    monkeypatch.setattr(viewers, "time", screen)
    monkeypatch.setattr(playback, "time", screen)
    watch(policy, env, name="tester", where="terminal", **options)


def test_terminal_shows_steps_at_a_steady_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = TimedScreen(drawing=0.01)
    policy = optimal_policy(registry.make("CliffWalk"))
    watch_scripted(screen, monkeypatch, policy, "CliffWalk", fps=20, episodes=2)
    assert [status for _, status in screen.changes] == [
        f"episode {episode} of 2   step {step}   return {-step}   "
        + ("terminated" if step == 13 else "")
        for episode in (1, 2)
        for step in range(14)
    ]
    times = np.diff([moment for moment, _ in screen.changes])
    np.testing.assert_allclose(times[:13], 0.05)
    np.testing.assert_allclose(times[14:], 0.05)
    assert 1 <= times[13] < 1.1  # the end of the first episode is shown for a second
    assert screen.shown[0][0] == "tester on CliffWalk"
    assert screen.shown[0][-1] == "q quits, space pauses, + and - change the speed (20 steps/s)"


def test_keys_change_the_speed_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = TimedScreen([[], [], ["+"], [], [], [], ["q"]])
    watch_scripted(screen, monkeypatch, UniformPolicy(4), "CliffWalk?time_limit=100", fps=10)
    assert "(15 steps/s)" in screen.shown[-1][-1]
    times = np.diff([moment for moment, _ in screen.changes])
    assert times[0] == pytest.approx(1 / 10)
    assert times[-1] == pytest.approx(1 / 15)


def test_keys_are_read_even_if_drawing_takes_longer_than_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pressing space twice while paused shows the next frame."""
    screen = TimedScreen([[], [], ["-"], ["space"], ["space"], ["space"], [], ["q"]], drawing=0.05)
    read: list[tuple[int, bool]] = []
    keys = screen.keys

    def read_keys(timeout: float = 0.0) -> list[str]:
        status = screen.shown[-1][1]
        read.append((int(re.findall(r"step (\d+)", status)[0]), "paused" in status))
        return keys(timeout)

    monkeypatch.setattr(screen, "keys", read_keys)
    watch_scripted(screen, monkeypatch, UniformPolicy(4), "CliffWalk?time_limit=100", fps=50)
    assert [step for step, _ in read] == [0, 1, 2, 3, 3, 3, 4, 4]
    assert [paused for _, paused in read] == [False] * 4 + [True, False, True, True]


class Watched:
    """`gridcade watch` in a pseudo-terminal."""

    def __init__(self, *words: str, columns: int, rows: int):
        self.child: Any = pexpect.spawn(
            sys.executable,
            ["-m", "gridcade.cli.main", "watch", *words],
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            dimensions=(rows, columns),
            timeout=250,
            encoding="utf-8",
        )
        self.screen = Screen(columns, rows)
        self.unread = ""

    def read(self, timeout: float) -> None:
        """Read what is written, up to the last complete update of the screen."""
        try:
            self.unread += self.child.read_nonblocking(1 << 16, timeout=timeout)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        updates, end, self.unread = self.unread.rpartition("\x1b[?2026l")
        self.screen.write(updates.replace("\r\n", "") + end)

    def wait_for(self, pattern: str) -> str:
        """Read until the screen shows a pattern; return the text that matches."""
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            if match := re.search(pattern, "\n".join(self.screen.text())):
                return match[0]
            self.read(1)
        pytest.fail(f"{pattern!r} was not shown: {self.screen.text()}")


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched("optimal", "--env", SMALL, "--fps", "4", columns=120, rows=40)
    yield watched
    watched.child.close(force=True)


def test_watch_command_shows_a_policy_handles_keys_and_resizes(watched: Watched) -> None:
    watched.wait_for(r"step [1-9]\d*   return")
    watched.child.send(" ")
    watched.wait_for("step .* paused")
    lines = watched.screen.text()
    assert lines[0].rstrip() == f"optimal on {SMALL}"
    legend = "\n".join(line.rstrip() for line in lines)
    assert " @  agent       wall    N  end, reward -1    P  goal       start\n" in legend
    assert re.search(r"value 0.3879 {12}0.9178   → likeliest move", legend)
    env = registry.make(SMALL).unwrapped
    assert isinstance(env, GridWorld)
    solution = solver.solve(env.model, "return")
    panel = [line[61:] for line in lines[3:]]
    assert "▀" in "".join(line[:58] for line in lines)
    assert "▀" not in "".join(panel[:9])
    assert sum(line.count("@") for line in panel) == 1
    for (row, column), value, best in zip(
        env.places.tolist(), solution.values, solution.policy.argmax(axis=1), strict=True
    ):
        cell = [line[7 * column :][:7] for line in panel[3 * row :][:3]]
        if env.world.cell(row, column).end:
            continue
        assert cell[1].strip() in ("↑→↓←"[best], "@")
        assert cell[2].strip() == f"{value:.2f}"

    watched.child.setwinsize(20, 50)  # while paused
    watched.screen = Screen(50, 20)
    watched.wait_for("step .* paused")
    assert any("@" in line for line in watched.screen.text())
    watched.child.send("q")
    watched.child.expect(pexpect.EOF)
    printed = watched.child.before.rpartition("\x1b[?1049l")[2]  # on the ordinary screen
    assert re.search(r"^episode \d: return -?[\d.]+ in \d+ steps, interrupted\r\n$", printed, re.M)
    watched.child.close()
    assert watched.child.exitstatus == 0
