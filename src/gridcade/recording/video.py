"""Video files: MP4 by PyAV, animated WebP and GIF by Pillow."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from gridcade.errors import InputError
from gridcade.recording.pictures import Picture, fit

SUFFIXES = (".mp4", ".webp", ".gif")
MIN_FPS, MAX_FPS = 0.1, 1000.0
MIN_GIF_PERIOD = 20.0  # milliseconds; browsers slow down a GIF whose frames are shorter
BT601, BT709, LIMITED_RANGE = 6, 1, 1  # code points of ITU-T H.273


def check_video(path: str | Path, fps: float | None = None) -> None:
    """Check that a video can be written to a path, before an episode is played.

    Args:
        path: the video's file.
        fps: frames per second; None: not checked.

    Raises:
        InputError: the path does not end in .mp4, .webp or .gif; it is a folder; its folder does
            not exist or is not writable; it ends in .mp4 and PyAV is not installed; fps is not
            between 0.1 and 1000.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if fps is not None and not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(f"fps is {fps}; it must be between {MIN_FPS:g} and {MAX_FPS:g}")
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.stat(path)
    except OSError as error:  # the name is too long, or a folder above it is not readable
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file, such as {path / 'video.mp4'}")
    if suffix not in SUFFIXES:
        raise InputError(f"cannot write a video to '{path}': end it in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {path}: the folder {path.parent} is not writable")
    if suffix == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            hint = f"pip install 'gridcade[video]', or write {path.with_suffix('.webp')}"
            raise InputError(f"an .mp4 needs PyAV: {hint}") from None


def save_video(path: str | Path, pictures: Iterable[Picture], fps: float) -> None:
    """Write a video; replace an existing file once the new one is complete.

    An .mp4 is encoded as H.264 while the pictures arrive. A .webp (lossless) and a .gif are
    assembled in memory, where consecutive equal pictures become one that is shown for longer. A
    .gif shows at most 50 frames per second.

    Args:
        path: a file that ends in .mp4, .webp or .gif.
        pictures: uint8, [height, width, 3]. The first one sets the size, into which others are
            fitted. H.264 needs even sizes: an odd picture is padded by a copy of its last row or
            column.
        fps: frames per second.

    Raises:
        InputError: `check_video` fails, `pictures` is empty, or the disk is full.
    """
    path = Path(path)
    check_video(path, fps)
    picture_errors: list[OSError] = []
    pictures = _of_one_size(pictures, picture_errors)
    first = next(pictures, None)
    if first is None:
        raise InputError(f"cannot write {path}: the video has no frames")
    pictures = chain([first], pictures)
    suffix = path.suffix.lower()
    part = path.with_name(f".video-{os.getpid()}.part")
    try:
        if suffix == ".mp4":
            _save_mp4(part, pictures, first.shape, fps)
        else:
            _save_animation(part, pictures, fps, suffix[1:])
        os.replace(part, path)
    except OSError as error:
        if picture_errors:
            raise
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _of_one_size(pictures: Iterable[Picture], picture_errors: list[OSError]) -> Iterator[Picture]:
    """Yield the pictures in the size of the first, and collect an OSError raised while drawing.

    The list tells errors of the environment apart from errors of the video's file.
    """
    height = width = 0
    try:
        for picture in pictures:
            if not height:
                height, width, _ = picture.shape
            yield fit(picture, height, width)
    except OSError as error:
        picture_errors.append(error)
        raise


def _save_mp4(path: Path, pictures: Iterable[Picture], shape: tuple[int, ...], fps: float) -> None:
    import av

    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    padding = ((0, height - shape[0]), (0, width - shape[1]), (0, 0))
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18"}
        # Players guess the color space of a video that does not name it, and guess differently.
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = BT601, BT709, BT709
        context.color_range = LIMITED_RANGE
        for picture in pictures:
            padded = np.pad(picture, padding, mode="edge")
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _save_animation(path: Path, pictures: Iterable[Picture], fps: float, kind: str) -> None:
    first, *others = (Image.fromarray(picture) for picture in pictures)
    period, tick = 1000 / fps, 1  # milliseconds
    if kind == "gif":
        period, tick = max(period, MIN_GIF_PERIOD), 10
    # Each frame ends at a whole tick of the format's clock, so that rounding errors do not add up.
    ends = [round(n * period / tick) * tick for n in range(len(others) + 2)]
    durations = np.diff(ends).tolist()
    options = {"lossless": True, "method": 0} if kind == "webp" else {}
    first.save(
        path, kind, save_all=True, append_images=others, duration=durations, loop=0, **options
    )
