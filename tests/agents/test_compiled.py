"""The cache of compiled functions."""

import importlib
import sys
from pathlib import Path

import pytest

CALLED = """
from gridcade.agents.compiled import compiled

@compiled
def called() -> int:
    return {value}
"""
BETWEEN = """
from called_module import called
from gridcade.agents.compiled import compiled

@compiled
def between() -> int:
    return called()
"""
CALLER = """
from between_module import between
from gridcade.agents.compiled import compiled

@compiled
def caller() -> int:
    return between()
"""


def test_a_change_in_a_called_file_recompiles_its_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    modules = ("called_module", "between_module", "caller_module")
    (tmp_path / "between_module.py").write_text(BETWEEN)
    (tmp_path / "caller_module.py").write_text(CALLER)
    for value in (1, 22):
        (tmp_path / "called_module.py").write_text(CALLED.format(value=value))
        importlib.invalidate_caches()
        assert importlib.import_module("caller_module").caller() == value
        for name in modules:
            del sys.modules[name]
