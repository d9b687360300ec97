"""The command that trains a run again."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from gridcade import agents
from gridcade.agents.schedules import Schedule
from gridcade.errors import InputError
from gridcade.formatting import shell_command
from gridcade.training.config import read_recipe, resolve_config
from gridcade.training.options import TrainOptions
from gridcade.training.run_folder import Run

ALWAYS = ("steps", "minutes", "seed")  # options that the command names even at their defaults


def train_command(run: Run) -> str:
    """Return the command that trains the agent of a run again, quoted for the shell.

    Its options are the settings and hyperparameters that differ from the preset. If no option can
    express one of the hyperparameters, the command uses the run's config.toml instead.

    Raises:
        InputError: the run's config cannot be read, its preset does not exist any more, or its
            environment was made in Python and has no name.
    """
    config = run.config
    if config.env_source != "name":
        raise InputError(f"'{run.path}' was trained in Python, on an environment without a name")
    recipe = read_recipe(agents.find(config.agent), config.preset)
    words = ["gridcade", "train", config.agent, run.env, "--preset", config.preset]
    settings = _fields(config)
    given, usual = _fields(config.hyperparameters), _fields(recipe.hyperparameters)
    if any(isinstance(given[name], Mapping) and given[name] != usual[name] for name in given):
        return shell_command(*words, "--config", run.path / "config.toml")
    always = {name: settings[name] for name in ALWAYS}
    defaults = _fields(resolve_config(recipe, run.env, always)) | dict.fromkeys(ALWAYS)
    for name in TrainOptions.__annotations__:
        if name in settings and name != "preset":
            words += _option(name, defaults[name], settings[name])
    for name, value in given.items():
        words += _option(name, usual[name], value)
    return shell_command(*words)


def _fields(config: Any) -> dict[str, Any]:
    """Return the fields of a dataclass; `vars` lacks those that msgspec left at their default."""
    return {f.name: getattr(config, f.name) for f in fields(config)}


def _option(name: str, default: Any, value: Any) -> Iterator[str]:
    """Yield the words of the option that sets a value; nothing if it is the default."""
    if value == default:
        return
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, Schedule):
        for key, new in _fields(value).items():
            yield from _option(f"{name}.{key}", getattr(default, key), new)
    elif isinstance(value, bool):
        yield flag if value else flag.replace("--", "--no-", 1)
    elif isinstance(value, list | tuple):
        yield from (flag, *map(str, value))
    else:
        yield from (flag, f"{value:_}" if isinstance(value, int) else str(value))
