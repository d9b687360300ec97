"""TensorBoard shows each epoch of the metrics once, even if the run was resumed."""

import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from gridcade.cli.commands.train import Train
from gridcade.cli.options import parse
from gridcade.errors import InputError
from gridcade.training import sessions
from gridcade.training.run_folder import Run
from gridcade.training.tensorboard import TensorBoardLogger


def stop_at(call: int) -> Callable[[], bool]:
    """Return a `stop` callback that returns True from its n-th call on."""
    calls = count(1)
    return lambda: next(calls) >= call


def test_tensorboard_shows_the_metrics_of_a_resumed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files of one second are read in the order of this number as a text, where 10 precedes 9. Only
    # tests write more than one file in a process.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    hyperparameters = {"learn_start": 100, "replay_capacity": 500, "hidden": (8,), "held_out": 3}
    run = sessions.train(
        "dqn",
        "CartPole",
        steps=2_000,
        epoch=500,
        evaluation_episodes=1,
        tensorboard=True,
        hyperparameters=hyperparameters,
        out=tmp_path / "run",
        stop=stop_at(7),
    )
    assert 500 < run.last_checkpoint() < 2_000
    # A process killed between an epoch's metrics and its checkpoint logs that epoch twice.
    logger = TensorBoardLogger(run.path, 1_000, enabled=True)
    logger.add({"steps": 1_500, "return_mean": -1.0})
    logger.close()
    sessions.resume(run.path)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    for name in ("return_mean", "held_out_max_q", "loss"):
        scalars = [(e.step, e.value) for e in events.Scalars(name)]
        expected = [(m["steps"], m[name]) for m in run.metrics() if name in m]
        assert [step for step, _ in scalars] == [step for step, _ in expected]
        assert [value for _, value in scalars] == pytest.approx(
            [value for _, value in expected], rel=1e-5
        )


def test_tensorboard_is_written_for_every_agent_if_a_run_asks_for_it(tmp_path: Path) -> None:
    script = (
        "import sys, gridcade\n"
        "for name, on in (('without', None), ('with', True)):\n"
        "    gridcade.train('q-learning', 'FourRooms', steps=2000, tensorboard=on, out=name)\n"
        "print('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
    assert not (tmp_path / "without" / "tensorboard").exists()
    assert Run(tmp_path / "with").config.tensorboard
    events = EventAccumulator(str(tmp_path / "with" / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("return_mean")] == [1000, 2000]


def test_resuming_and_presets_can_turn_tensorboard_on_and_off(tmp_path: Path) -> None:
    (tmp_path / "with.toml").write_text("tensorboard = true")
    options: dict[str, Any] = {"steps": 1000, "config": tmp_path / "with.toml"}
    run = sessions.train("q-learning", "FourRooms", out=tmp_path / "on", **options)
    assert run.config.tensorboard
    off = sessions.train(
        "q-learning", "FourRooms", out=tmp_path / "off", tensorboard=False, **options
    )
    assert not (off.path / "tensorboard").exists()
    sessions.resume(off.path, steps=2000, tensorboard=True)
    assert (off.path / "tensorboard").is_dir()


def test_without_the_package_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridcade.training.tensorboard.find_spec", lambda _: None)
    out = tmp_path / "run"
    with pytest.raises(InputError, match="pip install tensorboard"):
        sessions.train("q-learning", "FourRooms", steps=1000, tensorboard=True, out=out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), None), (("--tensorboard",), True), (("--no-tensorboard",), False)],
)
def test_the_command_line_turns_tensorboard_on_and_off(words: Any, expected: bool | None) -> None:
    command = parse(Train, ["q-learning", "FourRooms", *words])
    assert command.options.get("tensorboard") is expected
