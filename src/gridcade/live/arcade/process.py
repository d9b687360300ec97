"""The process of an Arcade page: plays, handles the page's messages, and sends pictures.

The game keeps the chosen speed even if the page receives few pictures: each picture is the newest,
and is sent when the last one has been received. Of an Atari game, at most 60 screens per second are
sent: all of them up to native speed; at twice, four times, … that speed, every second, fourth, …
one. If the processor is too slow for the chosen speed, the game runs slower.
"""

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from gridcade.errors import InputError, unknown
from gridcade.live.arcade.arcade import Arcade
from gridcade.live.arcade.consoles import Screens
from gridcade.live.arcade.messages import (
    SPEEDS,
    Back,
    Fork,
    Game,
    Hold,
    Open,
    Pause,
    Play,
    Seek,
    Speed,
    Step,
    Take,
    WhatIf,
    decode,
)
from gridcade.live.arcade.picture import picture
from gridcade.live.arcade.policy_list import PolicyList
from gridcade.live.arcade.trial import Trial
from gridcade.live.messages import encode
from gridcade.live.session_process import SessionProcess

END_PAUSE = 1.0  # seconds between two games
CHUNK = 0.05  # seconds of play between two checks of the pipe, while playing on to a step
RATE_WINDOW = 1.0  # seconds over which the speed is measured


