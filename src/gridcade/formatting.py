"""Numbers and commands formatted for tables and messages."""

import os
import shlex
import subprocess
from typing import Any


def shell_command(*words: object) -> str:
    """Join words to a command that can be pasted into the shell of this system."""
    texts = [*map(str, words)]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def format_number(value: float | None) -> str:
    """Format a number with about four digits: `-13`, `0.04532`, `12,345.6`; None and NaN as `-`."""
    if value is None or value != value:
        return "-"
    if value == 0 or 1e-4 <= abs(value) < 1000:
        return f"{value:z.4g}"  # z: never -0
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.3e}"


def format_value(value: Any) -> str:
    """Format a value of a config: `yes`, `10,000`, `0.99`, `128, 128`; None and "" as `-`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value))
    if value is None or value == "":
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def format_count(count: float) -> str:
    """Format a count with a unit: `950`, `12.3k`, `143.3M`, `2.0G`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return f"{count:.0f}"


def format_result(value: float) -> str:
    """Format a number for an equation, with four digits and a minus sign: `−0.8132`."""
    return f"{value:z.4g}".replace("-", "−")


def format_term(value: float) -> str:
    """Format a number within an equation: like `format_result`, negative in parentheses."""
    return f"({format_result(value)})" if value < 0 else format_result(value)
