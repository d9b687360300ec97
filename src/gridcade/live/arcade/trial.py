"""A what-if of the Arcade page: tries another action at the present step of the game."""

import math
from dataclasses import asdict

import numpy as np

from gridcade.errors import InputError
from gridcade.evaluation.intervals import Estimate
from gridcade.live.arcade.arcade import Arcade
from gridcade.live.arcade.consoles import GameConsole
from gridcade.live.arcade.picture import pack
from gridcade.live.arcade.what_if import Progress, WhatIf, learned_return, what_if
from gridcade.live.messages import encode

NO_STACK = np.empty(0, dtype=np.uint8)


class Trial:
    """Plays the continuations after an action. The game itself stays at its step.

    Args:
        arcade: the session.
        action: action to try.
        epsilon: probability of random actions afterwards; None: epsilon of the game.

    Raises:
        InputError: the game has ended, or its state cannot be saved.
    """

    def __init__(self, arcade: Arcade, action: int, epsilon: float | None):
        console = arcade.console
        if not isinstance(console, GameConsole):
            raise InputError("what-if is possible only in Atari games, whose state can be saved")
        arcade.check_action(action)
        if arcade.game.moment.end:
            raise InputError("the game is over; go back to an earlier step to try an action")
        self._console, self._state = console, console.save()
        self._action, self._step = action, arcade.game.step
        actor = arcade.actor
        self._reports = what_if(
            console.emulator,
            self._state,
            action,
            actor.policy,
            learned_return(actor.policy, arcade.contender.trained_env),
            epsilon=actor.epsilon if epsilon is None else epsilon,
            deterministic=actor.deterministic,
            seed=arcade.request.seed,
        )
        self.done = False

    def advance(self) -> bytes:
        """Play some steps of every continuation; return a message with the progress or result.

        Raises:
            InputError: see `what_if`.
        """
        try:
            report = next(self._reports)
        except InputError:
            self.close()
            raise
        if isinstance(report, Progress):
            return self._progress(report)
        self.close()
        return self._result(report)

    def close(self) -> None:
        """End the what-if, and restore the state of the game."""
        self.done = True
        self._console.restore(self._state)

    def _progress(self, report: Progress) -> bytes:
        """Return a picture with the last screen of the first continuation, if it still plays."""
        screens = report.first[-1].screens[-1:] if report.first else np.empty((0, 1, 1), np.uint8)
        header = {
            "type": "progress",
            "action": self._action,
            "done": report.step / report.horizon,
            "running": report.running,
            "screens": screens.shape,
            "stack": NO_STACK.shape,
        }
        return pack(header, screens, NO_STACK)

    def _result(self, result: WhatIf) -> bytes:
        return encode(
            "what_if",
            step=self._step,
            action=result.action,
            learned=asdict(result.learned),
            horizon=result.horizon,
            epsilon=result.epsilon,
            predicted=result.predicted,
            predicts=result.predicts,
            returns=result.returns,
            scores=result.scores,
            expected_return=interval(result.expected_return),
            expected_score=interval(result.expected_score),
            notes=result.notes,
        )


def interval(estimate: Estimate | None) -> dict[str, float | None] | None:
    """Convert an estimate to its mean and interval; an infinite end becomes None."""
    if estimate is None:
        return None
    low, high = (end if math.isfinite(end) else None for end in (estimate.low, estimate.high))
    return {"mean": estimate.mean, "low": low, "high": high}
