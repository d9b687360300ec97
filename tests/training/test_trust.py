"""Code of environments named by run folders: who may run it, and whether it has changed."""

import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import gridcade
from gridcade.envs import registry
from gridcade.envs.imports import is_import_path
from gridcade.envs.origins import check_shared
from gridcade.errors import InputError
from gridcade.study.contender import ContenderSpec
from gridcade.study.runner import run_study
from gridcade.study.study import Study
from gridcade.training.run_folder import Run
from in_process import run_in_process

CODE = """
import gymnasium as gym

open("imported", "a").close()

class Mine(gym.Env):
    observation_space = gym.spaces.Discrete(4)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return 0, {}

    def step(self, action):
        self.place = max(0, self.place + 2 * int(action) - 1)
        return self.place, -1.0, self.place == 3, self.place < 0, {}
"""
NAME = "mine.py:Mine?max_episode_steps=9"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def run(here: Path) -> Run:
    trained = gridcade.train("q-learning", NAME, steps=1000, envs=2, out="run", epoch=1000)
    assert trained.path.is_dir()
    (here / "imported").unlink()
    return trained


def sent(run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a run and its environment to another user, who has another key."""
    monkeypatch.setenv("XDG_DATA_HOME", str(Path("other").absolute()))
    Path("received").mkdir()
    shutil.copytree(run.path, "received/run")
    Path("received/mine.py").write_text(f"{CODE}\n# another file\n")
    os.chdir("received")
    return Path("run")


def test_the_run_folder_records_the_file_and_its_hash(run: Run) -> None:
    assert run.origin["location"] == run.origin["file"] == str(Path("mine.py").resolve())
    assert len(run.origin["sha256"]) == 64
    assert run.settings.env == NAME


def test_a_run_of_ones_own_is_found_from_every_directory(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Path("elsewhere")
    away.mkdir()
    shutil.move(run.path, away / "moved")
    monkeypatch.chdir(away)
    notes: list[str] = []
    resumed = gridcade.resume("moved", steps=2000, note=notes.append)
    assert resumed.settings.env == NAME
    assert notes == []
    result = gridcade.evaluate("moved", episodes=2)
    assert result.env == NAME
    assert gridcade.resume("moved", steps=3000).last_checkpoint() == 3000


def test_resuming_warns_when_the_file_has_changed(run: Run) -> None:
    Path("mine.py").write_text(CODE.replace("-1.0", "-2.0"))
    notes: list[str] = []
    gridcade.resume(run.path, steps=2000, note=notes.append)
    [note] = notes
    assert "mine.py has changed since the run was last trained" in note
    gridcade.resume(run.path, steps=3000, note=notes.append)
    assert notes == [note]  # the last session had this file already


@pytest.mark.parametrize(
    "load",
    [
        lambda run, **options: gridcade.resume(run, steps=2000, **options),
        lambda run, **options: gridcade.evaluate(run, episodes=2, **options),
        lambda run, **options: gridcade.load(run, **options),
    ],
)
def test_a_run_of_another_user_runs_no_code_unless_it_is_trusted(
    load: Callable[..., Any], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sent(run, monkeypatch)
    shutil.rmtree(Path("../mine.py").parent / "run")
    Path("../mine.py").unlink()
    message = r"would run the code of 'mine.py:Mine.*', and you did not train it .* add --trust"
    with pytest.raises(InputError, match=message):
        load(path)
    assert not Path("imported").exists()
    load(path, trust=True)
    assert Path("imported").exists()


def test_naming_the_environment_is_enough(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sent(run, monkeypatch)
    with pytest.raises(InputError, match=r"or name it: --env 'mine\.py:Mine\?max_episode_steps=9'"):
        gridcade.evaluate(path)
    assert gridcade.evaluate(path, NAME, episodes=2).env == NAME


@pytest.mark.usefixtures("run")
def test_a_signature_holds_for_one_name_and_one_file() -> None:
    """Another user may send a folder back with another environment in it."""
    assert Run("run").trusted
    config, provenance = Path("run/config.toml"), Path("run/provenance.json")
    before = config.read_text(), provenance.read_text()
    Path("other.py").write_text(CODE)
    config.write_text(before[0].replace("mine.py:Mine", "other.py:Mine"))
    assert not Run("run").trusted
    config.write_text(before[0])
    sessions = json.loads(before[1])
    sessions["sessions"][-1]["environment"]["location"] = str(Path("other.py").resolve())
    provenance.write_text(json.dumps(sessions))
    assert not Run("run").trusted
    provenance.write_text(before[1])
    Path("mine.py").unlink()  # the name leads elsewhere from another directory
    Path("away").mkdir()
    Path("away/mine.py").write_text(CODE)
    os.chdir("away")
    assert not Run("../run").trusted
    assert not Path("imported").exists()


def test_without_a_key_nothing_is_trusted(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(here / "file"))
    assert not gridcade.train("q-learning", NAME, steps=1000, out="run").trusted
    assert gridcade.train("q-learning", "FourRooms", steps=1000, out="ours").trusted


def test_a_study_of_an_environment_knows_its_code(here: Path) -> None:
    agents = tuple(ContenderSpec(name) for name in ("q-learning", "random"))
    study = Study(agents, (NAME,), steps=1000, seeds=1, episodes=5)
    results = run_in_process(study, here / "study")
    assert not results.failures
    assert Run(here / "study/runs/mine.py-Mine-max_episode_steps=9/q-learning/s0").trusted
    (here / "mine.py").write_text(CODE.replace("-1.0", "-2.0"))
    with pytest.raises(InputError, match=r"another config \(the code of mine\.py:Mine.* differs\)"):
        run_in_process(study, here / "study")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_runs_an_environment_of_a_file_as_this_process_does(here: Path) -> None:
    pytest.importorskip("distributed")
    agents = tuple(ContenderSpec(name) for name in ("q-learning", "random"))
    study = Study(agents, (NAME,), steps=1000, seeds=2, episodes=5)
    on_cluster = run_study(study, here / "cluster", backend="dask", jobs=2)
    alone = run_in_process(study, here / "alone")
    assert not on_cluster.failures
    assert on_cluster.as_dict() == alone.as_dict()


@pytest.mark.usefixtures("here")
def test_a_worker_that_does_not_see_the_file_says_so() -> None:
    check_shared(NAME)
    check_shared("FourRooms")
    Path("mine.py").unlink()
    with pytest.raises(InputError, match=r"the worker on .* does not find the file 'mine\.py'"):
        check_shared(NAME)
    with pytest.raises(InputError, match="does not find the module 'nowhere_at_all"):
        check_shared("nowhere_at_all.envs:Mine")


def test_a_function_given_to_resume_signs_no_code(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that the folder names was not run, so it stays untrusted."""
    received = sent(run, monkeypatch)
    assert not Run(received).trusted

    scope: dict[str, Any] = {"open": lambda *_: io.StringIO()}
    exec(CODE, scope)  # another environment with the same spaces
    gridcade.resume(received, steps=2000, env=scope["Mine"])
    assert len(json.loads((received / "provenance.json").read_bytes())["sessions"]) == 2
    assert not Path("imported").exists()
    assert not Run(received).trusted


def test_a_signature_of_other_characters_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = sent(run, monkeypatch)
    file = received / "provenance.json"
    provenance = json.loads(file.read_bytes())
    provenance["sessions"][-1]["environment"]["signature"] = "é" * 64
    file.write_text(json.dumps(provenance))
    with pytest.raises(InputError, match="add --trust"):
        gridcade.evaluate(received)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "name",
    [
        *(
            f"{prefix}:{rest}"
            for prefix in ("gymnasium", "gridcade", "ale_py", "other", "FrozenLake-v1")
            for rest in ("mine:Mine", "a.mine:Mine")
        ),
        "FrozenLake-v1:Mine-v0",
    ],
)
def test_only_import_paths_are_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not an import path needs no trust, so it must not run a person's code."""
    assert not is_import_path(name)
    imported: list[str] = []
    monkeypatch.setattr(registry, "find_imported", imported.append)
    with suppress(InputError):
        registry.make(name)
    assert not imported
