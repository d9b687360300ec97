"""Metrics for TensorBoard, where it is installed."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardLogger:
    """Writes a run's metrics into `tensorboard/` of its folder, if TensorBoard is installed.

    Only for agents that have loaded PyTorch, whose writer it uses.

    Args:
        folder: of the run.
        steps: at which the run continues; what was written after them is purged.
    """

    def __init__(self, folder: Path, steps: int):
        self._writer: SummaryWriter | None = None
        if "torch" in sys.modules and find_spec("tensorboard"):
            from torch.utils import tensorboard

            self._writer = tensorboard.SummaryWriter(
                str(folder / "tensorboard"), purge_step=steps + 1
            )

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Write the numbers of an epoch."""
        if self._writer is None:
            return
        for name, value in metrics.items():
            if isinstance(value, int | float) and name != "steps":
                self._writer.add_scalar(name, value, metrics["steps"])
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
