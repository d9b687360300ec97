"""Watching a policy: its moments, one a decision, in a terminal, a window or a video."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray

from gridcade.envs import lookup
from gridcade.envs.drawing import Overlay
from gridcade.envs.gridworld import TabularEnv
from gridcade.errors import InputError, unknown
from gridcade.evaluation import Actor
from gridcade.exact import policy_table
from gridcade.policy import Policy, Quit, state_values
from gridcade.streams import check_seed, episode_seed, episode_stream
from gridcade.watch.terminal import (
    Pace,
    TerminalScreen,
    arrow_panel,
    colour_depth,
    half_blocks,
    side_by_side,
)
from gridcade.watch.video import check_video, save_video

Env = gym.Env[Any, Any]
DEFAULT_FPS = 8.0
SLOWEST, FASTEST = 0.5, 1000.0  # decisions a second; keys make it no slower than that
ENDLESS = 500  # decisions that count as an episode, where a task never ends
END_PAUSE = 1.0  # seconds that the end of an episode stays in sight
FASTER = 1.5
REDRAW = 0.1  # seconds between two pictures while paused: the terminal may change its size
PLACES = ("terminal", "window")
LEAST_WINDOW = 640  # pixels, about, of the longer side


@dataclass(frozen=True)
class Moment:
    """What there is to see after a decision, or after a reset."""

    picture: NDArray[np.uint8]  # [height, width, 3]
    place: tuple[int, int] | None  # row and column of the agent, in a drawn world
    episode: int  # from 1
    decisions: int  # of this episode
    total: float  # its return so far
    end: str  # "", "ended", "cut by the time limit", "cut after 500 decisions"


class Tempo:
    """Decisions a second, and the keys that govern them.

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


