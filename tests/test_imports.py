"""The architecture: which package may import which; every package has a docstring."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gridcade

ROOT = Path(gridcade.__file__).parent
SHARED = {"aliases", "errors", "field_docs", "files", "formatting", "notebook", "plain"}
SHARED |= {"printing", "seeding"}
# Package -> those directly below it; it may also import from those below them.
BELOW: dict[str, set[str]] = {
    "envs": set(),
    "experience": {"envs"},
    "agents": {"experience"},
    "exact": {"agents"},
    "evaluation": {"exact"},
    "recording": {"evaluation"},
    "training": {"recording"},
    "study": {"training"},
    "checking": {"training"},
    "report": {"study"},
    "viewing": {"recording"},
    "live": {"study"},
    "cli": {"api", "shortfall"},
}
# Modules beside the packages: tasks of a study find policies, and the Python API is on top.
MODULES = {
    "contenders": {"training"},
    "study": {"contenders"},
    "shortfall": {"contenders"},
    "api": {"report", "viewing", "live", "checking"},
}
PRINTS = {"cli", "viewing"}


def allowed(package: str) -> set[str]:
    """The package itself, and everything below it."""
    found, waiting = {package} | SHARED, [package]
    while waiting:
        name = waiting.pop()
        below = BELOW.get(name, set()) | MODULES.get(name, set())
        waiting += below - found
        found |= below
    return found


def imported(tree: ast.AST) -> set[str]:
    """The packages and modules directly under gridcade that a module imports."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "gridcade":
            names += [f"gridcade.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("gridcade.")} - {"__version__"}


def test_every_package_has_a_rule() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages == set(BELOW)


@pytest.mark.parametrize("package", BELOW)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 1
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert imported(tree) <= allowed(package), file.name
        if package in PRINTS:
            continue
        for node in ast.walk(tree):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            assert not (called and node.func.id == "print"), file.name  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", BELOW)
def test_every_package_has_a_docstring_that_explains_it(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    assert len((ast.get_docstring(tree) or "").split()) > 20


IMPORT_ALL = """
import importlib, os, pkgutil, sys

for name in ("termios", "fcntl", "tty", "pty", "resource"):
    sys.modules[name] = None
del os.posix_fallocate

import gridcade

optional = {"ale_py", "av", "dask", "dask_jobqueue", "distributed", "pygame", "ray",
            "stable_baselines3", "tensorboard"}
count = 0
for module in pkgutil.walk_packages(gridcade.__path__, "gridcade."):
    try:
        importlib.import_module(module.name)
        count += 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in optional:
            print(f"{module.name}: {error}")
print(count)
"""


def test_every_module_is_importable_without_the_modules_that_windows_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True
    )
    [count] = done.stdout.splitlines()
    assert int(count) > 50
