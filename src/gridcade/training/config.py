"""The config of a training run: how it is resolved from layers, and converted from and to TOML."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from gridcade import agents
from gridcade.agents import AgentKind
from gridcade.agents.base import AgentConfig
from gridcade.agents.schedules import Schedule
from gridcade.aliases import hint, synonyms
from gridcade.envs.objects import EnvSource
from gridcade.errors import InputError
from gridcade.files import read_text
from gridcade.plain import plain
from gridcade.seeding import check_seed
from gridcade.training.side_by_side import flatten

T = TypeVar("T")
Table = dict[str, Any]  # of a TOML file
# Names that belong in another table -> the end of the error message that begins with "'NAME' ".
Misplaced = Mapping[str, str]

FORMAT = 2  # of run folders; format 1 had another name for steps
DEFAULT_STEPS = 200_000
EPOCHS = 50  # in a run bounded by steps, unless the epoch's length is given
SHORTEST_EPOCH = 1_000  # steps
EPOCH_BY_TIME = 1_000_000  # steps, in a run bounded by minutes alone
SETTING = "is a setting of the run: it belongs outside hyperparameters"  # for Misplaced


@dataclass(frozen=True)
class RunSettings:
    """All settings of a run, except the agent's hyperparameters.

    Raises:
        InputError: a value is out of its range.
    """

    agent: str
    env: str
    format: int = FORMAT  # of the run folder
    preset: str = ""
    seed: int = 0
    steps: int | None = None  # over all environments; None: no bound
    minutes: float | None = None  # of training, over all sessions; None: no bound
    epoch: int = 1000  # steps
    evaluation_episodes: int = 20  # where the policy's exact value is not known
    evaluation_every: int = 1  # epochs
    envs: int = 1  # environments that step side by side
    init_from: str = ""  # trained agent whose layers are loaded before training; "": none
    env_source: EnvSource = "name"  # how the environment can be made again
    tensorboard: bool = False  # write the metrics for TensorBoard too

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.format != FORMAT:
            raise InputError(f"format is {self.format}; this version of Gridcade reads {FORMAT}")
        check_seed(self.seed)
        for name in ("steps", "epoch", "evaluation_episodes", "evaluation_every", "envs"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int):
                raise InputError(f"{name} is {value}; it must be a whole number")
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be 1 or more")
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise InputError(f"minutes is {self.minutes}; it must be more than 0")
        if self.steps is None and self.minutes is None:
            raise InputError("a run needs steps, minutes, or both")


@dataclass(frozen=True)
class RunConfig(RunSettings):
    """All settings of a run, with the agent's hyperparameters."""

    hyperparameters: AgentConfig = field(kw_only=True)

    @classmethod
    def of(cls, settings: RunSettings, hyperparameters: AgentConfig) -> "RunConfig":
        """Combine settings with the agent's hyperparameters."""
        return cls(**vars(settings), hyperparameters=hyperparameters)


def used_up(budget: RunSettings, steps: int, seconds: float) -> bool:
    """Return whether a budget of steps and minutes is used up."""
    return (budget.steps is not None and steps >= budget.steps) or (
        budget.minutes is not None and seconds >= budget.minutes * 60
    )


def read_settings(file: Path) -> RunSettings:
    """Read the settings of a run's config.toml, without the agent's hyperparameters.

    Raises:
        InputError: the file cannot be read, is not a config, or belongs to an older run folder.
    """
    return _split(file)[0]


def read_config(file: Path) -> RunConfig:
    """Read a run's config.toml.

    Raises:
        InputError: the file cannot be read, is not a config, or belongs to an older run folder.
    """
    settings, table = _split(file)
    kind = agents.find(settings.agent)
    return RunConfig.of(settings, agent_config(table, kind, f"{file}, hyperparameters"))


def _split(file: Path) -> tuple[RunSettings, Table]:
    table = read_toml(file)
    if "agent" in table and table.get("format", 1) != FORMAT:
        raise InputError(
            f"'{file.parent}' was written by another version of Gridcade (run folder format "
            f"{table.get('format', 1)}, this version reads {FORMAT}): train again"
        )
    hyperparameters = _hyperparameters(table, file)
    return from_dict(table, RunSettings, str(file)), hyperparameters


