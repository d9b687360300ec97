"""The best possible return of each evaluated episode, if the environment computes it."""

import time

import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

from gridcade.envs.best_return import UnknownBestReturnError, find_best_return
from gridcade.envs.types import Envs

MAX_SECONDS = 60.0  # duration of the computations for all episodes of an evaluation


class BestReturns:
    """Computes the best possible return of each episode after its reset, and collects them.

    Args:
        envs: environments that step side by side.
        time_limit: steps after which the environments truncate an episode; None: no limit.
    """

    def __init__(self, envs: Envs, time_limit: int | None):
        self._envs = [*map(find_best_return, envs.envs)] if isinstance(envs, SyncVectorEnv) else []
        self._time_limit = time_limit
        self._values: list[float] = []
        self._seconds = 0.0
        self._reason = ""  # why the best returns are unknown

    def add(self, started: NDArray[np.int64]) -> None:
        """Compute the best returns of the episodes that environments have just started.

        Args:
            started: the indices of these environments.
        """
        begin = time.perf_counter()
        for i in started if self._envs and not self._reason else ():
            env = self._envs[i]
            if env is None:
                self._envs = []
                return
            try:
                self._values.append(env.best_return(self._time_limit))
            except UnknownBestReturnError as error:
                self._reason = str(error)
                break
        self._seconds += time.perf_counter() - begin
        if self._seconds > MAX_SECONDS:
            self._reason = f"the search takes longer than {MAX_SECONDS:g} seconds"

    @property
    def mean(self) -> float | None:
        """Mean of the best returns; None unless the best return of every episode is known."""
        complete = self._values and self._envs and not self._reason
        return float(np.mean(self._values)) if complete else None

    @property
    def notes(self) -> list[str]:
        """A note that says why the computation of best returns failed; empty if it did not."""
        return [f"no best possible return: {self._reason}"] if self._reason else []
