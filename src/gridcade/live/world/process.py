"""The process of a lane: learns, handles the page's messages, and sends pictures."""

import math
import time
from multiprocessing.connection import Connection

from gridcade.errors import InputError
from gridcade.live.messages import encode
from gridcade.live.session_process import SessionProcess
from gridcade.live.world.lane import Lane
from gridcade.live.world.lane_seeds import LaneSeeds
from gridcade.live.world.messages import (
    Compare,
    Edit,
    Episode,
    Open,
    Paint,
    Pause,
    Portal,
    Predict,
    Redraw,
    Run,
    Save,
    Seeds,
    Seek,
    Settings,
    Speed,
    Step,
    Undo,
    Visible,
    decode,
)
from gridcade.live.world.prediction import prediction_message

PICTURES_PER_SECOND = 30
CHUNK = 0.01  # seconds of learning between two checks of the pipe
EXACT_SHARE = 0.2  # largest share of the time for computing exact values
SECONDS_BETWEEN_NEWS = 0.1  # about other seeds
SECONDS_BETWEEN_HISTORIES = 0.5  # while the learner runs
RATE_WINDOW = 1.0  # seconds over which the speed is measured
FIRST_STEPS_PER_SECOND = 100_000.0  # a first guess of the speed of learning
# Full speed is reached slowly, also after a return in time, so that a viewer can follow.
FIRST_ALLOWANCE = 5.0  # steps before the next picture
GROWTH = 1.15  # of the allowance with each picture


