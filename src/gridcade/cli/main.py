"""The command line: words in, calls out."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, make_dataclass
from inspect import cleandoc
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill, indent
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg
from tyro.constructors import PrimitiveConstructorSpec

from gridcade.errors import InputError, unknown
from gridcade.training.options import ResumeOptions, TrainOptions

if TYPE_CHECKING:
    from gridcade.agents import AgentKind
    from gridcade.agents.base import AgentConfig
    from gridcade.training.config import Recipe

ABOUT = """A reinforcement-learning playground, from gridworlds to the arcade.

A first minute:

$ gridcade train q-learning FourRooms
$ gridcade evaluate runs/FourRooms-q-learning-s0
$ gridcade watch runs/FourRooms-q-learning-s0
$ gridcade compare q-learning random optimal --env CliffWalk --steps 100_000

ENV is a short name (FourRooms), a Gymnasium id (FrozenLake-v1), or the file of a map that you
drew (my-world.txt). Arguments go with it: "Maze?size=9&seed=3", or --env.size 9 --env.seed 3.

POLICY is a run folder, a checkpoint in one, an agent that comes trained ('breakout'), 'random',
'optimal', or with --trust a model.zip of stable-baselines3."""

WIDEST = 100  # columns of prose
HELP = {"-h", "--help"}
CONFIG = (FlagCreatePairsOff,)  # of tyro: a switch has no opposite
INTERRUPTED = 130  # exit code, as shells give it
Criterion = Literal["return", "discounted", "average-reward"]
Comparing = Literal["return", "average-reward"]
Place = Literal["terminal", "window"]


def _read(
    kind: Callable[[str], Any], metavar: str, choices: tuple[str, ...] | None = None
) -> PrimitiveConstructorSpec[Any]:
    """How to read what may be left out; tyro's own way would take the word None, and offer it."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: kind(words[0]),
        is_instance=lambda value: value is None,  # the default
        str_from_instance=lambda value: [str(value)],
        choices=choices,
    )


EnvName = Annotated[Positional[str], arg(metavar="ENV")]
PolicyName = Annotated[Positional[str], arg(metavar="POLICY")]
# Of what may be left out, the help text says what stands in: "(default: None)" would tell nothing.
LEFT_OUT = arg(help_behavior_hint="")
OtherEnv = Annotated[str | None, LEFT_OUT, _read(str, "ENV")]
Number = Annotated[int | None, LEFT_OUT, _read(int, "N")]
Real = Annotated[float | None, LEFT_OUT, _read(float, "X")]
Text = Annotated[str | None, LEFT_OUT, _read(str, "NAME")]
File = Annotated[Path | None, LEFT_OUT, _read(Path, "FILE")]
Folder = Annotated[Path | None, LEFT_OUT, _read(Path, "DIR")]


@dataclass
class List:
    """What there is: environments, agents, presets, and the runs under runs/."""

    what: Positional[Literal["all", "envs", "agents", "presets", "runs"]] = "all"
    """One of them, or all."""

    def __call__(self) -> None:
        """Print it."""
        from gridcade.cli import output

        output.show_list(self.what)


@dataclass
class Train:
    """Train an agent in a new run folder.

    $ gridcade train q-learning CliffWalk
    $ gridcade train q-learning my-world.txt --steps 1_000_000 --seed 3
    $ gridcade train q-learning NearAndFar --preset average-reward
    $ gridcade train q-learning FourRooms --help      shows the agent's own options

    An option that is not given comes from the config file, then from the preset. Ctrl-C stops with
    a checkpoint; `gridcade resume` continues from there.
    """

    agent: Annotated[Positional[str], arg(metavar="AGENT")]
    """Name of the agent: see `gridcade list agents`."""
    env: EnvName
    """Environment to learn in."""
    options: Annotated[TrainOptions, arg(name="")] = field(default_factory=lambda: TrainOptions())

    def __call__(self) -> None:
        """Train."""
        from gridcade.cli import output
        from gridcade.training import sessions

        with output.TrainingDisplay() as display:
            run = sessions.train(
                self.recipe() or self.agent,
                self.env,
                hyperparameters=self.agent_config(),
                report=display.report,
                stop=_interrupt(),
                note=_note,
                **self.options,
            )
        _trained(run)

    def recipe(self) -> "Recipe | None":
        """The agent with its preset and config file, where its options are known."""
        return None

    def agent_config(self) -> "AgentConfig | None":
        """The agent's hyperparameters, where its options are known."""
        return None


