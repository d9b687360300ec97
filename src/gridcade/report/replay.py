"""A short replay of a contender, as a video inside the page."""

import base64
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gridcade import api
from gridcade.agents.base import Policy
from gridcade.errors import InputError
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.formatting import number
from gridcade.recording.frames import DEFAULT_FPS, END_PAUSE, make_rgb_env, play_frames
from gridcade.recording.video import check_video, save_video
from gridcade.study.comparison import Outcome

Pixels = NDArray[np.uint8]  # [height, width, 3]

SECONDS = 15.0  # at most
MOST_BYTES = 400_000
MOST_FPS = 25.0  # of faster tasks every second step is shown, or every third …
LARGEST = 420  # pixels, of the longer side
EPISODES = 3
SEED = 0
TYPES = {".mp4": "video/mp4", ".webp": "image/webp"}


@dataclass(frozen=True)
class Replay:
    """A video as a data URI, or in words why there is none."""

    words: str
    uri: str = ""
    moves: bool = False  # it is a film with controls, not a picture that moves by itself


def replay(outcome: Outcome, env: str) -> Replay:
    """The first episodes of a run's policy, or of one that is fixed.

    Args:
        outcome: the run's.
        env: where a policy that is fixed plays; a run's policy plays where it was trained.
    """
    if outcome.seed is not None and (outcome.run is None or not outcome.run.is_dir()):
        return Replay("No replay: the run folder is not here.")
    try:
        contender = api.find(outcome.policy, env) if outcome.seed is None else api.find(outcome.run)
        frames, fps, words = _played(contender.policy, str(contender.env))
        uri, moves, shown = _encoded(frames, fps)
        if shown < len(frames):
            words += f" Of the film only the first {shown / fps:.0f} seconds are shown."
    except Exception as error:  # whatever a renderer raises: the report is not lost over it
        return Replay(f"No replay: {str(error).partition(chr(10))[0] or type(error).__name__}.")
    return Replay(words, uri, moves)


def _played(policy: Policy, env: str) -> tuple[list[Pixels], float, str]:
    """Frames, how many of them a second, and what they show."""
    frames: list[Pixels] = []
    returns: list[str] = []
    with closing(make_rgb_env(env)) as shown:
        pace = float(shown.metadata.get("render_fps") or DEFAULT_FPS)
        stride = ceil(pace / MOST_FPS)
        fps = pace / stride
        most = int(SECONDS * fps)
        for frame in play_frames(
            EvaluatedPolicy(policy, shown, None, deterministic=True), shown, EPISODES, SEED
        ):
            if frame.end:
                returns.append(number(frame.episode_return))
                frames += [_small(frame.picture)] * round(1 + END_PAUSE * fps)
            elif frame.steps % stride == 0:
                frames.append(_small(frame.picture))
            if len(frames) >= most:
                break
    words = f"The first {most / fps:.0f} seconds of an episode."
    if returns:
        words = f"Return{'s' if len(returns) > 1 else ''} {', '.join(returns)}."
    return frames[:most], fps, words


def _small(picture: Pixels) -> Pixels:
    image = Image.fromarray(picture)
    image.thumbnail((LARGEST, LARGEST))  # never enlarges
    return np.array(image)


def _encoded(frames: list[Pixels], fps: float) -> tuple[str, bool, int]:
    """A data URI, cut short until it fits into a page; whether it is a film; of how many frames."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "replay.mp4"
        try:
            check_video(file)
        except InputError:  # PyAV is not installed
            file = file.with_suffix(".webp")
        while True:
            save_video(file, frames, fps)
            size = file.stat().st_size
            if size <= MOST_BYTES or len(frames) == 1:
                break
            frames = frames[: max(1, int(0.9 * len(frames) * MOST_BYTES / size))]
        data = base64.b64encode(file.read_bytes()).decode()
    return f"data:{TYPES[file.suffix]};base64,{data}", file.suffix == ".mp4", len(frames)
