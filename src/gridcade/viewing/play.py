"""A human at the keyboard, evaluated like every policy."""

from collections import deque
from dataclasses import replace
from typing import Any

from gridcade.envs.action_names import action_names
from gridcade.envs.actions import action_index, finite_actions
from gridcade.envs.registry import known_model
from gridcade.envs.rendering import ARROWS
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env
from gridcade.envs.wrappers import TransparentWrapper
from gridcade.errors import InputError, single_line
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.policies import Human, Quit
from gridcade.evaluation.result import Evaluation
from gridcade.recording.frames import END_PAUSE, agent_place, make_rgb_env, render_picture
from gridcade.viewing.playback import QUIT_KEYS
from gridcade.viewing.terminal import TerminalScreen
from gridcade.viewing.text_pictures import screen_lines
from gridcade.viewing.viewers import episode_text, picture_with_legend

ARROW_MOVES = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}  # rows, columns
LETTERS = {"w": "up", "d": "right", "s": "down", "a": "left"}
MAX_ACTIONS = 10  # one digit per action
REDRAW_INTERVAL = 1.0  # seconds, while no key is pressed, because the terminal may be resized
CONTINUING_STEPS = 200  # steps that are scored in a task that never ends


class TerminalDisplay(TransparentWrapper):
    """A wrapper that draws an environment in the terminal after every reset and step.

    Args:
        env: an environment with render_mode="rgb_array".
        screen: the screen to draw on, and to read keys from.
        title: the first line of the screen.
        keys_help: the last line of the screen, which names the key of each action.
        episodes: number of episodes.
        max_steps: steps after which the game is over; None: the environment ends it.

    Attributes:
        scores: one line for each episode that has ended.
    """

    def __init__(
        self,
        env: Env,
        screen: TerminalScreen,
        title: str,
        keys_help: str,
        episodes: int,
        max_steps: int | None,
    ):
        super().__init__(env)
        self._screen, self._title, self._keys_help = screen, title, keys_help
        self._episodes = episodes
        self._max_steps = f" of {max_steps}" if max_steps else ""
        self.scores: list[str] = []
        self._episode, self._steps, self._return, self._end = 0, 0, 0.0, ""
        self._pressed: deque[str] = deque()  # keys that `next_key` has not returned yet

    def next_key(self) -> str:
        """Wait for the next key and return its name."""
        while not self._pressed:
            self._pressed.extend(self._screen.keys(timeout=REDRAW_INTERVAL))
            self._draw()
        return self._pressed.popleft()

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and draw it."""
        received = self.env.reset(**options)
        self._episode, self._steps, self._return, self._end = self._episode + 1, 0, 0.0, ""
        self._draw()
        return received

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment and draw it; pause after the last step of an episode."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        self._return += float(reward)
        if not (terminated or truncated):
            self._draw()
            return observation, reward, terminated, truncated, info
        self._end = "terminated" if terminated else "truncated by the time limit"
        self.scores.append(self.score())
        self._draw()
        # A key ends the pause. Only a quit key counts: moves were meant for the last episode.
        self._pressed.clear()
        self._pressed.extend(QUIT_KEYS & set(self._screen.keys(END_PAUSE)))
        return observation, reward, terminated, truncated, info

    def score(self) -> str:
        """Say what the current episode has scored."""
        return episode_text(self._episode, self._steps, self._return, self._end)

    def _draw(self) -> None:
        columns, rows = self._screen.size()
        picture = render_picture(self.env)
        body = picture_with_legend(
            picture, agent_place(self.env), self.env, None, columns, rows, "you"
        )
        number = "" if self._max_steps else f" of {self._episodes}"
        status = (
            f"episode {self._episode}{number}   step {self._steps}{self._max_steps}   "
            f"return {self._return:.6g}   {self._end}"
        )
        keys = self._keys_help
        if self._end:
            following = "the next episode" if self._episode < self._episodes else "the score"
            keys = f"any key: {following}; q ends the game"
        self._screen.show(screen_lines(self._title, status, body, keys, columns, rows))


def play(name: str, episodes: int, seed: int, confidence: float) -> Evaluation:
    """Let a human play in the terminal, print what each episode scored, and evaluate the result.

    Args:
        name: the environment's name.
        episodes: number of episodes; if the human quits early, those that ended are scored.
        seed: random seed of the episodes.
        confidence: confidence level of the intervals.

    Raises:
        InputError: no terminal or environment was found, the actions have no keys, or the human
            quits before an episode ends.
    """
    env = make_rgb_env(name)
    try:
        actions, keys_help = key_bindings(env)
        model = known_model(env)
        max_steps = CONTINUING_STEPS if model is not None and model.continuing else None
        with TerminalScreen(needs_keys=True) as screen:
            display = TerminalDisplay(env, screen, f"You on {name}", keys_help, episodes, max_steps)

            def choose_action() -> int:
                while (key := display.next_key()) not in actions:
                    if key in QUIT_KEYS and not display.scores and not max_steps:
                        raise InputError(f"no episode was finished ({display.score()})")
                    if key in QUIT_KEYS:
                        raise Quit
                return actions[key]

            result = evaluate_policy(
                Human(choose_action, action_index(env.action_space)),
                display,
                episodes=None if max_steps else episodes,
                steps=max_steps,
                seed=seed,
                epsilon=0.0,  # in Atari games too: every key counts
                confidence=confidence,
                name="you",
            )
        for score in display.scores:
            print(score)
        notes = tuple(note.replace(result.env, name) for note in result.notes)
        return replace(result, env=name, notes=notes)
    except Quit:
        raise InputError(
            f"you quit before step {CONTINUING_STEPS}; a task that never ends is scored by "
            f"{CONTINUING_STEPS} steps"
        ) from None
    finally:
        env.close()


def key_bindings(env: Env) -> tuple[dict[str, int], str]:
    """Return the index of each key's action, and a line of help.

    Raises:
        InputError: the actions are not discrete, or more than 10.
    """
    numbers = finite_actions(env.action_space)
    if numbers is None:
        raise InputError(
            f"cannot play with actions of {single_line(env.action_space)}; they must be discrete"
        )
    world = env.unwrapped
    if isinstance(world, TabularEnv) and world.moves:
        arrows = {move: key for key, move in ARROW_MOVES.items()}
        bindings = {arrows[move]: action for action, move in enumerate(world.moves)}
        letters = {letter: bindings[key] for letter, key in LETTERS.items() if key in bindings}
        signs = " ".join(ARROWS[move] for move in world.moves)
        others = " ".join(sorted(letters, key=lambda letter: letters[letter]))
        keys_help = f"press {signs} (or {others}) to move; q ends the game"
        return bindings | letters, keys_help
    count = numbers.count
    if count > MAX_ACTIONS:
        raise InputError(f"cannot play with {count} actions; the digit keys allow {MAX_ACTIONS}")
    bindings = {str(action): action for action in range(count)}
    if names := action_names(env):
        keys = ", ".join(f"{action} {name}" for action, name in enumerate(names))
        return bindings, f"q ends the game; press {keys}"
    return bindings, f"press 0 to {count - 1} to choose the action; q ends the game"
