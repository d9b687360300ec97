"""Metrics for TensorBoard."""

import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridcade.errors import InputError

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter


def check_tensorboard() -> None:
    """Raise InputError if the package `tensorboard` is not installed."""
    if find_spec("tensorboard") is None:
        raise InputError(
            "tensorboard is not installed; pip install tensorboard, or leave out --tensorboard "
            "(Python: tensorboard=)"
        )


class TensorBoardLogger:
    """Writes a run's metrics into `tensorboard/` of its folder.

    Args:
        folder: the run folder.
        steps: the steps from which the run continues; TensorBoard discards events of later steps.
        enabled: whether to write the metrics; otherwise `add` does nothing.
    """

    _writer: "EventFileWriter | None" = None

    def __init__(self, folder: Path, steps: int, enabled: bool):
        if not enabled:
            return
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder / "tensorboard"))
        # TensorBoard discards events that an earlier session wrote for this step and later ones.
        start = {"status": "START"}
        self._add(step=steps + 1, session_log=start)

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Write the metrics of an epoch."""
        if self._writer is None:
            return
        values = [
            {"tag": name, "simple_value": value}
            for name, value in metrics.items()
            if isinstance(value, int | float) and name != "steps"
        ]
        self._add(step=metrics["steps"], summary={"value": values})
        self._writer.flush()

    def _add(self, **event: Any) -> None:
        """Write an event; nested messages are given as dictionaries."""
        from tensorboard.compat.proto import event_pb2

        proto: Any = event_pb2  # its classes are made when it is imported, without types
        if self._writer is not None:
            self._writer.add_event(proto.Event(wall_time=time.time(), **event))

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
