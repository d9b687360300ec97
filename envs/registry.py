"""Finds and makes environments by name: a short name, a Gymnasium id, a map file or an import path.

A name may contain arguments: `Maze?size=9&seed=3`. `imports.py` describes import paths.
"""

import ast
import inspect
import os.path
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.error import Error as GymnasiumError
from gymnasium.wrappers import TimeLimit

import gridcade.envs  # noqa: F401 - registers our environments
from gridcade.envs import suites
from gridcade.envs.atari import (
    DEFAULT_PROTOCOL,
    MNIH2013_GAMES,
    AtariGame,
    known_games,
    resolve_protocol,
    rom_name,
)
from gridcade.envs.bins import Binned, binned
from gridcade.envs.faults import place_of
from gridcade.envs.guard import guard_of, guarded
from gridcade.envs.imports import find_imported, is_import_path, module_of, split_import_path
from gridcade.envs.known_models import known_model as known_model
from gridcade.envs.masks import IgnoreMasks, ignores_masks
from gridcade.envs.origins import with_module
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env
from gridcade.errors import EnvError, InputError, one_line, single_line, unknown
from gridcade.files import read_text
from gridcade.plain import plain

ATARI = "ALE/"  # the namespace of Atari games
WORLD_ID = "gridcade/GridWorld-v0"  # of map files
MADE_AS = "_made_as"  # attribute that holds the name by which `make` made an environment
COMMON_ARGUMENTS = ("max_episode_steps",)
WORLD_ARGUMENTS = ("observation", "pixels", "time_limit")
ATARI_ARGUMENTS = ("protocol", "actions", "sticky")
# Ids of these packages are known without an import path, whatever else was imported before.
OWN_IDS = ("gridcade", "gymnasium")
# Gymnasium's older ids of Atari games, such as BreakoutNoFrameskip-v4.
OLD_GAME = re.compile(r"([A-Za-z]+?)(?:-ram)?(?:Deterministic|NoFrameskip)?-v([0-4])")


def short_names() -> dict[str, str]:
    """Map short names to Gymnasium ids, such as `FourRooms` to `gridcade/FourRooms-v0`.

    Only Gymnasium's environments and ours have short names. Ours take precedence; of all others
    the newest version does.
    """
    newest: dict[str, tuple[int, str]] = {}
    for id_, spec in gym.registry.items():
        if module_of(spec).partition(".")[0] not in OWN_IDS:
            continue  # such ids would depend on what was imported before
        name = f"{spec.namespace}/{spec.name}" if spec.namespace else spec.name
        if spec.namespace == "gridcade":
            newest[spec.name] = (1 << 30, id_)
        newest[name] = max(newest.get(name, (-1, id_)), (spec.version or 0, id_))
    return {name: id_ for name, (_, id_) in newest.items()}


def our_worlds() -> list[EnvSpec]:
    """List the specifications of the worlds that ship with Gridcade."""
    ours = (spec for spec in gym.registry.values() if spec.namespace == "gridcade")
    return [spec for spec in ours if spec.name != "GridWorld"]  # GridWorld needs a map


