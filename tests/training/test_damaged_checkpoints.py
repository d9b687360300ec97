"""A damaged newest checkpoint is skipped: the last whole one is used, and nothing is deleted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridcade import api
from gridcade.errors import InputError, InputWarning
from gridcade.training.run_folder import Run

STEPS, EPOCH = 4000, 1000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("whole") / "run"
    return api.train("q-learning", "FourRooms", steps=STEPS, epoch=EPOCH, out=out)


@pytest.fixture
def run(whole: Run, tmp_path: Path) -> Run:
    return Run(shutil.copytree(whole.path, tmp_path / "run"))


def empty(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(b"")


def zeros(file: str) -> Callable[[Path], object]:
    """What a power cut leaves on some file systems: the size of the file, without its contents."""
    return lambda folder: (folder / file).write_bytes(bytes((folder / file).stat().st_size))


def half(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-1])


def missing(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).unlink()


FILES = ("agent.safetensors", "loop.safetensors", "loop.json")
DAMAGE: dict[str, Callable[[Path], object]] = {
    f"{damage.__name__} {file}": damage(file)
    for damage in (empty, zeros, half, missing)
    for file in FILES
} | {
    "no entries": lambda folder: (folder / "loop.json").write_text("{}"),
    "no table": lambda folder: (folder / "loop.json").write_text("[]"),
    "stray folder": lambda folder: (folder.parent / "999999").mkdir(),
    "stray file": lambda folder: (folder.parent / "999999").write_text("notes"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_last_whole_checkpoint_is_used_and_named(run: Run, name: str) -> None:
    DAMAGE[name](run.checkpoint(STEPS))
    damaged = 999999 if "stray" in name else STEPS
    expected = STEPS if "stray" in name else STEPS - EPOCH
    before = sorted(path.name for path in run.path.rglob("*"))
    with pytest.warns(InputWarning, match=f"damaged.*checkpoints/{damaged} "):
        assert run.last_checkpoint() == expected
    with pytest.warns(InputWarning):
        loaded: Any = api.load(run.path)
    np.testing.assert_array_equal(loaded.q, run.load_agent(expected)["q"])
    assert sorted(path.name for path in run.path.rglob("*")) == before


@pytest.mark.filterwarnings("ignore::gridcade.errors.InputWarning")
@pytest.mark.parametrize("name", ["empty agent.safetensors", "missing loop.json", "stray folder"])
def test_a_resumed_run_ends_like_an_undamaged_one(run: Run, whole: Run, name: str) -> None:
    DAMAGE[name](run.checkpoint(STEPS))
    api.resume(run.path)
    np.testing.assert_array_equal(run.load_agent(STEPS)["q"], whole.load_agent(STEPS)["q"])
    returns, expected = (
        [(m["steps"], m["training_return_mean"]) for m in r.metrics()] for r in (run, whole)
    )
    assert returns == expected
    assert run.checkpoints() == whole.checkpoints()
    if name == "stray folder":
        assert (run.path / "checkpoints/999999").is_dir()
        assert api.resume(run.path, steps=STEPS + EPOCH).last_checkpoint() == STEPS + EPOCH


def test_a_run_without_a_whole_checkpoint_is_never_started_over(run: Run) -> None:
    for steps in run.checkpoints():
        empty("agent.safetensors")(run.checkpoint(steps))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    for use in (api.resume, api.evaluate):
        with pytest.raises(InputError, match=r"no checkpoint that can be read: .*agent\.safetens"):
            use(run.path)
    after = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert {path.name for path in after} - {path.name for path in before} <= {".lock"}
    assert all(after[path] == content for path, content in before.items())


def test_new_checkpoints_never_push_out_whole_ones_for_damaged_ones(run: Run) -> None:
    empty("loop.json")(run.checkpoint(STEPS))
    agent, loop, state = run.load_checkpoint(STEPS - EPOCH)
    run.save_checkpoint(STEPS + 1, agent, loop, state)
    assert STEPS - EPOCH in run.checkpoints()
    assert run.checkpoint(STEPS).is_dir()  # its agent may be good


def test_damaged_provenance_is_kept_beside_the_new_one(run: Run) -> None:
    file = run.path / "provenance.json"
    file.write_bytes(b"")
    with pytest.warns(InputWarning, match=r"provenance\.json' is damaged; .*\.damaged'"):
        api.resume(run.path, steps=STEPS + EPOCH)
    assert file.with_name("provenance.json.damaged").read_bytes() == b""
    assert '"sessions"' in file.read_text()
