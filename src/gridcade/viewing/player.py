"""Episodes of a policy as a video in a notebook, with controls."""

import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TypedDict, Unpack
from zlib import crc32

from markupsafe import Markup

from gridcade.agents.base import Policy
from gridcade.envs.objects import EnvLike
from gridcade.notebook import box, data_uri, parts_html
from gridcade.recording.video import check_video, save_video
from gridcade.viewing.show import open_show

CONTROLS = 48  # pixels below the pictures
MIN_WIDTH = 320  # pixels; a narrower video, such as an Atari game, is enlarged


class ShowOptions(TypedDict, total=False):
    """Options of `show`. A key that is missing or None has its default."""

    fps: float | None
    """Speed in steps per second. Default: the environment's own speed."""
    episodes: int | None
    """Number of episodes to show. Default: 1."""
    seed: int | None
    """Random seed of the episodes (0 or greater). Default: 0."""
    epsilon: float | None
    """Probability of a random action at each step. Default: 0, and 0.05 in Atari games."""


@dataclass(frozen=True, repr=False)
class Player:
    """A video of episodes, which a notebook shows with controls.

    Attributes:
        title: the names of the policy and the environment.
        scores: a line for each episode.
        video: the file: H.264 in MP4, or, without PyAV, animated WebP, to which a script adds
            controls if the notebook lets scripts run.
        kind: the media type of the video.
        size: height and width of the pictures, in pixels.
    """

    title: str
    scores: tuple[str, ...]
    video: bytes
    kind: str
    size: tuple[int, int]

    def __repr__(self) -> str:
        return "\n".join([self.title, *self.scores, "a notebook shows this as a video"])

    def _repr_html_(self) -> str:
        """Return the video and the score of each episode, as HTML."""
        height, width = self.size
        shown = max(width, MIN_WIDTH)
        style = f"display: block; width: 100%; max-width: {shown}px; margin: 0.5em 0"
        source = data_uri(self.kind, self.video)
        if self.kind == "video/mp4":  # the controls lie below the pictures, not over them
            ratio = f"{shown} / {round(height * shown / width) + CONTROLS}"
            style += f"; aspect-ratio: {ratio}; object-fit: contain; object-position: top"
            video = Markup(
                '<video controls autoplay muted loop playsinline style="{}" src="{}"></video>'
            ).format(style, source)
        else:
            name = f"gridcade-{crc32(self.video):08x}"
            script = Path(__file__).with_name("player.js").read_text(encoding="utf-8")
            video = Markup('<img id="{}" style="{}" src="{}">').format(name, style, source)
            video += Markup(f'<script>{script.rstrip()}("{name}");</script>')  # noqa: S704 - ours
        return box(parts_html([self.title]), video, parts_html(self.scores))


def record(
    policy: Policy, env: EnvLike, name: str, env_name: str, **options: Unpack[ShowOptions]
) -> Player:
    """Play episodes and record them for a notebook.

    Args:
        policy: the policy to show.
        env: see `gridcade.viewing.show.watch`.
        name: the policy's name, for the title.
        env_name: the environment's name, for the title.
        **options: see `ShowOptions`.

    Raises:
        InputError: an option is out of range, or the environment has no picture.
    """
    kind, suffix = ("video/mp4", ".mp4") if find_spec("av") else ("image/webp", ".webp")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"episodes{suffix}")
        check_video(file, options.get("fps"))
        if options.get("episodes") is None:
            options["episodes"] = 1
        with open_show(policy, env, name, env_name, **options) as show:
            pictures = show.pictures()
            first = next(pictures)
            save_video(file, chain([first], pictures), show.fps)
            title, scores = show.presentation.title, tuple(show.scores())
            return Player(title, scores, file.read_bytes(), kind, first.shape[:2])
