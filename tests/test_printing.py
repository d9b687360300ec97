"""Results print at Python's prompt what the command line prints."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.table import Table

import gridcade
from gridcade import report
from gridcade.cli import output
from gridcade.cli.commands.compare import Compare
from gridcade.envs.maze import Maze
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError
from gridcade.study import runner
from gridcade.study.comparison import Comparison, Failure
from gridcade.study.study import StudyOptions
from gridcade.training.run_folder import Run
from in_process import in_process_workers

SMALL = "RussellNorvig4x3"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("printing") / "run"
    return gridcade.train("q-learning", SMALL, steps=2000, out=path)


def words(text: str) -> list[str]:
    """The words of a text, however it was wrapped."""
    return text.split()


def test_a_run_prints_its_result_and_the_commands_that_use_it(run: Run, capsys: Any) -> None:
    assert output.show_run(run)
    assert words(capsys.readouterr().out) == words(str(run))
    assert repr(run) == str(run)
    lines = str(run).splitlines()
    assert lines[0].startswith(f"q-learning on {SMALL}: 2,000 steps in ")
    assert f"evaluate:   gridcade evaluate {run.path}" in lines  # a long path is not wrapped


def test_a_stopped_run_prints_how_to_continue(tmp_path: Path) -> None:
    stopped = gridcade.train(
        "q-learning", SMALL, steps=10**9, out=tmp_path / "run", stop=lambda: True
    )
    assert not stopped.finished
    assert str(stopped).splitlines()[1] == f"continue:   gridcade resume {stopped.path}"


def test_a_run_whose_folder_is_gone_still_prints(tmp_path: Path) -> None:
    run = gridcade.train("q-learning", SMALL, steps=100, out=tmp_path / "run")
    run.path.rename(tmp_path / "moved")
    assert repr(run) == f"the run '{run.path}' has no checkpoint"


def test_an_evaluation_prints_the_tables(run: Run, capsys: Any) -> None:
    result = gridcade.evaluate(run, episodes=5)
    output.show_evaluation(result)
    assert words(capsys.readouterr().out) == words(repr(result))


@pytest.mark.parametrize("criterion", ["return", "discounted", "average-reward"])
@pytest.mark.parametrize("env", [SMALL, "FrozenLake"])
def test_a_solution_prints_the_value_and_a_drawing_or_a_list(
    env: str, criterion: Any, capsys: Any
) -> None:
    solution = gridcade.solve(env, criterion)
    output.show_solution(solution)
    text = str(solution)
    assert words(capsys.readouterr().out) == words(text)
    assert repr(solution) == text
    if env == SMALL:
        assert "→" in text
        assert "0.92" in text or criterion != "return"
    else:
        assert "state  15  value" in text


def test_the_solution_of_an_environment_has_its_name() -> None:
    env = gridcade.make(SMALL)
    assert str(gridcade.solve(SMALL)).startswith(f"{SMALL}: the optimal expected return is 0.7053")
    assert gridcade.solve(env).as_dict()["env"] == f"gridcade/{SMALL}-v0"


@pytest.mark.parametrize(
    ("env", "criterion", "note"),
    [
        (
            "FourRooms",
            None,
            "The return does not tell policies apart here: every policy that is sure to end has 1. "
            "Try --criterion discounted or average-reward.",
        ),
        (
            "Maze?size=4",
            "average-reward",
            "The average reward does not tell policies apart here: every policy has -1. "
            "Try --criterion return or discounted.",
        ),
        (
            "CliffWalk",
            "average-reward",
            "The average reward does not tell states apart here: all of them have the same value. "
            "Try --criterion return or discounted.",
        ),
        ("CliffWalk", None, None),
        ("FourRooms", "average-reward", None),
    ],
)
def test_solve_suggests_a_criterion_under_which_states_differ(
    env: str, criterion: Any, note: str | None
) -> None:
    solution = gridcade.solve(env, criterion)
    assert solution.note == note
    assert (f"note: {note}" in " ".join(str(solution).split())) == (note is not None)


def test_no_drawing_shows_negative_zero() -> None:
    for env in ("CliffWalk", "Maze?size=3"):
        text = str(gridcade.solve(env, "average-reward"))
        assert "0.00" in text
        assert "-0.00" not in text
    world = gridcade.make("CliffWalk").unwrapped
    assert isinstance(world, TabularEnv)
    tiny = np.full(world.model.num_states, -1e-17)
    assert "-0.00" not in str(replace(gridcade.solve("CliffWalk"), values=tiny))


def test_a_drawing_is_whole_in_a_file_and_cut_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solution = gridcade.solve("Maze?size=40&seed=1")
    maze = solution.env.unwrapped
    assert isinstance(maze, Maze)
    assert {len(line) for line in solution.drawing()} == {2 * maze.world.width}
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    first, *drawing = solution.drawing()
    assert (
        first
        == f"{maze.world.width - 40} of {maze.world.width} columns do not fit into this terminal"
    )
    assert {len(line) for line in drawing} == {80}


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, in which studies run in this process, and pages are not drawn."""

    def write_page(comparison: Comparison, out: Path) -> Path:
        del comparison
        return out / "report.html"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "workers", in_process_workers)
    monkeypatch.setattr(report, "write_page", write_page)
    return tmp_path


