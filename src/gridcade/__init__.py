"""Gridcade: a reinforcement-learning playground, from gridworlds to the arcade.

The public API takes names and objects:

    import gridcade

    run = gridcade.train("q-learning", "FourRooms")
    result = gridcade.evaluate(run, episodes=2000)
    print(result)
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

# In a clone whose git made no links, agents/ and envs/ are found at the checkout's root.
if not (Path(__file__).parent / "agents").is_dir():
    __path__.append(str(Path(__file__).resolve().parents[2]))

from gridcade import agents as agents
from gridcade import envs as envs

if TYPE_CHECKING:
    from gridcade.api import check as check
    from gridcade.api import compare as compare
    from gridcade.api import evaluate as evaluate
    from gridcade.api import load as load
    from gridcade.api import make as make
    from gridcade.api import play as play
    from gridcade.api import resume as resume
    from gridcade.api import serve as serve
    from gridcade.api import show as show
    from gridcade.api import solve as solve
    from gridcade.api import sweeps as sweeps
    from gridcade.api import train as train
    from gridcade.api import watch as watch

__all__ = [
    "check",
    "compare",
    "evaluate",
    "load",
    "make",
    "play",
    "resume",
    "serve",
    "show",
    "solve",
    "sweeps",
    "train",
    "watch",
]

try:
    __version__ = version("gridcade")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported on first use, because `api` imports numerical libraries
        return getattr(import_module("gridcade.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the public API, which completion and `dir` show."""
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
