"""Finds the file, hash and module of an environment's code, for the run folder."""

import hashlib
import os
import sys
from importlib import invalidate_caches
from importlib.machinery import PathFinder
from pathlib import Path
from socket import gethostname

import gymnasium as gym

from gridcade.envs import suites
from gridcade.envs.faults import shown
from gridcade.envs.imports import (
    IMPORTED_FILE,
    SUFFIX,
    find_imported,
    is_import_path,
    module_of,
    split_import_path,
)
from gridcade.errors import InputError


def import_location(name: str) -> str:
    """Find the file of an import path, or that of its top package, without running code.

    Empty if there is none.
    """
    head, _ = split_import_path(name.partition("?")[0])
    if head.endswith(SUFFIX):
        return os.path.realpath(head)
    invalidate_caches()
    spec = PathFinder.find_spec(head.partition(".")[0], [*sys.path, os.getcwd()])
    if spec is None:
        return ""
    folders = list(spec.submodule_search_locations or ())
    return os.path.realpath(spec.origin or next(iter(folders), ""))


def code_file(name: str) -> str:
    """Import an environment, and find the file that defines its class or function; empty if none.

    Raises:
        InputError: it cannot be imported.
    """
    base = name.partition("?")[0]
    if split_import_path(base)[0].endswith(SUFFIX):
        return import_location(base)
    module = sys.modules.get(module_of(find_imported(base)))
    file = vars(module).get("__file__") if module is not None else None
    return os.path.realpath(file) if file else import_location(base)


def check_shared(name: str) -> None:
    """Raise InputError if a worker of a cluster does not find the file of an import path."""
    if is_import_path(name) and not os.path.exists(import_location(name)):
        head, _ = split_import_path(name.partition("?")[0])
        what = "the file" if head.endswith(SUFFIX) else "the module"
        raise InputError(
            f"the worker on {gethostname()} does not find {what} '{head}' from '{os.getcwd()}': "
            "workers on other machines must see it under the same path, like the study's folder"
        )


def code_hash(name: str) -> str | None:
    """Hash the code of an import path, because results depend on it; None for other names."""
    return file_hash(code_file(name)) if is_import_path(name) else None


def file_hash(file: str) -> str:
    """Compute the SHA-256 of a file; empty if it cannot be read."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""


def with_module(name: str) -> str:
    """Add the module to the name of an environment that the user's code has registered.

    `Mine-v0?size=3` -> `my_package.envs:Mine-v0?size=3`, so that another process finds it. For a
    script, its file replaces the module. In a session without a file, the name is unchanged.
    """
    base = name.partition("?")[0]
    if base not in gym.registry or suites.find_suite(base):
        return name
    module = module_of(gym.registry[base])
    if module.partition(".")[0] in ("gridcade", "gymnasium", "ale_py"):
        return name
    loaded = sys.modules.get(module)
    if module == "__main__" or (loaded is not None and IMPORTED_FILE in vars(loaded)):
        module = shown(str(vars(loaded).get("__file__", ""))) if loaded is not None else ""
    return f"{module}:{name}" if module else name
