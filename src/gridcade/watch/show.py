"""Watching a policy: its play_frames, one a step, in a terminal, a window or a video."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Policy
from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError, unknown
from gridcade.evaluation.evaluate import Actor
from gridcade.evaluation.policies import Quit
from gridcade.recording.frames import (
    DEFAULT_FPS,
    END_PAUSE,
    Frame,
    drawable,
    play_frames,
    read_value_overlay,
    with_overlay,
)
from gridcade.recording.video import check_video, save_video
from gridcade.seeding import check_seed
from gridcade.watch.terminal import (
    Pace,
    TerminalScreen,
    arrow_panel,
    colour_depth,
    half_blocks,
    side_by_side,
)

Env = gym.Env[Any, Any]
SLOWEST, FASTEST = 0.5, 1000.0  # steps a second; keys make it no slower than that
FASTER = 1.5
REDRAW = 0.1  # seconds between two pictures while paused: the terminal may change its size
PLACES = ("terminal", "window")
LEAST_WINDOW = 640  # pixels, about, of the longer side


class Playback:
    """Steps a second, and the keys that govern them.

    Args:
        fps: at first.
    """

    def __init__(self, fps: float):
        self.fps = fps
        self.paused = False

    def hear(self, keys: Iterable[str]) -> None:
        """Heed keys.

        Raises:
            Quit: by `q` or `escape`.
        """
        for key in keys:
            if key in ("q", "escape"):
                raise Quit
            self.paused ^= key == "space"
            if key in "+=-":
                wanted = self.fps * (1 / FASTER if key == "-" else FASTER)
                self.fps = min(max(wanted, min(self.fps, SLOWEST)), FASTEST)


def watch(
    policy: Policy,
    env: str | Env,
    *,
    name: str = "",
    where: str | None = None,
    video: Path | None = None,
    fps: float | None = None,
    episodes: int = 3,
    seed: int = 0,
    epsilon: float | None = None,
) -> None:
    """Show episodes of a policy.

    Args:
        policy: anything that predicts.
        env: a name, or an environment made with render_mode="rgb_array".
        name: of the policy, for the eye.
        where: `terminal` or `window`; None: the terminal, unless a video is asked for.
        video: a file to write, .mp4, .webp or .gif.
        fps: steps a second; None: the environment's own.
        episodes: how many.
        seed: of the episodes.
        epsilon: probability of a random action; None: as `gridcade.evaluation.evaluate.measure` has it.

    Raises:
        InputError: an argument out of its range, no terminal or screen to show it on, or a video
            that cannot be written.
    """
    check_seed(seed)
    if episodes < 1:
        raise InputError(f"episodes is {episodes}; it takes 1 or more")
    if where is not None and where not in PLACES:
        raise unknown("place to watch in", where, PLACES)
    if video is not None:
        check_video(video, fps)
    shown = drawable(env) if isinstance(env, str) else env
    title = env if isinstance(env, str) else (env.spec.id if env.spec else "")
    fps = fps if fps is not None else float(shown.metadata.get("render_fps") or DEFAULT_FPS)
    if not 0 < fps <= FASTEST:
        raise InputError(f"fps is {fps}; it takes more than 0 and {FASTEST:g} at most")
    actor = Actor(policy, shown, epsilon, deterministic=True)
    value_overlay = read_value_overlay(actor, shown)
    try:
        seen = play_frames(actor, shown, episodes, seed)
        if where == "window":
            _in_window(seen, shown, value_overlay, title, fps)
        elif where == "terminal" or video is None:
            _in_terminal(seen, shown, value_overlay, f"{name} on {title}", fps, episodes)
        if video is not None:  # last: nothing is written where there is no screen
            seen = play_frames(actor, shown, episodes, seed)
            save_video(video, with_overlay(seen, shown, value_overlay, fps), fps)
            print(f"video: {video}")
    finally:
        if isinstance(env, str):
            shown.close()


def panel(
    picture: NDArray[np.uint8],
    place: tuple[int, int] | None,
    env: Env,
    value_overlay: Overlay | None,
    columns: int,
    rows: int,
) -> list[str]:
    """The picture as lines of text, and beside it what a tabular policy thinks."""
    depth = colour_depth(sys.stdout)
    world = env.unwrapped
    if value_overlay is None or not isinstance(world, TabularEnv):
        return half_blocks(picture, columns, rows, depth)
    half = (columns - 3) // 2
    thoughts = arrow_panel(
        world.world,
        world.places,
        value_overlay.values,
        value_overlay.policy,
        world.moves,
        place,
        half,
        rows,
        depth,
    )
    return side_by_side(half_blocks(picture, half, rows, depth), thoughts, 3)


def _in_terminal(
    seen: Iterator[Frame],
    env: Env,
    value_overlay: Overlay | None,
    heading: str,
    fps: float,
    episodes: int,
) -> None:
    first = next(seen)
    playback, pace = Playback(fps), Pace(fps)
    with suppress(Quit), TerminalScreen() as screen:

        def show(frame: Frame) -> None:
            columns, rows = screen.size()
            state = "paused" if playback.paused else frame.end
            status = (
                f"episode {frame.episode} of {episodes}   step {frame.steps}   "
                f"return {frame.total:.6g}   {state}"
            )
            keys = f"q quits, space pauses, + and - change the speed ({playback.fps:.3g} a second)"
            body = panel(frame.picture, frame.place, env, value_overlay, columns, rows - 4)
            lines = [heading[:columns], status[:columns], "", *body]
            screen.show([*lines[: rows - 1], keys[:columns]])

        def listen(seconds: float) -> None:
            playback.hear(screen.keys(seconds))
            pace.interval = 1 / playback.fps

        for frame in chain([first], seen):
            until = time.monotonic() + (END_PAUSE if frame.end else 0)
            while True:
                show(frame)
                pace.wait(listen)
                listen(0)  # where no time was left to wait
                if playback.paused:
                    while playback.paused:
                        show(frame)
                        listen(REDRAW)
                    show(frame)
                    pace = Pace(playback.fps)
                    pace.wait(listen)  # so that space, pressed twice, is a step
                if time.monotonic() >= until:
                    break


def _in_window(
    seen: Iterator[Frame], env: Env, value_overlay: Overlay | None, title: str, fps: float
) -> None:
    from gridcade.envs.window import Window

    pictures = with_overlay(seen, env, value_overlay, fps)
    first = next(pictures)
    times = max(1, LEAST_WINDOW // max(first.shape[:2]))  # a game's screen is small
    window, playback = Window(title, times * first.shape[1], times * first.shape[0]), Playback(fps)
    try:
        for shown in chain([first], pictures):
            while True:
                window.show(shown, playback.fps)
                playback.hear(window.keys())
                if not playback.paused:
                    break
    except Quit:
        pass
    finally:
        window.close()
