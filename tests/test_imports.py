"""Imports run one way: what a room may know is told in CONTRIBUTING.md."""

import ast
from pathlib import Path

import pytest

import gridcade

ROOMS = {
    "envs": {"envs", "errors"},
    "agents": {"agents", "envs", "errors", "experience", "probabilities", "streams"},
}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_only_what_lies_below_it(room: str) -> None:
    files = sorted((Path(gridcade.__file__).parent / room).glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module == "gridcade":
                names = [f"gridcade.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            known = {name.split(".")[1] for name in names if name.startswith("gridcade.")}
            assert known <= ROOMS[room], file.name
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            assert not (called and node.func.id == "print"), file.name  # type: ignore[attr-defined]