class LaneProcess(SessionProcess):
    """Runs one lane.

    Args:
        connection: this process's end of the pipe to the server.
    """

    def __init__(self, connection: Connection):
        super().__init__(connection)
        self._seeds = LaneSeeds()
        self._lane: Lane | None = None
        self._running = False
        self._steps_per_second: float | None = 10.0  # None: as fast as possible
        self._fastest = FIRST_STEPS_PER_SECOND  # measured, in steps per second
        self._allowance = FIRST_ALLOWANCE  # steps between two pictures at full speed
        self._since_picture = 0  # steps
        self._due = 0.0  # time of the next step, if the speed is limited
        self._picture_due = 0.0
        self._exact_due = self._history_due = 0.0
        self._page_visible = True
        self._changed = True  # whether there is something new since the last picture
        self._rate = (time.monotonic(), 0)  # when and at which step the speed was measured last
        self._measured = 0.0  # steps per second

    def _go_on(self) -> None:
        self._learn()
        self._send_picture()
        if news := self._seeds.news():
            self._connection.send_bytes(news)

    def _end(self) -> None:
        self._seeds.drop()  # a thread in compiled code would outlive the interpreter

    def _wait(self) -> float | None:
        now = time.monotonic()
        waits = []
        if self._running and self._lane:
            if self._steps_per_second:
                waits.append(self._due - now)
            elif self._allowed_steps() >= 1:
                waits.append(0.0)
        if self._changed and self._page_ready and self._page_visible and self._lane:
            waits.append(self._picture_due - now)
        if self._seeds.has_news:
            waits.append(SECONDS_BETWEEN_NEWS)
        return max(0.0, min(waits)) if waits else None

    def _allowed_steps(self) -> float:
        """Return how many more steps are allowed, at full speed, before the next picture."""
        return self._allowance - self._since_picture if self._page_visible else math.inf

    # ---- messages

    def _obey(self, text: bytes) -> None:
        message = decode(text)
        if isinstance(message, Open):
            self._lane, self._running = Lane(message), False
            self._allowance, self._since_picture = FIRST_ALLOWANCE, 0
            self._rate = (time.monotonic(), 0)
            self._send_world()
            return
        if isinstance(message, Visible):
            self._page_visible = message.visible
            return
        if self._lane is None:
            raise InputError("choose a world first")
        lane = self._lane
        match message:
            case Run():
                self._running, self._due = True, time.monotonic()
                self._rate = (time.monotonic(), lane.learner.steps)
            case Pause():
                self._running = False
            case Step() | Episode():
                self._running = False
                update = lane.step() if isinstance(message, Step) else lane.finish_episode()
                lane.record()
                self._connection.send_bytes(lane.update_message(update))
            case Speed():
                self._steps_per_second = message.steps_per_second
                self._due = time.monotonic()
            case Edit() | Paint() | Portal() | Settings() | Redraw():
                lane.edit(message)
                self._send_world()
            case Seek():
                self._running = False
                if lane.go_to(message.branch, message.moment):
                    self._send_world()
                self._allowance = max(FIRST_ALLOWANCE, (GROWTH - 1) * lane.learner.steps)
            case Predict():
                self._connection.send_bytes(prediction_message(lane.place, message))
            case Undo():
                lane.undo()
                self._send_world()
            case Seeds():
                self._seeds.stop()
                if message.run:
                    self._seeds.start(lane)
            case Compare():
                self._connection.send_bytes(self._seeds.comparison_message(message))
            case Save():
                self._connection.send_bytes(encode("map", text=lane.map_text()))
        self._changed, self._picture_due = True, 0.0

    def _send_world(self) -> None:
        assert self._lane is not None  # noqa: S101 - for the type checker
        self._seeds.drop()  # they belonged to another world or learner
        self._connection.send_bytes(self._lane.world_message())
        self._changed, self._picture_due, self._exact_due = True, 0.0, 0.0

    # ---- learning and pictures

    def _learn(self) -> None:
        """Learn for about CHUNK seconds, or only the steps that are due."""
        if not self._running or self._lane is None:
            return
        now = time.monotonic()
        if self._steps_per_second is None:
            steps = int(min(self._allowed_steps(), max(1.0, self._fastest * CHUNK)))
        else:
            steps = int((now - self._due) * self._steps_per_second) + 1 if now >= self._due else 0
            steps = min(steps, max(1, int(self._fastest * CHUNK)))  # fewer on a slow machine
            self._due = max(self._due + steps / self._steps_per_second, now - 1.0)
        if steps <= 0:
            return
        self._lane.advance(steps)
        self._running = not self._lane.learner.converged
        self._since_picture += steps
        elapsed = max(time.monotonic() - now, 1e-6)
        if steps >= self._fastest * CHUNK / 2:
            self._fastest = max(1.0, 0.5 * self._fastest + 0.5 * steps / elapsed)
        self._changed = True

    def _send_picture(self) -> None:
        """Send the newest picture, if one is due and the page is ready for it."""
        now = time.monotonic()
        ready = self._changed and self._page_ready and self._page_visible
        if self._lane is None or not ready or now < self._picture_due:
            return
        exact = None
        if now >= self._exact_due or not self._running:
            exact = self._lane.exact()
            took = time.monotonic() - now
            self._exact_due = now + took / EXACT_SHARE
        self._measure_rate(now)
        speed = self._measured if self._running else 0.0
        self._send_history(now)
        self._page_ready = self._changed = False
        if self._running and self._steps_per_second is None:
            # Learning reaches its full speed even if the page shows few pictures.
            full = self._allowance >= self._fastest / PICTURES_PER_SECOND
            self._allowance = math.inf if full else self._allowance * GROWTH
        self._since_picture = 0
        self._picture_due = max(self._picture_due, now - CHUNK) + 1 / PICTURES_PER_SECOND
        self._connection.send_bytes(self._lane.picture_message(self._running, speed, exact))

    def _send_history(self, now: float) -> None:
        """Record the present moment, and send the history to the page if it is due."""
        assert self._lane is not None  # noqa: S101 - for the type checker
        history = self._lane.history
        branch = history.branch
        self._lane.record()
        if now >= self._history_due or not self._running or history.branch != branch:
            self._connection.send_bytes(self._lane.history_message())
            self._history_due = now + SECONDS_BETWEEN_HISTORIES

    def _measure_rate(self, now: float) -> None:
        assert self._lane is not None  # noqa: S101 - for the type checker
        since, steps = self._rate
        if now - since >= RATE_WINDOW:
            self._measured = (self._lane.learner.steps - steps) / (now - since)
            self._rate = (now, self._lane.learner.steps)


def main(connection: Connection) -> None:
    """Run a lane in this process."""
    LaneProcess(connection).run()
