"""The readable lines of a metrics.jsonl that a person has edited are used everywhere."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from gridcade import api
from gridcade.live.runs.curves import read_curves
from gridcade.live.runs.directory import RunsDirectory
from gridcade.report import write_page
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study
from gridcade.training.run_folder import Run
from gridcade.training.run_summary import summarize
from in_process import run_in_process

EPOCHS = 6


def edit(run: Run) -> None:
    """Break lines, remove entries, and write values that are no numbers."""
    file = run.path / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == EPOCHS
    lines[1] |= {"return_mean": float("nan"), "return_low": "low", "training_return_mean": None}
    del lines[2]["seconds"], lines[2]["return_mean"], lines[2]["exact"]
    del lines[4]["seconds"]
    texts = [json.dumps(line) for line in lines]
    texts[3] = texts[3][: len(texts[3]) // 2]
    swapped = [texts[1], texts[0], "", "# my notes", *texts[2:], '{"steps": true}', "half a li"]
    file.write_bytes("\r\n".join(swapped).encode("utf-8"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = api.train("q-learning", "CliffWalk", steps=6000, epoch=1000, out=tmp_path / "runs/one")
    edit(run)
    return run


def test_readable_lines_count_everywhere(run: Run, tmp_path: Path) -> None:
    assert [entry["steps"] for entry in run.metrics()] == [2000, 1000, 3000, 5000, 6000]
    assert run.metrics()[0]["return_mean"] is run.metrics()[0]["return_low"] is None
    assert isinstance(run.best(), int)
    assert summarize(run).scores["return"] is not None
    assert str(run)
    (row,) = RunsDirectory(tmp_path / "runs").table().runs
    assert row.scores["return"] is not None
    entries = json.loads(msgspec.json.encode(read_curves(run)))["entries"]
    assert [entry["steps"] for entry in entries] == [2000, 1000, 3000, 5000, 6000]


def test_a_resumed_run_keeps_every_line(run: Run) -> None:
    before = (run.path / "metrics.jsonl").read_text().splitlines()
    longer = api.resume(run.path, steps=7000)
    after = (run.path / "metrics.jsonl").read_text().splitlines()
    assert after[:-1] == before[:-2]  # without what follows the last epoch
    assert longer.metrics()[-1]["steps"] == 7000


def test_a_report_is_written_with_what_is_left(tmp_path: Path) -> None:
    specs = ContenderSpec("q-learning"), ContenderSpec("random")
    study = Study(specs, ("CliffWalk",), 6000, seeds=2, episodes=10)
    run_in_process(study, tmp_path)
    for file in tmp_path.rglob("metrics.jsonl"):
        run = Run(file.parent)
        run.cut_metrics(0)
        for steps in range(1000, 1000 * (EPOCHS + 1), 1000):
            score = -13.0 - steps
            run.add_metrics({"steps": steps, "seconds": 1.0, "return_mean": score, "exact": True})
        edit(run)
    comparison = run_in_process(study, tmp_path)
    (result, *_) = comparison.results["CliffWalk"]["q-learning"]
    assert len(result.metrics) == EPOCHS - 1
    page = write_page(comparison, tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
