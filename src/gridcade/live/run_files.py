"""Finds the runs, the studies and the files that the Runs page may open, below a directory.

Links and hidden files are ignored, so that no name leads out of the directory.
"""

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from gridcade.study.runner import STUDY_FILE
from gridcade.training.run_summary import VIDEOS

REPORT = "report.html"
MAX_DEPTH = 6  # of folders; a run in studies/ has depth 6
MAX_FOLDERS = 5_000  # visited in one search


@dataclass
class Found:
    """The runs, studies and files below a directory. Names are relative paths with slashes."""

    runs: dict[str, Path] = field(default_factory=dict)
    studies: dict[str, Path] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)  # reports and videos
    complete: bool = True  # False: the search stopped after MAX_FOLDERS folders


def find_files(root: Path) -> Found:
    """Search the folders below a directory, level by level, in alphabetical order."""
    found, waiting, visited = Found(), deque([(root, 0)]), 0
    while waiting:
        folder, depth = waiting.popleft()
        if (visited := visited + 1) > MAX_FOLDERS:
            found.complete = False
            break
        folders, files = _entries(folder)
        name = folder.relative_to(root).as_posix()
        for file in files:
            if Path(file).suffix in VIDEOS or (file == REPORT and STUDY_FILE in files):
                found.files[(folder / file).relative_to(root).as_posix()] = folder / file
        if "config.toml" in files and "checkpoints" in folders:
            found.runs[name] = folder
        elif depth < MAX_DEPTH:
            if STUDY_FILE in files:
                found.studies[name] = folder
                folders = [inner for inner in folders if inner == "runs"]
            waiting += [(folder / inner, depth + 1) for inner in folders]
    return found


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and files in a folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError:
        return [], []
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    folders = [entry.name for entry in visible if entry.is_dir(follow_symlinks=False)]
    return folders, [entry.name for entry in visible if entry.is_file(follow_symlinks=False)]
