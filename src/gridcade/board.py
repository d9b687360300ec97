"""Metrics for TensorBoard, where it is installed."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class Board:
    """Writes a run's metrics into `tensorboard/` of its folder, if TensorBoard is installed.

    Only for agents that have loaded PyTorch, whose writer it is.

    Args:
        folder: the run's.
        decisions: where the run goes on; what was written of later decisions is purged.
    """

    def __init__(self, folder: Path, decisions: int):
        self._writer: Any = None
        if "torch" in sys.modules and find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=decisions + 1)

    def add(self, metrics: dict[str, Any]) -> None:
        """Write an epoch's numbers."""
        if self._writer is None:
            return
        for name, value in metrics.items():
            if isinstance(value, int | float) and name != "decisions":
                self._writer.add_scalar(name, value, metrics["decisions"])
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
