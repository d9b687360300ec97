"""Where the code of an environment came from, for the run folder."""

import os
import sys
from importlib import invalidate_caches
from importlib.machinery import PathFinder

import gymnasium as gym

from gridcade.envs import suites
from gridcade.envs.imports import IMPORTED_FILE, SUFFIX, module_of, split_import_path


def import_location(name: str) -> str:
    """Find the file of an import path without running code: the file, or that of the top package.

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


def with_module(name: str) -> str:
    """Add the module to the name of an environment that a package of the user has registered.

    `Mine-v0?size=3` -> `my_package.envs:Mine-v0?size=3`, so that another process finds it. A file
    stands for the module of a script. In a session without a file, the name is unchanged.
    """
    base = name.partition("?")[0]
    if base not in gym.registry or suites.find_suite(base):
        return name
    module = module_of(gym.registry[base])
    if module.partition(".")[0] in ("gridcade", "gymnasium", "ale_py"):
        return name
    loaded = sys.modules.get(module)
    if module == "__main__" or (loaded is not None and IMPORTED_FILE in vars(loaded)):
        module = str(vars(loaded).get("__file__", "")) if loaded is not None else ""
    return f"{module}:{name}" if module else name
