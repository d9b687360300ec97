"""The speed at which frames are shown, and the keys that change it."""

import time
from collections.abc import Callable, Iterable

from gridcade.errors import InputError
from gridcade.evaluation.policies import Quit

MIN_FPS, MAX_FPS = 0.5, 1000.0  # steps per second; keys do not leave this range
SPEED_FACTOR = 1.5  # by which one press of + or - changes the speed
QUIT_KEYS = frozenset({"q", "escape"})


class Playback:
    """The speed in steps per second, and whether the episode is paused.

    Args:
        fps: steps per second at the start; above 0, and at most MAX_FPS.

    Raises:
        InputError: fps is out of range.
    """

    def __init__(self, fps: float):
        if not 0 < fps <= MAX_FPS:
            raise InputError(f"fps is {fps}; it must be above 0 and at most {MAX_FPS:g}")
        self.fps = fps
        self.paused = False

    def handle_keys(self, keys: Iterable[str]) -> None:
        """Pause or continue at `space`, change the speed at `+` (or `=`) and `-`.

        Raises:
            Quit: `q` or `escape` was pressed.
        """
        for key in keys:
            if key in QUIT_KEYS:
                raise Quit
            if key == "space":
                self.paused = not self.paused
            elif key in ("+", "="):  # the same key, with and without shift
                self.fps = min(self.fps * SPEED_FACTOR, MAX_FPS)
            elif key == "-":
                self.fps = max(self.fps / SPEED_FACTOR, min(self.fps, MIN_FPS))


class Pace:
    """A steady rate: `wait` returns at moments that are 1 / fps seconds apart.

    The moments do not drift. After a delay, the next moment is 1 / fps seconds later; missed
    moments are not caught up.

    Args:
        fps: moments per second, above 0.
    """

    def __init__(self, fps: float):
        self.interval = 1 / fps  # seconds
        self._deadline = time.monotonic()

    def wait(self, sleep: Callable[[float], object] | None = None) -> None:
        """Sleep until the next moment; return at once if it has passed.

        Args:
            sleep: function that sleeps for at most a number of seconds, and is called until the
                moment comes; None: time.sleep.
        """
        sleep = sleep or time.sleep
        self._deadline += self.interval
        now = time.monotonic()
        if now >= self._deadline:
            self._deadline = now
        while now < self._deadline:
            sleep(self._deadline - now)
            now = time.monotonic()
