"""The benchmarks: rounds of two processes, time limits of parts, and records that are continued."""

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
    rounds = iter([0.0, *rates])  # the first round warms up
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
        timeout=250,
        env=os.environ | {"PYTHONPATH": paths},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="memory is read by getrusage")
def test_figures_are_medians_over_rounds(tmp_path: Path) -> None:
    """The ratio is the median of the rounds' ratios 3, 2 and 4, not the ratio of the medians."""
    found = json.loads(run(tmp_path, parts=5).stdout)
    memory = [found.pop(f"{which}_memory") for which in ("ours", "sb3")]
    assert min(memory) > 1_000_000  # bytes, of a Python with NumPy
    parts = {"ms_a_step": {"all": 0.2}}
    assert found == {"ours": 500.0, "sb3": 200.0, "ratio": 3.0, "parts": parts}


@pytest.mark.skipif(sys.platform == "win32", reason="memory is read by getrusage")
def test_a_process_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    ended = run(tmp_path, parts=0)
    assert ended.returncode != 0
    assert "ZeroDivisionError" in ended.stderr


def measure_gpu(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--device", "cpu", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.mark.skipif(sys.platform == "win32", reason="parts are ended by POSIX signals")
def test_parts_that_take_too_long_are_ended_and_named() -> None:
    ended = measure_gpu("--minutes", "0.001")
    assert ended.returncode == 1
    assert ended.stdout.count("FAILED (time limit)") == 5
    assert ended.stdout.endswith("failed: correctness, emulators, pqn, ppo, score\n")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="stable-baselines3's emulators are forked")
def test_the_gpu_benchmark_runs_on_a_cpu() -> None:
    ended = measure_gpu("--tiny")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for printed in ("resumed: the same bits", "of the emulators alone", "average reward"):
        assert printed in ended.stdout


def record(folder: Path, *steps: str) -> list[tuple[int, float]]:
    """The steps and the score of each evaluation of one run."""
    learner = ["FourRooms", "--agent", "q-learning", "--preset", "watkins", "--seeds", "3"]
    options = ["--games", "20", "--out", str(folder), "--steps", *steps]
    command = [sys.executable, str(BENCHMARKS / "record.py"), *learner, *options]
    subprocess.run(command, check=True, timeout=120)
    scores = json.loads((folder / "record.json").read_text())["scores"]
    return [(score["steps"], score["score"]) for score in scores]


@pytest.mark.slow
def test_scores_in_between_and_interruptions_do_not_change_a_record(tmp_path: Path) -> None:
    once = record(tmp_path / "once", "4000", "20000")
    record(tmp_path / "twice", "4000")
    assert record(tmp_path / "twice", "4000", "20000") == once
    assert record(tmp_path / "end", "20000") == once[1:]
