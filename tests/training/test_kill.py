"""A run whose process is killed by SIGKILL repeatedly ends exactly like an uninterrupted run."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gridcade.cli import main
from gridcade.training.run_folder import Run
from gridcade.training.sessions import train

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="requires SIGKILL"),
    pytest.mark.timeout(600),
]

# Sessions are forked from a process that has loaded the program, which takes seconds each time.
PRELOADED = ["gridcade.cli.main", "gridcade.cli.commands.train", "gridcade.cli.commands.resume"]
PRELOADED += ["gridcade.agents.q_learning", "gridcade.agents.dqn", "gridcade.agents.pqn"]
STARTUP = 0.6  # seconds, approximate time until a session has a checkpoint
TIMEOUT = 180.0  # seconds
WALL_CLOCK = ("seconds", "steps_per_second")


@dataclass(frozen=True)
class Case:
    env: str
    envs: int
    epoch: int
    epochs: int
    max_epochs: int  # epochs that a session completes before it is killed, at most
    max_delay: float  # further seconds before it is killed, at most
    kills: int = 3
    startup_kills: int = 1  # kills while the program starts or creates the folder
    agent: str = "q-learning"
    hyperparameters: dict[str, int | bool] = field(default_factory=dict)


SMALL = {"batch_size": 8, "target_every": 100, "held_out": 3}
DQN = SMALL | {"learn_start": 300, "replay_capacity": 1500, "hidden": 16}
PQN = {"hidden": 16, "rollout": 32, "minibatches": 4}
FRAMES = SMALL | {"learn_start": 250, "replay_capacity": 1500, "update_every": 8}
PIXELS = "FourRooms?observation=pixels&pixels=36"
FAST = {
    "compiled": Case("FourRooms", envs=1, epoch=2000, epochs=150, max_epochs=12, max_delay=0.02),
    "dqn": Case("CartPole-v1", 2, 250, 16, 2, 0.3, agent="dqn", hyperparameters=DQN),
    "pqn": Case("CartPole-v1", 4, 400, 20, 2, 0.3, agent="pqn", hyperparameters=PQN),
}
SLOW = {
    "gymnasium": Case("FrozenLake-v1", 2, 1000, 50, 3, 0.05, 10, 3),
    "dqn in the paper's order": Case(
        "CartPole-v1", 2, 250, 16, 2, 0.3, 7, 3, "dqn", DQN | {"overlap": False}
    ),
    "pqn in the paper's order": Case(
        "CartPole-v1", 4, 400, 20, 2, 0.3, 7, 3, "pqn", PQN | {"overlap": False}
    ),
    "frames": Case(PIXELS, 2, 200, 40, 2, 0.1, 7, 3, "dqn", FRAMES),
    "breakout": Case(
        "Breakout", 2, 200, 12, 1, 0.5, 6, 2, "dqn", FRAMES | {"replay_capacity": 600}
    ),
    "breakout by pqn": Case(
        "Breakout", 4, 400, 12, 1, 0.5, 6, 2, "pqn", {"rollout": 16, "minibatches": 4}
    ),
}
CASES = FAST | SLOW


def outcome(run: Run) -> tuple[Any, ...]:
    """Return the exact last checkpoint, the replay, and the metrics without wall-clock times."""
    agent, loop, state = run.load_checkpoint(run.last_checkpoint())
    bits = [
        {key: (value.dtype, value.shape, value.tobytes()) for key, value in tensors.items()}
        for tensors in (agent, loop)
    ]
    metrics = [{k: v for k, v in m.items() if k not in WALL_CLOCK} for m in run.metrics()]
    replay = {file.name: file.read_bytes() for file in run.path.glob("replay/*")}
    return *bits, replay, state["steps"], state["totals"], state["env_state"], metrics


def start(out: Path, case: Case) -> BaseProcess:
    """Start a process that trains, or that resumes if the run folder exists."""
    arguments = ["resume", str(out)]
    if not out.exists():
        arguments = ["train", case.agent, case.env, "--out", str(out), "--seed", "1"]
        arguments += ["--steps", str(case.epoch * case.epochs), "--epoch", str(case.epoch)]
        arguments += ["--envs", str(case.envs), "--evaluation-episodes", "1"]
        arguments += ["--evaluation-every", "4"]
        for key, value in case.hyperparameters.items():
            flag = key.replace("_", "-")
            arguments += [f"--no-{flag}"] if value is False else [f"--{flag}", str(value)]
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    process = server.Process(target=session, args=(arguments, out.parent))
    process.start()
    return process


def session(arguments: list[str], folder: Path) -> None:
    """Run the command line in a process of its own, with its messages in the file `stderr`."""
    os.chdir(folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.argv = ["gridcade", *arguments]
    with (folder / "stderr").open("w") as stderr, open(os.devnull, "w") as nothing:
        sys.stderr, sys.stdout = stderr, nothing
        main.main()


def sessions(out: Path) -> int:
    """Return the number of sessions that began to train."""
    file = out / "provenance.json"
    return len(json.loads(file.read_text())["sessions"]) if file.is_file() else 0


def last_step(out: Path) -> int:
    """Return the step of the last checkpoint, or -1 if the run has none."""
    return max((int(f.name) for f in out.glob("checkpoints/*") if f.name.isdigit()), default=-1)


def wait(process: BaseProcess, out: Path, past: int, steps: int, timeout: float) -> None:
    """Wait until a new session has a checkpoint at `steps` or later, ends, or times out."""
    deadline = time.monotonic() + timeout
    while process.is_alive() and (sessions(out) <= past or last_step(out) < steps):
        time.sleep(min(0.005, max(deadline - time.monotonic(), 0)))
        if time.monotonic() >= deadline:
            break


def check_readable(out: Path) -> bool:
    """Read every checkpoint; return whether the process was killed within an epoch."""
    if not out.exists():
        return False
    run = Run(out)
    for steps in run.checkpoints():
        run.load_checkpoint(steps)
    writing = any(out.glob("checkpoints/.new-*")) or any(out.glob(".*.tmp"))
    entries = run.metrics()
    return not writing and bool(entries) and entries[-1]["steps"] == last_step(out)


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_a_run_killed_at_random_times_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    case, rng, out = CASES[name], Random(name), tmp_path / "run"
    killed = within_epoch = 0
    kill = 0
    while kill < case.kills or (within_epoch < 2 and kill < 5 * case.kills):
        past, steps = sessions(out), last_step(out)
        process = start(out, case)
        if kill < case.startup_kills:
            wait(process, out, past, 0, timeout=rng.uniform(0, STARTUP))
        else:
            additional = rng.randint(0, case.max_epochs) * case.epoch
            wait(process, out, past, steps + additional, TIMEOUT)
            time.sleep(rng.uniform(0, case.max_delay))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            killed += 1
            within_epoch += check_readable(out) and sessions(out) > past
        else:  # on a busy machine, a run may end before it is killed: start a new one
            assert process.exitcode == 0, (tmp_path / "stderr").read_text()
            shutil.rmtree(out)
            killed = within_epoch = 0
        kill += 1
    assert killed >= case.kills - 2
    assert within_epoch >= 2
    assert last_step(out) < case.epoch * case.epochs

    process = start(out, case)
    process.join(TIMEOUT)
    assert process.exitcode == 0, (tmp_path / "stderr").read_text()
    hyperparameters: dict[str, Any] = dict(case.hyperparameters)
    if "hidden" in hyperparameters:
        hyperparameters["hidden"] = (hyperparameters["hidden"],)
    whole = train(
        case.agent,
        case.env,
        hyperparameters=hyperparameters,
        evaluation_episodes=1,
        evaluation_every=4,
        seed=1,
        steps=case.epoch * case.epochs,
        epoch=case.epoch,
        envs=case.envs,
        out=tmp_path / "whole",
    )
    run = Run(out)
    assert run.config == whole.config
    assert run.checkpoints() == whole.checkpoints()
    assert outcome(run) == outcome(whole)
    assert not any(out.rglob(".new-*"))
    assert not any(out.rglob("*.tmp"))