@dataclass
class Resume:
    """Resume a run that was stopped or killed, or make a run longer.

    $ gridcade resume runs/FourRooms-q-learning-s0
    $ gridcade resume runs/FourRooms-q-learning-s0 --steps 1_000_000
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Run folder."""
    options: Annotated[ResumeOptions, arg(name="")] = field(default_factory=lambda: ResumeOptions())

    def __call__(self) -> None:
        """Train on."""
        from gridcade.cli import output
        from gridcade.training import sessions

        with output.TrainingDisplay() as display:
            run = sessions.resume(
                self.run, report=display.report, stop=_interrupt(), note=_note, **self.options
            )
        _trained(run)


@dataclass
class Evaluate:
    """Measure a policy: expected return, expected average reward, and how sure one can be.

    $ gridcade evaluate runs/FourRooms-q-learning-s0 --episodes 2000
    $ gridcade evaluate breakout --precision 0.05
    $ gridcade evaluate optimal --env CliffWalk --epsilon 0.1
    $ gridcade evaluate random --env RiverSwim --steps 200_000 --json

    Each estimate has an interval. Where the world's model is known, the exact value of that very
    policy stands beside it, and the optimum.
    """

    policy: PolicyName
    """A run folder, which is its last checkpoint; a checkpoint in one (RUN/checkpoints/N); an agent
    that comes trained, `random` or `optimal`; with --trust a model.zip of stable-baselines3."""
    env: OtherEnv = None
    """Where it acts. Default: where the run was trained."""
    trust: bool = False
    """Load a model.zip: its pickles may run any code, so it has to come from someone you trust."""
    episodes: Number = None
    """Whole episodes to play. Default: 100."""
    steps: Number = None
    """Steps to take; continuing tasks are measured by these. Default there: 100000."""
    precision: Real = None
    """Half the length of the expected return's interval over its mean, such as 0.02. A pilot
    decides on the episodes, 10,000 at most: all of them where its returns are equal."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Of the episodes, which are the same for every policy."""
    epsilon: Real = None
    """Probability of a random action, mixed in. Default: 0, and 0.05 on Atari games."""
    stochastic: bool = False
    """Act by the policy's probabilities, not greedily."""
    confidence: Annotated[float, arg(metavar="C")] = 0.95
    """Of the intervals."""
    discount: Annotated[float, arg(metavar="G")] = 0.99
    """Of the discounted return."""
    json: bool = False
    """Print one JSON object and nothing else."""

    def __call__(self) -> None:
        """Measure, print, and keep the result with the run."""
        from gridcade import api
        from gridcade.cli import output

        contender = api.find(self.policy, self.env, trust=self.trust)
        with output.counting("evaluating") as progress:
            result = api.evaluate(
                contender,
                episodes=self.episodes,
                steps=self.steps,
                precision=self.precision,
                seed=self.seed,
                epsilon=self.epsilon,
                stochastic=self.stochastic,
                confidence=self.confidence,
                discount=self.discount,
                progress=progress,
            )
        output.show_evaluation(result, as_json=self.json)
        if contender.run is not None:
            try:
                api.keep(contender.run, result)
            except OSError as error:  # someone else's run, perhaps
                print(f"gridcade: not kept with the run: {error}", file=sys.stderr)