class ArcadeProcess(SessionProcess):
    """Runs one session.

    Args:
        connection: this process's end of the pipe to the server.
        policies: policies that the page may name.
    """

    def __init__(self, connection: Connection, policies: PolicyList):
        super().__init__(connection)
        self._policies = policies
        self._arcade: Arcade | None = None
        self._playing = self._person = False
        self._held: int | None = None  # action whose keys the person holds
        self._pressed: int | None = None  # action whose keys were pressed since the last step
        self._goal: int | None = None  # step to which the game is played as fast as possible
        self._trial: Trial | None = None  # the what-if that is running
        self._speed = 1.0  # times native speed
        self._due = 0.0  # time of the next steps
        self._screens: Screens | None = None  # screens of the next picture; None: the console's
        self._changed = False  # whether anything changed since the last picture
        self._steps = 0  # number of steps since the speed was measured last
        self._measured_at, self._measured = 0.0, 0.0  # time; times native speed

    def _begin(self) -> None:
        self._connection.send_bytes(encode("policies", **self._policies.message()))

    def _go_on(self) -> None:
        self._advance()
        self._send_picture()

    def _wait(self) -> float | None:
        if self._arcade is None:
            return None
        if self._trial is not None and self._page_ready:
            return 0.0
        if self._goal is not None or (self._changed and self._page_ready):
            return 0.0
        if not self._playing or self._waits_for_key():
            return None
        return max(0.0, self._due - time.monotonic())

    # ---- messages

    def _obey(self, text: bytes) -> None:
        message = decode(text)
        if self._trial is not None:
            self._trial.close()
            self._trial = None
        if isinstance(message, Open):
            self._open(message)
            return
        if self._arcade is None:
            raise InputError("choose a policy first")
        arcade = self._arcade
        match message:
            case Play():
                self._play()
            case Pause():
                self._playing, self._goal = False, None
            case Step():
                self._playing, self._goal = False, None
                self._step()
            case Speed():
                if message.factor not in SPEEDS:
                    raise unknown("speed", f"{message.factor:g}", [f"{s:g}" for s in SPEEDS])
                self._speed = message.factor
                self._due = self._measured_at = time.monotonic()
                self._steps = 0
            case Seek():
                self._seek(message.step)
            case Game():
                arcade.start_game(message.number)
                self._goal = None
            case Take():
                if message.person:
                    arcade.check_action(0)
                self._person, self._held, self._pressed = message.person, None, None
            case Hold():
                if message.action is not None:
                    arcade.check_action(message.action)
                    self._pressed = message.action
                self._held = message.action
                return  # the picture of the next step shows it
            case WhatIf():
                self._playing, self._goal = False, None
                self._trial = Trial(arcade, message.action, message.epsilon)
            case Fork():
                arcade.check_action(message.action)
                self._person, self._goal = False, None
                arcade.game.advance(message.action)
                self._play()
            case Back():
                arcade.game.back()
                self._playing, self._person, self._goal = False, False, None
        self._changed, self._screens = True, None

    def _open(self, request: Open) -> None:
        self._arcade = Arcade(request, self._policies)
        self._playing = self._person = False
        self._goal = None
        self._connection.send_bytes(self._arcade.message())
        self._seek(request.step)
        self._changed, self._screens = True, None

    def _play(self) -> None:
        self._playing, self._goal = True, None
        self._due = self._measured_at = time.monotonic()
        self._steps, self._measured = 0, 0.0

    def _seek(self, step: int) -> None:
        """Show a step of the game; if it was not played yet, play on to it."""
        assert self._arcade is not None  # noqa: S101 - for the type checker
        self._playing = False
        game = self._arcade.game
        self._goal = step if step > game.last_step else None
        game.seek(step)

    # ---- play

    def _waits_for_key(self) -> bool:
        """Whether a person plays and holds no key, and no action means "no key"."""
        assert self._arcade is not None  # noqa: S101 - for the type checker
        keys = (self._held, self._pressed, self._arcade.idle_action)
        return self._person and all(action is None for action in keys)

    def _step(self) -> None:
        """Take one step; after the end of a game, start the next one."""
        assert self._arcade is not None  # noqa: S101 - for the type checker
        if self._arcade.game.moment.end:
            self._arcade.start_game(self._arcade.number + 1)
            return
        action = None
        if self._person:
            pressed, self._pressed = self._pressed, None
            held = self._held if pressed is None else pressed
            action = self._arcade.idle_action if held is None else held
        self._arcade.game.advance(action)

    def _advance(self) -> None:
        """Take the steps that are due."""
        if self._arcade is None:
            return
        if self._trial is not None:
            self._try(self._trial)
            return
        if self._goal is not None:
            self._approach(self._goal)
            return
        now = time.monotonic()
        if not self._playing or now < self._due or self._waits_for_key():
            return
        steps = max(1, int(self._speed))
        interval = steps / (self._speed * self._arcade.console.steps_per_second)
        self._due = max(self._due + interval, now)
        self._screens = self._play_steps(steps)
        self._changed = True
        if self._arcade.game.moment.end:
            self._due = now + END_PAUSE
        self._measure(now)

    def _play_steps(self, steps: int) -> Screens | None:
        """Take n steps, and return every n-th screen; None: show the console's last screens."""
        assert self._arcade is not None  # noqa: S101 - for the type checker
        count = self._arcade.console.frames_per_step
        screens = []
        for i in range(steps):
            self._step()
            self._steps += 1
            shown = [j for j in range(count) if (i * count + j + 1) % steps == 0]
            if count > 1 and shown:
                drawn = self._arcade.console.screens()
                screens.append(drawn[shown] if len(drawn) == count else drawn[-1:])
            if self._arcade.game.moment.end or self._waits_for_key():
                return None
        return np.concatenate(screens) if screens else None

    def _approach(self, goal: int) -> None:
        """Play on to a step, or to the end of the game, as fast as possible."""
        assert self._arcade is not None  # noqa: S101 - for the type checker
        game, end = self._arcade.game, time.monotonic() + CHUNK
        while time.monotonic() < end and game.step < goal and not game.moment.end:
            game.advance()
        if game.step >= goal or game.moment.end:
            self._goal = None
        self._changed, self._screens = True, None

    def _try(self, trial: Trial) -> None:
        """Continue a what-if for some steps, if the page is ready for a picture."""
        if not self._page_ready or self._changed:
            return
        try:
            message = trial.advance()
        except InputError as error:
            message = encode("error", message=str(error))
        if trial.done:
            self._trial = None
        else:
            self._page_ready = False
        self._connection.send_bytes(message)

    def _measure(self, now: float) -> None:
        """Measure the speed at which the game is played."""
        assert self._arcade is not None  # noqa: S101 - for the type checker
        if (elapsed := now - self._measured_at) >= RATE_WINDOW:
            self._measured = self._steps / elapsed / self._arcade.console.steps_per_second
            self._measured_at, self._steps = now, 0

    def _send_picture(self) -> None:
        """Send the newest picture, if the page is ready for it."""
        if self._arcade is None or not (self._changed and self._page_ready):
            return
        screens = self._arcade.console.screens() if self._screens is None else self._screens
        state = {
            "playing": self._playing,
            "person": self._person,
            "held": self._arcade.idle_action if self._held is None else self._held,
            "goal": self._goal,
            "speed": self._speed,
            "measured": self._measured if self._playing and not self._waits_for_key() else 0.0,
        }
        self._page_ready = self._changed = False
        self._connection.send_bytes(picture(self._arcade, screens, **state))


def main(connection: Connection, runs: Path, trust: bool) -> None:
    """Run a session in this process."""
    # One thread is enough for one observation. PyTorch reads the variable when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    ArcadeProcess(connection, PolicyList(runs, trust)).run()
