"""Versions, machine and command of a training session, so that the run can be repeated."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gridcade
from gridcade.formatting import shell_command

LIBRARIES = (
    "gymnasium",
    "numpy",
    "numba",
    "scipy",
    "torch",
    "ale-py",
    "stable-baselines3",
    "sb3-contrib",
)


def provenance(seed: int) -> dict[str, Any]:
    """Return version, commit, libraries, machine, seed, command and time of this session."""
    commit, dirty = _commit()
    return {
        "gridcade": gridcade.__version__,
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "seed": seed,
        "command": shell_command(Path(sys.argv[0]).name, *sys.argv[1:]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> tuple[str | None, bool | None]:
    """Return the commit of this checkout, and whether files were changed; None in a wheel."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None, None
    try:
        commit, status = (
            subprocess.run(  # noqa: S603 - fixed words
                ["git", "-C", str(root), *words],  # noqa: S607
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, bool(status)


def cpu_name() -> str:
    """Return the processor's name, as the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
