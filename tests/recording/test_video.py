"""Videos, read back by PyAV and Pillow."""

import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gridcade.envs.registry import make
from gridcade.errors import InputError
from gridcade.recording.video import check_video, save_video

Frames = list[NDArray[np.uint8]]
KINDS = ("mp4", "webp", "gif")


def blocks(count: int, height: int, width: int) -> Frames:
    """Frames of a moving block on a ground of changing color, all different."""
    frames = []
    for n in range(count):
        frame = np.empty((height, width, 3), np.uint8)
        frame[:] = (40 + 20 * n % 200, 90, 200 - 20 * n % 160)
        frame[height // 4 : height // 2, 4 * n % width :][:, :16] = (220, 60, 40)
        frames.append(frame)
    return frames


def read(path: Path) -> tuple[Frames, float]:
    """The frames of a video and its length in seconds."""
    frames: Frames = []
    if path.suffix == ".mp4":
        import av

        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert stream.duration is not None
            assert stream.time_base is not None
            for frame in container.decode(stream):
                frames.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            return frames, float(stream.duration * stream.time_base)
    with Image.open(path) as picture:
        length = 0
        for n in range(getattr(picture, "n_frames", 1)):
            picture.seek(n)
            frames.append(np.asarray(picture.convert("RGB")))
            length += picture.info["duration"]
        assert picture.info["loop"] == 0  # repeats without end
        return frames, length / 1000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width", "fps"), [(64, 96, 12.5), (63, 95, 30)])
def test_video_shows_the_frames_at_their_rate(
    kind: str, height: int, width: int, fps: float, tmp_path: Path
) -> None:
    frames = blocks(20, height, width)
    path = tmp_path / f"video.{kind}"
    save_video(path, iter(frames), fps)
    got, length = read(path)
    assert len(got) == len(frames)
    assert length == pytest.approx(20 / fps, abs=0.006)
    even = kind == "mp4"
    for frame, wanted in zip(got, frames, strict=True):
        assert frame.shape == (height + even * (height % 2), width + even * (width % 2), 3)
        difference = np.abs(frame[:height, :width].astype(int) - wanted)
        assert difference.max() == 0 if kind == "webp" else difference.mean() < 3
        if even:
            assert np.abs(frame[:, -1].astype(int) - frame[:, -2]).mean() < 4  # no dark edge
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_mp4_declares_its_color_space_and_keeps_its_colors(tmp_path: Path) -> None:
    import av

    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (20, 3)).astype(np.uint8)
    path = tmp_path / "colors.mp4"
    save_video(path, (np.broadcast_to(color, (32, 32, 3)) for color in colors), 10)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (6, 1)  # BT.601, limited
    got, _ = read(path)
    shown = np.array([frame.mean(axis=(0, 1)) for frame in got])
    assert np.abs(shown - colors).max() < 4


@pytest.mark.parametrize("kind", KINDS)
def test_video_of_a_world_keeps_its_colors(kind: str, tmp_path: Path) -> None:
    env: Any = make("FourRooms", render_mode="rgb_array")
    env.reset(seed=0)
    frames = []
    for action in (1, 2, 1, 2, 3):
        env.step(action)
        frames.append(env.render())
    save_video(tmp_path / f"world.{kind}", frames, 8)
    got, length = read(tmp_path / f"world.{kind}")
    height, width = frames[0].shape[:2]
    assert length == pytest.approx(5 / 8, abs=0.006)
    assert np.abs(got[0][:height, :width].astype(int) - frames[0]).mean() < 3
    assert np.abs(got[-1][:height, :width].astype(int) - frames[-1]).mean() < 3


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_equal_frames_keep_their_duration(kind: str, tmp_path: Path) -> None:
    still, other = blocks(2, 20, 20)
    path = tmp_path / f"still.{kind}"
    save_video(path, [still] * 30 + [other] * 10, 30)
    got, length = read(path)
    assert length == pytest.approx(40 / 30, abs=0.006)
    assert np.abs(got[-1].astype(int) - other).max() < 8


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 40), st.floats(1, 200), st.sampled_from(["webp", "gif"]))
def test_length_is_right_at_any_rate(
    tmp_path_factory: pytest.TempPathFactory, count: int, fps: float, kind: str
) -> None:
    path = tmp_path_factory.mktemp("rate") / f"rate.{kind}"
    frames = [np.full((2, 2, 3), 6 * n, np.uint8) for n in range(count)]
    save_video(path, frames, fps)
    if count > 1:
        rate = min(fps, 50) if kind == "gif" else fps
        assert read(path)[1] == pytest.approx(count / rate, abs=0.0051)


