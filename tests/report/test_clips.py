"""Replays: short, small, and never at the report's expense."""

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
from gridcade.report import replay as replays
from gridcade.report.replay import LARGEST, MOST_BYTES, SECONDS, replay
from gridcade.study.comparison import Outcome
from gridcade.training.sessions import train

RANDOM = Outcome(None, evaluation(1.0), policy="random")


def film(uri: str) -> tuple[int, float, tuple[int, int]]:
    """Bytes, seconds, and width and height of a video in a data URI."""
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:video/mp4"
    raw = base64.b64decode(data)
    with av.open(io.BytesIO(raw)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        return len(raw), float(stream.duration * stream.time_base), (stream.width, stream.height)


def test_a_runs_replay_is_of_the_run(tmp_path: Path) -> None:
    """On the cliff a return tells the policy: the shortest way is one of 13 moves."""
    run = train("q-learning", "CliffWalk", steps=100_000, out=tmp_path / "run")
    made = replay(Outcome(0, evaluation(1.0), run=run.path), "CliffWalk")
    assert made.words == "Returns -13, -13, -13."
    assert made.moves
    size, seconds, _ = film(made.uri)
    assert size <= MOST_BYTES
    assert seconds <= SECONDS


@pytest.mark.parametrize("env", ["FourRooms", "RiverSwim"])
def test_a_fixed_policys_replay_ends(env: str) -> None:
    _, seconds, (width, height) = film(replay(RANDOM, env).uri)
    assert seconds <= SECONDS
    assert max(width, height) <= LARGEST + 1


def test_a_fast_task_plays_at_its_own_speed() -> None:
    """CartPole has 50 frames a second: every second one is shown, 25 a second."""
    made = replay(RANDOM, "CartPole-v1")
    size, seconds, (width, height) = film(made.uri)
    assert (width, height) == (420, 280)
    returns = [float(word) for word in made.words.removeprefix("Returns ")[:-1].split(", ")]
    ends = len(returns) * END_PAUSE
    assert seconds == pytest.approx(sum(returns) / 50 + ends, abs=0.2)
    assert size <= MOST_BYTES


def test_too_large_a_film_is_cut_short() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (120, 120, 3), dtype=np.uint8) for _ in range(150)]
    uri, _, shown = replays._encoded(noise, 10.0)
    size, seconds, _ = film(uri)
    assert size <= MOST_BYTES
    assert 1 < seconds < 15
    assert seconds == pytest.approx(shown / 10, abs=0.01)


def test_a_film_that_was_cut_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = replay(RANDOM, "CartPole-v1")
    monkeypatch.setattr(replays, "MOST_BYTES", film(whole.uri)[0] // 3)
    cut = replay(RANDOM, "CartPole-v1")
    seconds = film(cut.uri)[1]
    assert seconds < film(whole.uri)[1]
    told = f"Of the film only the first {seconds:.0f} seconds are shown."
    assert cut.words == f"{whole.words} {told}"


def test_without_pyav_it_is_an_animated_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    made = replay(replace(RANDOM, policy="optimal"), "CliffWalk")
    assert not made.moves
    kind, _, data = made.uri.partition(";base64,")
    assert kind == "data:image/webp"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert getattr(picture, "n_frames", 1) > 10


@pytest.mark.parametrize(
    ("outcome", "env", "why"),
    [
        (replace(RANDOM, seed=0), "FourRooms", "run folder"),
        (replace(RANDOM, seed=0, run=Path("gone")), "FourRooms", "run folder"),
        (RANDOM, "FourRoms", "did you mean FourRooms"),
        (replace(RANDOM, policy="nobody"), "FourRooms", "policy"),
    ],
)
def test_what_cannot_be_shown_is_said(outcome: Outcome, env: str, why: str) -> None:
    made = replay(outcome, env)
    assert made.uri == ""
    assert made.words.startswith("No replay: ")
    assert why in made.words
