"""Shows episodes of a policy in a terminal, in a window or as a video."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    Frame,
    frame_rate,
    make_rgb_env,
    overlay_pictures,
    play_frames,
    read_value_overlay,
)
from gridcade.recording.pictures import Picture
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
    """Options of `watch`. A key that is missing or None has its default."""

    where: Place | None
    """Where to show the policy. Default: the terminal, unless a video is written."""
    video: str | Path | None
    """Video file to write: .mp4, .webp or .gif. Default: no video."""
    fps: float | None
    """Speed in steps per second. Default: the environment's own speed."""
    episodes: int | None
    """Number of episodes to show. Default: 3."""
    seed: int | None
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
    where, video = options.get("where"), options.get("video")
    if where is not None and where not in get_args(Place):
        raise unknown("place to watch in", where, get_args(Place))
    if video is not None:
        check_video(video, options.get("fps"))
    with open_show(policy, env, name, env_name, **options) as show:
        playback = Playback(show.fps)
        if where == "window":
            show_in_window(show.frames(), show.presentation, playback)
        elif where == "terminal" or video is None:
            title = show.presentation.title
            show_in_terminal(show.frames(), title, show.presentation.draw, playback)
        if video is not None:  # last, so that nothing is written if there is no screen
            save_video(video, show.pictures(), show.fps)
        for line in show.scores():
            print(line)
        if video is not None:
            print(f"video: {video}")


@dataclass(frozen=True)
class Show:
    """Episodes of a policy, which are played whenever their frames are read."""

    presentation: Presentation
    actor: EvaluatedPolicy
    fps: float  # steps per second
    seed: int
    seen: dict[int, Frame]  # number of an episode -> its latest frame

    def frames(self) -> Iterator[Frame]:
        """Play the episodes, and yield their frames."""
        env, episodes = self.presentation.env, self.presentation.episodes
        return remember(play_frames(self.actor, env, episodes, self.seed), self.seen)

    def pictures(self) -> Iterator[Picture]:
        """Play the episodes, and yield the pictures of a video."""
        env, value_overlay = self.presentation.env, self.presentation.value_overlay
        return overlay_pictures(self.frames(), env, value_overlay, self.fps)

    def scores(self) -> list[str]:
        """Return a line with the score of each episode that was shown."""
        return [
            episode_text(number, last.steps, last.episode_return, last.end)
            for number, last in self.seen.items()
        ]


@contextmanager
def open_show(
    policy: Policy, env: EnvLike, name: str, env_name: str, **options: Unpack[WatchOptions]
) -> Iterator[Show]:
    """Prepare to show episodes; see `watch`."""
    fps, given = options.get("fps"), options.get("episodes")
    episodes = DEFAULT_EPISODES if given is None else given
    seed = options.get("seed") or 0
    check_seed(seed)
    if episodes < 1:
        raise InputError(f"episodes is {episodes}; it must be 1 or more")
    pool = EnvPool(partial(make_rgb_env, env) if isinstance(env, str) else env)
    shown = pool.first
    env_name = env_name or (env if isinstance(env, str) else label_of(shown))
    title = f"{name} on {env_name}" if name else env_name
    try:
        fps = fps if fps is not None else frame_rate(shown)
        actor = EvaluatedPolicy(policy, shown, options.get("epsilon"), deterministic=True)
        value_overlay = read_value_overlay(actor, shown)
        presentation = Presentation(shown, value_overlay, title, episodes)
        yield Show(presentation, actor, fps, seed, {})
    finally:
        pool.close()
