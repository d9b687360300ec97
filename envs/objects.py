"""Environments given as Python objects, or as functions that make them: their names and copies."""

import os
import sys
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal, TypeAlias

import gymnasium as gym

from gridcade.envs import registry
from gridcade.envs.masks import IgnoreMasks, ignores_masks
from gridcade.envs.origins import with_module
from gridcade.envs.types import Env
from gridcade.errors import InputError, brief

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
    """The name of an environment in a run's config, and how the environment can be made again.

    Args:
        env: a name, a function that makes environments, or an environment.
        made: an environment that the function has made, or the environment itself.
    """
    if isinstance(env, str):
        return with_module(env), "name"
    if not isinstance(env, gym.Env):
        name = function_name(env)
        return (name, "name") if name else (registry.name_of(made), "function")
    if name := _full_name(env):
        return name, "name"
    return registry.name_of(env), "object" if copier(env) is None else "function"


def function_name(function: Callable[..., Any]) -> str | None:
    """The import path of a function or class, by which another process finds it; None without one.

    `package.module:function`, or `path/script.py:function` if it is part of the running script.
    """
    module, name = str(getattr(function, "__module__", "")), getattr(function, "__qualname__", "")
    loaded = sys.modules.get(module)
    if loaded is None or vars(loaded).get(name) is not function:
        return None
    if module == "__main__":
        spec, file = loaded.__spec__, vars(loaded).get("__file__")
        if spec is not None and spec.parent is not None:  # python -m package.module
            return f"{spec.name}:{name}"
        if not file or not file.endswith(".py"):  # a notebook, or Python's prompt
            return None
        below = f"{os.getcwd()}{os.sep}"
        return f"{os.path.abspath(file).removeprefix(below)}:{name}"
    return f"{module}:{name}"


def copier(env: Env) -> EnvMaker | None:
    """Return a function that copies an environment by its specification; None if it has none.

    Only what `gymnasium.make` and wrappers with recorded arguments did is copied, not what the
    program did to the object afterwards. A copy opens no window.
    """
    spec = env.spec
    if spec is None or any(wrapper.kwargs is None for wrapper in spec.additional_wrappers):
        return None
    if (name := _full_name(env)) is not None:
        return lambda: registry.make(name)
    spec = deepcopy(spec)
    if spec.kwargs.get("render_mode") == "human":
        del spec.kwargs["render_mode"]
    if ignores_masks(env):
        return lambda: IgnoreMasks(gym.make(spec))
    return lambda: gym.make(spec)


def _full_name(env: Env) -> str | None:
    """The name by which `registry.make` makes the same environment; None if no name does."""
    spec = env.spec
    if spec is None or spec.additional_wrappers:
        return None
    name = registry.name_of(env)
    limit = spec.max_episode_steps
    registered = gym.registry.get(spec.id)
    if registered is not None and limit != registered.max_episode_steps:
        name = registry.with_arguments(name, {"max_episode_steps": limit})
    try:
        id_, arguments = registry.parse(name)
    except InputError:
        return None
    given = {} if registered is None else registered.kwargs
    given = {**given, **arguments}
    given.pop("max_episode_steps", None)
    wanted = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
    return name if registry.find_spec(id_).id == spec.id and given == wanted else None
