"""Locks of folders, and space on the disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import filelock

BLOCK = 1 << 24  # bytes written at once


@contextmanager
def locked(file: Path, wait: float | None) -> Iterator[None]:
    """Hold the lock of a file.

    Args:
        file: the lock file; it is created.
        wait: seconds to wait for another process that holds the lock; None: no limit.

    Raises:
        BlockingIOError: another process still holds the lock.
        OSError: the file cannot be written.
    """
    lock = filelock.FileLock(file, timeout=-1 if wait is None else wait)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BlockingIOError(f"'{file}' is locked") from None
    try:
        yield
    finally:
        lock.release()


def reserve(file: BinaryIO, size: int) -> None:
    """Reserve disk space for a file: writing to a sparse file on a full disk would raise SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for begin in range(0, size, BLOCK):  # macOS and Windows lack posix_fallocate
        file.write(bytes(min(BLOCK, size - begin)))