def _hyperparameters(table: Table, file: Path) -> Table:
    """Take the hyperparameters out of a file's table; InputError if they are not a table."""
    hyperparameters = table.pop("hyperparameters", {})
    if not isinstance(hyperparameters, dict):
        raise InputError(f"{file}: hyperparameters is {hyperparameters!r}; it must be a table")
    return hyperparameters


# ---- resolving a config from its layers


@dataclass(frozen=True)
class Recipe:
    """An agent with a preset, and a config file whose values override the preset's."""

    kind: AgentKind
    preset: str
    settings: Table  # fields of RunSettings that the two files set
    hyperparameters: AgentConfig


def read_recipe(
    kind: AgentKind,
    preset: str,
    config: Path | None = None,
    overlay: Mapping[str, Any] | None = None,
) -> Recipe:
    """Read a preset and a config file, whose values override the preset's.

    Args:
        kind: the kind of agent.
        preset: the name of one of its presets.
        config: a TOML file like a run's config.toml.
        overlay: hyperparameters that override both.

    Raises:
        InputError: a file cannot be read, or sets a field to a wrong value; names the file.
    """
    settings: Table = {}
    merged: Table = {}
    for file in [kind.preset(preset), *([config] if config is not None else [])]:
        layer = read_toml(file)
        if layer.get("agent", kind.name) != kind.name:
            raise InputError(f"{file} is for the agent {layer['agent']}, not for {kind.name}")
        where = f"{file}, hyperparameters"  # names the file at fault
        merged = _merge(merged, convert_numbers(_hyperparameters(layer, file), kind.config, where))
        agent_config(merged, kind, where)
        check_settings(layer, kind, str(file))
        settings = _lay_over(settings, layer)
    merged = _merge(merged, convert_numbers(overlay or {}, kind.config, "hyperparameters"))
    return Recipe(kind, preset, settings, agent_config(merged, kind, "hyperparameters"))


def resolve_config(
    recipe: Recipe,
    env: str,
    options: Mapping[str, Any],
    hyperparameters: AgentConfig | None = None,
) -> RunConfig:
    """Resolve a run's config: the options override the recipe.

    The topmost layer that sets steps or minutes decides both.

    Args:
        recipe: the agent with its preset and config file.
        env: the environment's name.
        options: fields of RunSettings; None counts as not given.
        hyperparameters: replaces the recipe's; None: keep those.

    Raises:
        InputError: a value is out of its range.
    """
    given = {key: value for key, value in options.items() if value is not None}
    values = _lay_over(recipe.settings, given)
    if "steps" not in values and "minutes" not in values:
        values["steps"] = DEFAULT_STEPS
    values |= {"agent": recipe.kind.name, "env": env, "preset": recipe.preset}
    settings = check_settings(values, recipe.kind, "config", "pass it as hyperparameters={...}")
    if "epoch" not in values:
        even_share = settings.steps // EPOCHS if settings.steps else EPOCH_BY_TIME
        settings = replace(settings, epoch=max(SHORTEST_EPOCH, even_share))
    return RunConfig.of(settings, hyperparameters or recipe.hyperparameters)


def _lay_over(below: Table, above: Table) -> Table:
    """Override settings; a bound on steps or minutes replaces both bounds."""
    bounds = ("steps", "minutes")
    if any(name in above for name in bounds):
        below = {key: value for key, value in below.items() if key not in bounds}
    return below | above


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Table:
    """Override the values of a nested table."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


# ---- TOML and dataclasses


def read_toml(file: Path) -> Table:
    """Read a TOML file.

    Raises:
        InputError: the file cannot be read, or is not TOML; names the line and column.
    """
    try:
        return tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: {error}") from None


def from_dict(
    values: Mapping[str, Any],
    kind: type[T],
    where: str,
    owner: str = "",
    misplaced: Misplaced | None = None,
) -> T:
    """Convert a table to a dataclass; see `check_names` and `convert_numbers`.

    Raises:
        InputError: a name, type or value is wrong; names `where`, the field and the nearest name.
    """
    check_names(values, kind, where, owner, misplaced)
    try:
        return msgspec.convert(convert_numbers(values, kind, where), kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error}") from None


def agent_config(values: Mapping[str, Any], kind: AgentKind, where: str) -> AgentConfig:
    """Convert a table to an agent's hyperparameters; see `from_dict`."""
    misplaced = dict.fromkeys(field_names(RunSettings), SETTING)
    return from_dict(values, kind.config, where, kind.name, misplaced)


