"""Worker processes on this machine or on a cluster, started through joblib.

A worker is a process that runs one task at a time and computes on one thread. (Emulators may use
threads of their own, and so may an agent of stable-baselines3 if its study sets `threads`.)
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from importlib import import_module
from typing import Any, Literal, TypeVar

from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.parallel import ParallelBackendBase

from gridcade.errors import InputError

Backend = Literal["loky", "ray", "dask"]
BackendContext = AbstractContextManager[dict[str, Any]]  # yields arguments of parallel_config
T = TypeVar("T")
MapTasks = Callable[[Callable[[T], None], Sequence[T]], None]
CONNECT_TIMEOUT = 30  # seconds


@contextmanager
def workers(
    backend: Backend, address: str | None = None, jobs: int | None = None
) -> Iterator[MapTasks[Any]]:
    """Start workers, or connect to those of a cluster, and yield `map_tasks(function, items)`.

    `map_tasks` calls `function` once with every item, and then returns. If a worker dies, Ray
    always retries its item, and Dask a few times. `map_tasks` raises if Dask gives up, or if a
    worker of loky dies, which ends all of loky's workers. Some items are then done, and others may
    still be running.

    Args:
        backend: loky for this machine; ray or dask for this machine or a cluster.
        address: address of a cluster; None starts one on this machine, and stops it at the end.
        jobs: number of items that run at the same time; None: one per core.

    Raises:
        InputError: `jobs` is out of range, a package is missing, or no cluster answers.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs is {jobs}; it must be 1 or greater")
    start: dict[str, Callable[[str | None, int | None], BackendContext]]
    start = {"loky": _loky, "ray": _ray, "dask": _dask}
    with start[backend](address, jobs) as arguments:
        one_by_one: Any = {"batch_size": 1, "pre_dispatch": jobs or "all"}

        def map_tasks(function: Callable[[T], None], items: Sequence[T]) -> None:
            with parallel_config(**arguments):
                Parallel(**one_by_one)(delayed(function)(item) for item in items)

        yield map_tasks


@contextmanager
def _loky(address: str | None, jobs: int | None) -> Iterator[dict[str, Any]]:
    if address is not None:
        raise InputError("--address is the address of a cluster; use --backend ray or dask with it")
    # With one job, joblib would run it in this process. pre_dispatch keeps the second worker idle.
    at_least_two = max(2, jobs or cpu_count())
    yield {
        "backend": "loky",
        "n_jobs": at_least_two,
        "inner_max_num_threads": 1,
        "initializer": _ignore_interrupts,
    }


@contextmanager
def _ray(address: str | None, jobs: int | None) -> Iterator[dict[str, Any]]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = _import_extra("ray")
    if address is not None and address != "auto":
        _check_reachable(address, "Ray cluster")  # Ray itself would try for minutes.
    local = {"num_cpus": jobs or cpu_count(), "include_dashboard": False}
    sigterm_handler = signal.getsignal(signal.SIGTERM)  # ray.init replaces it by an exit.
    try:
        ray.init(
            address or "local",
            **({} if address else local),
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot join a Ray cluster at '{address or 'local'}': {reason}") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, sigterm_handler or signal.SIG_DFL)
    try:
        # Retry without limit: a task itself counts how often it killed its worker.
        remote_call = ray.remote(num_cpus=1, max_retries=-1)(_call)
        backend = _ClusterBackend(
            submit=lambda batch: remote_call.remote(batch).future(),
            cancel=lambda future: ray.cancel(future.object_ref, force=True),
        )
        yield {"backend": backend}
    finally:
        ray.shutdown()


@contextmanager
def _dask(address: str | None, jobs: int | None) -> Iterator[dict[str, Any]]:
    dask = _import_extra("distributed")
    if address is None:
        # A memory limit would count a memory-mapped replay, and kill the worker.
        cluster = dask.LocalCluster(
            n_workers=jobs or cpu_count(),
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        with closing(cluster), dask.Client(cluster, set_as_default=False) as client:
            client.register_worker_callbacks(_ignore_interrupts)
            yield {"backend": _dask_backend(client)}
        return
    _check_reachable(address, "Dask scheduler")
    try:
        client = dask.Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot join a Dask scheduler at '{address}': {reason}") from None
    with client:
        client.wait_for_workers(1)
        if max(client.nthreads().values()) > 1:
            raise InputError("a Dask worker has several threads; start workers with --nthreads 1")
        yield {"backend": _dask_backend(client)}


def _dask_backend(client: Any) -> "_ClusterBackend":
    return _ClusterBackend(
        submit=lambda batch: client.submit(batch, pure=False), cancel=client.cancel
    )


def _check_reachable(address: str, server: str) -> None:
    """Raise InputError unless something listens at the address."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"'{address}' is not the address of a {server}; write HOST:PORT")
    try:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot reach a {server} at '{address}': {error}") from None


def _import_extra(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise InputError(f"'{name}' is not installed: pip install 'gridcade[cluster]'") from None


class _ClusterBackend(ParallelBackendBase):  # type: ignore[misc]
    """A joblib backend that gives each item to a free worker of a cluster.

    joblib's own backends do not: ray.util.joblib assigns items to workers in turn, even to busy
    ones, and with a single worker joblib runs everything in the calling process.

    Args:
        submit: sends a batch to the cluster and returns its future.
        cancel: cancels a future if possible.
    """

    supports_retrieve_callback = True

    def __init__(self, submit: Callable[[Any], Any], cancel: Callable[[Any], object]):
        super().__init__()
        self._submit, self._cancel = submit, cancel
        self._pending: set[Any] = set()  # futures

    def effective_n_jobs(self, n_jobs: int) -> Any:
        """Return 2, because with 1 joblib would use no worker; the cluster decides the number."""
        del n_jobs
        return 2

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Send a batch to the cluster."""
        future = self._submit(func)
        self._pending.add(future)
        future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        """Return the result of a future, or raise its exception."""
        self._pending.discard(out)
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel all pending futures."""
        del ensure_ready
        for future in list(self._pending):
            self._cancel(future)
        self._pending.clear()


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C in a worker: the main process handles it and stops the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _call(batch: Callable[[], Any]) -> Any:
    return batch()
