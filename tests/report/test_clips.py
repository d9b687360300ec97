"""Clips: short, small, and optional."""

import base64
import io
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from comparisons import evaluation
from PIL import Image

from gridcade.recording.frames import END_PAUSE
from gridcade.report import clips
from gridcade.report.clips import MAX_BYTES, MAX_SECONDS, MAX_SIZE, encode_clip, record_clip
from gridcade.study.comparison import RunResult
from gridcade.training.sessions import train

RANDOM = RunResult(None, evaluation(1.0), policy="random")


def video_size(uri: str) -> tuple[int, float, tuple[int, int]]:
    """Return bytes, seconds, and (width, height) of a video in a data URI."""
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:video/mp4"
    raw = base64.b64decode(data)
    with av.open(io.BytesIO(raw)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        return len(raw), float(stream.duration * stream.time_base), (stream.width, stream.height)


def test_the_clip_of_a_run_shows_its_policy(tmp_path: Path) -> None:
    """On CliffWalk the shortest path has 13 moves."""
    run = train("q-learning", "CliffWalk", steps=30_000, out=tmp_path / "run")
    clip = record_clip(RunResult(0, evaluation(1.0), run=run.path), "CliffWalk")
    assert clip.caption == "Returns -13, -13, -13."
    assert clip.is_video
    size, seconds, _ = video_size(clip.uri)
    assert size <= MAX_BYTES
    assert seconds <= MAX_SECONDS


@pytest.mark.parametrize("env", ["FourRooms", "RiverSwim"])
def test_the_clip_of_a_fixed_policy_is_short(env: str) -> None:
    _, seconds, (width, height) = video_size(record_clip(RANDOM, env).uri)
    assert seconds <= MAX_SECONDS
    assert max(width, height) <= MAX_SIZE + 1


def test_a_fast_environment_is_shown_at_its_own_speed() -> None:
    """CartPole has 50 frames per second, of which every second one is shown."""
    clip = record_clip(RANDOM, "CartPole-v1")
    size, seconds, (width, height) = video_size(clip.uri)
    assert (width, height) == (420, 280)
    returns = [float(word) for word in clip.caption.removeprefix("Returns ")[:-1].split(", ")]
    ends = len(returns) * END_PAUSE
    assert seconds == pytest.approx(sum(returns) / 50 + ends, abs=0.2)
    assert size <= MAX_BYTES


def test_a_large_clip_is_cut() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (120, 120, 3), dtype=np.uint8) for _ in range(150)]
    uri, _, shown = encode_clip(noise, 10.0)
    size, seconds, _ = video_size(uri)
    assert size <= MAX_BYTES
    assert 1 < seconds < 15
    assert seconds == pytest.approx(shown / 10, abs=0.01)


def test_the_caption_states_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = record_clip(RANDOM, "CartPole-v1")
    monkeypatch.setattr(clips, "MAX_BYTES", video_size(whole.uri)[0] // 3)
    cut = record_clip(RANDOM, "CartPole-v1")
    seconds = video_size(cut.uri)[1]
    assert seconds < video_size(whole.uri)[1]
    note = f"Only the first {seconds:.0f} seconds are shown."
    assert cut.caption == f"{whole.caption} {note}"


def test_without_pyav_the_clip_is_an_animated_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    clip = record_clip(replace(RANDOM, policy="optimal"), "CliffWalk")
    assert not clip.is_video
    kind, _, data = clip.uri.partition(";base64,")
    assert kind == "data:image/webp"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert getattr(image, "n_frames", 1) > 10


@pytest.mark.parametrize(
    ("result", "env", "reason"),
    [
        (replace(RANDOM, seed=0), "FourRooms", "run folder"),
        (replace(RANDOM, seed=0, run=Path("gone")), "FourRooms", "run folder"),
        (RANDOM, "FourRoms", "did you mean FourRooms"),
        (replace(RANDOM, policy="nobody"), "FourRooms", "policy"),
    ],
)
def test_the_caption_states_why_a_clip_is_missing(result: RunResult, env: str, reason: str) -> None:
    clip = record_clip(result, env)
    assert clip.uri == ""
    assert clip.caption.startswith("No video: ")
    assert reason in clip.caption