def moments(actor: Actor, env: Env, episodes: int, seed: int) -> Iterator[Moment]:
    """Episode after episode, a moment a decision."""
    longest = lookup.time_limit(env) or ENDLESS
    for episode in range(episodes):
        chosen = episode_seed(seed, "watching", 0, episode)
        rngs = [episode_stream(chosen)]
        observation, _ = env.reset(seed=chosen)
        decisions, total, end = 0, 0.0, ""
        yield Moment(picture(env), _place(env), episode + 1, 0, 0.0, end)
        while not end:
            action = actor.act(_alone(env, observation), np.array([decisions == 0]), rngs)[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            decisions += 1
            total += float(reward)
            if terminated:
                end = "ended"
            elif truncated:
                end = "cut by the time limit"
            elif decisions >= longest:
                end = f"cut after {longest} decisions"
            yield Moment(picture(env), _place(env), episode + 1, decisions, total, end)


def _alone(env: Env, observation: Any) -> Any:
    """A batch of one observation."""
    space = env.observation_space
    empty: Any = create_empty_array(space, 1)
    return concatenate(space, [observation], empty)


def picture(env: Env) -> NDArray[np.uint8]:
    """The environment's picture; InputError, with what to install, where it cannot be drawn."""
    try:
        return np.asarray(env.render(), dtype=np.uint8)
    except DependencyNotInstalled as error:
        raise InputError(f"this environment's picture needs more: {error}") from None


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
        fps: decisions a second; None: the environment's own.
        episodes: how many.
        seed: of the episodes.
        epsilon: probability of a random action; None: as `gridcade.evaluation.measure` has it.

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
    mind = read_mind(actor, shown)
    try:
        seen = moments(actor, shown, episodes, seed)
        if where == "window":
            _in_window(seen, shown, mind, title, fps)
        elif where == "terminal" or video is None:
            _in_terminal(seen, shown, mind, f"{name} on {title}", fps, episodes)
        if video is not None:  # last: nothing is written where there is no screen
            seen = moments(actor, shown, episodes, seed)
            save_video(video, _frames(seen, shown, mind, fps), fps)
            print(f"video: {video}")
    finally:
        if isinstance(env, str):
            shown.close()


def drawable(name: str) -> Env:
    """An environment that draws itself; InputError where it cannot."""
    env = lookup.make(name, render_mode="rgb_array")
    if env.render_mode != "rgb_array":
        raise InputError(f"{name} has no picture to show")
    return env


def read_mind(actor: Actor, env: Env) -> Overlay | None:
    """Values and probabilities by state, where the world is drawn and the policy can tell them."""
    world = env.unwrapped
    if not isinstance(world, TabularEnv):
        return None
    table = policy_table(actor.policy, env, world.model)
    return None if table is None else Overlay(state_values(actor.policy), table)


def panel(
    picture: NDArray[np.uint8],
    place: tuple[int, int] | None,
    env: Env,
    mind: Overlay | None,
    columns: int,
    rows: int,
) -> list[str]:
    """The picture as lines of text, and beside it what a tabular policy thinks."""
    depth = colour_depth(sys.stdout)
    world = env.unwrapped
    if mind is None or not isinstance(world, TabularEnv):
        return half_blocks(picture, columns, rows, depth)
    half = (columns - 3) // 2
    thoughts = arrow_panel(
        world.world,
        world.places,
        mind.values,
        mind.policy,
        world.moves,
        place,
        half,
        rows,
        depth,
    )
    return side_by_side(half_blocks(picture, half, rows, depth), thoughts, 3)


def _in_terminal(
    seen: Iterator[Moment], env: Env, mind: Overlay | None, heading: str, fps: float, episodes: int
) -> None:
    first = next(seen)
    tempo, pace = Tempo(fps), Pace(fps)
    with suppress(Quit), TerminalScreen() as screen:

        def show(moment: Moment) -> None:
            columns, rows = screen.size()
            state = "paused" if tempo.paused else moment.end
            status = (
                f"episode {moment.episode} of {episodes}   decision {moment.decisions}   "
                f"return {moment.total:.6g}   {state}"
            )
            keys = f"q quits, space pauses, + and - change the speed ({tempo.fps:.3g} a second)"
            body = panel(moment.picture, moment.place, env, mind, columns, rows - 4)
            lines = [heading[:columns], status[:columns], "", *body]
            screen.show([*lines[: rows - 1], keys[:columns]])

        def listen(seconds: float) -> None:
            tempo.hear(screen.keys(seconds))
            pace.interval = 1 / tempo.fps

        for moment in chain([first], seen):
            until = time.monotonic() + (END_PAUSE if moment.end else 0)
            while True:
                show(moment)
                pace.wait(listen)
                listen(0)  # where no time was left to wait
                if tempo.paused:
                    while tempo.paused:
                        show(moment)
                        listen(REDRAW)
                    show(moment)
                    pace = Pace(tempo.fps)
                    pace.wait(listen)  # so that space, pressed twice, is a step
                if time.monotonic() >= until:
                    break


def _in_window(
    seen: Iterator[Moment], env: Env, mind: Overlay | None, title: str, fps: float
) -> None:
    from gridcade.envs.window import Window

    frames = _frames(seen, env, mind, fps)
    first = next(frames)
    times = max(1, LEAST_WINDOW // max(first.shape[:2]))  # a game's screen is small
    window, tempo = Window(title, times * first.shape[1], times * first.shape[0]), Tempo(fps)
    try:
        for frame in chain([first], frames):
            while True:
                window.show(frame, tempo.fps)
                tempo.hear(window.keys())
                if not tempo.paused:
                    break
    except Quit:
        pass
    finally:
        window.close()


def _frames(
    seen: Iterator[Moment], env: Env, mind: Overlay | None, fps: float
) -> Iterator[NDArray[np.uint8]]:
    """Pictures, with what a tabular policy thinks beside them; ends stay in sight for a while."""
    world = env.unwrapped
    for moment in seen:
        frame = moment.picture
        if mind is not None and isinstance(world, TabularEnv):
            world.overlay = mind
            thoughts = picture(env)
            world.overlay = None
            gap = np.full((frame.shape[0], 8, 3), 255, dtype=np.uint8)
            frame = np.concatenate([frame, gap, thoughts], axis=1)
        for _ in range(1 + round(END_PAUSE * fps) if moment.end else 1):
            yield frame


def _place(env: Env) -> tuple[int, int] | None:
    world = env.unwrapped
    if not isinstance(world, TabularEnv):
        return None
    row, column = world.places[world.state]
    return int(row), int(column)