def parse(name: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """Split a name into a Gymnasium id and arguments.

    `Maze?size=9` -> (`gridcade/Maze-v0`, {"size": 9}). Keyword arguments replace those in the name.

    Raises:
        InputError: the environment, file or argument does not exist.
    """
    base = name.partition("?")[0]
    arguments = _arguments_in(name) | plain(arguments)
    head, _, tail = base.partition(":")
    # The tail must be an id of these packages: `trust` would not see another import path in it.
    if tail and ":" not in tail and (head in (*OWN_IDS, "ale_py") or suites.find_suite(tail)):
        base = tail
    if base.startswith(ATARI):
        id_ = f"{base.removesuffix('-v5')}-v5"
        rom_name(atari_title(id_))  # raises an error if the game does not exist
    elif suite_id := suites.find_id(base):
        id_ = suite_id
    elif _is_id(base) or is_import_path(base):
        id_ = base
    elif map_file(name):
        id_ = WORLD_ID
        arguments["world"] = base
    elif base in (shorts := short_names()):
        id_ = shorts[base]
    elif base in MNIH2013_GAMES or base in (games := known_games()):
        rom_name(base)  # raises an error if ale-py is not installed
        id_ = f"{ATARI}{base}-v5"
    elif os.path.isdir(base):
        raise InputError(f"'{base}' is a folder, not a map file")
    else:
        raise _unknown_environment(base, [*shorts, *games, *MNIH2013_GAMES])
    if arguments.get("mask") in ("on", "off"):  # see `masks_off`
        del arguments["mask"]
    known = _argument_names(id_)
    if not atari_title(id_) and (known is None or "bins" not in known):
        arguments.pop("bins", None)  # see `bins_of`
    for key in arguments:
        if key == "mask" and known is not None and key not in known:
            raise InputError(f"mask is '{arguments[key]}'; it must be on or off")
        if known is not None and key not in known:
            raise unknown(f"argument of {base}", key, {*known, "mask", "bins"})
    return id_, arguments


def bins_of(name: str, **arguments: Any) -> Any:
    """Return the argument `bins` of an environment's name or its arguments; None if not given."""
    id_, _ = parse(name, **arguments)
    known = _argument_names(id_)
    if atari_title(id_) or (known is not None and "bins" in known):
        return None  # an argument of the environment itself
    return (_arguments_in(name) | arguments).get("bins")


def masks_off(name: str, **arguments: Any) -> bool:
    """Whether an environment's name or its arguments turn action masks off."""
    return (dict(parse_qsl(name.partition("?")[2])) | arguments).get("mask") == "off"


def make(name: str, *, render_mode: str | None = None, **arguments: Any) -> Env:
    """Make an environment from a short name, a Gymnasium id or a map file.

    Arguments may be part of the name (`"Maze?size=9&seed=3"`) or given as keywords. Every
    environment takes the argument `mask`: `off` ignores its action masks. All but Atari games take
    `bins`, which makes finitely many observations: see `Binned`.

    Raises:
        InputError: the environment, file or argument does not exist, or a value is invalid.
    """
    env = _make(name, render_mode, arguments)
    bins = bins_of(name, **arguments)
    env = env if bins is None else Binned(env, bins)
    if masks_off(name, **arguments) and not isinstance(env, AtariGame):
        env = IgnoreMasks(env)
    vars(env)[MADE_AS] = with_arguments(name, arguments)
    return env


def _make(name: str, render_mode: str | None, arguments: dict[str, Any]) -> Env:
    """Make an environment without bins; its masks are not ignored."""
    id_, arguments = parse(name, **arguments)
    if title := atari_title(id_):
        env = AtariGame(title, render_mode=render_mode, **arguments)
        env.spec = EnvSpec(id_, entry_point="gridcade.envs.atari:AtariGame", kwargs=arguments)
        return env
    if render_mode is not None:
        arguments["render_mode"] = render_mode
    try:
        if suites.find_suite(id_):
            return suites.make(id_, arguments)
        made: Env = gym.make(find_spec(id_), disable_env_checker=True, **arguments)
    except InputError:
        raise
    except Exception as error:
        raise _not_made(name, error) from error
    if arguments.get("max_episode_steps") and id_.startswith("gridcade/"):
        model = known_model(made)
        if model is not None and model.continuing:
            raise InputError(f"{no_end(name)}: it must not have a time limit")
    return guarded(made, name.partition("?")[0])


def find_spec(id_: str) -> EnvSpec:
    """Find the specification of an id or an import path that `parse` returned."""
    if atari_title(id_):
        return EnvSpec(id_, entry_point="gridcade.envs.atari:AtariGame")
    return gym.registry[id_] if id_ in gym.registry else find_imported(id_)


def atari_title(id_: str) -> str:
    """Convert `ALE/Breakout-v5` to `Breakout`; empty if the id is not of an Atari game."""
    return id_.removeprefix(ATARI).removesuffix("-v5") if id_.startswith(ATARI) else ""


def map_file(name: str) -> Path | None:
    """Return the path of a map file; None if the name is not that of a map file."""
    base = name.partition("?")[0]
    if base in gym.registry or f"gridcade/{base}-v0" in gym.registry:
        return None
    if suites.find_suite(base) or is_import_path(base):
        return None
    return Path(base) if base.endswith(".txt") or os.path.isfile(base) else None


def map_text(name: str) -> str | None:
    """Read a map file; None if the name is not that of a map file."""
    file = map_file(name)
    return read_text(file, "the map") if file else None


def draws_pictures(name: str) -> bool:
    """Whether an environment can render pictures (rgb_array); False if it is unknown."""
    try:
        id_, _ = parse(name)
        if id_.startswith((ATARI, "gridcade/")) or suites.find_suite(id_):
            return True
        creator = _creator(id_)
    except (InputError, GymnasiumError, ImportError, AttributeError):
        return False
    metadata = getattr(creator, "metadata", None)  # of a wrapper class, it is a property
    return isinstance(metadata, dict) and "rgb_array" in metadata.get("render_modes", ())


def takes_render_mode(name: str) -> bool:
    """Whether an environment can be made with a render mode."""
    id_, _ = parse(name)
    if id_.startswith((ATARI, "gridcade/")) or suites.find_suite(id_):
        return True
    try:
        parameters = inspect.signature(_creator(id_)).parameters
    except (GymnasiumError, ImportError, AttributeError, TypeError, ValueError):
        return True
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return any_name or "render_mode" in parameters


def name_of(env: Env) -> str:
    """Return the short name of an environment with its arguments, or the file of its map."""
    if env.spec is None:
        return type(env.unwrapped).__name__
    registered = gym.registry[env.spec.id].kwargs if env.spec.id in gym.registry else {}
    arguments = {k: v for k, v in env.spec.kwargs.items() if registered.get(k, k) != v}
    arguments.pop("render_mode", None)
    if (wrapper := binned(env)) is not None:
        arguments["bins"] = wrapper.bins
    if ignores_masks(env):
        arguments["mask"] = "off"
    world = arguments.pop("world", None) if env.spec.id == WORLD_ID else None
    if isinstance(world, str) and world.endswith(".txt"):
        return with_arguments(world, arguments)
    title, guard = atari_title(env.spec.id), guard_of(env)
    if guard is not None and is_import_path(guard.name):
        names = [guard.name]
    else:
        names = [title] if title else [n for n, id_ in short_names().items() if id_ == env.spec.id]
    return with_arguments(min(names, key=len, default=with_module(env.spec.id)), arguments)


def label_of(env: Env) -> str:
    """Return the Gymnasium id of an environment, the file of its map, or its import path."""
    guard = guard_of(env)
    if guard is not None and is_import_path(guard.name):
        return guard.name
    if env.spec is None:
        return type(env.unwrapped).__name__
    return name_of(env) if env.spec.id == WORLD_ID else env.spec.id


def is_environment(name: str) -> bool:
    """Whether a name is that of an environment, a map file or an import path; imports nothing."""
    if is_import_path(name):
        head, tail = split_import_path(name.partition("?")[0])
        return os.path.isfile(head) or "." in head or bool(re.search(r"-v\d+$", tail))
    if map_file(name):
        return name.endswith(".txt") and os.path.isfile(name)
    try:
        parse(name)
    except InputError:
        return False
    return True


def with_arguments(name: str, arguments: dict[str, Any]) -> str:
    """Put arguments into a name: `Maze`, {"size": 9} -> `Maze?size=9`."""
    base, _, query = name.partition("?")
    merged = dict(parse_qsl(query, keep_blank_values=True)) | arguments
    return f"{base}?{urlencode(merged)}" if merged else base


def with_actions_of(name: str, trained_on: str) -> str:
    """Give an Atari game the action set of the game that an agent was trained on.

    For example, Breakout has 4 actions in Mnih's protocols and 18 in Machado's. A name that sets
    `actions` itself is returned unchanged, as is any other environment.

    Args:
        name: the environment in which the agent is to act.
        trained_on: the environment in which it was trained.
    """
    if is_import_path(trained_on):
        return name
    id_, arguments = parse(name)
    trained_id, trained_arguments = parse(trained_on)
    if not atari_title(id_) or not atari_title(trained_id) or "actions" in arguments:
        return name
    has_all, trained_with_all = (
        resolve_protocol(a.get("protocol", DEFAULT_PROTOCOL), a.get("actions")).full_actions
        for a in (arguments, trained_arguments)
    )
    if has_all == trained_with_all:
        return name
    return with_arguments(name, {"actions": "full" if trained_with_all else "minimal"})


def no_end(name: str) -> str:
    """Write the beginning of a sentence on an environment whose task is continuing."""
    return f"{name} has no end, so it is a continuing task"


def notes_on_world(name: str, env: Env, criterion: str = "average-reward") -> list[str]:
    """Write notes for the user: on probable mistakes in a map file, and on a world without an end.

    Args:
        name: the name of the environment.
        env: the environment.
        criterion: the criterion by which continuing tasks are scored.
    """
    world, model = env.unwrapped, known_model(env)
    notes = list(world.notes) if isinstance(world, TabularEnv) else []
    if model is not None and model.continuing:
        scored = "scored by the average reward per step" if criterion == "average-reward" else ""
        note = ", ".join(filter(None, (no_end(name), scored)))
        notes.append(note + ("; for episodes, draw an end such as G" if map_file(name) else ""))
    return notes


def time_limit(env: Env) -> int | None:
    """Return the number of steps after which episodes are truncated; None without a limit."""
    base = env.unwrapped
    limits = [base.time_limit if isinstance(base, TabularEnv | AtariGame) else None]
    while isinstance(env, gym.Wrapper):
        limits.append(env._max_episode_steps if isinstance(env, TimeLimit) else None)
        env = env.env
    return min((limit for limit in limits if limit is not None and limit > 0), default=None)


def _arguments_in(name: str) -> dict[str, Any]:
    """Parse the arguments in an environment's name."""
    pairs = parse_qsl(name.partition("?")[2], keep_blank_values=True)
    return {key: _parse_value(text) for key, text in pairs}


def _parse_value(text: str) -> Any:
    """Parse an argument: `9`, `0.5`, `true`, `none` or another Python literal; else it is text."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text
    whole = isinstance(value, float) and value.is_integer() and "." not in text
    return int(value) if whole else value  # 1e1 is a whole number too


def _argument_names(id_: str) -> set[str] | None:
    """Find the names of an environment's arguments; None if they cannot be determined."""
    if atari_title(id_):
        return set(ATARI_ARGUMENTS)
    try:
        creator = _creator(id_)
    except (GymnasiumError, ImportError, AttributeError):
        return None
    if creator is None:
        return None
    try:
        parameters = inspect.signature(creator).parameters
    except (TypeError, ValueError):  # the code is not Python
        return None
    names = {n for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
    if id_.startswith("gridcade/"):
        names |= set(WORLD_ARGUMENTS)
        if id_ != WORLD_ID:
            names.discard("world")
    elif len(names) < len(parameters):
        return None  # **kwargs accept any name
    return (names | set(COMMON_ARGUMENTS)) - {"render_mode", "self"}


def _is_id(base: str) -> bool:
    """Whether a name is a registered id, but not of ale-py, whose games lack our preprocessing."""
    return base in gym.registry and not module_of(gym.registry[base]).startswith("ale_py")


def _creator(id_: str) -> Any:
    """Find the class or function that makes an environment; None if there is none."""
    entry_point = find_spec(id_).entry_point
    return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def _not_made(name: str, error: Exception) -> InputError:
    """Make the error for an environment whose constructor failed, with the place in its file."""
    by_gymnasium = "was raised from the environment creator" in str(error)
    cause = error.__cause__ if by_gymnasium and error.__cause__ is not None else error
    suite = suites.find_suite(name)
    place = place_of(cause) or (place_of(cause, suite.package) if suite else "")
    reason = one_line(cause) if place or not str(cause) else single_line(cause)
    if isinstance(cause, MemoryError) and not str(cause):
        reason = "out of memory"
    where = f" ({place})" if place else ""
    kind = EnvError if isinstance(cause, OSError) else InputError  # such as a port in use
    return kind(f"cannot make the environment '{name}': {reason}{where}")


def _unknown_environment(base: str, names: list[str]) -> InputError:
    """Make the error for an unknown name. It does not depend on what was imported before."""
    ids = [i for i, s in gym.registry.items() if module_of(s).partition(".")[0] in OWN_IDS]
    title = base.partition("-v")[0]
    if versions := [i for i in ids if gym.registry[i].name == title]:
        return unknown("environment", base, versions)  # such as Taxi, an Atari game too
    if (game := OLD_GAME.fullmatch(base)) and game[1] in names:
        write = f"{game[1]}?sticky=0.25" if game[2] == "0" else game[1]
        return InputError(
            f"'{base}' is {game[1]} without Gridcade's preprocessing; write {write} "
            f"(protocol {DEFAULT_PROTOCOL}), or {game[1]}?protocol=machado2018"
        )
    error = unknown("environment", base, [*ids, *names])
    if "did you mean" not in str(error):
        ours = [spec.name for spec in gym.registry.values() if spec.namespace == "gridcade"]
        error = unknown("environment", base, ours)
    if not re.search(r"-v\d+$", base):
        return error
    package = base.partition("/")[0] if "/" in base else "PACKAGE"
    return InputError(f"{error}; if a package registers it, write {package}:{base}")
