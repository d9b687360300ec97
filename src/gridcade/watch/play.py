"""A person at the keyboard, scored by the same harness as every policy."""

from typing import Any

import gymnasium as gym

from gridcade.envs.gridworld import TabularEnv
from gridcade.envs.lookup import known_model
from gridcade.errors import InputError
from gridcade.evaluation import Evaluation, measure
from gridcade.policy import Human, Quit
from gridcade.watch.show import drawable, panel, picture
from gridcade.watch.terminal import TerminalScreen

KEY_MOVES = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}
LETTERS = {"w": "up", "d": "right", "s": "down", "a": "left"}
END_PAUSE = 1.0  # seconds
CONTINUING_STEPS = 200  # decisions, of a game that never ends


class Shown(gym.Wrapper[Any, Any, Any, Any]):
    """An environment that is drawn in the terminal at every reset and step."""

    def __init__(self, env: gym.Env[Any, Any], screen: TerminalScreen, title: str, help_: str):
        super().__init__(env)
        self._screen, self._title, self._help = screen, title, help_
        self._episode, self._decisions, self._total = 0, 0, 0.0

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Reset, and draw."""
        received = self.env.reset(**options)
        self._episode, self._decisions, self._total = self._episode + 1, 0, 0.0
        self._draw("")
        return received

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and draw; an end stays in sight for a moment."""
        received = self.env.step(action)
        self._decisions += 1
        self._total += float(received[1])
        end = "ended" if received[2] else "cut by the time limit" if received[3] else ""
        self._draw(end)
        if end:
            self._screen.keys(END_PAUSE)
        return received

    def _draw(self, end: str) -> None:
        columns, rows = self._screen.size()
        place = None
        body = panel(picture(self.env), place, self.env, None, columns, rows - 4)
        status = (
            f"episode {self._episode}   decision {self._decisions}   "
            f"return {self._total:.6g}   {end}"
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
        with TerminalScreen(keys=True) as screen:
            shown = Shown(env, screen, f"You on {name}", help_)

            def choose() -> int:
                while True:
                    for key in screen.keys(timeout=1.0):
                        if key in ("q", "escape"):
                            raise Quit
                        if key in actions:
                            return actions[key]

            model = known_model(env)
            endless = model is not None and model.continuing
            return measure(
                Human(choose),
                shown,
                episodes=None if endless else episodes,
                steps=CONTINUING_STEPS if endless else None,
                seed=seed,
                confidence=confidence,
                name="you",
            )
    except Quit:
        raise InputError(f"{CONTINUING_STEPS} decisions are scored: you left before") from None
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
