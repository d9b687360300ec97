"""Conversion of NumPy's numbers to Python's, which JSON, TOML and msgspec accept."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Convert NumPy's numbers and arrays to Python's, also inside of tables, lists and tuples."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if type(value) is list or type(value) is tuple:
        return type(value)(plain(item) for item in value)
    return value
