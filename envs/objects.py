"""Environments given as Python objects, or as functions that make them: their names and copies."""

import os
import sys
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal, TypeAlias

import gymnasium as gym

from gridcade.envs import registry
from gridcade.envs.atari import AtariGame
from gridcade.envs.faults import shown
from gridcade.envs.imports import IMPORTED_FILE
from gridcade.envs.masks import IgnoreMasks, ignores_masks
from gridcade.envs.origins import with_module
from gridcade.envs.suites import find_suite
from gridcade.envs.types import Env
from gridcade.errors import InputError, brief

GUARD = "gridcade.envs.guard:Guard"  # copies are made without this wrapper
EnvMaker: TypeAlias = Callable[[], Env]
EnvLike: TypeAlias = str | Env | EnvMaker
EnvSource: TypeAlias = Literal["name", "function", "object"]
"""How the environments of a run can be made again: by their name, by a function that only the
user's program has, or not at all."""


def check_env(env: object) -> None:
    """Raise InputError unless it is a name, an environment, or a function that makes one."""
    if not isinstance(env, str | gym.Env) and not callable(env):
        raise InputError(
            "an environment is a name, a Gymnasium environment, or a function that makes one, not "
            f"{brief(env)}"
        )


def identity(env: EnvLike, made: Env) -> tuple[str, EnvSource]:
    """Return the name of an environment in a run's config, and how it can be made again.

    Args:
        env: a name, a function that makes environments, or an environment.
        made: an environment that the function has made, or the environment itself.
    """
    if name := nameable(env):
        return name, "name"
    alone = isinstance(env, gym.Env) and copier(env) is None
    return registry.name_of(made), "object" if alone else "function"


def nameable(env: EnvLike) -> str | None:
    """Find the name by which another process makes the same environment; None if there is none."""
    if isinstance(env, str):
        return with_module(env)
    return _full_name(env) if isinstance(env, gym.Env) else function_name(env)


def game_by_name(env: EnvLike) -> EnvLike:
    """Replace an Atari game that `registry.make` made by its name, so that copies run in parallel.

    Other environments are returned unchanged.
    """
    if isinstance(env, gym.Env) and isinstance(env.unwrapped, AtariGame):
        return _full_name(env) or env
    return env


def function_name(function: Callable[..., Any]) -> str | None:
    """Return the import path by which another process finds a function or class; None without one.

    `package.module:function`, or `path/script.py:function` if it is part of the running script.
    """
    module, name = str(getattr(function, "__module__", "")), getattr(function, "__qualname__", "")
    loaded = sys.modules.get(module)
    if loaded is None or vars(loaded).get(name) is not function:
        return None
    if IMPORTED_FILE in vars(loaded):  # it was imported by an import path
        return f"{shown(str(loaded.__file__))}:{name}"
    if module == "__main__":
        spec, file = loaded.__spec__, vars(loaded).get("__file__")
        if spec is not None and spec.parent is not None:  # python -m package.module
            return f"{spec.name}:{name}"
        if not file or not file.endswith(".py"):  # a notebook, or Python's prompt
            return None
        return f"{shown(os.path.abspath(file))}:{name}"
    return f"{module}:{name}"


def copier(env: Env) -> EnvMaker | None:
    """Return a function that copies an environment by its specification; None if it has none.

    A copy has the arguments that `gymnasium.make` and the wrappers recorded. It lacks later changes
    of the object by the program, and opens no window.
    """
    if name := _full_name(env):
        return lambda: registry.make(name)
    spec = deepcopy(env.spec)
    if spec is None:
        return None
    wrappers = [w for w in spec.additional_wrappers if w.entry_point != GUARD]
    if any(wrapper.kwargs is None for wrapper in wrappers):
        return None
    spec.additional_wrappers = tuple(wrappers)
    if spec.kwargs.get("render_mode") == "human":
        del spec.kwargs["render_mode"]
    if ignores_masks(env):
        return lambda: IgnoreMasks(gym.make(spec))
    return lambda: gym.make(spec)


def _full_name(env: Env) -> str | None:
    """Find the name by which `registry.make` makes the same environment; None without one."""
    if made_as := vars(env).get(registry.MADE_AS):
        return str(made_as)
    spec = env.spec
    if spec is None or spec.additional_wrappers or spec.id not in gym.registry:
        return None
    if find_suite(spec.id) or registry.atari_title(spec.id):
        return None  # `registry.make` would add a wrapper of ours
    name, limit, registered = registry.name_of(env), spec.max_episode_steps, gym.registry[spec.id]
    if limit != registered.max_episode_steps:
        name = registry.with_arguments(name, {"max_episode_steps": limit})
    try:
        id_, arguments = registry.parse(name)
    except InputError:
        return None
    arguments.pop("max_episode_steps", None)
    wanted = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
    given = registered.kwargs | arguments
    return name if registry.find_spec(id_).id == spec.id and given == wanted else None
