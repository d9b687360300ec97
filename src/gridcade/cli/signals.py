"""Ctrl-C and SIGTERM: the first one stops a training at a checkpoint, the second one at once."""

import signal
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 130  # exit code of an interrupted program in shells
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_on_signal() -> Callable[[], bool]:
    """Return a function that returns whether a signal has arrived.

    The first signal does not interrupt the program. The second one raises KeyboardInterrupt.
    """
    arrived = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal arrived
        del number, frame
        arrived = True
        interrupt_on_signal()

    for number in SIGNALS:
        signal.signal(number, handle)
    return lambda: arrived


def interrupt_on_signal() -> None:
    """Let every signal raise KeyboardInterrupt."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
