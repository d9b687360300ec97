"""Short videos of contenders, embedded in the page."""

import base64
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gridcade import contenders
from gridcade.agents.base import Policy
from gridcade.envs.imports import is_import_path
from gridcade.errors import InputError
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.formatting import format_number
from gridcade.recording.frames import END_PAUSE, frame_rate, make_rgb_env, play_frames
from gridcade.recording.video import check_video, save_video
from gridcade.study.comparison import RunResult

Pixels = NDArray[np.uint8]  # [height, width, 3]

MAX_SECONDS = 15.0
MAX_BYTES = 400_000
MAX_FPS = 25.0  # faster environments show only every nth frame
MAX_SIZE = 420  # pixels, of the longer side
EPISODES = 3
SEED = 0
MIME_TYPES = {".mp4": "video/mp4", ".webp": "image/webp"}


@dataclass(frozen=True)
class EpisodeClip:
    """A video of a few episodes as a data URI, or the reason why it is missing."""

    caption: str
    uri: str = ""  # empty if it is missing
    is_video: bool = False  # a video with controls; otherwise an animated image


def record_clip(result: RunResult, env: str) -> EpisodeClip:
    """Record the first episodes of a run's policy, or of a fixed policy.

    Args:
        result: the run, or the evaluation of a fixed policy.
        env: environment of a fixed policy; a run's policy plays in that of its training.
    """
    if result.seed is not None and (result.run is None or not result.run.is_dir()):
        return EpisodeClip("No video: the run folder was removed.")
    try:
        # Whoever names an import path trusts its code, even if another user trained the run.
        named = env if is_import_path(env) else None
        found = (result.run, named) if result.run else (result.policy, env)
        contender = contenders.find(*found)
        frames, fps, caption = _play(contender.policy, str(contender.env))
        uri, is_video, shown = encode_clip(frames, fps)
    except Exception as error:  # A renderer may raise anything; the report is still useful.
        reason = str(error).partition("\n")[0] or type(error).__name__
        return EpisodeClip(f"No video: {reason}.")
    if shown < len(frames):
        caption += f" Only the first {shown / fps:.0f} seconds are shown."
    return EpisodeClip(caption, uri, is_video)


def _play(policy: Policy, env: str) -> tuple[list[Pixels], float, str]:
    """Return the frames of some episodes, the frames per second, and a caption."""
    frames: list[Pixels] = []
    returns: list[str] = []
    with closing(make_rgb_env(env)) as rendered:
        render_fps = frame_rate(rendered)
        stride = ceil(render_fps / MAX_FPS)
        fps = render_fps / stride
        max_frames = int(MAX_SECONDS * fps)
        actor = EvaluatedPolicy(policy, rendered, None, deterministic=True)
        for frame in play_frames(actor, rendered, EPISODES, SEED):
            if frame.end:
                returns.append(format_number(frame.episode_return))
                frames += [_shrink(frame.picture)] * round(1 + END_PAUSE * fps)
            elif frame.steps % stride == 0:
                frames.append(_shrink(frame.picture))
            if len(frames) >= max_frames:
                break
    caption = f"The first {max_frames / fps:.0f} seconds of an episode."
    if returns:
        caption = f"Return{'s' if len(returns) > 1 else ''} {', '.join(returns)}."
    return frames[:max_frames], fps, caption


def _shrink(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIZE, MAX_SIZE))  # This never enlarges.
    return np.array(image)


def encode_clip(frames: list[Pixels], fps: float) -> tuple[str, bool, int]:
    """Encode frames as a data URI, dropping the last ones until it has at most MAX_BYTES.

    Returns:
        The data URI, whether it is a video (or an animated image), and its number of frames.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        try:
            check_video(file)
        except InputError:  # PyAV is not installed.
            file = file.with_suffix(".webp")
        while True:
            save_video(file, frames, fps)
            size = file.stat().st_size
            if size <= MAX_BYTES or len(frames) == 1:
                break
            frames = frames[: max(1, int(0.9 * len(frames) * MAX_BYTES / size))]
        data = base64.b64encode(file.read_bytes()).decode()
    return f"data:{MIME_TYPES[file.suffix]};base64,{data}", file.suffix == ".mp4", len(frames)
