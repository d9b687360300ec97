"""Mazes that change while an agent trains (Sutton & Barto 2018, examples 8.2 and 8.3)."""

from dataclasses import replace
from typing import Any, Literal, get_args

from gridcade.envs.arguments import check_integer
from gridcade.envs.gridworld import grid_model
from gridcade.envs.maps import DEFAULT_LEGEND, FOUR_MOVES, Cell, World
from gridcade.envs.model import Change
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env
from gridcade.errors import unknown

Phase = Literal["before", "after"]
# Walls are states, so that both mazes have the same states.
LEGEND = {**DEFAULT_LEGEND, "#": Cell(wall=True, state=True)}
TIME_LIMIT = 500  # steps, as in DynaMaze
ROWS = (".........", "...S.....")


class ChangingMaze(TabularEnv):
    """A maze whose walls change at one step of training.

    The maze changes at a step of training, not of an episode: training loops call `enter_step`.
    Outside training, the environment is the maze before the change.

    Observations: the index of the cell, 9 * row + column; walls count.

    Actions: 0 up, 1 right, 2 down, 3 left. A move into a wall, or out of the maze, does not move
    the agent. If the agent's cell becomes a wall, the agent can leave it for a neighboring cell.

    Reward: 1 at the goal, else 0; the book uses a discount of 0.95. Entering the goal terminates
    the episode.

    Args:
        world: the maze before the change; its `about` contains {change_step}.
        later: the maze after the change.
        change_step: the first step of training, counted from 0, that is taken in the later maze.
        phase: `before` or `after`: use only this maze, which never changes. Default: the maze
            changes at `change_step`.
        **options: see `TabularEnv`.

    Raises:
        InputError: an argument is invalid.
    """

    def __init__(
        self, world: World, later: World, change_step: int, phase: Phase | None, **options: Any
    ):
        if phase is not None and phase not in get_args(Phase):
            raise unknown("phase", str(phase), get_args(Phase))
        check_integer("change_step", change_step, 1)
        world, later = (
            replace(maze, about=maze.about.format(change_step=change_step))
            for maze in (world, later)
        )
        first, second = (later, world) if phase == "after" else (world, later)
        models = tuple(grid_model(maze) for maze in (first, second))
        if phase is None:
            note = (
                f"{world.title} changes at step {change_step:,} of training. Outside training it "
                "is the maze before the change; ?phase=after selects the maze after it"
            )
            first = replace(first, notes=(note,))
            models = replace(models[0], change=Change(change_step, models[1])), models[1]
        super().__init__(first, models[0], FOUR_MOVES, **options)
        self._mazes = tuple(zip((first, second), models, strict=True))

    def phase_at(self, step: int) -> Phase | None:
        """Return the phase at a step of training, counted from 0; None if it never changes."""
        change = self._mazes[0][1].change
        return change and ("after" if step >= change.step else "before")

    def enter_step(self, step: int) -> None:
        """Switch to the maze of a step of training, counted from 0 over the whole run."""
        world, model = self._mazes[self.phase_at(step) == "after"]
        if model is self.model:
            return
        self.world, self.model = world, model
        self._read_model()
        for name in ("P", "_observation_painter", "_render_painter"):
            vars(self).pop(name, None)  # they were made from the other maze


def enter_training_step(env: Env, step: int) -> None:
    """Switch a changing maze to its maze at a step of training; other environments are unchanged.

    Args:
        env: the environment.
        step: the step of training, counted from 0 over the whole run.
    """
    maze = env.unwrapped
    if isinstance(maze, ChangingMaze):
        maze.enter_step(step)


def phase_in_training(env: Env, step: int) -> Phase | None:
    """Return the phase of an environment at a step of training; None if it never changes."""
    maze = env.unwrapped
    return maze.phase_at(step) if isinstance(maze, ChangingMaze) else None


def _maze(title: str, about: str, wall: str) -> World:
    """Make a maze with a wall in its fourth row."""
    rows = ("........G", *ROWS[:1] * 2, wall, *ROWS)
    return World(rows, LEGEND, title, about, time_limit=TIME_LIMIT)


class BlockingMaze(ChangingMaze):
    """The blocking maze: the short way right of the wall closes, and a long way left of it opens.

    The shortest path takes 10 moves before the change and 16 after it.

    Source: Sutton & Barto (2018), example 8.2 and figure 8.4.
    """

    def __init__(self, phase: Phase | None = None, change_step: int = 1000, **options: Any):
        title = "Blocking maze"
        about = (
            "Sutton & Barto (2018), example 8.2. At step {change_step:,} of training the way "
            "right of the wall closes, and one left of it opens: the shortest path grows from 10 "
            "to 16 moves. The reward is 1 at the goal; the book uses a discount of 0.95. "
            "Arguments: phase (before, after), change_step"
        )
        world, later = _maze(title, about, "########."), _maze(title, about, ".########")
        super().__init__(world, later, change_step, phase, **options)


class ShortcutMaze(ChangingMaze):
    """The shortcut maze: a short way opens right of the wall; the long way left of it stays open.

    The shortest path takes 16 moves before the change and 10 after it.

    Source: Sutton & Barto (2018), example 8.3 and figure 8.5.
    """

    def __init__(self, phase: Phase | None = None, change_step: int = 3000, **options: Any):
        title = "Shortcut maze"
        about = (
            "Sutton & Barto (2018), example 8.3. At step {change_step:,} of training a second way "
            "opens, right of the wall: the shortest path shrinks from 16 to 10 moves. The reward "
            "is 1 at the goal; the book uses a discount of 0.95. Arguments: phase (before, after), "
            "change_step"
        )
        world, later = _maze(title, about, ".########"), _maze(title, about, ".#######.")
        super().__init__(world, later, change_step, phase, **options)
