"""Wait for events in other processes."""

import time
from collections.abc import Callable


def wait(condition: Callable[[], bool], timeout: float = 180.0) -> None:
    """Return when `condition` holds; fail after `timeout` seconds, so that tests cannot hang."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {timeout:g} s"
        time.sleep(0.02)