def check_settings(
    values: Mapping[str, Any],
    kind: AgentKind,
    where: str,
    advice: str = "it belongs under [hyperparameters]",
) -> RunSettings:
    """Convert a table to settings; required ones may be missing. See `from_dict`.

    `advice` is what the error for a hyperparameter among the settings tells the user to do.
    """
    place = f"is a hyperparameter of {kind.name}: {advice}"
    misplaced = dict.fromkeys(field_names(kind.config), place)
    required = {"agent": kind.name, "env": ""} | ({} if "minutes" in values else {"steps": 1})
    return from_dict(required | dict(values), RunSettings, where, misplaced=misplaced)


def check_names(
    values: Mapping[str, Any],
    kind: Any,
    where: str,
    owner: str = "",
    misplaced: Misplaced | None = None,
) -> None:
    """Raise InputError, with the nearest name, at a key that is not a field of a dataclass.

    Args:
        values: a table.
        kind: the dataclass.
        where: place of the table, for the message.
        owner: the name of what has these fields, such as an agent, for the message.
        misplaced: names that belong elsewhere, such as hyperparameters among settings.
    """
    hints = get_type_hints(kind)
    names = {f.name for f in fields(kind)}
    for name, value in values.items():
        if name in names:
            if is_dataclass(hints[name]) and isinstance(value, Mapping):
                check_names(value, hints[name], f"{where}, {name}", owner)
            continue
        if misplaced and name in misplaced:
            raise InputError(f"{where}: '{name}' {misplaced[name]}")
        error = f"{where}: unknown field '{name}'"
        if misplaced and not synonyms(name, names) and (other := synonyms(name, misplaced)):
            raise InputError(f"{error}; perhaps '{other[0]}', which {misplaced[other[0]]}")
        raise InputError(f"{error}; {hint(name, field_names(kind), owner)}")


def field_names(kind: Any) -> list[str]:
    """Return the names of a dataclass's fields, and of its schedules' fields (epsilon.final)."""
    hints = get_type_hints(kind)
    names = [f.name for f in fields(kind)]
    schedules = [name for name in names if hints[name] is Schedule]
    return [*names, *(f"{name}.{f.name}" for name in schedules for f in fields(Schedule))]


def convert_numbers(values: Mapping[str, Any], kind: Any, where: str) -> Table:
    """Convert numbers to the types of the fields: 1e5 to an int, or to a constant schedule.

    NumPy's numbers become Python's.

    Raises:
        InputError: a field is an int, but its number is not whole.
    """
    hints = get_type_hints(kind)

    def convert(name: str, value: Any) -> Any:
        field_type = hints.get(name)
        if field_type is Schedule and isinstance(value, Mapping):
            return convert_numbers(value, Schedule, f"{where}, {name}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if field_type is Schedule:
            return asdict(Schedule.constant(value))
        types = get_args(field_type) or (field_type,)
        if isinstance(value, int) or int not in types or float in types:
            return value
        if not value.is_integer():
            raise InputError(f"{where}: {name} is {value}; it must be a whole number")
        return int(value)

    return {name: convert(name, plain(value)) for name, value in values.items()}


def to_dict(value: Any) -> Table:
    """Convert a dataclass to plain tables and lists, without None, which TOML cannot express."""

    def tidy(item: Any) -> Any:
        if isinstance(item, dict):
            return {k: tidy(v) for k, v in item.items() if v is not None}
        return [tidy(v) for v in item] if isinstance(item, list | tuple) else plain(item)

    table: Table = tidy(asdict(value))
    return table


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """Return the differences of two configs, one line per field: `name: old -> new`."""
    a, b = flatten(to_dict(old)), flatten(to_dict(new))
    return [
        f"{key}: {a.get(key, 'none')} -> {b.get(key, 'none')}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    ]
