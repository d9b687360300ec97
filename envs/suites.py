"""Suites of other packages that are known by their ids alone: MiniGrid, BabyAI and MinAtar.

Their packages are imported when an id is used, so users need not import them.
"""

import re
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import gymnasium as gym

from gridcade.envs.types import Env
from gridcade.errors import InputError, unknown


class Suite(NamedTuple):
    """A package with environments."""

    package: str  # also the name of the extra, and of our module in `gridcade.envs`
    prefix: str  # of all ids
    example: str  # one of the ids
    about: str

    @property
    def installed(self) -> bool:
        """Whether the package can be imported."""
        return find_spec(self.package) is not None


SUITES = (
    Suite(
        "minigrid",
        "MiniGrid-",
        "MiniGrid-DoorKey-5x5-v0",
        "rooms, keys and doors, partially observed; ?view=full shows the whole grid, "
        "?mission=words adds the mission",
    ),
    Suite("minigrid", "BabyAI-", "BabyAI-GoToLocal-v0", "MiniGrid's rooms, with instructions"),
    Suite(
        "minatar",
        "MinAtar/",
        "MinAtar/Breakout-v1",
        "five Atari games on 10 x 10 cells; v1 has only the actions that the game uses, v0 all six",
    ),
)


def find_suite(name: str) -> Suite | None:
    """Find the suite of an id; None if it belongs to none."""
    return next((suite for suite in SUITES if name.startswith(suite.prefix)), None)


def find_id(name: str) -> str | None:
    """Find the registered id of an environment of a suite; None if the name belongs to no suite.

    A name without a version, such as `MinAtar/Breakout`, stands for the newest version.

    Raises:
        InputError: the package is not installed, or it has no such environment.
    """
    suite = find_suite(name)
    if suite is None:
        return None
    if not suite.installed:
        raise InputError(
            f"'{name}' needs the package {suite.package}: pip install 'gridcade[{suite.package}]'"
        )
    _module(suite).register()
    if name in gym.registry:
        return name
    ids = [id_ for id_ in gym.registry if id_.startswith(suite.prefix)]
    versions = [id_ for id_ in ids if re.fullmatch(rf"{re.escape(name)}-v\d+", id_)]
    if not versions:
        raise unknown("environment", name, ids)
    return max(versions, key=lambda id_: int(id_.rpartition("-v")[2]))


def make(id_: str, arguments: dict[str, Any]) -> Env:
    """Make an environment of a suite from the id that `find_id` returned.

    Raises:
        InputError: an argument is invalid.
    """
    suite = find_suite(id_)
    assert suite is not None  # noqa: S101 - for the type checker
    with warnings.catch_warnings():
        # Gymnasium warns that older versions are out of date, but here they are other tasks.
        warnings.filterwarnings("ignore", "(?s).*out of date", DeprecationWarning)
        env: Env = _module(suite).make(id_, **arguments)
    return env


def _module(suite: Suite) -> Any:
    return import_module(f"gridcade.envs.{suite.package}")