@dataclass
class Compare:
    """Compare agents and policies: many seeds, the same episodes for all, and a report.

    $ gridcade compare q-learning optimal --env FourRooms --criterion average-reward --steps 100_000
    $ gridcade compare dqn:nature2015 dqn:two-core --env Breakout --minutes 60 --seeds 3
    $ gridcade compare study.toml --backend dask --address tcp://head:8786

    CONTENDER is an agent, which is trained from each seed, alone or with a preset of its own
    (dqn:two-core); or a policy. A study file holds contenders, environments, budgets and seeds.

    Ctrl-C stops at checkpoints, pressed once more at once; the same command goes on from there.
    """

    contenders: Annotated[
        Positional[tuple[str, ...]],
        arg(metavar="CONTENDER [CONTENDER ...]", help_behavior_hint=""),
    ]
    """Who is compared; or one study file, NAME.toml."""
    environments: Annotated[
        UseAppendAction[tuple[str, ...]], arg(name="env", metavar="ENV", help_behavior_hint="")
    ] = ()
    """Where; once for each environment."""
    steps: Number = None
    """Steps of training, a run."""
    minutes: Real = None
    """Minutes of training, a run. With --steps: whichever ends first."""
    seeds: Number = None
    """Runs of each agent on each environment. Default: 5."""
    preset: Annotated[
        UseAppendAction[tuple[str, ...]], arg(metavar="[CONTENDER=]NAME", help_behavior_hint="")
    ] = ()
    """A set of hyperparameters of every agent, or of one; may be given for several."""
    episodes: Number = None
    """Of a run's final evaluation. Default: 100."""
    criterion: Annotated[
        Comparing | None,
        LEFT_OUT,
        _read(str, "return|average-reward", get_args(Comparing)),
    ] = None
    """What decides who is better. Default: return; where only a goal pays, average-reward tells
    more."""
    out: Folder = None
    """The study's folder. Default: one under studies/, named after the study."""
    backend: Literal["loky", "ray", "dask"] = "loky"
    """What runs the tasks: loky on this machine; ray or dask here or on a cluster."""
    address: Annotated[str | None, LEFT_OUT, _read(str, "ADDRESS")] = None
    """Of a cluster that is there. Default: ray and dask start one on this machine."""
    jobs: Number = None
    """Tasks side by side. Default: as many as there are cores."""

    def __call__(self) -> None:
        """Compare, print, and write the report."""
        from gridcade import report
        from gridcade.cli import output
        from gridcade.study import runner
        from gridcade.study.study import study_from_arguments
        from gridcade.study.task import Stopped

        study, name = study_from_arguments(
            self.contenders,
            self.environments,
            self.preset,
            steps=self.steps,
            minutes=self.minutes,
            seeds=self.seeds,
            episodes=self.episodes,
            criterion=self.criterion,
        )
        out = self.out or Path("studies") / name
        stop = _interrupt()
        try:
            with output.StudyDisplay(stop) as display:
                comparison = runner.run_study(
                    study,
                    out,
                    backend=self.backend,
                    address=self.address,
                    jobs=self.jobs,
                    report=display.report,
                    stop=stop,
                )
        except (Stopped, KeyboardInterrupt):
            print("gridcade: stopped; the same command goes on from here", file=sys.stderr)
            sys.exit(INTERRUPTED)
        _interrupt_at_once()
        _draw_unseen()
        report.write_results(comparison, out)
        output.show_comparison(comparison)
        print(f"results: {out}/results.json")
        print(f"report:  {report.write_page(comparison, out)}")
        if comparison.failures:
            sys.exit(1)


@dataclass
class Solve:
    """The exact optimum of a world whose model is known.

    $ gridcade solve FourRooms --criterion average-reward
    $ gridcade solve "Maze?size=20&seed=1"
    """

    env: EnvName
    """The world."""
    criterion: Annotated[
        Criterion | None,
        LEFT_OUT,
        _read(str, "return|discounted|average-reward", get_args(Criterion)),
    ] = None
    """What is to be as large as can be: the expected return, the discounted return, or the gain,
    which is the expected average reward. Default: return, and gain on continuing worlds."""
    discount: Annotated[float, arg(metavar="G")] = 0.99
    """Of the discounted return."""
    json: bool = False
    """Print one JSON object and nothing else."""

    def __call__(self) -> None:
        """Solve and print."""
        from gridcade import api
        from gridcade.cli import output

        env = api.make(self.env)
        solution = api.solve(env, self.criterion, self.discount)
        output.show_solution(self.env, env, solution, as_json=self.json)


