"""One training at a time: stable-baselines3 draws from random streams that its process shares."""

import threading
import weakref

from gridcade.errors import InputError

_lock = threading.Lock()
_training: tuple[threading.Thread, "weakref.ref[object]"] | None = None  # thread and agent


def check_no_training() -> None:
    """Check that no agent trains on another thread.

    Raises:
        InputError: one does.
    """
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
    """Take the global random streams for an agent, until `end_training`.

    Raises:
        InputError: an agent trains on another thread.
    """
    global _training
    with _lock:
        check_no_training()
        _training = threading.current_thread(), weakref.ref(agent)


def end_training() -> None:
    """Let other threads train."""
    global _training
    with _lock:
        _training = None
