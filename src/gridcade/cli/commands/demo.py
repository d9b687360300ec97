"""`gridcade demo`: train, evaluate, compare with the optimum and watch, in a minute."""

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from gridcade import api
from gridcade.agents.base import Policy
from gridcade.cli.command import Command
from gridcade.cli.options import optional
from gridcade.cli.output import out, show_evaluation, show_run, show_solution
from gridcade.cli.progress import TrainingDisplay, progress_bar
from gridcade.envs.atari import INSTALL
from gridcade.envs.objects import EnvLike
from gridcade.errors import InputError
from gridcade.files import is_empty
from gridcade.formatting import shell_command
from gridcade.viewing import show
from gridcade.viewing.terminal import Keyboard, TerminalScreen

ENV = "FourRooms"
SHIPPED_AGENT = "breakout"
EVALUATION_EPISODES = 2_000
WATCH_EPISODES = 2
START_DELAY = 5  # seconds before an episode is shown in the terminal
MAX_WIDTH = 100  # columns of prose


@dataclass
class Demo(Command):
    """Options of `gridcade demo`."""

    out: Annotated[Path | None, arg(help_behavior_hint=""), optional(Path, "DIR")] = None
    """Run folder to create. Default: a new one under runs/."""

    def run(self) -> None:
        """Run the demo; the run folder then holds the run and two videos."""
        began = time.monotonic()
        folder = _free_folder() if self.out is None else self.out
        _create_folder(folder)
        _solve()
        policy = _train_and_evaluate(folder)
        _watch(policy, folder)
        _watch_shipped_agent(folder)
        print(f"\nThe demo took {time.monotonic() - began:.0f} seconds. Try next:\n")
        print(f"  {shell_command('gridcade', 'watch', folder)}")
        print(f"  gridcade evaluate {SHIPPED_AGENT}")
        print("  gridcade play CliffWalk")
        print("  gridcade serve            # see an agent learn in your browser")
        print("  gridcade list")


def _solve() -> None:
    _print_step(
        "FourRooms is a world of four rooms with slippery floors. Reaching the goal gives a reward "
        "of 1 and ends the episode. A policy is a function from a state to an action; it is "
        "optimal if it maximizes the expected average reward. The model of this world is known, "
        "so an optimal policy can be computed:",
        f"gridcade solve {ENV} --criterion average-reward",
    )
    show_solution(api.solve(ENV, "average-reward"))


def _train_and_evaluate(folder: Path) -> Policy:
    _print_step(
        "An agent does not know the model; it learns from experience. This one is tabular "
        "Q-learning:",
        shell_command("gridcade", "train", "q-learning", ENV, "--out", folder),
    )
    with TrainingDisplay() as display:
        run = api.train("q-learning", ENV, out=folder, report=display.report)
    show_run(run)
    _print_step(
        "How good is the learned policy? Its values are estimated from new episodes, each with a "
        "95 % confidence interval. Beside the estimates are the exact values of the same policy, "
        "and the optimum:",
        shell_command("gridcade", "evaluate", folder, "--episodes", EVALUATION_EPISODES),
    )
    with progress_bar("evaluating") as progress:
        result = api.evaluate(run, episodes=EVALUATION_EPISODES, progress=progress)
    api.save_evaluation(run, result)
    show_evaluation(result)
    return api.load(run)


def _watch(policy: Policy, folder: Path) -> None:
    video = folder / "watch.webp"
    _print_step(
        "Watch the agent. Beside the world are its estimate of each state's value, as a color, "
        "and its action in each state, as an arrow:",
        shell_command("gridcade", "watch", folder, "--video", video, "--episodes", WATCH_EPISODES),
    )
    show.watch(policy, ENV, video=video, episodes=WATCH_EPISODES)
    _watch_in_terminal(policy, ENV, str(folder))


def _watch_shipped_agent(folder: Path) -> None:
    video = folder / f"{SHIPPED_AGENT}.webp"
    _print_step(
        "Gridcade ships agents that are trained already. This one learned Breakout by PQN, from "
        "the screen alone. It plays one game; one action in twenty is random:",
        shell_command("gridcade", "watch", SHIPPED_AGENT, "--video", video, "--episodes", 1),
    )
    if find_spec("ale_py") is None:
        print(f"skipped: {INSTALL}")
        return
    contender = api.find(SHIPPED_AGENT)
    show.watch(contender.policy, contender.env, video=video, episodes=1)
    _watch_in_terminal(contender.policy, contender.env, SHIPPED_AGENT)


def _watch_in_terminal(policy: Policy, env: EnvLike, name: str) -> None:
    """Show an episode in the terminal, if the standard output is one."""
    try:
        TerminalScreen()
    except InputError:
        return
    with Keyboard() as keyboard:
        if keyboard.connected:
            print(f"An episode starts here in {START_DELAY} seconds, or at any key; q ends it.")
            keyboard.keys(START_DELAY)
    show.watch(policy, env, name=name, episodes=1)


def _print_step(text: str, command: str) -> None:
    """Print a text on the next step, and the command that does the same."""
    out.print(f"\n{text}\n", style="bold", width=min(out.width, MAX_WIDTH))
    out.print(f"$ {command}\n", style="cyan", soft_wrap=True)


def _create_folder(folder: Path) -> None:
    """Create the run folder; InputError if it cannot be created or is not empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = not is_empty(folder)
    except OSError as error:
        raise InputError(f"cannot create the run folder '{folder}': {error.strerror}") from None
    if occupied:
        raise InputError(f"'{folder}' is not empty: choose another --out")


def _free_folder() -> Path:
    """Return the first of runs/demo, runs/demo-2, ... that does not exist."""
    folder, number = Path("runs/demo"), 1
    while folder.exists():
        number += 1
        folder = Path(f"runs/demo-{number}")
    return folder
