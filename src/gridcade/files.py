"""Text files and the names of files.

Text files may come from any editor, and are written whole or not at all. File names are never too
long.
"""

import hashlib
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridcade.errors import InputError

MAX_NAME = 100  # bytes in the name of a file or folder that is derived from a user's text
HASH_DIGITS = 8


def read_text(file: Path, what: str = "") -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Line ends of all systems become line feeds.

    Args:
        file: the file.
        what: what the file holds, such as "the map", for the message.

    Raises:
        InputError: the file cannot be read, or is not in UTF-8.
    """
    where = f"cannot read {what} {file}" if what else f"cannot read '{file}'"
    try:
        data = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise InputError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise InputError(f"{where}: it is in UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}: line {line} is not in UTF-8; save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all, with the line ends of the text."""
    with moved_when_whole(file, file.with_name(f".{file.name}.{os.getpid()}.tmp")) as new:
        new.write_text(text, encoding="utf-8", newline="")


@contextmanager
def moved_when_whole(file: Path, new: Path) -> Iterator[Path]:
    """Yield `new` to write to, then move it to `file`; after an OSError, remove it instead."""
    try:
        yield new
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def slug(name: str) -> str:
    """Convert a name to a file name: `Maze?size=9` -> `Maze-size=9`. Long ones end in a hash."""
    short = re.sub(r"[^\w.=+-]+", "-", name).strip("-.") or "-"
    if len(short.encode()) <= MAX_NAME:
        return short
    digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:HASH_DIGITS]
    start = short.encode()[: MAX_NAME - HASH_DIGITS - 1].decode(errors="ignore")
    return f"{start}-{digest}"


def is_empty(folder: Path) -> bool:
    """Return whether a path is a folder, or a link to one, without files of the user.

    An empty file system holds `lost+found`, and a run that failed on a full disk may have left only
    its lock.
    """
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= {"lost+found", ".lock"}
