"""Allows one training at a time, because stable-baselines3 uses global random streams."""

import threading
import weakref

from gridcade.errors import InputError

_lock = threading.Lock()
_training: tuple[threading.Thread, "weakref.ref[object]"] | None = None  # thread and agent


def check_no_training() -> None:
    """Raise InputError if an agent of stable-baselines3 trains on another thread."""
    if _training is None:
        return
    thread, owner = _training
    if thread is not threading.current_thread() and thread.is_alive() and owner() is not None:
        raise InputError(
            "an agent of stable-baselines3 already trains on another thread of this process, and "
            "both would draw from the same random stream; train in processes, as gridcade compare "
            "does"
        )


def begin_training(agent: object) -> None:
    """Reserve the global random streams for an agent, until `end_training`.

    Raises:
        InputError: an agent trains on another thread.
    """
    global _training
    with _lock:
        check_no_training()
        _training = threading.current_thread(), weakref.ref(agent)


def end_training() -> None:
    """Release the global random streams, so that other threads can train."""
    global _training
    with _lock:
        _training = None
