"""A person at the keyboard, scored by the same harness as every policy."""

from collections import deque
from typing import Any

import gymnasium as gym

from gridcade.envs.registry import known_model
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.wrappers import TransparentWrapper
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import Evaluation, evaluate_policy
from gridcade.evaluation.policies import Human, Quit
from gridcade.recording.frames import drawable, picture
from gridcade.watch.show import panel
from gridcade.watch.terminal import TerminalScreen

KEY_MOVES = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}
LETTERS = {"w": "up", "d": "right", "s": "down", "a": "left"}
QUIT = {"q", "escape"}
END_PAUSE = 1.0  # seconds
REDRAW = 1.0  # seconds
CONTINUING_STEPS = 200  # steps, of a game that never ends


class Shown(TransparentWrapper):
    """An environment that is drawn in the terminal at every reset and step.

    Args:
        env: the environment.
        screen: to draw it on, and to hear keys from.
        title: the first line.
        help_: the last line.
        last: steps after which the game is over; None: as the environment has it.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        screen: TerminalScreen,
        title: str,
        help_: str,
        last: int | None,
    ):
        super().__init__(env)
        self._screen, self._title, self._help = screen, title, help_
        self._last = f" of {last}" if last else ""
        self._episode, self._steps, self._total, self._end = 0, 0, 0.0, ""
        self._pressed: deque[str] = deque()  # and not heeded yet

    def key(self) -> str:
        """The next key; waits for one."""
        while not self._pressed:
            self._pressed.extend(self._screen.keys(timeout=REDRAW))
            self._draw()  # the terminal may have changed its size
        return self._pressed.popleft()

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Reset, and draw."""
        received = self.env.reset(**options)
        self._episode, self._steps, self._total, self._end = self._episode + 1, 0, 0.0, ""
        self._draw()
        return received

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and draw; an end stays in sight for a moment."""
        received = self.env.step(action)
        self._steps += 1
        self._total += float(received[1])
        if received[2] or received[3]:
            self._end = "ended" if received[2] else "cut by the time limit"
            self._draw()
            # A key ends the pause and is no move of the next episode, whatever was meant by it.
            self._pressed.clear()
            self._pressed.extend(QUIT & set(self._screen.keys(END_PAUSE)))
        else:
            self._draw()
        return received

    def _draw(self) -> None:
        columns, rows = self._screen.size()
        body = panel(picture(self.env), None, self.env, None, columns, rows - 4)
        status = (
            f"episode {self._episode}   step {self._steps}{self._last}   "
            f"return {self._total:.6g}   {self._end}"
        )
        lines = [self._title[:columns], status[:columns], "", *body]
        self._screen.show([*lines[: rows - 1], self._help[:columns]])


def play(name: str, episodes: int, seed: int, confidence: float) -> Evaluation:
    """Let a person play, and measure how well.

    Args:
        name: the environment's.
        episodes: how many; a game that is ended early counts those that were finished.
        seed: of the episodes.
        confidence: of the intervals.

    Raises:
        InputError: no terminal, no environment, actions that no key stands for, or a game that
            was left before an episode was finished.
    """
    env = drawable(name)
    try:
        actions, help_ = keys_of(env)
        model = known_model(env)
        steps = CONTINUING_STEPS if model is not None and model.continuing else None
        with TerminalScreen(keys=True) as screen:
            shown = Shown(env, screen, f"You on {name}", help_, steps)

            def choose() -> int:
                while (key := shown.key()) not in actions:
                    if key in QUIT:
                        raise Quit
                return actions[key]

            return evaluate_policy(
                Human(choose),
                shown,
                episodes=None if steps else episodes,
                steps=steps,
                seed=seed,
                epsilon=0.0,  # on Atari games too: every key counts
                confidence=confidence,
                name="you",
            )
    except Quit:
        raise InputError(f"{CONTINUING_STEPS} steps are scored: you left before") from None
    finally:
        env.close()


def keys_of(env: gym.Env[Any, Any]) -> tuple[dict[str, int], str]:
    """Which key stands for which action, and a line that says so."""
    if not isinstance(env.action_space, gym.spaces.Discrete):
        raise InputError("a keyboard takes discrete actions; these are not")
    world = env.unwrapped
    if isinstance(world, TabularEnv):
        names = {move: key for key, move in KEY_MOVES.items()}
        keys = {names[move]: action for action, move in enumerate(world.moves)}
        keys |= {letter: keys[key] for letter, key in LETTERS.items() if key in keys}
        return keys, "arrow keys move, q ends the game"
    if env.action_space.n > 10:
        raise InputError(f"{env.action_space.n} actions are more than there are digits")
    last = int(env.action_space.n) - 1
    return {str(a): a for a in range(last + 1)}, f"0 to {last} choose the action, q ends the game"
