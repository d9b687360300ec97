"""Settings of all tests: one thread, no display, the same Hypothesis examples in every run."""

import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# The key with which runs are signed is not that of the person who runs the tests.
os.environ["XDG_DATA_HOME"] = os.path.join(tempfile.gettempdir(), "gridcade-tests")

from hypothesis import settings

settings.register_profile("gridcade", deadline=None, derandomize=True, database=None)
settings.load_profile("gridcade")
