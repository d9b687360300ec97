"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def wait(until: Callable[[], bool], patience: float = 180.0) -> None:
    """Return when it has come true; fail after so many seconds, a guard against hanging only."""
    latest = time.monotonic() + patience
    while not until():
        assert time.monotonic() < latest, "waited in vain"
        time.sleep(0.02)
