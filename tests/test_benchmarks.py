"""The benchmarks' frame: rounds of two processes, and the figures that they come to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
STUBS = """
from functools import partial
from side_by_side import Learner, compare

def steady(rates):
    rounds = iter([0.0, *rates])  # the first one is to get warm
    return Learner(lambda: next(rounds), lambda: {"ms_a_step": {"all": 1 / PARTS}})

PARTS = %s
if __name__ == "__main__":
    given = {"ours": [300.0, 500.0, 800.0], "sb3": [100.0, 250.0, 200.0]}
    compare({which: partial(steady, rates) for which, rates in given.items()}, 3, True)
"""


def run(folder: Path, parts: int) -> subprocess.CompletedProcess[str]:
    script = folder / "stubs.py"
    script.write_text(STUBS % parts)
    paths = os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": paths},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="memory is asked for by getrusage")
def test_figures_are_medians_over_rounds(tmp_path: Path) -> None:
    """Of rates, and of the rounds' ratios (3, 2, 4), which are not the ratio of the medians."""
    found = json.loads(run(tmp_path, parts=5).stdout)
    memory = [found.pop(f"{which}_memory") for which in ("ours", "sb3")]
    assert min(memory) > 1_000_000  # bytes, of a Python with NumPy
    parts = {"ms_a_step": {"all": 0.2}}
    assert found == {"ours": 500.0, "sb3": 200.0, "ratio": 3.0, "parts": parts}


@pytest.mark.skipif(sys.platform == "win32", reason="memory is asked for by getrusage")
def test_a_process_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    ended = run(tmp_path, parts=0)
    assert ended.returncode != 0
    assert "ZeroDivisionError" in ended.stderr
