"""Fixtures that run the command line in this process, and make run folders for it.

Test modules load them by `pytest_plugins`.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, Gridcade, Result

from gridcade.cli import main, output
from gridcade.training import sessions


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and a wide terminal, without environment variables for colors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(output.out, "width", 200)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def gridcade(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Gridcade:
    """Run a command in this process, in an empty working directory."""
    del folder
    monkeypatch.setattr(os, "isatty", lambda _: False)

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["gridcade", *map(str, words)])
        capfd.readouterr()
        code: Any = 0
        try:
            main.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capfd.readouterr()
        return Result(code, str(captured.out), str(captured.err))

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, which tests must not change."""
    path = tmp_path_factory.mktemp("trained") / "run"
    sessions.train("q-learning", SMALL, steps=20_000, epoch=5_000, out=path)
    return path


@pytest.fixture
def run(trained: Path, folder: Path) -> Path:
    """A copy of the run folder in the working directory."""
    shutil.copytree(trained, folder / "run")
    return folder / "run"
