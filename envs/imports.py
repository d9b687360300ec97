"""Finds environments by import path: `package.module:Name-v0`, `module:Class`, `file.py:Class`.

Only `find_imported` runs code, and only code that the user names.
"""

import hashlib
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module, invalidate_caches
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isfunction
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from gridcade.envs.faults import place_of
from gridcade.errors import InputError, brief, one_line, unknown

SUFFIX = ".py"
IMPORTED_FILE = "__gridcade_file__"  # attribute of the modules that `_load_file` made


def is_import_path(name: str) -> bool:
    """Whether a name has the form of an import path. Nothing is imported or read."""
    base = name.partition("?")[0]
    if base.endswith(SUFFIX):
        return True
    module, colon, tail = base.rpartition(":")
    if not colon or base.endswith(".txt") or tail.startswith(("/", "\\")):  # C:\maps\mine
        return False
    return module.endswith(SUFFIX) or all(part.isidentifier() for part in module.split("."))


def split_import_path(base: str) -> tuple[str, str]:
    r"""Split an import path at its last colon: `C:\envs\mine.py:Mine`; the tail may be empty."""
    if base.endswith(SUFFIX):
        return base, ""
    module, _, tail = base.rpartition(":")
    return module, tail


def find_imported(base: str) -> EnvSpec:
    """Import a module or file, and find the environment that an import path names.

    An attribute of the module takes precedence over a Gymnasium id.

    Args:
        base: the import path, without arguments.

    Raises:
        InputError: the module, file or environment does not exist, or importing it fails.
    """
    head, tail = split_import_path(base)
    module = _load_file(head) if head.endswith(SUFFIX) else _load_module(head)
    if not tail:
        names = environments_of(module)
        known = ", ".join(names) or "none"
        raise InputError(
            f"'{head}' is a Python file; the environments in it are: {known}; "
            f"name one: {head}:{names[0] if names else 'NAME'}"
        )
    found: Any = vars(module).get(tail)
    if found is None and tail in gym.registry:
        return gym.registry[tail]
    if found is None:
        functions = [name for name, value in vars(module).items() if _is_own(value, module)]
        raise unknown(f"environment of {head}", tail, [*environments_of(module), *functions])
    if isinstance(found, type) and not issubclass(found, gym.Env):
        raise InputError(f"'{base}' is not a subclass of gymnasium.Env{_old_gym(found)}")
    if not callable(found):
        raise InputError(
            f"'{base}' is {brief(found)}; name a class, or a function that returns an environment"
        )
    id_ = re.sub(r"[^\w:.-]", "_", f"{Path(head).name}:{tail}")
    return EnvSpec(id_, entry_point=vars(module)[tail])  # `found` has a narrower type by now


def environments_of(module: ModuleType) -> list[str]:
    """List the environments that a module defines or registers, by their names in it."""
    classes = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, gym.Env)
        if value.__module__ == module.__name__
    ]
    return classes + [id_ for id_, spec in gym.registry.items() if _registers(module, spec)]


def _registers(module: ModuleType, spec: EnvSpec) -> bool:
    """Whether the class or function of a registered environment is defined in a module."""
    return module_of(spec) == module.__name__


def module_of(spec: EnvSpec) -> str:
    """Name the module that defines the class or function of a registered environment."""
    entry = spec.entry_point
    return (
        entry.partition(":")[0] if isinstance(entry, str) else str(getattr(entry, "__module__", ""))
    )


def _is_own(value: object, module: ModuleType) -> bool:
    """Whether a value is a function that the module defines."""
    return isfunction(value) and value.__module__ == module.__name__


def _old_gym(found: type) -> str:
    """Write a hint if a class is written for the old package gym; otherwise empty."""
    old = any(c.__module__.partition(".")[0] == "gym" for c in found.__mro__)
    return ", but of the old gym.Env: import gymnasium as gym" if old else ""


def _load_file(path: str) -> ModuleType:
    """Run a file as a module: once, and again when its content has changed."""
    file = os.path.realpath(path)
    if not os.path.isfile(file):
        files = [str(p) for p in Path(path).parent.glob(f"*{SUFFIX}")]
        near = get_close_matches(path, files, n=1)
        raise InputError(f"no file '{path}'" + (f"; did you mean {near[0]}?" if near else ""))
    if (loaded := _loaded_from(file)) is not None:
        return loaded
    digest = hashlib.sha256(file.encode(errors="replace") + Path(file).read_bytes()).hexdigest()
    name = f"{Path(file).stem}_{digest[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # noqa: S101,PT018 - the suffix is .py
    module = module_from_spec(spec)
    vars(module)[IMPORTED_FILE] = True
    sys.modules[name] = module
    _add_to_path(os.path.dirname(file))
    try:
        with _importing(path):
            spec.loader.exec_module(module)
    except InputError:
        del sys.modules[name]
        raise
    return module


def _loaded_from(file: str) -> ModuleType | None:
    """Find a module that other code made from a file, such as the running script."""
    for module in list(sys.modules.values()):
        names = vars(module) if isinstance(module, ModuleType) else {}
        other = names.get("__file__")
        if not isinstance(other, str) or IMPORTED_FILE in names:
            continue
        if os.path.basename(other) == os.path.basename(file) and os.path.realpath(other) == file:
            return module
    return None


def _load_module(name: str) -> ModuleType:
    """Import a module: an installed one, or one in the current directory."""
    _add_to_path(os.getcwd())
    invalidate_caches()
    with _importing(name):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            missing = str(error.name)
            if not f"{name}.".startswith(f"{missing}."):
                raise  # the module exists, and imports one that does not
            parent = missing.rpartition(".")[0]
            folders = vars(sys.modules[parent]).get("__path__", []) if parent else None
            beside = [module.name for module in pkgutil.iter_modules(folders)]
            names = [f"{parent}.{module}" if parent else module for module in beside]
            near = get_close_matches(missing, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else " here or among installed modules"
            raise InputError(f"no module '{missing}'{hint}") from None


@contextmanager
def _importing(name: str) -> Iterator[None]:
    """Turn errors that the code of a module raises into an InputError with their place."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        place = place_of(error)
        where = f" ({place})" if place else ""
        raise InputError(f"cannot import '{name}': {one_line(error)}{where}") from error


def _add_to_path(folder: str) -> None:
    """Let Python find modules in a folder, after all others."""
    if folder not in sys.path:
        sys.path.append(folder)
