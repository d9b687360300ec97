"""Runs the learners with other seeds of a lane, and reports their scores to the page."""

from gridcade.errors import InputError
from gridcade.live.messages import encode
from gridcade.live.world.lane import Lane
from gridcade.live.world.messages import Compare
from gridcade.live.world.seeds import SeedRuns, comparison


class LaneSeeds:
    """Runs at most one group of learners with other seeds."""

    def __init__(self) -> None:
        self._runs: SeedRuns | None = None
        self._sent = (True, 0)  # state of the learners at the last message, see `_state`

    def start(self, lane: Lane) -> None:
        """Let learners like that of a lane learn in its world; see `Lane.run_seeds`."""
        self._runs = lane.run_seeds()
        self._sent = (False, 0)

    def stop(self) -> None:
        """Stop the learners; their scores stay."""
        if self._runs:
            self._runs.cancel()

    def drop(self) -> None:
        """Stop the learners, and forget them."""
        if self._runs:
            self._runs.cancel()
            self._runs.join()
        self._runs = None

    @property
    def has_news(self) -> bool:
        """Whether there will be another message."""
        return self._runs is not None and (self._sent[0] or self._sent != self._state(self._runs))

    def news(self) -> bytes | None:
        """Return a message with the new scores; None if nothing is new since the last message."""
        if self._runs is None or self._sent == (state := self._state(self._runs)):
            return None
        self._sent = state
        return encode("seeds", **self._runs.message())

    @staticmethod
    def _state(runs: SeedRuns) -> tuple[bool, int]:
        """Return whether the learners are running, and at how many counts they have scores."""
        return runs.is_running, len(runs.scores)

    def comparison_message(self, request: Compare) -> bytes:
        """State whether these seeds differ from those of another lane.

        Raises:
            InputError: there are no scores at these steps.
        """
        runs = self._runs
        known = dict(zip(runs.counts, runs.scores, strict=False)) if runs else {}
        if request.steps not in known:
            raise InputError(f"the seeds of this lane have no scores at {request.steps:,} steps")
        own = known[request.steps][request.measure]
        text = comparison(own, request.scores, request.steps, request.measure)
        return encode("comparison", text=text)
