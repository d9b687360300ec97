"""A replacement for the workers of a study that runs its tasks in the test's own process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gridcade.study import runner
from gridcade.study.comparison import Comparison
from gridcade.study.study import Study
from gridcade.study.task import Task
from gridcade.study.workers import MapTasks


def map_in_process(function: Callable[[Task], None], tasks: Sequence[Task]) -> None:
    """Call a function with each task."""
    for task in tasks:
        function(task)


@contextmanager
def in_process_workers(*_: object) -> Iterator[MapTasks[Task]]:
    """Yield `map_in_process`; takes the arguments of `workers`."""
    yield map_in_process


def run_in_process(study: Study, out: Path, **options: Any) -> Comparison:
    """Run a study without worker processes, which take seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "workers", in_process_workers)
        return runner.run_study(study, out, **options)