def test_compare_trains_evaluates_and_prints_the_verdicts(
    run: Run, in_folder: Path, capsys: Any
) -> None:
    contenders = (run, "q-learning", "random")
    options: StudyOptions = {"steps": 500, "seeds": 2, "episodes": 5}
    comparison = gridcade.compare(contenders, SMALL, out="study", **options)
    assert comparison.page == Path("study/report.html")
    assert (in_folder / "study/results.json").is_file()
    text = str(comparison)
    assert repr(comparison) == text
    assert text.startswith(f"{SMALL}: expected return\ncontender")
    assert "is better than random" in " ".join(text.split())
    assert text.endswith("report: study/report.html")
    assert gridcade.compare(contenders, [SMALL], out="study", **options) == comparison
    command = Compare((str(run.path), *contenders[1:]), (SMALL,), study=options, out=Path("study"))
    command.run()
    printed = " ".join(capsys.readouterr().out.split())
    for part in comparison.parts()[:-1]:
        if not isinstance(part, Table):
            assert " ".join(str(part).split()) in printed
    failed = replace(comparison, failures=(Failure("dqn", SMALL, 3, "no memory"),))
    assert f"{SMALL} dqn seed 3 failed: no memory" in str(failed)


def test_compare_takes_one_name_and_presets(in_folder: Path) -> None:
    comparison = gridcade.compare("q-learning", SMALL, presets=["converging"], steps=200, seeds=1)
    assert comparison.study.contenders[0].preset == "converging"
    assert (in_folder / f"studies/{SMALL}-q-learning/results.json").is_file()


def test_a_policy_object_cannot_be_compared() -> None:
    policy: Any = object()
    with pytest.raises(InputError, match=r"not <object object .*use gridcade\.evaluate"):
        gridcade.compare([policy], SMALL)


def test_errors_show_a_result_on_one_line(run: Run) -> None:
    wrong: Any = run
    with pytest.raises(InputError, match=r"not q-learning on .* …$") as error:
        gridcade.evaluate("random", wrong)
    assert "\n" not in str(error.value)
    result: Any = gridcade.evaluate("random", SMALL, episodes=2)
    with pytest.raises(InputError, match=r"predict\(observation, …\); random on .* does not$"):
        gridcade.evaluate(result, SMALL)


def test_tables_are_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a narrow terminal a number that lost its last digits would be another number."""
    monkeypatch.setenv("COLUMNS", "40")
    text = str(gridcade.evaluate("random", "CliffWalk", episodes=20))
    assert "episode length" in text
    assert "…" not in text
    row = next(line for line in text.splitlines() if line.startswith("average reward"))
    assert len(row.split()) >= 6