@dataclass
class Watch:
    """Watch a policy play, in a terminal (over ssh too), in a window, or as a video.

    $ gridcade watch runs/FourRooms-q-learning-s0
    $ gridcade watch optimal --env CliffWalk --in window
    $ gridcade watch breakout
    $ gridcade watch random --env SlipperyLake --video lake.webp --episodes 1

    Keys: q quits, space pauses, + and - change the speed.
    """

    policy: PolicyName
    """A run folder, which is its last checkpoint; a checkpoint in one (RUN/checkpoints/N); an agent
    that comes trained, `random` or `optimal`; with --trust a model.zip of stable-baselines3."""
    env: OtherEnv = None
    """Where it acts. Default: where the run was trained."""
    trust: bool = False
    """Load a model.zip: its pickles may run any code, so it has to come from someone you trust."""
    where: Annotated[
        Place | None,
        arg(name="in", help_behavior_hint=""),
        _read(str, "terminal|window", get_args(Place)),
    ] = None
    """Where it is shown. Default: the terminal, unless a video is asked for."""
    video: File = None
    """A file to write: .mp4, .webp or .gif."""
    fps: Real = None
    """Steps a second. Default: the environment's own."""
    episodes: Annotated[int, arg(metavar="N")] = 3
    """How many."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Of the episodes."""
    epsilon: Real = None
    """Probability of a random action, mixed in. Default: 0, and 0.05 on Atari games."""

    def __call__(self) -> None:
        """Show."""
        from gridcade import api
        from gridcade.watch import show

        if self.where != "window":
            _draw_unseen()
        contender = api.find(self.policy, self.env, trust=self.trust)
        show.watch(
            contender.policy,
            contender.env,
            name=contender.name,
            where=self.where,
            video=self.video,
            fps=self.fps,
            episodes=self.episodes,
            seed=self.seed,
            epsilon=self.epsilon,
        )


@dataclass
class Play:
    """Play yourself, scored as every policy is.

    $ gridcade play CliffWalk

    Arrow keys move; in other environments the digits choose the action. q ends the game.
    """

    env: EnvName
    """Where."""
    episodes: Annotated[int, arg(metavar="N")] = 3
    """How many to play."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Of the episodes: those on which `gridcade evaluate --seed N` scores policies."""
    confidence: Annotated[float, arg(metavar="C")] = 0.95
    """Of the intervals."""

    def __call__(self) -> None:
        """Play, and print the score."""
        from gridcade.cli import output
        from gridcade.watch import play

        _draw_unseen()
        output.show_evaluation(play.play(self.env, self.episodes, self.seed, self.confidence))


@dataclass
class Demo:
    """A tour in a minute: train, measure, compare with the exact optimum, watch."""

    out: Folder = None
    """The run folder. Default: a new one under runs/."""

    def __call__(self) -> None:
        """Show it."""
        from gridcade.cli import demo

        demo.demo(self.out)


