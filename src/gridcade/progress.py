"""A progress bar in a notebook, which changes in place and vanishes at the end.

The bar is plain HTML without widgets, so it works in Jupyter, Colab and VS Code, and leaves nothing
in the notebook's file.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from gridcade.formatting import format_count
from gridcade.training.metrics_text import evaluation_text
from gridcade.training.trainer import Progress, budget_share

if TYPE_CHECKING:
    from gridcade.study.runner import TaskStatus

REFRESH_INTERVAL = 0.25  # seconds between updates of a bar


class NotebookBar:
    """A progress bar in the output of a notebook's cell.

    Args:
        ipython: the module IPython.display.
    """

    def __init__(self, ipython: Any):
        self._ipython = ipython
        self._handle: Any = None
        self._updated = 0.0  # time of the latest update
        self._latest = ""  # the latest evaluation

    def training(self, progress: Progress) -> None:
        """Show the progress of a training run."""
        if progress.metrics is not None:
            self._latest = evaluation_text(progress.metrics, first_only=True) or self._latest
        share = budget_share(
            progress.total_steps, progress.minutes, progress.steps, progress.seconds
        )
        greedy = f"greedy: {self._latest}" if self._latest else ""
        self._show(share, f"{format_count(progress.steps)} steps   {greedy}")

    def evaluation(self, done: int, total: int) -> None:
        """Show the progress of an evaluation, in episodes or steps."""
        self._show(done / max(total, 1), f"{done:,} of {total:,}")

    def study(self, statuses: Sequence["TaskStatus"]) -> None:
        """Show the progress of a study."""
        counts = Counter(status.phase for status in statuses)
        share = sum(1.0 if s.phase in ("done", "failed") else s.share for s in statuses)
        text = f"{counts['done']} of {len(statuses)} tasks are done"
        if counts["failed"]:
            text += f", {counts['failed']} failed"
        self._show(share / max(len(statuses), 1), text)

    def _show(self, share: float, text: str) -> None:
        now = time.monotonic()
        if now - self._updated < REFRESH_INTERVAL:
            return
        self._updated = now
        shown = self._ipython.HTML(
            Markup('<progress value="{:.3f}" max="1" style="width: 20em"></progress> {}').format(
                share, text
            )
        )
        if self._handle is None:
            self._handle = self._ipython.display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def close(self) -> None:
        """Remove the bar."""
        if self._handle is not None:
            self._handle.update(self._ipython.HTML(""))


@contextmanager
def notebook_bar() -> Iterator[NotebookBar | None]:
    """Show a progress bar if this program is the kernel of a notebook; otherwise yield None."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        yield None
        return
    from IPython import display

    bar = NotebookBar(display)
    try:
        yield bar
    finally:
        bar.close()
