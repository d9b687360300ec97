"""TensorBoard shows each epoch of the metrics once, even if the run was resumed."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from gridcade.training import sessions
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
        hyperparameters=hyperparameters,
        out=tmp_path / "run",
        stop=stop_at(7),
    )
    assert 500 < run.last_checkpoint() < 2_000
    # A process killed between an epoch's metrics and its checkpoint logs that epoch twice.
    logger = TensorBoardLogger(run.path, 1_000)
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
