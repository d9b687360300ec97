"""Metrics for TensorBoard, where it is installed."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class TensorBoardLogger:
    """Writes a run's metrics into `tensorboard/` of its folder, if TensorBoard is installed.

    Only for agents that have loaded PyTorch, whose writer it is.

    Args:
        folder: the run's.
        steps: where the run goes on; what was written of later steps is purged.
    """

    def __init__(self, folder: Path, steps: int):
        self._writer: Any = None
        if "torch" in sys.modules and find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=steps + 1)

    def add(self, metrics: dict[str, Any]) -> None:
        """Write an epoch's numbers."""
        if self._writer is None:
            return
        for name, value in metrics.items():
            if isinstance(value, int | float) and name != "steps":
                self._writer.add_scalar(name, value, metrics["steps"])
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
