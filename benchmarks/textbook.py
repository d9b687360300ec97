"""Draw the figures of Sutton & Barto (2018) for docs/textbook: all, or those named as arguments.

python benchmarks/textbook.py [figure-6-5 …]

The script chapter_4.py in benchmarks/studies/sutton-barto/ draws figures 4.1 to 4.3. Each other
figure belongs to a study in that folder: the study runs into studies/NAME, and its figure is copied
to docs/textbook/figures. Prints the seconds for each figure, and the width of its widest interval
as a share of the y axis.
"""

import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gridcade

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "benchmarks" / "studies" / "sutton-barto"
FIGURES = ROOT / "docs" / "textbook" / "figures"
PLANNING = ("figure-4-1", "figure-4-2", "figure-4-3")  # planning is exact and needs no study


def main() -> None:
    """Draw the figures of chapter 4, run the studies, and copy their figures."""
    studies = sorted(file.stem for file in STUDIES.glob("*.toml"))
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or [*PLANNING, *studies]:
        start = time.perf_counter()
        if name in PLANNING:
            number = name.removeprefix("figure-")
            subprocess.run([sys.executable, STUDIES / "chapter_4.py", number], check=True)
        else:
            run_study(name)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


def run_study(name: str) -> None:
    """Run a study, and copy its figure to the docs."""
    out = ROOT / "studies" / name
    print(gridcade.compare(str(STUDIES / f"{name}.toml"), out=out))
    (figure,) = [
        file
        for file in (out / "figures").glob("*.svg")
        if file.stem.endswith("-record") or "-sweep-" in file.stem
    ]
    shutil.copy(figure, FIGURES / f"{name}.svg")
    share = widest_interval(json.loads((out / "results.json").read_bytes()))
    print(f"widest interval: {share:.2%} of the axis")


def widest_interval(results: dict[str, Any]) -> float:
    """Return the width of the widest interval whose mean is visible, as a share of the y axis."""
    axes = {"left": -math.inf, "multiply": 1.0, "add": 0.0} | results["study"]["figure"]
    (curves,) = results["curves"].values()
    points = [
        (axes["multiply"] * mean + axes["add"], axes["multiply"] * (high - low))
        for curve in curves.values()
        for x, mean, low, high in zip(
            *(curve[k] for k in ("x", "mean", "low", "high")), strict=True
        )
        if x >= axes["left"]
    ]
    means = [mean for mean, _ in points]
    bottom, top = axes.get("low", min(means)), axes.get("high", max(means))
    widest = max(width for mean, width in points if bottom <= mean <= top)
    return float(widest / (top - bottom))


if __name__ == "__main__":
    main()
