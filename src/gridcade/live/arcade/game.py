"""One game on the Arcade page: every step of it can be shown again, and continued from there.

A game stores the actions that were taken, and the console's state every SAVE_EVERY steps. To show a
step again, it restores the last state before that step and repeats the actions since.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.live.arcade.chooser import Choice, Chooser
from gridcade.live.arcade.consoles import Console, Outcome
from gridcade.seeding import episode_stream, pack, unpack

SAVE_EVERY = 60  # steps


@dataclass(frozen=True)
class Moment:
    """The state of the game after a number of steps, as the page shows it."""

    choice: Choice  # the policy's choice for the next step
    stream: NDArray[np.uint64]  # state of the episode's random stream after the choice
    taken: Any = None  # the action of the next step; None: not taken yet
    reward: float = 0.0  # reward of the step that led here
    score: float = 0.0  # sum of the rewards so far
    life_lost: bool = False  # whether the step that led here lost a life
    lives: int | None = None
    end: str = ""  # how the game ended; "": it goes on


@dataclass(frozen=True)
class Line:
    """The moments and the saved states of a game, from its start."""

    moments: list[Moment] = field(default_factory=list)
    states: dict[int, Any] = field(default_factory=dict)  # step -> the console's state

    def copy(self) -> "Line":
        """A copy that can be changed without changing this line."""
        return Line(list(self.moments), dict(self.states))

    def cut(self, step: int) -> None:
        """Drop the moments and states after a step."""
        del self.moments[step + 1 :]
        for later in [s for s in self.states if s > step]:
            del self.states[later]


class Game:
    """A game that starts from a seed.

    Args:
        console: console on which the game is played.
        chooser: chooses the policy's actions.
        seed: seed of the game.

    Attributes:
        line: moments and saved states of the game so far.
        step: number of the step that is shown.
        kept: number of moments, from the first, that have not changed since the last picture.
        observation: observation at the step that is shown.
    """

    def __init__(self, console: Console, chooser: Chooser, seed: int):
        self._console, self._chooser, self._seed = console, chooser, seed
        self._rng = episode_stream(seed)
        # The line of the policy's own actions, and the step at which the game departed from it.
        self._own: tuple[Line, int] | None = None
        self.line, self.step, self.kept = Line(), 0, 0
        self.observation = console.reset(seed)
        self._save()
        choice = chooser.choose(self.observation, self._rng, True, console.mask)
        self.line.moments.append(Moment(choice, pack(self._rng), lives=console.lives))

    @property
    def moment(self) -> Moment:
        """The moment that is shown."""
        return self.line.moments[self.step]

    @property
    def last_step(self) -> int:
        """Number of the last step that was played."""
        return len(self.line.moments) - 1

    @property
    def departed(self) -> bool:
        """Whether an action was taken that the policy did not choose."""
        return self._own is not None

    def advance(self, action: Any = None) -> None:
        """Take one step, unless the game has ended.

        Before the last step, this repeats the step that was played. If the action differs from the
        one taken there, all later moments are dropped.

        Args:
            action: action to take; None: the one that was taken here before, or the policy's.
        """
        here = self.moment
        if here.end:
            return
        known = here.choice.action if here.taken is None else here.taken
        if action is None:
            action = known
        elif not np.array_equal(action, known):
            if self._own is None:
                self._own = self.line.copy(), self.step
            self.line.cut(self.step)
            self.kept = min(self.kept, self.step + 1)
            unpack(self._rng, here.stream)
        outcome = self._console.step(action)
        self.observation = outcome.observation
        self.line.moments[self.step] = replace(here, taken=action)
        self.step += 1
        if self.step > self.last_step:
            self._add(here, outcome)
        self._save()

    def seek(self, step: int) -> None:
        """Show a step of this game; a number beyond the last step shows the last step."""
        step = min(step, self.last_step)
        saved = self._saved_before(step)
        if not saved <= self.step <= step:
            self._restore(saved)
        while self.step < step:
            self.advance()

    def back(self) -> None:
        """Restore the policy's own game, and show the step at which another action left it."""
        if self._own is None:
            return
        (self.line, step), self._own = self._own, None
        self.kept = min(self.kept, step + 1)
        unpack(self._rng, self.line.moments[-1].stream)
        self._restore(self._saved_before(step))
        self.seek(step)

    def _add(self, before: Moment, outcome: Outcome) -> None:
        """Add the moment after a step that was not played before."""
        end = ""
        if outcome.terminated:
            end = "game over"
        elif outcome.truncated or self.step >= self._console.time_limit:
            end = f"stopped at the limit of {self.step:,} steps"
        mask = self._console.mask
        choice = self._chooser.choose(outcome.observation, self._rng, False, mask)
        self.line.moments.append(
            Moment(
                choice,
                pack(self._rng),
                reward=outcome.reward,
                score=before.score + outcome.reward,
                life_lost=outcome.life_lost,
                lives=self._console.lives,
                end=end,
            )
        )

    def _save(self) -> None:
        due = self.step % SAVE_EVERY == 0 and self.step not in self.line.states
        if due and self._console.saves:
            self.line.states[self.step] = self._console.save()

    def _saved_before(self, step: int) -> int:
        """Return the last saved step before a step, to draw all its screens again; 0: none."""
        return max((saved for saved in self.line.states if saved < step), default=0)

    def _restore(self, step: int) -> None:
        """Show a saved step, or the start."""
        self.step = step
        if step in self.line.states:
            self.observation = self._console.restore(self.line.states[step])
        else:
            self.observation = self._console.reset(self._seed)
