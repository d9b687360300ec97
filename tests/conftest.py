"""Settings of all tests: one thread, no display, the same Hypothesis examples in every run."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from hypothesis import settings

settings.register_profile("gridcade", deadline=None, derandomize=True, database=None)
settings.load_profile("gridcade")
