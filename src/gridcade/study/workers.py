"""Worker processes, here or on a cluster: joblib, with what it leaves to its callers.

A worker is a process that does one thing at a time, and computes on one thread. (Emulators may
have threads of their own, and so has an agent of stable-baselines3's whose study names them.)
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
Opened = AbstractContextManager[dict[str, Any]]  # gives the arguments of parallel_config
T = TypeVar("T")
MapTasks = Callable[[Callable[[T], None], Sequence[T]], None]
PATIENCE = 30  # seconds, for a cluster to answer


@contextmanager
def workers(
    backend: Backend, address: str | None = None, jobs: int | None = None
) -> Iterator[MapTasks[Any]]:
    """Start workers, or join those of a cluster, and yield `map_tasks(work, items)`.

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
        one_by_one: Any = {"batch_size": 1, "pre_dispatch": jobs or "all"}

        def map_tasks(work: Callable[[T], None], items: Sequence[T]) -> None:
            with parallel_config(**arguments):
                Parallel(**one_by_one)(delayed(work)(item) for item in items)

        yield map_tasks


@contextmanager
def _loky(address: str | None, jobs: int | None) -> Iterator[dict[str, Any]]:
    if address is not None:
        raise InputError("--address is for a cluster: --backend ray or dask")
    # with one job joblib would work in this very process; pre_dispatch keeps the second idle
    at_least_two = max(2, jobs or cpu_count())
    yield {
        "backend": "loky",
        "n_jobs": at_least_two,
        "inner_max_num_threads": 1,
        "initializer": _leave_interrupts,
    }


@contextmanager
def _ray(address: str | None, jobs: int | None) -> Iterator[dict[str, Any]]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = _package("ray")
    if address is not None and address != "auto":
        _reach(address, "Ray cluster")  # Ray itself would try for minutes
    local = {"num_cpus": jobs or cpu_count(), "include_dashboard": False}
    before = signal.getsignal(signal.SIGTERM)  # which Ray makes an exit at once
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
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
    try:
        # retried without end: whether an item that kills its workers is worth it, it knows itself
        task = ray.remote(num_cpus=1, max_retries=-1)(_call)
        backend = _Cluster(
            submit=lambda func: task.remote(func).future(),
            cancel=lambda future: ray.cancel(future.object_ref, force=True),
        )
        yield {"backend": backend}
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
            client.register_worker_callbacks(_leave_interrupts)
            yield {"backend": _on_dask(client)}
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
        yield {"backend": _on_dask(client)}


def _on_dask(client: Any) -> "_Cluster":
    return _Cluster(submit=lambda func: client.submit(func, pure=False), cancel=client.cancel)


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


class _Cluster(ParallelBackendBase):  # type: ignore[misc]
    """joblib on a cluster, which gives every item to a worker that is free.

    joblib's own backends do not: ray.util.joblib deals items out in turn, to busy workers too, and
    where a cluster has a single worker, joblib does all in the process that called it.

    Args:
        submit: hands a batch to the cluster; returns its future.
        cancel: ends what a future stands for, if it can.
    """

    supports_retrieve_callback = True

    def __init__(self, submit: Callable[[Any], Any], cancel: Callable[[Any], object]):
        super().__init__()
        self._submit, self._cancel = submit, cancel
        self._waiting: set[Any] = set()  # futures

    def effective_n_jobs(self, n_jobs: int) -> Any:
        """More than one, for joblib's sake: how many there are, only the cluster knows."""
        del n_jobs
        return 2

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Hand a batch over."""
        future = self._submit(func)
        self._waiting.add(future)
        future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        """What the batch of a future gave, or raise what ended it."""
        self._waiting.discard(out)
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End what is not done yet."""
        del ensure_ready
        for future in list(self._waiting):
            self._cancel(future)
        self._waiting.clear()


def _leave_interrupts() -> None:
    """Ctrl-C, which a terminal sends to workers too, is for whoever has handed the work out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _call(func: Callable[[], Any]) -> Any:
    return func()
