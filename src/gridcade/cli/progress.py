"""Progress of evaluations, training runs and studies: bars on a terminal, else plain lines."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from rich import progress as bars
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gridcade.cli.output import err
from gridcade.evaluation.options import ProgressCallback
from gridcade.formatting import format_count, format_number
from gridcade.training.metrics_text import evaluation_text, metrics_text
from gridcade.training.trainer import Progress, budget_share

if TYPE_CHECKING:
    from gridcade.study.runner import TaskStatus

WIDE = 100  # columns from which a bar shows all values of an evaluation
REFRESH_INTERVAL = 0.1  # seconds between updates of a bar
LINES = 10  # per run, after the first line; without a terminal, long runs print more
LINE_INTERVAL = 30.0  # seconds after which the next epoch has a line, without a terminal
RETURN_WIDTH = len("while exploring: return -1,234.5")  # aligns the lines of most worlds


class TrainingDisplay:
    """Progress of a training run: lines at the ends of epochs, and a bar below them on a terminal.

    On a terminal, only epochs with an evaluation have a line.
    """

    def __init__(self) -> None:
        self._bars = bars.Progress(
            bars.BarColumn(bar_width=None),
            bars.TaskProgressColumn(),
            bars.TextColumn("{task.fields[count]}", markup=False),
            bars.TimeRemainingColumn(compact=True),
            bars.TextColumn("{task.fields[latest]}", markup=False),
            console=err,
            expand=True,
            transient=True,
            disable=not err.is_terminal,
        )
        self._bar = self._bars.add_task("", total=1.0, count="", latest="")
        self._metrics: dict[str, Any] = {}  # of the latest epoch
        self._updated = 0.0  # time of the latest update
        self._printed_part = -1  # part of the budget, from 0 to LINES, at the latest line
        self._printed = 0.0  # time of the latest line
        self._start: tuple[float, int] | None = None  # time and steps at the session's start

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def report(self, progress: Progress) -> None:
        """Show the progress."""
        now = time.monotonic()
        if self._start is None:
            self._start = now, progress.steps
        if progress.metrics is not None:
            self._metrics = progress.metrics
        share = budget_share(
            progress.total_steps, progress.minutes, progress.steps, progress.seconds
        )
        if progress.metrics is not None:
            self._print_line(progress, share, now)
        if err.is_terminal:
            self._update_bar(progress, share, now)

    def _update_bar(self, progress: Progress, share: float, now: float) -> None:
        if self._start is None or now - self._updated < REFRESH_INTERVAL:
            return
        self._updated = now
        start_time, start_steps = self._start
        speed = (progress.steps - start_steps) / max(now - start_time, 1e-9)
        count = f"{format_count(progress.steps)} steps  {format_count(speed)}/s"
        values = evaluation_text(self._metrics, first_only=err.width < WIDE)
        latest = f"greedy: {values}" if values else ""
        self._bars.update(self._bar, completed=share, count=count, latest=latest)

    def _print_line(self, progress: Progress, share: float, now: float) -> None:
        """Print the epoch's returns, if enough of the budget was used up since the last line."""
        advanced = int(share * LINES) > self._printed_part
        if err.is_terminal:
            due = advanced and bool(evaluation_text(self._metrics))
        else:
            due = advanced or now - self._printed > LINE_INTERVAL
        if not due:
            return
        self._printed, self._printed_part = now, int(share * LINES)
        short = err.is_terminal and err.width < WIDE
        returns = metrics_text(self._metrics, short, RETURN_WIDTH)
        line = f"{progress.steps:>11,} steps  {returns}"
        if err.is_terminal:
            self._bars.console.print(line, soft_wrap=True)
        else:
            print(line, flush=True)


class StudyDisplay:
    """Progress of a study: the running tasks on a terminal, else a line per finished task.

    Args:
        stopping: returns whether the study is stopping.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._live = Live(console=err, transient=True, auto_refresh=False)
        self._start: tuple[float, float] | None = None  # time, and tasks done, at the start
        self._printed: set[str] = set()  # names of the finished tasks

    def __enter__(self) -> Self:
        if err.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def report(self, statuses: Sequence["TaskStatus"]) -> None:
        """Show the status of every task."""
        if err.is_terminal:
            self._live.update(self._table(statuses), refresh=True)
        else:
            self._print_finished(statuses)

    def _print_finished(self, statuses: Sequence["TaskStatus"]) -> None:
        finished = [status for status in statuses if status.phase in ("done", "failed")]
        new = [status for status in finished if status.name not in self._printed]
        count = len(self._printed)
        self._printed |= {status.name for status in new}
        if self._start is None:
            self._start = time.monotonic(), float(len(finished))
            print(f"{len(finished)} of {len(statuses)} tasks are done", flush=True)
            return
        for position, status in enumerate(new, count + 1):
            result = f"{status.phase}: {status.reason}" if status.reason else status.phase
            print(f"{position:>5} of {len(statuses)}  {status.name}  {result}", flush=True)

    def _table(self, statuses: Sequence["TaskStatus"]) -> Group:
        """Draw the running tasks, as many as fit on the screen, and a summary of all tasks."""
        running = [status for status in statuses if status.phase in ("training", "evaluating")]
        table = Table.grid(padding=(0, 2))
        for status in running[: max(err.height - 3, 1)]:
            steps = f"{format_count(status.steps)} steps" if status.steps else ""
            score = "" if status.score is None else f"latest {format_number(status.score)}"
            bar = ProgressBar(total=1.0, completed=status.share, width=20)
            table.add_row(Text(status.name), bar, status.phase, steps, score)
        counts = Counter(status.phase for status in statuses)
        summary = [f"{counts[phase]} {phase}" for phase in ("done", "waiting", "failed")]
        summary = [f"{len(running)} running", *summary]
        if self._stopping():
            summary = ["stopping at checkpoints; press Ctrl-C again to stop immediately"]
        elif remaining := self.time_left(statuses):
            summary.append(f"{remaining} of training left")
        return Group(table, Text("  ".join(summary), style="bold"))

    def time_left(self, statuses: Sequence["TaskStatus"]) -> str:
        """Estimate the time that training still takes at this session's speed; "" if it is unknown.

        Tasks without training are ignored: their durations say nothing about the others'.
        """
        learning = [status for status in statuses if status.learns]
        done = sum(status.share if status.phase != "failed" else 1.0 for status in learning)
        now = time.monotonic()
        if self._start is None:
            self._start = now, done
        start_time, start_done = self._start
        remaining = len(learning) - done
        if done <= start_done or remaining <= 0:
            return ""
        seconds = (now - start_time) * remaining / (done - start_done)
        return str(timedelta(seconds=round(seconds)))


@contextmanager
def progress_bar(label: str) -> Iterator[ProgressCallback | None]:
    """Show a progress bar on stderr; yields its callback, or None if stderr is no terminal."""
    if not err.is_terminal:
        yield None
        return
    columns = (
        bars.TextColumn(label),
        bars.BarColumn(bar_width=28),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
