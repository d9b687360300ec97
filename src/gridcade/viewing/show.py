"""Watching a policy: its episodes in a terminal, in a window or as a video."""

from functools import partial
from pathlib import Path
from typing import Literal, TypedDict, Unpack, get_args

from gridcade.agents.base import Policy
from gridcade.envs.objects import EnvLike
from gridcade.envs.registry import label_of
from gridcade.errors import InputError, unknown
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.experience.pool import EnvPool
from gridcade.recording.frames import (
    DEFAULT_FPS,
    Frame,
    make_rgb_env,
    overlay_pictures,
    play_frames,
    read_value_overlay,
)
from gridcade.recording.video import check_video, save_video
from gridcade.seeding import check_seed
from gridcade.viewing.playback import Playback
from gridcade.viewing.viewers import (
    Presentation,
    episode_text,
    remember,
    show_in_terminal,
    show_in_window,
)

Place = Literal["terminal", "window"]
DEFAULT_EPISODES = 3


class WatchOptions(TypedDict, total=False):
    """How a policy is shown. A key that is missing or None has its default."""

    where: Place | None
    """Where to show the policy. Default: the terminal, unless a video is written."""
    video: str | Path | None
    """Video file to write: .mp4, .webp or .gif. Default: no video."""
    fps: float | None
    """Speed in steps per second. Default: the environment's own speed."""
    episodes: int
    """Number of episodes to show. Default: 3."""
    seed: int
    """Random seed of the episodes (0 or greater). Default: 0."""
    epsilon: float | None
    """Probability of a random action at each step. Default: 0, and 0.05 in Atari games."""


def watch(
    policy: Policy,
    env: EnvLike,
    *,
    name: str = "",
    env_name: str = "",
    **options: Unpack[WatchOptions],
) -> None:
    """Show episodes of a policy, and print what each one scored.

    Args:
        policy: the policy to show.
        env: the environment's name; or an environment with render_mode="rgb_array", which stays
            open, or a function that makes one.
        name: the policy's name, for the title.
        env_name: the environment's name, for the title. Default: the name in `env`.
        **options: see `WatchOptions`.

    Raises:
        InputError: an option is out of range, there is no terminal or screen, or the video cannot
            be written.
    """
    where, video, fps = options.get("where"), options.get("video"), options.get("fps")
    episodes, seed = options.get("episodes", DEFAULT_EPISODES), options.get("seed", 0)
    check_seed(seed)
    if episodes < 1:
        raise InputError(f"episodes is {episodes}; it must be 1 or more")
    if where is not None and where not in get_args(Place):
        raise unknown("place to watch in", where, get_args(Place))
    if video is not None:
        check_video(video, fps)
    pool = EnvPool(partial(make_rgb_env, env) if isinstance(env, str) else env)
    shown = pool.first
    env_name = env_name or (env if isinstance(env, str) else label_of(shown))
    title = f"{name} on {env_name}" if name else env_name
    try:
        fps = fps if fps is not None else float(shown.metadata.get("render_fps") or DEFAULT_FPS)
        playback = Playback(fps)
        actor = EvaluatedPolicy(policy, shown, options.get("epsilon"), deterministic=True)
        value_overlay = read_value_overlay(actor, shown)
        show = Presentation(shown, value_overlay, title, episodes)
        seen: dict[int, Frame] = {}  # the latest frame of each episode
        frames = remember(play_frames(actor, shown, episodes, seed), seen)
        if where == "window":
            show_in_window(frames, show, playback)
        elif where == "terminal" or video is None:
            show_in_terminal(frames, show, playback)
        if video is not None:  # last, so that nothing is written where there is no screen
            frames = remember(play_frames(actor, shown, episodes, seed), seen)
            save_video(video, overlay_pictures(frames, shown, value_overlay, fps), fps)
        for number, last in seen.items():
            print(episode_text(number, last.steps, last.episode_return, last.end))
        if video is not None:
            print(f"video: {video}")
    finally:
        pool.close()
