"""Read hyperparameters in brackets, as in `q-learning[discount=0.9,step_size.initial=0.1]`."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_args, get_origin, get_type_hints

from gridcade.agents import AgentKind
from gridcade.agents.schedules import Schedule
from gridcade.aliases import field_name
from gridcade.errors import InputError

PART = re.compile(r"(?:[^,(\[]|\([^)]*\)|\[[^\]]*\])+")  # up to a comma outside parentheses


def split_contender(text: str) -> tuple[str, str, str | None]:
    """Split `POLICY:PRESET[CHANGES]` into its parts; without brackets, CHANGES is None.

    Raises:
        InputError: the bracket is not closed.
    """
    head, bracket, changes = text.partition("[")
    if bracket and not changes.endswith("]"):
        raise InputError(f"'{text}': the bracket must be closed, as in q-learning[discount=0.9]")
    policy, _, preset = head.partition(":")
    return policy, preset, changes.removesuffix("]") if bracket else None


def read_changes(text: str, kind: AgentKind | None, where: str) -> dict[str, Any]:
    """Read hyperparameters such as `discount=0.9, hidden=(64,64), epsilon.final=0.05`.

    Args:
        text: the hyperparameters, separated by commas. Hyphens in names count as underscores.
        kind: the agent, whose fields decide how a value is read; None: a policy without any.
        where: the contender, for messages.

    Returns:
        A table like [hyperparameters] in a TOML file.

    Raises:
        InputError: a value is missing, or a name is given twice.
    """
    hints = get_type_hints(kind.config) if kind else {}
    changes: dict[str, Any] = {}
    for name, value in _parts(text, where):
        root, *path = name.split(".")
        *parents, leaf = root, *path
        table = changes
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                break
        if not isinstance(table, dict) or leaf in table:
            raise InputError(f"{where}: {root} is given twice")
        table[leaf] = _read_value(value, Any if path else hints.get(root, Any))
    return changes


def _parts(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each hyperparameter, as a field, and its value."""
    for part in PART.findall(text) or [""]:
        name, _, value = (word.strip() for word in part.partition("="))
        if not name or not value:
            raise InputError(f"{where}: '{part.strip()}' must be NAME=VALUE, as in discount=0.9")
        yield field_name(name), value


def _read_value(text: str, field_type: Any) -> Any:
    """Convert a value's text to the type of its field; keep a string if it does not fit.

    Whether the value is valid is checked with the agent's other hyperparameters.
    """
    types = {field_type, *get_args(field_type)}
    if not types & {Any, bool, int, float, Schedule}:  # strings, such as the network "2013"
        return text
    if text[0] in "([" and text[-1] in ")]":
        return [_read_value(item.strip(), Any) for item in text[1:-1].split(",") if item.strip()]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    value: Any = text
    for number in (float, int):  # int comes last, so that an integer stays one
        with suppress(ValueError):
            value = number(text)
    return [value] if get_origin(field_type) is tuple else value
