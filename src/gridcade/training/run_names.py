"""Names of runs, and the errors for names that are not runs."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from gridcade.errors import InputError, unknown

RUNS = Path("runs")  # the folder of run folders


def not_a_run(path: Path) -> InputError:
    """Build the error for a path that is not a run folder."""
    message = f"'{path}' is not a run folder: it holds no config.toml"
    for folder, inside in ((path.parent, path), (path.parent.parent, path.parent)):
        if inside.name == "checkpoints" and is_run(folder):
            return InputError(f"{message}; did you mean {folder}?")
    if not os.path.lexists(path):
        error = unknown_policy("run", str(path), ())
        missing = InputError(f"no run folder '{path}'")
        return error if "did you mean" in str(error) else missing
    if os.path.isdir(path / "runs"):
        return InputError(f"{message}; its runs are in {path / 'runs'}")
    return InputError(message)


def is_run(path: Path) -> bool:
    """Return whether a folder holds a run."""
    return os.path.isfile(path / "config.toml")  # Path.is_file raises on long names


def unknown_policy(kind: str, name: str, others: Iterable[str]) -> InputError:
    """Build the error for a policy that does not exist; it suggests runs in its folder or in runs/.

    Args:
        kind: the noun for the message, such as "contender".
        name: the name that does not exist.
        others: names of policies that are not runs.
    """
    folders = {folder for folder in (Path(name).parent, RUNS) if os.path.isdir(folder)}
    runs = [file.parent for folder in folders for file in folder.glob("*/config.toml")]
    by_name = {run.name.lower(): run for run in runs}
    if is_run(RUNS / name):
        return InputError(f"unknown {kind} '{name}'; did you mean {RUNS / name}?")
    error = unknown(kind, name, [*others, *map(str, runs)])
    if "did you mean" not in str(error):
        for near in get_close_matches(name.lower(), by_name, n=1):
            return InputError(f"unknown {kind} '{name}'; did you mean {by_name[near]}?")
    return error
