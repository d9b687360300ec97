"""`gridcade compare`, as a person meets it: words in, a study folder and exit codes out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from gridcade.study.runner import run
from gridcade.study.study import Entry, Study, read_study
from gridcade.training.run_folder import Run
from waiting import wait

COMMAND = [sys.executable, "-m", "gridcade.cli.main", "compare"]
ENV = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
PATIENCE = 180.0  # seconds


def compare(folder: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def sessions(run_folder: Path) -> int:
    file = run_folder / "provenance.json"
    return len(json.loads(file.read_bytes())["sessions"]) if file.is_file() else 0


def test_from_words_to_results_and_a_report(tmp_path: Path) -> None:
    words = ["q-learning", "q-learning:converging", "random", "--env", "RussellNorvig4x3"]
    words += ["--steps", "3000", "--seeds", "2", "--episodes", "20", "--preset", "watkins"]
    said = compare(tmp_path, *words)
    assert said.returncode == 0, said.stderr
    out = tmp_path / "studies/RussellNorvig4x3-q-learning-q-learning-converging-random"
    assert "0 of 5 tasks are done" in said.stdout
    assert "5 of 5" in said.stdout
    table = [line.split()[:2] for line in said.stdout.splitlines()]
    for row in (["q-learning", "2"], ["q-learning:converging", "2"], ["random", "-"]):
        assert row in table
    assert Run(out / "runs/RussellNorvig4x3/q-learning/s0").config.preset == "watkins"
    assert Run(out / "runs/RussellNorvig4x3/q-learning-converging/s1").config.preset == "converging"

    assert (
        "Scores are exact: each policy's expected return, computed from the model." in said.stdout
    )
    results = json.loads((out / "results.json").read_bytes())
    lines = said.stdout.splitlines()
    assert ["contender", "seeds", "mean", "95", "%", "interval"] in [line.split() for line in lines]
    assert len(results["verdicts"]) >= 3  # one a pair
    assert all(sentence in lines for sentence in results["verdicts"])

    report = out / "report.html"
    assert f"report:  {report.relative_to(tmp_path)}" in said.stdout
    assert "q-learning:converging" in report.read_text(encoding="utf-8")
    found = results["environments"]["RussellNorvig4x3"]
    assert [seed["seed"] for seed in found["q-learning"]["seeds"]] == [0, 1]

    entries = (
        Entry("q-learning", preset="watkins"),
        Entry("q-learning", "q-learning:converging", "converging"),
    )
    study = Study(
        (*entries, Entry("random")), ("RussellNorvig4x3",), steps=3000, seeds=2, episodes=20
    )
    run(study, tmp_path / "python")  # the same from Python
    assert (tmp_path / "python/results.json").read_bytes() == (out / "results.json").read_bytes()

    again = compare(tmp_path, out / "study.toml", "--out", out)
    assert again.returncode == 0, again.stderr
    assert "tasks are done" not in again.stdout  # nothing was left to do
    shown = again.stdout.splitlines()[:-2]  # but for the last lines, which say where
    assert len(shown) > 5
    assert said.stdout.splitlines()[:-2][-len(shown) :] == shown
    assert sessions(out / "runs/RussellNorvig4x3/q-learning/s0") == 1

    by_reward = compare(tmp_path, *words, "--criterion", "average-reward")
    assert by_reward.returncode == 0, by_reward.stderr
    assert "RussellNorvig4x3: expected average reward" in by_reward.stdout.splitlines()
    assert read_study(out / "study.toml").criterion == "average-reward"
    assert sessions(out / "runs/RussellNorvig4x3/q-learning/s0") == 1

    other = compare(tmp_path, *(word.replace("3000", "4000") for word in words))
    assert other.returncode == 2
    assert other.stderr.startswith(f"gridcade: '{out}' holds another study (steps: 3000 -> 4000)")
    assert other.stderr.count("\n") == 1


def begun(
    folder: Path, steps: int, *also: str
) -> "tuple[subprocess.Popen[str], list[str], list[Path]]":
    """A study whose two runs have come to a checkpoint: its process, its words, its run folders."""
    (folder / "mine.toml").write_text(
        f'environments = ["FrozenLake-v1"]\nsteps = {steps}\nseeds = 2\nepisodes = 10\n'
        '[[contenders]]\npolicy = "q-learning"\nenvs = 2\n'
    )
    words = ["mine.toml", "--jobs", "2", *also]
    runs = [folder / f"studies/mine/runs/FrozenLake-v1/q-learning/s{seed}" for seed in range(2)]
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def trained() -> bool:
        met = all(path.is_dir() and len(Run(path).checkpoints()) > 2 for path in runs)
        assert met or process.poll() is None, process.communicate()
        return met

    wait(trained)
    return process, words, runs


@pytest.mark.timeout(600)  # guards against hanging only
@pytest.mark.parametrize(
    ("backend", "signal_"),
    [
        ("loky", signal.SIGINT),
        ("ray", signal.SIGINT),
        ("dask", signal.SIGINT),
        ("ray", signal.SIGTERM),  # of which Ray has an opinion of its own
    ],
)
def test_a_study_that_is_interrupted_goes_on(
    backend: str, signal_: signal.Signals, tmp_path: Path
) -> None:
    process, words, runs = begun(tmp_path, 150_000, "--backend", backend)
    if signal_ == signal.SIGINT:
        os.killpg(process.pid, signal_)  # as a terminal does: the workers are interrupted too
    else:
        process.send_signal(signal_)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "gridcade: stopped; the same command goes on from here"
    assert "Traceback" not in err
    told = (tmp_path / "studies/mine/tasks").rglob("state.json")
    assert [json.loads(file.read_bytes())["phase"] for file in told] == ["stopped"] * 2
    stopped = [Run(path).last_checkpoint() for path in runs]
    assert all(0 < steps < 150_000 for steps in stopped)
    time.sleep(2)
    assert [Run(path).last_checkpoint() for path in runs] == stopped  # nobody works on

    said = compare(tmp_path, *words[:3])  # whoever worked on it before
    assert said.returncode == 0, said.stderr
    assert [sessions(path) for path in runs] == [2, 2]
    assert [Run(path).last_checkpoint() for path in runs] == [150_000, 150_000]
    study = Study((Entry("q-learning", envs=2),), ("FrozenLake-v1",), 150_000, None, 2, 10)
    run(study, tmp_path / "whole", jobs=2)
    results = tmp_path / "studies/mine/results.json"
    assert results.read_bytes() == (tmp_path / "whole/results.json").read_bytes()


def test_a_study_whose_command_was_killed_is_taken_over(tmp_path: Path) -> None:
    """Its workers live on and train, as a cluster's would, until the same command comes."""
    process, words, runs = begun(tmp_path, 300_000)
    with process:
        process.kill()
        process.wait()
        left = [Run(path).last_checkpoint() for path in runs]
        wait(lambda: all(Run(p).last_checkpoint() > at for p, at in zip(runs, left, strict=True)))
        said = compare(tmp_path, *words)
        os.killpg(process.pid, signal.SIGKILL)  # the workers, idle now
    assert said.returncode == 0, said.stderr
    assert [sessions(path) for path in runs] == [2, 2]
    assert [Run(path).last_checkpoint() for path in runs] == [300_000, 300_000]


