"""The speed of frames, and the keys that change it."""

import numpy as np
import pytest

from gridcade.errors import InputError
from gridcade.evaluation.policies import Quit
from gridcade.viewing import playback
from gridcade.viewing.playback import Pace, Playback


def test_keys_change_the_speed_within_its_range() -> None:
    speed = Playback(8)
    speed.handle_keys(["+", "x", "up"])
    assert speed.fps == 12
    speed.handle_keys(["-", "-"])
    assert speed.fps == pytest.approx(8 / 1.5)
    speed.handle_keys(["="] * 50)  # the key of +, without shift
    assert speed.fps == 1000
    speed.handle_keys(["-"] * 50)
    assert speed.fps == 0.5
    slow = Playback(0.2)  # slower than the keys' range
    slow.handle_keys(["-"])
    assert slow.fps == 0.2


def test_space_pauses_and_continues() -> None:
    speed = Playback(8)
    for paused in (True, False):
        speed.handle_keys(["space"])
        assert speed.paused == paused


@pytest.mark.parametrize("key", ["q", "escape"])
def test_q_and_escape_quit(key: str) -> None:
    with pytest.raises(Quit):
        Playback(8).handle_keys([key])


@pytest.mark.parametrize("fps", [0, -1, 1001, float("inf"), float("nan")])
def test_speed_out_of_range_is_an_error(fps: float) -> None:
    with pytest.raises(InputError, match=f"fps is {fps}; it must be above 0 and at most 1000"):
        Playback(fps)


class Clock:
    """A clock that advances only by sleep and work."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds + 0.003  # a system sleeps a little too long


def test_pace_does_not_drift_and_does_not_catch_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(playback, "time", clock)
    pace = Pace(10)
    moments = []
    for work in [0.02] * 50 + [1.0] + [0.02] * 50:
        clock.now += work
        pace.wait()
        moments.append(clock.now)
    intervals = np.diff(moments)
    np.testing.assert_allclose(moments[:50], 100.003 + 0.1 * np.arange(1, 51))
    assert intervals[49] == pytest.approx(1.0)  # late: no wait
    assert intervals.min() > 0.09
    np.testing.assert_allclose(intervals[52:], 0.1)


def test_pace_calls_sleep_again_if_it_returns_early(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(playback, "time", clock)
    asked: list[float] = []

    def short_sleep(seconds: float) -> None:
        asked.append(seconds)
        clock.now += min(seconds, 0.04)

    Pace(10).wait(short_sleep)
    assert asked == pytest.approx([0.1, 0.06, 0.02])
