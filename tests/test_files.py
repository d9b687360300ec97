"""Text files from any editor, and names of files that no system refuses."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcade import api
from gridcade.errors import InputError
from gridcade.files import MAX_NAME, read_text, slug, write_text
from gridcade.live.runs.directory import RunsDirectory
from gridcade.report import write_page
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study, study_from_arguments
from gridcade.training.run_folder import Run
from in_process import run_in_process


@given(st.text())
def test_a_slug_is_a_folder_name(name: str) -> None:
    folder = Path("runs") / slug(name)
    assert folder.parent == Path("runs")
    assert folder.name not in ("", ".", "..")
    assert slug(slug(name)) == slug(name)


def test_slugs_of_common_names() -> None:
    assert slug("FourRooms") == "FourRooms"
    assert slug("Maze?size=9&seed=3") == "Maze-size=9-seed=3"
    assert slug("ALE/Breakout-v5") == "ALE-Breakout-v5"
    assert slug("dqn:two-core") == "dqn-two-core"
    assert slug("мир") == "мир"


def test_slugs_of_long_names_are_short_and_different(tmp_path: Path) -> None:
    names = [f"FrozenLake-v1?desc={letter * 300}" for letter in ("F", "мир", "😀")]
    names += [names[0] + "G", names[1] + "G"]
    slugs = {slug(name) for name in names}
    assert len(slugs) == len(names)
    for name in slugs:
        assert len(name.encode()) <= MAX_NAME
        (tmp_path / name).mkdir()


TEXT = "title: Größe\nmap:\nS.G\n"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_text_is_read_whatever_editor_wrote_it(tmp_path: Path, encoding: str, ends: str) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(TEXT.replace("\n", ends).encode(encoding))
    assert read_text(file) == TEXT


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-16", "it is in UTF-16; save it as UTF-8"),
        ("latin-1", "line 1 is not in UTF-8; save it as UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, encoding: str, message: str) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(TEXT.encode(encoding))
    with pytest.raises(InputError, match=f"cannot read the map .*file.txt: {message}"):
        read_text(file, "the map")


def test_a_text_is_written_with_its_own_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "table.csv", "a,b\r\nc,d\n")
    assert (tmp_path / "table.csv").read_bytes() == b"a,b\r\nc,d\n"


def test_long_arguments_of_an_environment_are_no_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["S" + "F" * 15, *["F" * 16] * 14, "F" * 15 + "G"]
    envs = [f"FrozenLake-v1?desc={rows}", f"FrozenLake-v1?desc={rows}&is_slippery=False"]
    runs = [api.train("q-learning", env, steps=100) for env in envs]
    assert len({run.path for run in runs}) == 2
    assert all(run.path.name.endswith("-q-learning-s0") for run in runs)
    label = f"q-learning[step_size={0.1:.90f}]"
    study, name = study_from_arguments([label, str(runs[0].path)], envs, steps=100, seeds=1)
    comparison = run_in_process(study, Path("studies") / name)
    assert not comparison.failures
    assert write_page(comparison, Path("studies") / name).is_file()
    for parent, folders, files in os.walk(tmp_path):
        for one in (*folders, *files):
            assert len(one.encode()) < 2 * MAX_NAME, parent
    trained = {Run(file.parent).env for file in Path("studies").rglob("config.toml")}
    assert trained == set(envs)


@pytest.mark.parametrize("kind", ["folder", "link", "."])
def test_a_study_and_its_page_are_in_a_folder_that_exists(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "empty"
    (folder / "lost+found").mkdir(parents=True)  # as on an empty file system
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    monkeypatch.chdir(folder)
    out = {"folder": folder, "link": tmp_path / "link", ".": Path()}[kind]
    specs = ContenderSpec("q-learning"), ContenderSpec("random")
    study = Study(specs, ("CliffWalk",), steps=100, seeds=1, episodes=2)
    comparison = run_in_process(study, out)
    assert not comparison.failures
    assert write_page(comparison, out).is_file()
    assert run_in_process(study, out) == comparison
    table = RunsDirectory(out).table()
    assert [run.name for run in table.runs] == ["runs/CliffWalk/q-learning/s0"]
    (row,) = table.studies
    assert RunsDirectory(out).file(row.report) == out / "report.html"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/letter").write_text("mine")
    with pytest.raises(InputError, match="exists and holds no study"):
        run_in_process(study, tmp_path / "taken")
