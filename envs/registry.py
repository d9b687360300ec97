"""Environments by the names that people type: short names, Gymnasium ids, map files."""

import ast
import inspect
import os.path
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.error import Error as GymnasiumError
from gymnasium.wrappers import (
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
)

import gridcade.envs  # noqa: F401 - registers our environments
from gridcade.envs.atari import (
    DEFAULT_PROTOCOL,
    MNIHS_GAMES,
    AtariGame,
    known_games,
    rom_name,
    settled,
)
from gridcade.envs.tabular import Model
from gridcade.errors import InputError, unknown

ATARI = "ALE/"  # the namespace of Atari games


class TransparentWrapper(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that looks on, and changes nothing: what is within has its model still."""


UNCHANGING = (
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
    TransparentWrapper,
)
COMMON_ARGUMENTS = ("max_episode_steps",)
WORLD_OPTIONS = ("observation", "pixels", "time_limit")
# What an environment may raise over its arguments, or for want of a package.
MISFITS = (GymnasiumError, TypeError, ValueError, LookupError, AssertionError, ImportError)


def short_names() -> dict[str, str]:
    """Short name -> Gymnasium id: ours first, then the newest version of every other one."""
    newest: dict[str, tuple[int, str]] = {}
    for id_, spec in gym.registry.items():
        if str(spec.entry_point).startswith("ale_py"):
            continue  # a game's title means the game as Mnih saw it
        short = f"{spec.namespace}/{spec.name}" if spec.namespace else spec.name
        if spec.namespace == "gridcade":
            newest[spec.name] = (1 << 30, id_)
        newest[short] = max(newest.get(short, (-1, id_)), (spec.version or 0, id_))
    return {short: id_ for short, (_, id_) in newest.items()}


def parse(name: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """`Maze?size=9` -> (`gridcade/Maze-v0`, {"size": 9}).

    Raises:
        InputError: no such environment, file or argument.
    """
    base, _, query = name.partition("?")
    given = {key: _value(text) for key, text in parse_qsl(query, keep_blank_values=True)}
    given.update(arguments)
    if base.startswith(ATARI):
        id_ = f"{base.removesuffix('-v5')}-v5"
        rom_name(atari_title(id_))  # tells an unknown one
    elif base in gym.registry:
        id_ = base
    elif map_file(name):
        id_ = "gridcade/GridWorld-v0"
        given["world"] = base
    elif base in (shorts := short_names()):
        id_ = shorts[base]
    elif base in MNIHS_GAMES or base in (games := known_games()):
        rom_name(base)  # tells that ale-py is missing
        id_ = f"{ATARI}{base}-v5"
    else:
        ours = [spec.name for spec in gym.registry.values() if spec.namespace == "gridcade"]
        error = unknown("environment", base, [*gym.registry, *shorts, *games, *MNIHS_GAMES])
        raise error if "did you mean" in str(error) else unknown("environment", base, ours)
    known = _arguments(id_)
    for key in given:
        if known is not None and key not in known:
            raise unknown(f"argument of {base}", key, known)
    return id_, given


def make(name: str, *, render_mode: str | None = None, **arguments: Any) -> gym.Env[Any, Any]:
    """Make an environment by its Gymnasium id, short name (`FourRooms`) or map file.

    Arguments may be part of the name (`"Maze?size=9&seed=3"`) or given as keywords.

    Raises:
        InputError: no such environment, file or argument, or a value out of its range.
    """
    id_, given = parse(name, **arguments)
    if atari_title(id_):
        env = AtariGame(atari_title(id_), render_mode=render_mode, **given)
        env.spec = EnvSpec(id_, entry_point="gridcade.envs.atari:AtariGame", kwargs=given)
        return env
    if render_mode is not None:
        given["render_mode"] = render_mode
    try:
        made = gym.make(id_, disable_env_checker=True, **given)
    except InputError:
        raise
    except MISFITS as error:
        reason = " ".join(str(error).split())
        raise InputError(f"cannot make the environment '{name}': {reason}") from error
    if given.get("max_episode_steps") and id_.startswith("gridcade/"):
        model = known_model(made)
        if model is not None and model.continuing:
            raise InputError(f"{name} is a continuing task: it takes no time limit")
    return made


def atari_title(id_: str) -> str:
    """`ALE/Breakout-v5` -> `Breakout`; nothing for what is no Atari game."""
    return id_.removeprefix(ATARI).removesuffix("-v5") if id_.startswith(ATARI) else ""


def map_file(name: str) -> Path | None:
    """The file of a world that was drawn by hand; None for names of environments."""
    base = name.partition("?")[0]
    if base in gym.registry or f"gridcade/{base}-v0" in gym.registry:
        return None
    return Path(base) if base.endswith(".txt") or os.path.isfile(base) else None


def map_text(name: str) -> str | None:
    """The text of a world that was drawn by hand; None for names of environments."""
    file = map_file(name)
    return file.read_text(encoding="utf-8") if file else None


def with_arguments(name: str, arguments: dict[str, Any]) -> str:
    """A name with its arguments inside: `Maze`, {"size": 9} -> `Maze?size=9`."""
    base, _, query = name.partition("?")
    merged = dict(parse_qsl(query, keep_blank_values=True)) | arguments
    return f"{base}?{urlencode(merged)}" if merged else base


def with_actions_of(name: str, trained_on: str) -> str:
    """An Atari game under a name, with the set of actions that an agent has learnt to choose from.

    Agents have 4 actions on Breakout under Mnih's protocols, and 18 under Machado's.
    """
    id_, given = parse(name)
    other, learnt = parse(trained_on)
    if not atari_title(id_) or not atari_title(other) or "actions" in given:
        return name
    full, knows_full = (
        settled(args.get("protocol", DEFAULT_PROTOCOL), args.get("actions")).full_actions
        for args in (given, learnt)
    )
    if full == knows_full:
        return name
    return with_arguments(name, {"actions": "full" if knows_full else "minimal"})


def known_model(env: gym.Env[Any, Any]) -> Model | None:
    """The exact model of an environment that has one: ours, or toy_text's `P`.

    A wrapper that may change rewards, actions or observations leaves no exact model.

    Raises:
        InputError: its `P` makes no sense, such as probabilities that do not sum to 1.
    """
    bare = env.unwrapped
    while env is not bare:
        if not isinstance(env, gym.Wrapper) or not isinstance(env, UNCHANGING):
            return None
        env = env.env
    if isinstance(model := getattr(bare, "model", None), Model):
        return model
    table, start = getattr(bare, "P", None), getattr(bare, "initial_state_distrib", None)
    if table is None or start is None:
        return None
    if getattr(bare, "fickle_passenger", False):
        return None  # Taxi's table leaves this out
    try:
        return Model.from_table(table, start)
    except ValueError as error:
        raise InputError(f"the table P of {bare} is no model: {error}") from error


def time_limit(env: gym.Env[Any, Any]) -> int | None:
    """Steps after which an episode is cut; None: no limit."""
    limits = [getattr(env.unwrapped, "time_limit", None)]
    while isinstance(env, gym.Wrapper):
        limits.append(env._max_episode_steps if isinstance(env, TimeLimit) else None)
        env = env.env
    known = [limit for limit in limits if limit is not None and limit > 0]
    return min(known, default=None)


def _value(text: str) -> Any:
    """`9`, `0.5`, `true`, `none` as what they are; anything else as text."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


def _arguments(id_: str) -> set[str] | None:
    """The arguments an environment takes; None where anything goes."""
    if atari_title(id_):
        return {"protocol", "actions", "sticky"}
    entry = gym.registry[id_].entry_point
    try:
        creator = load_env_creator(entry) if isinstance(entry, str) else entry
    except (GymnasiumError, ImportError, AttributeError):
        return None
    if creator is None:
        return None
    parameters = inspect.signature(creator).parameters
    named = {n for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
    if id_.startswith("gridcade/"):
        named |= set(WORLD_OPTIONS)
        if id_ != "gridcade/GridWorld-v0":
            named.discard("world")
    elif len(named) < len(parameters):
        return None
    return (named | set(COMMON_ARGUMENTS)) - {"render_mode", "self"}
