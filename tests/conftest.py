"""Settings of all tests: one thread, no display, the same Hypothesis examples in every run."""

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# Tests sign runs with a key of their own, not with that of the person who runs them. The folder is
# new in each process, because another user's tests may have made one that this user cannot write.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="gridcade-tests-")

import pytest
from hypothesis import settings

atexit.register(shutil.rmtree, os.environ["XDG_DATA_HOME"], ignore_errors=True)
settings.register_profile("gridcade", deadline=None, derandomize=True, database=None)
settings.load_profile("gridcade")


SIGNALS = [signal.SIGINT, signal.SIGTERM]
SIGNALS += [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # Windows has none


@pytest.fixture(autouse=True)
def no_handler_or_import_path_outlives_its_test(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Restore signal handlers that a command replaced, and forget import paths of the test.

    Tests under nohup or in the background of a script ignore some signals, and so would the
    programs that they start. Therefore each test starts with the default handlers.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)
    path = [*sys.path]
    yield
    folders = str(tmp_path_factory.getbasetemp())  # packages may have added other paths
    sys.path[:] = [entry for entry in sys.path if entry in path or not entry.startswith(folders)]
    for number, handler in handlers.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def no_worker_outlives_its_test() -> Iterator[None]:
    """End the worker processes that joblib keeps, so that they do not disturb other tests."""
    yield
    loky = sys.modules.get("joblib.externals.loky.reusable_executor")
    if loky is not None and loky._executor is not None:
        loky._executor.shutdown(kill_workers=True)
