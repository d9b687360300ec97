"""Settings of several runs side by side, with the differences marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gridcade.formatting import format_value


@dataclass(frozen=True)
class SettingRow:
    """A setting, and its value in each run as text; a dash where a run does not have it."""

    name: str
    cells: tuple[str, ...]
    differs: bool  # the runs that have the setting do not agree


def side_by_side(runs: Sequence[Mapping[str, Any]]) -> list[SettingRow]:
    """Return a row for each setting that a run has.

    Args:
        runs: the settings of each run; nested tables are flattened.
    """
    flat = [flatten(settings) for settings in runs]
    rows = []
    for name in dict.fromkeys(name for settings in flat for name in settings):
        values = [settings[name] for settings in flat if name in settings]
        cells = tuple(format_value(settings.get(name)) for settings in flat)
        rows.append(SettingRow(name, cells, any(value != values[0] for value in values)))
    return rows


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give the values of nested tables dotted names: `epsilon.final`."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