def test_what_failed_is_told_and_the_exit_code_too(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'environments = ["CartPole"]\nsteps = 1000\nseeds = 1\nepisodes = 5\n'
        '[[contenders]]\npolicy = "random"\n'
        '[[contenders]]\npolicy = "dqn"\n[contenders.hyperparameters]\n'
        "learning_rate = 1e30\nlearn_start = 100\nhidden = [8]\nheld_out = 3\n"
    )
    said = compare(tmp_path, "mine.toml", "--out", "out")
    assert said.returncode == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith("gridcade: CartPole dqn seed 0 failed: the loss is ")
    results = json.loads((tmp_path / "out/results.json").read_bytes())
    assert results["failures"] == [{"contender": "dqn", "env": "CartPole", "seed": 0}]
    assert results["environments"]["CartPole"]["random"]["expected_return"]["mean"] > 0
    assert (tmp_path / "out/tasks/CartPole/dqn/s0/error-1.txt").read_text().startswith("Traceback")


def test_a_terminal_shows_what_runs(tmp_path: Path) -> None:
    words = ["q-learning", "--env", "FourRooms", "--minutes", "0.2", "--seeds", "2", "--jobs", "2"]
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], *words],
        cwd=tmp_path,
        env=ENV | {"TERM": "xterm-256color"},
        encoding="utf-8",
        dimensions=(24, 100),
        timeout=PATIENCE,
    )
    child.expect("FourRooms q-learning seed 1 .*training .*steps")
    child.expect("2 running  0 done  0 waiting  0 failed")
    child.expect("results: ")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["random"], "a study takes one or more environments"),
        (["q-learning", "--env", "FourRooms"], "a study takes steps, minutes, or both"),
        (["q-learnin", "--env", "FourRooms", "--steps", "9"], "did you mean q-learning?"),
        (["q-learning", "--env", "FourRooms", "--steps", "0"], "steps is 0"),
        (["random", "--env", "Maze", "--env.size", "9"], "--env 'Maze?size=9'"),
        (["mine.toml"], "cannot read 'mine.toml'"),
        (["mine.toml", "--seeds", "3"], "leave out --seeds"),
        (["random", "--env", "FourRooms", "--address", "head:1"], "--backend ray or dask"),
    ],
)
def test_bad_input_leaves_nothing(words: list[str], said: str, tmp_path: Path) -> None:
    found = compare(tmp_path, *words)
    assert found.returncode == 2
    assert said in found.stderr
    assert found.stderr.startswith("gridcade: ")
    assert found.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_help_shows_how(tmp_path: Path) -> None:
    said = compare(tmp_path, "--help")
    assert said.returncode == 0
    assert "gridcade compare study.toml --backend dask" in said.stdout
    assert "None" not in said.stdout
