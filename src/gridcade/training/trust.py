"""Whether the code of a run's environment may run: where it came from, and who has trained the run.

A run folder names the environment of its run. If the name is an import path, loading the run would
run code chosen by whoever made the folder. So each training session signs the import path and the
path of its file with a key that only this user has. Without such a signature the code runs only if
the user trusts it explicitly (`--trust`).
"""

import hmac
import json
import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from gridcade.envs.imports import SUFFIX, is_import_path, split_import_path
from gridcade.envs.origins import code_file, file_hash, import_location
from gridcade.errors import InputError

KEY_BYTES = 32
ENTRY = "environment"  # of a session in provenance.json


def origin_entry(name: str, found: str) -> dict[str, Any]:
    """Describe where an environment's code comes from, for the provenance of a session.

    Args:
        name: the environment in the run's config.
        found: the same environment, as found from the current directory.

    Returns:
        An entry; empty if the name is no import path.
    """
    if not is_import_path(name):
        return {}
    location, file = import_location(found), code_file(found)
    described = {"location": location, "file": file, "sha256": file_hash(file)}
    return {ENTRY: described | {"signature": _sign(name, location)}}


def read_origin(provenance: Path) -> dict[str, Any]:
    """Read the description of the last session's environment; empty if there is none."""
    try:
        found = json.loads(provenance.read_bytes())["sessions"][-1][ENTRY]
    except (OSError, LookupError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def located(name: str, origin: dict[str, Any]) -> str:
    """Return an import path with the absolute path of its file, if that file still exists."""
    base, mark, query = name.partition("?")
    head, tail = split_import_path(base)
    location = str(origin.get("location", ""))
    if head.endswith(SUFFIX) and location.endswith(SUFFIX) and os.path.isfile(location):
        return f"{location}:{tail}{mark}{query}"
    return name


def is_trusted(name: str, origin: dict[str, Any]) -> bool:
    """Return whether loading a run imports no code, or only code that this user has trained with.

    Args:
        name: the environment in the run's config.
        origin: what `read_origin` has read.
    """
    if not is_import_path(name):
        return True
    location, signature = str(origin.get("location", "")), str(origin.get("signature", ""))
    signed = _sign(name, location)
    same_place = import_location(located(name, origin)) == location
    same = hmac.compare_digest(signed.encode(), signature.encode(errors="replace"))
    return bool(signed) and same and same_place


def check_trusted(run: Path, name: str, origin: dict[str, Any], instead: str = "") -> None:
    """Raise InputError if loading a run would run code that somebody else may have chosen.

    Args:
        run: the run folder.
        name: the environment in its config.
        origin: what `read_origin` has read.
        instead: what the user can write instead of --trust.
    """
    if not is_trusted(name, origin):
        raise InputError(
            f"'{run}' would run the code of '{name}', and you did not train it on this machine: "
            f"add --trust (Python: trust=True) if you trust its author{instead}"
        )


def changed_code(name: str, origin: dict[str, Any]) -> str:
    """Say that the file of an environment has changed since the last session; empty if not."""
    if not origin or not is_import_path(name):
        return ""
    file = code_file(name)
    if file_hash(file) == origin.get("sha256"):
        return ""
    return f"the environment's file {file} has changed since the run was last trained"


def _sign(name: str, location: str) -> str:
    """Sign an import path and its location; empty if this user has no key."""
    key = _user_key()
    if not key or not location:
        return ""
    return hmac.new(key, f"{name}\0{location}".encode(errors="replace"), "sha256").hexdigest()


def _user_key() -> bytes:
    """Read this user's key; the first call makes it. Empty if it cannot be stored."""
    try:
        file = _user_folder() / "key"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            with tempfile.NamedTemporaryFile(dir=file.parent) as whole:  # mode 0600
                whole.write(secrets.token_bytes(KEY_BYTES))
                whole.flush()
                with suppress(FileExistsError):  # another process was faster
                    os.link(whole.name, file)
        key = file.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: the user has no home directory
        return b""
    return key if len(key) == KEY_BYTES else b""


def _user_folder() -> Path:
    """Return the folder in which Gridcade stores data of this user."""
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME"
    base = os.environ.get(variable)
    return Path(base or Path.home() / ".local" / "share") / "gridcade"
