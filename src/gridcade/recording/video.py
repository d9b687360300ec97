"""Videos: MP4 by PyAV, animated WebP and GIF by Pillow."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gridcade.errors import InputError

Picture = NDArray[np.uint8]  # [height, width, 3]

SUFFIXES = (".mp4", ".webp", ".gif")
SHORTEST_GIF_FRAME = 20  # milliseconds; browsers slow down what is shorter
BT601, BT709, LIMITED_RANGE = 6, 1, 1  # numbers of ITU-T H.273


def check_video(path: str | Path, fps: float | None = None) -> None:
    """Find out, before anything is played, whether a video can be written to a path.

    Raises:
        InputError: it ends in none of .mp4, .webp and .gif; its folder is missing; it is a folder
            itself; it is an .mp4 and PyAV is not installed; fps is not 0.1 to 1000.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if fps is not None and not 0.1 <= fps <= 1000:
        raise InputError(f"fps is {fps}; a video takes 0.1 to 1000")
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.stat(path)
    except OSError as error:  # a name that is too long, a folder that one may not look into
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    if path.is_dir():
        raise InputError(f"{path} is a folder; a video is a file, such as {path / 'video.mp4'}")
    if kind not in SUFFIXES:
        raise InputError(f"cannot write a video to '{path}': it takes {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {path}: the folder {path.parent} is not yours to write in")
    if kind == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            hint = f"pip install 'gridcade[video]', or write {path.with_suffix('.webp')}"
            raise InputError(f"an .mp4 needs PyAV: {hint}") from None


def save_video(path: str | Path, frames: Iterable[Picture], fps: float) -> None:
    """Write a video; a file that stands there is replaced once the new one is whole.

    An .mp4 is H.264 and takes the frames as they come. A .webp (lossless) and a .gif are put
    together in memory, where equal frames in a row become one that lasts longer; a .gif shows 50
    frames a second at most.

    Args:
        path: a file that ends in .mp4, .webp or .gif.
        frames: uint8, height x width x 3, all of one size. (H.264 takes even sizes: an odd one
            gets another row or column, like its last.)
        fps: frames a second.

    Raises:
        InputError: see `check_video`; there are no frames; the disk is full.
        ValueError: the frames differ in size.
    """
    path = Path(path)
    check_video(path, fps)
    failed: list[OSError] = []
    frames = _same_size(frames, failed)
    first = next(frames, None)
    if first is None:
        raise InputError(f"there are no frames to write to {path}")
    frames = chain([first], frames)
    kind = path.suffix.lower()
    part = path.with_name(f".video-{os.getpid()}.part")
    try:
        if kind == ".mp4":
            _save_mp4(part, frames, first.shape, fps)
        else:
            _save_animation(part, frames, fps, kind[1:])
        os.replace(part, path)
    except OSError as error:
        if failed:
            raise
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _same_size(frames: Iterable[Picture], failed: list[OSError]) -> Iterator[Picture]:
    """The frames; an error that making one raises is noted: it is not the file's."""
    shape = None
    try:
        for number, frame in enumerate(frames):
            shape = shape or frame.shape
            if frame.shape != shape:
                raise ValueError(f"frame {number} is {frame.shape}; the first one is {shape}")
            yield frame
    except OSError as error:
        failed.append(error)
        raise


def _save_mp4(path: Path, frames: Iterable[Picture], shape: tuple[int, ...], fps: float) -> None:
    import av

    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    padding = ((0, height - shape[0]), (0, width - shape[1]), (0, 0))
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18"}
        # Players guess the colours of a video that does not name them, each in its own way.
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = BT601, BT709, BT709
        context.color_range = LIMITED_RANGE
        for picture in frames:
            padded = np.pad(picture, padding, mode="edge")
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _save_animation(path: Path, frames: Iterable[Picture], fps: float, kind: str) -> None:
    first, *others = (Image.fromarray(frame) for frame in frames)
    # Whole ticks of the format's clock, which add up to the right length.
    period, tick = (max(1000 / fps, SHORTEST_GIF_FRAME), 10) if kind == "gif" else (1000 / fps, 1)
    ends = [round(n * period / tick) * tick for n in range(len(others) + 2)]
    durations = np.diff(ends).tolist()
    options = {"lossless": True, "method": 0} if kind == "webp" else {}
    first.save(
        path, kind, save_all=True, append_images=others, duration=durations, loop=0, **options
    )
