"""A tour in a minute: train, measure beside the exact answer, watch."""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gridcade import api
from gridcade.agents.base import Policy
from gridcade.cli import output
from gridcade.envs.atari import INSTALL
from gridcade.errors import InputError
from gridcade.training import sessions
from gridcade.watch import show
from gridcade.watch.terminal import Keyboard, TerminalScreen

ENV = "FourRooms"
GAME = "breakout"  # an agent that comes trained
MEASURED = 2_000  # episodes
EPISODES = 2  # to watch
PATIENCE = 5  # seconds
WIDEST = 100  # columns of prose


def demo(out: Path | None = None) -> None:
    """Train on four rooms, measure, compare, and leave a run folder with a video in it.

    Args:
        out: the run folder; None: the first free one of runs/demo, runs/demo-2, …

    Raises:
        InputError: the folder is taken, or cannot be made.
    """
    began = time.monotonic()
    out = _free() if out is None else out
    _make(out)

    _step(
        "A world: four rooms with slippery floors. Reaching the goal pays 1, and a new episode "
        "begins. A policy is a function from a state to an action; it is optimal if it maximises "
        "the expected average reward. This world's model is known, so the best can be computed:",
        f"gridcade solve {ENV} --criterion average-reward",
    )
    env = api.make(ENV)
    output.show_solution(ENV, env, api.solve(env, "average-reward"))

    _step(
        "An agent that knows nothing of the model learns by doing. Tabular Q-learning:",
        f"gridcade train q-learning {ENV} --out {out}",
    )
    with output.TrainingDisplay() as display:
        run = sessions.train("q-learning", ENV, out=out, report=display.report)
    output.show_run(run)

    _step(
        "How good is it, and how sure can one be of that? Estimates from fresh episodes, each "
        "with an interval; beside them the exact values of that very policy, and the optimum:",
        f"gridcade evaluate {out} --episodes {MEASURED}",
    )
    with output.counting("evaluating") as progress:
        result = api.evaluate(run, episodes=MEASURED, progress=progress)
    api.keep(run, result)
    output.show_evaluation(result)

    video = out / "watch.webp"
    _step(
        "Now watch it: the world, and beside it what the agent thinks each state is worth and "
        "where it would go.",
        f"gridcade watch {out} --video {video} --episodes {EPISODES}",
    )
    policy = api.load(run)
    show.watch(policy, ENV, video=video, episodes=EPISODES)
    _play(policy, ENV, str(out))

    video = out / f"{GAME}.webp"
    _step(
        "The arcade: an agent that came trained, by PQN, sees nothing of Breakout but "
        "the screen. One game of it, with one step in twenty at random:",
        f"gridcade watch {GAME} --video {video} --episodes 1",
    )
    if find_spec("ale_py") is None:
        print(f"Left out: {INSTALL}")
    else:
        contender = api.find(GAME)
        show.watch(contender.policy, contender.env, video=video, episodes=1)
        _play(contender.policy, contender.env, GAME)
    print(f"\n{time.monotonic() - began:.0f} seconds in all. What to try next:\n")
    print(f"  gridcade watch {out}")
    print(f"  gridcade evaluate {GAME}")
    print("  gridcade play CliffWalk")
    print("  gridcade list")


def _play(policy: Policy, env: Any, name: str) -> None:
    """Show an episode in the terminal, if the standard output is one."""
    try:
        TerminalScreen()
    except InputError:
        return
    with Keyboard() as keyboard:
        if keyboard.connected:
            print(f"It plays here in {PATIENCE} seconds, or when you press a key; q ends it.")
            keyboard.keys(PATIENCE)
    show.watch(policy, env, name=name, episodes=1)


def _step(words: str, command: str) -> None:
    output.out.print(f"\n{words}\n", style="bold", width=min(output.out.width, WIDEST))
    output.out.print(f"$ {command}\n", style="cyan", soft_wrap=True)


def _make(path: Path) -> None:
    """Make the folder before anything is shown, if it can be had."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        taken = any(path.iterdir())
    except OSError as error:
        raise InputError(f"cannot make the run folder '{path}': {error.strerror}") from None
    if taken:
        raise InputError(f"'{path}' is taken: choose another --out")


def _free() -> Path:
    path, number = Path("runs/demo"), 1
    while path.exists():
        number += 1
        path = Path(f"runs/demo-{number}")
    return path
