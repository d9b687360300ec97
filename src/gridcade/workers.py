"""Worker processes, here or on a cluster: joblib, with what it leaves to its callers.

A worker is a process that does one thing at a time, with one thread.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from importlib import import_module
from typing import Any, Literal, TypeVar

from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.parallel import ParallelBackendBase

from gridcade.errors import InputError

Backend = Literal["loky", "ray", "dask"]
Opened = AbstractContextManager[dict[str, Any]]  # gives the arguments of parallel_config
T = TypeVar("T")
HandOut = Callable[[Callable[[T], None], Sequence[T]], None]
PATIENCE = 30  # seconds, for a cluster to answer


@contextmanager
def workers(
    backend: Backend, address: str | None = None, jobs: int | None = None
) -> Iterator[HandOut[Any]]:
    """Start workers, or join those of a cluster, and yield `hand_out(work, items)`.

    It returns when `work` has been called with every item. An item whose worker dies is handed
    out again by Ray, and by Dask a few times; when they give up, and at once on loky, whose
    workers all die together, it raises. Then some items are done, and some may still be worked on.

    Args:
        backend: loky for this machine, or what the cluster runs.
        address: of the cluster; None: one is started on this machine, and stopped in the end.
        jobs: how many items are worked on at once; None: as many as there are cores.

    Raises:
        InputError: a package is missing, or no such cluster answers.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs is {jobs}; it takes 1 or more")
    openers: dict[str, Callable[[str | None, int | None], Opened]]
    openers = {"loky": _loky, "ray": _ray, "dask": _dask}
    with openers[backend](address, jobs) as arguments:

        def hand_out(work: Callable[[T], None], items: Sequence[T]) -> None:
            with parallel_config(**arguments):
                parallel = Parallel(batch_size=1, pre_dispatch=jobs or "all")
                parallel(delayed(work)(item) for item in items)

        yield hand_out


@contextmanager
def _loky(address: str | None, jobs: int | None) -> Iterator[dict[str, Any]]:
    if address is not None:
        raise InputError("--address is for a cluster: --backend ray or dask")
    # with one job joblib would work in this very process; pre_dispatch keeps the second idle
    at_least_two = max(2, jobs or cpu_count())
    yield {"backend": "loky", "n_jobs": at_least_two, "inner_max_num_threads": 1}


@contextmanager
def _ray(address: str | None, jobs: int | None) -> Iterator[dict[str, Any]]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = _package("ray")
    if address is not None and address != "auto":
        _reach(address, "Ray cluster")  # Ray itself would try for minutes
    local = {"num_cpus": jobs or cpu_count(), "include_dashboard": False}
    try:
        ray.init(
            address or "local",
            **({} if address else local),
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"no Ray cluster at '{address or 'local'}': {reason}") from None
    try:
        yield {"backend": RayTasks(ray), "n_jobs": -1}
    finally:
        ray.shutdown()


@contextmanager
def _dask(address: str | None, jobs: int | None) -> Iterator[dict[str, Any]]:
    dask = _package("distributed")
    if address is None:
        # no limit to memory: what is mapped from the disk would count, and the worker be killed
        cluster = dask.LocalCluster(
            n_workers=jobs or cpu_count(),
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        with closing(cluster), dask.Client(cluster, set_as_default=False) as client:
            yield {"backend": "dask", "n_jobs": -1, "client": client}
        return
    _reach(address, "Dask scheduler")
    try:
        client = dask.Client(address, timeout=PATIENCE, set_as_default=False)
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"no Dask scheduler at '{address}': {reason}") from None
    with client:
        client.wait_for_workers(1)
        if max(client.nthreads().values()) > 1:
            raise InputError("a Dask worker has several threads: start them with --nthreads 1")
        yield {"backend": "dask", "n_jobs": -1, "client": client}


def _reach(address: str, what: str) -> None:
    """Raise InputError where nothing listens."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"'{address}' is no address of a {what}; one has the form HOST:PORT")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no {what} at '{address}': {error}") from None


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise InputError(f"'{name}' is missing: pip install 'gridcade[cluster]'") from None


class RayTasks(ParallelBackendBase):  # type: ignore[misc]
    """joblib on Ray, every item a task that Ray gives to whoever is free.

    ray.util.joblib deals items out to its actors in turn, to busy ones while others are idle.
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(self, ray: Any):
        super().__init__()
        self._ray = ray
        self._running: dict[Any, Any] = {}  # future -> what Ray calls it

    def effective_n_jobs(self, n_jobs: int) -> int:
        """All of the cluster's processors."""
        del n_jobs
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None]) -> Any:
        """Hand a batch over; the future that Ray gives for it."""
        # without end: whether an item that kills its workers is worth a retry, it knows itself
        reference = self._ray.remote(num_cpus=1, max_retries=-1)(_call).remote(func)
        future = reference.future()
        self._running[future] = reference
        future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, future: Any) -> Any:
        """What a batch gave, or raise what ended it."""
        self._running.pop(future, None)
        return future.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End the workers that are at work."""
        del ensure_ready
        for reference in self._running.values():
            self._ray.cancel(reference, force=True)
        self._running.clear()


def _call(func: Callable[[], Any]) -> Any:
    return func()
