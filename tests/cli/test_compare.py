"""`gridcade compare`: from arguments to a study folder, results and exit codes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pexpect
import pytest

from gridcade.agents import QLearningConfig
from gridcade.cli.main import main
from gridcade.study import runner
from gridcade.training.run_folder import Run
from in_process import in_process_workers
from waiting import wait

COMMAND = [sys.executable, "-m", "gridcade.cli.main", "compare"]
ENV = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
TIMEOUT = 280.0  # seconds; guards against hanging only, on a slow machine too


def compare(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


class Finished(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]


@pytest.fixture
def compare_in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run the command in this process and in `tmp_path`, without workers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(runner, "workers", in_process_workers)

    def call(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["gridcade", "compare", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Finished(code, str(captured.out), str(captured.err))

    return call


def num_sessions(run_folder: Path) -> int:
    file = run_folder / "provenance.json"
    return len(json.loads(file.read_bytes())["sessions"]) if file.is_file() else 0


def test_arguments_become_results_and_a_report(tmp_path: Path) -> None:
    arguments = ["q-learning", "q-learning:converging", "random", "q-learning[discount=0.9]"]
    arguments += ["--env", "RussellNorvig4x3"]
    arguments += ["--steps", "3000", "--seeds", "2", "--episodes", "20", "--preset", "watkins"]
    first = compare(tmp_path, *arguments)
    assert first.returncode == 0, first.stderr
    names = "q-learning-q-learning-converging-random-q-learning-discount=0.9"
    out = tmp_path / f"studies/RussellNorvig4x3-{names}"
    assert "0 of 7 tasks are done" in first.stdout
    assert "7 of 7" in first.stdout
    lines = first.stdout.splitlines()
    table = [line.split() for line in lines]
    assert ["contender", "seeds", "mean", "95", "%", "interval"] in table
    rows = [cells[:2] for cells in table]
    for contender in ("q-learning", "q-learning:converging", "q-learning[discount=0.9]"):
        assert [contender, "2"] in rows
    assert ["random", "-"] in rows
    assert Run(out / "runs/RussellNorvig4x3/q-learning/s0").config.preset == "watkins"
    assert Run(out / "runs/RussellNorvig4x3/q-learning-converging/s1").config.preset == "converging"
    changed = Run(out / "runs/RussellNorvig4x3/q-learning-discount=0.9/s1").config
    assert changed.preset == "watkins"
    assert isinstance(changed.hyperparameters, QLearningConfig)
    assert changed.hyperparameters.discount == 0.9

    exact = "Scores are exact: each policy's expected return, computed from the model."
    assert any(line.startswith(exact) for line in lines)
    results = json.loads((out / "results.json").read_bytes())
    assert len(results["verdicts"]) >= 3  # one per pair
    assert all(sentence in lines for sentence in results["verdicts"])
    contenders = results["environments"]["RussellNorvig4x3"]
    assert [seed["seed"] for seed in contenders["q-learning"]["seeds"]] == [0, 1]
    report = out / "report.html"
    assert f"report:  {report.relative_to(tmp_path)}" in lines
    text = report.read_text(encoding="utf-8")
    assert "q-learning:converging" in text
    assert "q-learning[discount=0.9]" in text

    again = compare(tmp_path, out / "study.toml", "--out", out)
    assert again.returncode == 0, again.stderr
    assert "tasks are done" not in again.stdout  # all tasks had results
    comparison = again.stdout.splitlines()[:-2]  # without the paths of the files
    assert len(comparison) > 5
    assert lines[:-2][-len(comparison) :] == comparison
    assert num_sessions(out / "runs/RussellNorvig4x3/q-learning/s0") == 1


STEPS = 60_000  # enough that no run has ended before the other one has begun
STUDY = f"""
environments = ["FrozenLake-v1"]
steps = {STEPS}
seeds = 2
episodes = 10
[[contenders]]
policy = "q-learning"
envs = 2  # steps through Gymnasium, because compiled training ends before it can be interrupted
evaluation_every = 10
"""
RUNS = [f"studies/mine/runs/FrozenLake-v1/q-learning/s{seed}" for seed in range(2)]


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Start the study, or continue it, and wait until both runs have made new checkpoints."""
    (folder / "mine.toml").write_text(STUDY)
    runs = [folder / run for run in RUNS]
    before = [last_checkpoint(run) for run in runs]
    process = subprocess.Popen(
        [*COMMAND, "mine.toml", "--jobs", "2", *options],
        cwd=folder,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def training() -> bool:
        started = all(last_checkpoint(run) > steps for run, steps in zip(runs, before, strict=True))
        assert started or process.poll() is None, process.communicate()
        return started

    wait(training)
    return process


def last_checkpoint(run: Path) -> int:
    """Return the steps of a run's last checkpoint; 0 if there is none."""
    return max(Run(run).checkpoints(), default=0) if (run / "config.toml").is_file() else 0


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.mark.timeout(600)  # guards against hanging only
@pytest.mark.parametrize(
    ("backend", "signals"),
    [
        ("loky", [signal.SIGINT]),
        pytest.param("dask", [signal.SIGINT], marks=pytest.mark.slow),
        # Ray replaces the handler of SIGTERM.
        pytest.param("ray", [signal.SIGINT, signal.SIGTERM], marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_study_continues(
    backend: str, signals: list[signal.Signals], tmp_path: Path
) -> None:
    runs = [tmp_path / run for run in RUNS]
    for number in signals:
        process = start(tmp_path, "--backend", backend)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does, which interrupts workers too
        else:
            process.send_signal(number)
        _, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 130, err
        assert err.splitlines()[-1] == "gridcade: stopped; run the same command to continue"
        assert "Traceback" not in err
        files = (tmp_path / "studies/mine/tasks").rglob("state.json")
        states = [json.loads(file.read_bytes()) for file in files]
        assert [state["phase"] for state in states] == ["stopped"] * 2
        stopped = [last_checkpoint(run) for run in runs]
        assert all(0 < steps < STEPS for steps in stopped)
        wait(lambda: not any(is_alive(state["pid"]) for state in states))  # noqa: B023
        assert [last_checkpoint(run) for run in runs] == stopped

    finished = compare(tmp_path, "mine.toml", "--jobs", "2")  # with any backend
    assert finished.returncode == 0, finished.stderr
    assert [num_sessions(run) for run in runs] == [len(signals) + 1] * 2
    assert [last_checkpoint(run) for run in runs] == [STEPS] * 2


@pytest.mark.slow
def test_a_study_continues_after_its_command_was_killed(tmp_path: Path) -> None:
    """Its workers continue to train until the command runs again, as those of a cluster would."""
    runs = [tmp_path / run for run in RUNS]
    process = start(tmp_path)
    with process:
        process.kill()
        process.wait()
        left = [last_checkpoint(run) for run in runs]
        wait(lambda: all(last_checkpoint(r) > n for r, n in zip(runs, left, strict=True)))
        finished = compare(tmp_path, "mine.toml", "--jobs", "2")
        os.killpg(process.pid, signal.SIGKILL)  # the workers, which are idle now
    assert finished.returncode == 0, finished.stderr
    assert [num_sessions(run) for run in runs] == [2, 2]
    assert [last_checkpoint(run) for run in runs] == [STEPS, STEPS]


def test_a_failed_task_is_reported_with_exit_code_1(
    compare_in_process: Command, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(
        'environments = ["CartPole"]\nsteps = 1000\nseeds = 1\nepisodes = 5\n'
        '[[contenders]]\npolicy = "random"\n'
        '[[contenders]]\npolicy = "dqn"\n[contenders.hyperparameters]\n'
        "learning_rate = 1e30\nlearn_start = 100\nhidden = [8]\nheld_out = 3\n"
    )
    finished = compare_in_process("mine.toml", "--out", "out")
    assert finished.code == 1
    (line,) = finished.err.splitlines()
    assert line.startswith("gridcade: CartPole dqn seed 0 failed: the loss is ")
    results = json.loads((tmp_path / "out/results.json").read_bytes())
    assert results["failures"] == [{"contender": "dqn", "env": "CartPole", "seed": 0}]
    assert results["environments"]["CartPole"]["random"]["expected_return"]["mean"] > 0
    assert (tmp_path / "out/tasks/CartPole/dqn/s0/error-1.txt").read_text().startswith("Traceback")


def test_a_terminal_shows_the_progress_of_running_tasks(tmp_path: Path) -> None:
    arguments = ["q-learning", "--env", "FourRooms", "--minutes", "0.05", "--seeds", "2"]
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], *arguments, "--jobs", "2"],
        cwd=tmp_path,
        env=ENV | {"TERM": "xterm-256color"},
        encoding="utf-8",
        dimensions=(24, 100),
        timeout=TIMEOUT,
    )
    # Which run is seen depends on how fast the workers start.
    child.expect("FourRooms q-learning seed [01] .*training .*steps")
    child.expect("[12] running  [01] done  [01] waiting  0 failed")
    child.expect("results: ")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["random"], "environments is empty"),
        (["q-learning", "--env", "FourRooms"], "needs steps, minutes, or both"),
        (["random", "--env", "Maze", "--env.size", "9"], "--env 'Maze?size=9'"),
        (["mine.toml", "--seeds", "3"], "remove --seeds"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(
    arguments: list[str], message: str, compare_in_process: Command, tmp_path: Path
) -> None:
    finished = compare_in_process(*arguments)
    assert finished.code == 2
    assert message in finished.err
    assert finished.err.startswith("gridcade: ")
    assert finished.err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_help_shows_examples(compare_in_process: Command) -> None:
    finished = compare_in_process("--help")
    assert finished.code == 0
    assert "gridcade compare study.toml --backend dask" in finished.out
    assert "None" not in finished.out