COMMANDS: dict[str, Any] = {
    "list": List,
    "train": Train,
    "resume": Resume,
    "evaluate": Evaluate,
    "compare": Compare,
    "solve": Solve,
    "watch": Watch,
    "play": Play,
    "demo": Demo,
}


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that terminals are left whole
    try:
        try:
            _command(sys.argv[1:])()
        finally:
            print(end="", flush=True)  # here, where a reader who has gone is met
    except InputError as error:
        print(f"gridcade: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("gridcade: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _command(words: list[str]) -> Any:
    """The command that the words ask for, ready to be called."""
    if words == ["--version"]:
        from gridcade import __version__

        return lambda: print(f"gridcade {__version__}")
    if not words or words[0].startswith("-"):
        app = tyro.extras.SubcommandApp()
        for name, kind in COMMANDS.items():
            app.command(kind, name=name, help=kind.__doc__.partition("\n")[0])
        words = _explained(words or ["--help"], ABOUT)
        return app.cli(args=words, prog="gridcade", description="")
    name, *words = words
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    words, arguments = _env_arguments(words)
    kind = _train(words, arguments) if name == "train" else COMMANDS[name]
    words = _explained(words, kind.__doc__)
    command = tyro.cli(kind, args=words, prog=f"gridcade {name}", description="", config=CONFIG)
    if arguments:
        if name == "compare":
            raise InputError("compare takes arguments with the name: --env 'Maze?size=9'")
        if getattr(command, "env", None) is None:
            raise InputError("--env.NAME VALUE needs the environment's name as well")
        from gridcade.envs.registry import with_arguments

        command.env = with_arguments(command.env, arguments)
    return command


def _explained(words: list[str], about: str | None) -> list[str]:
    """If help is asked for, print what it is about, and leave the words that list the rest.

    Prose is as wide as the terminal; examples stand as they are, indented.
    """
    if not HELP & set(words):
        return words
    width = min(get_terminal_size().columns, WIDEST)
    for paragraph in cleandoc(about or "").split("\n\n"):
        example = paragraph.startswith("$")
        print(indent(paragraph, " " * 4) if example else fill(paragraph, width), end="\n\n")
    return ["--help"]  # alone, or tyro leaves out what other words have answered


def _train(words: list[str], arguments: dict[str, str]) -> type[Train]:
    """The command `train` with the options of the agent that the words name."""
    from gridcade import agents
    from gridcade.training.config import read_recipe

    before = ["", *words]
    bare = (word for word, last in zip(words, before, strict=False) if not last.startswith("--"))
    name = next((w for w in bare if w in agents.AGENTS or w.startswith(agents.SB3)), None)
    if name is None:
        return Train
    kind = agents.find(name)
    preset, config = _flag(words, "--preset"), _flag(words, "--config")
    if preset is None:
        env = _env_name(words, kind) if kind.presets_differ else None
        preset = kind.default_preset if env is None else _preset_for(kind, env, arguments)
    recipe = read_recipe(kind, preset, Path(config) if config is not None else None)
    return _with_hyperparameters(kind, recipe.hyperparameters, recipe)


def _env_name(words: list[str], kind: "AgentKind") -> str | None:
    """The environment that the words name; None where they cannot be parsed.

    The preset, which depends on the environment, is not known yet, and a switch is --name or
    --no-name by its default. So switches are left out.
    """
    hints = get_type_hints(kind.config)
    switches = {name.replace("_", "-") for name, hint in hints.items() if hint is bool}
    rest = [
        word
        for word in words
        if word not in HELP and word.removeprefix("--").removeprefix("no-") not in switches
    ]
    command = _with_hyperparameters(kind, kind.config(), None)
    try:
        env: str = tyro.cli(command, args=rest, console_outputs=False, config=CONFIG).env
    except SystemExit:
        return None
    return env


def _preset_for(kind: "AgentKind", env: str, arguments: dict[str, str]) -> str:
    """The agent's default preset for an environment."""
    from gridcade.envs.registry import make, with_arguments

    with closing(make(with_arguments(env, arguments))) as single:
        return kind.preset_for(single.observation_space)


def _with_hyperparameters(
    kind: "AgentKind", default: "AgentConfig", recipe: "Recipe | None"
) -> type[Train]:
    """The command `train` with an agent's hyperparameters as options."""
    hint: Any = Annotated[kind.config, arg(name="")]
    command: type[Train] = make_dataclass(
        "Train",
        [("hyperparameters", hint, field(default=default))],
        bases=(Train,),
        namespace={
            "__doc__": Train.__doc__,
            "recipe": lambda _: recipe,
            "agent_config": lambda self: self.hyperparameters,
        },
    )
    return command


def _flag(words: list[str], name: str) -> str | None:
    """The value of a flag, as `--name value` or `--name=value`."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name and following:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _env_arguments(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Take `--env.size 9` out of the words."""
    rest: list[str] = []
    found: dict[str, str] = {}
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("--env."):
            rest.append(word)
            continue
        key, equals, value = word.removeprefix("--env.").partition("=")
        if not equals and ((value := next(waiting, "")) == "" or value.startswith("--")):
            raise InputError(f"{word} needs a value, as in --env.size 9")
        found[key.replace("-", "_")] = value
    return rest, found


def _interrupt() -> Callable[[], bool]:
    """A question whether Ctrl-C was pressed, or SIGTERM came; once more, it interrupts at once."""
    pressed: list[bool] = []

    def handle(number: int, frame: Any) -> None:
        del number, frame
        pressed.append(True)
        _interrupt_at_once()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return lambda: bool(pressed)


def _interrupt_at_once() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _draw_unseen() -> None:
    """Gymnasium's pictures take no screen, and where there is none SDL need not complain of it."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def _note(words: str) -> None:
    """Say something besides."""
    print(f"gridcade: {words}", file=sys.stderr)


def _trained(run: Any) -> None:
    """Say where a run stands, and what can be done with it."""
    from gridcade.cli import output

    _interrupt_at_once()
    if not output.show_run(run):
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
