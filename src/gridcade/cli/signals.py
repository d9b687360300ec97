"""Ctrl-C, SIGTERM and SIGHUP: the first one stops training at a checkpoint.

A second Ctrl-C or SIGTERM stops it at once. SIGHUP means that the terminal is gone, for example
because an ssh connection was closed, and may arrive several times.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 130  # exit code of an interrupted program in shells
SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], object] | signal.Handlers
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none


def stop_on_signal() -> Callable[[], bool]:
    """Return a function that returns whether a signal has arrived.

    The first signal does not interrupt the program. The second one raises KeyboardInterrupt. After
    SIGHUP, output to the terminal is discarded. Ignored signals stay ignored: SIGHUP
    under nohup, and Ctrl-C in a job that a script runs in the background.
    """
    arrived = False
    terminals = [s.fileno() for s in (sys.stdout, sys.stderr) if s.isatty()]

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal arrived
        del frame
        arrived = True
        if number == HANGUP:
            signal.signal(number, signal.SIG_IGN)
            for terminal in terminals:
                os.dup2(os.open(os.devnull, os.O_WRONLY), terminal)
        _interrupt()

    for number in (*SIGNALS, HANGUP):
        _set(number, handle)
    return lambda: arrived


def interrupt_on_signal() -> None:
    """Let every signal interrupt the program again."""
    _interrupt()
    _set(HANGUP, signal.SIG_DFL)


def _interrupt() -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt."""
    for number in SIGNALS:
        _set(number, signal.default_int_handler)


def _set(number: signal.Signals | None, handler: Handler) -> None:
    """Set the handler of a signal, if the system has it and the process does not ignore it."""
    if number is not None and signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, handler)
