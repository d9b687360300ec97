"""Workers of every backend: processes with one thread, a bounded number, and clear errors."""

import json
import os
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from gridcade.errors import InputError
from gridcade.study.workers import Backend, workers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "loky", "jobs": 0}, "jobs is 0"),
        ({"backend": "loky", "address": "127.0.0.1:1"}, "use --backend ray or dask"),
        ({"backend": "ray", "address": "127.0.0.1:1"}, "cannot reach a Ray cluster at"),
        ({"backend": "ray", "address": "head"}, "HOST:PORT"),
        ({"backend": "dask", "address": "tcp://127.0.0.1:1"}, "cannot reach a Dask scheduler at"),
        ({"backend": "dask", "address": "tcp://127.0.0.1:99999"}, "cannot reach a Dask scheduler"),
    ],
)
def test_an_unreachable_backend_is_an_error(arguments: Mapping[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message), workers(**arguments):
        pass


@pytest.mark.parametrize(("name", "backend"), [("ray", "ray"), ("distributed", "dask")])
def test_a_missing_package_is_an_error(
    name: str, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="pip install 'gridcade"), workers(backend):
        pass


def test_dask_workers_with_several_threads_are_refused() -> None:
    """A task changes the directory and the threads of its whole process."""
    distributed: Any = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp",
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        pytest.raises(InputError, match="start workers with --nthreads 1"),
        workers("dask", cluster.scheduler_address),
    ):
        pass


@pytest.mark.parametrize(
    "backend",
    [
        "loky",
        pytest.param("ray", marks=pytest.mark.slow),
        pytest.param("dask", marks=pytest.mark.slow),
    ],
)
def test_jobs_limit_the_processes_and_each_has_one_thread(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")  # workers would inherit it
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")  # restored after the test
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")

    def record(number: int) -> None:
        start = time.monotonic()
        threads = os.environ["OMP_NUM_THREADS"], torch.get_num_threads()
        time.sleep(0.1)  # so that items that ran at the same time would overlap
        (tmp_path / f"{number}.json").write_text(
            json.dumps([start, time.monotonic(), threads, os.getpid()])
        )

    with workers(backend, jobs=1) as map_tasks:
        map_tasks(record, range(3))
        if backend == "ray":
            from ray._common.usage import usage_lib

            assert not usage_lib.usage_stats_enabled()
    records = sorted(json.loads(file.read_text()) for file in tmp_path.glob("*.json"))
    assert len(records) == 3
    for (_, end, _, _), (start, _, _, _) in pairwise(records):
        assert end <= start
    assert all(threads == ["1", 1] for _, _, threads, _ in records)
    assert os.getpid() not in {pid for _, _, _, pid in records}


def test_slurm_workers_of_the_docs_have_one_thread_and_no_memory_limit() -> None:
    """dask-jobqueue sets a limit of its own before ours; the last one counts."""
    slurm: Any = pytest.importorskip("dask_jobqueue.slurm")
    docs = (Path(__file__).parents[2] / "docs/guides/clusters.md").read_text(encoding="utf-8")
    call = docs.partition("cluster = SLURMCluster(")[2].partition("\n    )")[0]
    arguments = eval(f"dict({call})")
    script = slurm.SLURMJob(scheduler="tcp://head:1", name="worker", **arguments).job_script()
    options = script.splitlines()[-1].split()
    limits = [value for key, value in pairwise(options) if key == "--memory-limit"]
    assert limits[-1] == "0"
    assert options[options.index("--nthreads") + 1] == "1"
