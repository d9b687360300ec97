"""`gridcade compare`."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from tyro.conf import Positional, UseAppendAction, arg

from gridcade import report
from gridcade.cli.command import Command, disable_sdl_window
from gridcade.cli.options import optional
from gridcade.cli.output import print_note, show_parts
from gridcade.cli.progress import StudyDisplay
from gridcade.cli.signals import INTERRUPTED, interrupt_on_signal, stop_on_signal
from gridcade.errors import InputError
from gridcade.report.summary import failure_line, summary
from gridcade.study import runner
from gridcade.study.study import StudyOptions, study_from_arguments
from gridcade.study.task import Stopped


class RunnerOptions(TypedDict, total=False):
    """Options that say where and how the tasks of a study run."""

    backend: Literal["loky", "ray", "dask"]
    """Runs the tasks: loky on this machine; ray or dask here or on a cluster. Default: loky."""
    address: str
    """Address of a running cluster. Default: ray and dask start one on this machine."""
    jobs: int
    """Number of tasks that run at the same time. Default: one per core."""


@dataclass
class Compare(Command):
    """Arguments and options of `gridcade compare`.

    $ gridcade compare q-learning optimal --env FourRooms --criterion average-reward --steps 100_000
    $ gridcade compare dqn:nature2015 dqn:two-core --env Breakout --minutes 60 --seeds 3
    $ gridcade compare "q-learning[discount=0.9]" q-learning --env FourRooms --steps 100_000
    $ gridcade compare study.toml --backend dask --address tcp://head:8786

    CONTENDER is an agent, which is trained once per seed, or a policy. An agent can have another
    preset, and other hyperparameters in brackets: "dqn:two-core[epsilon=0.1,batch_size=64]". A
    study file holds contenders, environments, budgets and seeds.

    Ctrl-C stops all runs at checkpoints; press it again to stop immediately. The same command
    continues the study.
    """

    option_note = 'hyperparameters are set in brackets: "q-learning[discount=0.9]"'

    contenders: Annotated[
        Positional[tuple[str, ...]],
        arg(metavar="CONTENDER [CONTENDER ...]", help_behavior_hint=""),
    ]
    """Agents and policies to compare, such as "q-learning[discount=0.9]"; or one study file,
    NAME.toml."""
    environments: Annotated[
        UseAppendAction[tuple[str, ...]], arg(name="env", metavar="ENV", help_behavior_hint="")
    ] = ()
    """Environment; can be given several times."""
    preset: Annotated[
        UseAppendAction[tuple[str, ...]], arg(metavar="[CONTENDER=]NAME", help_behavior_hint="")
    ] = ()
    """Preset of hyperparameters of one agent, or of all; can be given several times."""
    study: Annotated[StudyOptions, arg(name="")] = field(default_factory=lambda: StudyOptions())
    out: Annotated[Path | None, arg(help_behavior_hint=""), optional(Path, "DIR")] = None
    """Folder of the study. Default: one under studies/, named after the study."""
    runner: Annotated[RunnerOptions, arg(name="")] = field(default_factory=lambda: RunnerOptions())

    def add_env_arguments(self, arguments: dict[str, str]) -> None:
        """Refuse --env.NAME: it would be ambiguous with several environments."""
        del arguments
        raise InputError("compare takes arguments as part of the name: --env 'Maze?size=9'")

    def run(self) -> None:
        """Compare the contenders, print the results, and write the report."""
        study, name = study_from_arguments(
            self.contenders, self.environments, self.preset, **self.study
        )
        folder = self.out or Path("studies") / name
        stop = stop_on_signal()
        try:
            with StudyDisplay(stop) as display:
                comparison = runner.run_study(
                    study, folder, report=display.report, stop=stop, note=print_note, **self.runner
                )
        except (Stopped, KeyboardInterrupt):
            print("gridcade: stopped; run the same command to continue", file=sys.stderr)
            sys.exit(INTERRUPTED)
        interrupt_on_signal()
        disable_sdl_window()
        report.write_results(comparison, folder)
        show_parts(summary(comparison))
        for failure in comparison.failures:
            print(f"gridcade: {failure_line(failure)}", file=sys.stderr)
        print(f"results: {folder}/results.json")
        print(f"report:  {report.write_page(comparison, folder)}")
        if comparison.failures:
            sys.exit(1)