@pytest.mark.parametrize("kind", KINDS)
def test_failure_leaves_the_old_file_and_no_other(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"video.{kind}"

    def full(part: Path, path: Path) -> None:
        assert part.parent == path.parent
        raise OSError(28, "No space left on device")

    def failing(error: type[BaseException]) -> Iterator[NDArray[np.uint8]]:
        yield from blocks(100, 32, 32)  # enough for the encoder to have written some
        raise error("half way")

    for error in (RuntimeError, KeyboardInterrupt, OSError):
        with pytest.raises(error, match="half way"):
            save_video(path, failing(error), 10)
        assert not list(tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(InputError, match=rf"cannot write .*video\.{kind}: No space left"):
            save_video(path, blocks(3, 32, 32), 10)
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"precious")
    with pytest.raises(RuntimeError, match="half way"):
        save_video(path, failing(RuntimeError), 10)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"precious"
    save_video(path, blocks(3, 32, 32), 10)
    assert len(read(path)[0]) == 3


def test_mp4_is_encoded_while_frames_arrive(tmp_path: Path) -> None:
    """At most 3 frames are in memory at once, so that a video may be longer than the memory."""
    alive: list[weakref.ref[NDArray[np.uint8]]] = []
    most = 0

    def stream() -> Iterator[NDArray[np.uint8]]:
        nonlocal most
        for frame in blocks(50, 32, 32):
            fresh = frame.copy()
            alive.append(weakref.ref(fresh))
            most = max(most, sum(ref() is not None for ref in alive))
            yield fresh
            del fresh

    save_video(tmp_path / "long.mp4", stream(), 30)
    assert most <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_video_without_frames_is_an_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the video has no frames"):
        save_video(tmp_path / f"video.{kind}", [], 10)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0, -5, float("nan"), float("inf")])
def test_rate_out_of_range_is_an_error(fps: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fps"):
        save_video(tmp_path / "video.webp", blocks(2, 8, 8), fps)


def test_errors_name_the_path_and_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    for path, message in [
        (tmp_path / "video.avi", r"video\.avi.*\.mp4, \.webp, \.gif"),
        (tmp_path / "video", r"\.mp4, \.webp, \.gif"),
        (tmp_path / "missing" / "video.mp4", "the folder .*missing does not exist"),
        (folder, "is a folder"),
        (tmp_path, "is a folder"),
        (tmp_path / f"{'x' * 300}.mp4", "name too long"),
    ]:
        with pytest.raises(InputError, match=message):
            check_video(path)
        with pytest.raises(InputError, match=message):
            save_video(str(path), blocks(1, 8, 8), 10)
    for fps in (0.05, 2000.0, float("nan")):
        with pytest.raises(InputError, match=f"fps is {fps}; it must be between 0.1 and 1000"):
            check_video(tmp_path / "video.webp", fps)
    for name in ("video.mp4", "VIDEO.MP4", "video.webp", "video.gif", f"{'x' * 250}.gif"):
        check_video(tmp_path / name, 10)


def test_without_pyav_the_error_suggests_webp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"pip install 'gridcade\[video\]'.*video\.webp"):
        check_video(tmp_path / "video.mp4")
    save_video(tmp_path / "video.webp", blocks(2, 8, 8), 10)
