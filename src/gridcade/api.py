"""The public Python API: make, solve, train, evaluate, compare, show, by names or objects."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, Unpack, cast

import gymnasium as gym

from gridcade.aliases import check_options
from gridcade.contenders import Contender, PolicyLike, find, load
from gridcade.envs import registry
from gridcade.envs.objects import EnvLike, check_env, nameable
from gridcade.envs.registry import make
from gridcade.envs.tabular import Model
from gridcade.envs.types import Env
from gridcade.errors import InputError, brief
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.options import EvaluationOptions, ProgressCallback
from gridcade.evaluation.result import Evaluation
from gridcade.exact import solver
from gridcade.exact.model_check import model_notes
from gridcade.exact.sweeps import Method
from gridcade.exact.sweeps import sweeps as model_sweeps
from gridcade.exact.values import policy_table, solution_note
from gridcade.experience.pool import EnvPool
from gridcade.files import write_text
from gridcade.plain import plain
from gridcade.progress import notebook_bar
from gridcade.study.study import STUDY_SETTINGS, StudyOptions, study_from_arguments
from gridcade.training import sessions
from gridcade.training.config import convert_numbers
from gridcade.training.run_folder import Run
from gridcade.training.run_names import RUNS
from gridcade.viewing.solution import EnvSolution
from gridcade.viewing.sweeps import EnvSweep

if TYPE_CHECKING:  # the functions below load these when they are called, because that takes long
    from gridcade.checking.findings import EnvCheck
    from gridcade.live.background import LivePage
    from gridcade.report.summary import PrintedComparison
    from gridcade.study.runner import TaskStatus
    from gridcade.study.workers import Backend
    from gridcade.viewing.player import Player, ShowOptions
    from gridcade.viewing.show import WatchOptions

__all__ = [
    "Contender",
    "check",
    "compare",
    "evaluate",
    "find",
    "load",
    "make",
    "play",
    "resume",
    "save_evaluation",
    "serve",
    "show",
    "solve",
    "sweeps",
    "train",
    "watch",
]

P = ParamSpec("P")


def _with_bar(function: Callable[P, Run]) -> Callable[P, Run]:
    """Show a progress bar in a notebook, unless the caller shows the progress."""

    @wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> Run:
        with notebook_bar() as bar:
            if bar is not None and options.get("report") is None:
                options["report"] = bar.training
            return function(*args, **options)

    return call


train = _with_bar(sessions.train)
resume = _with_bar(sessions.resume)

ContenderName: TypeAlias = str | os.PathLike[str] | Run


def evaluate(
    policy: PolicyLike,
    env: EnvLike | None = None,
    *,
    trust: bool = False,
    vecnormalize: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
    **options: Unpack[EvaluationOptions],
) -> Evaluation:
    """Evaluate a policy.

    Args:
        policy: a policy or its name; see `find`.
        env: an environment, its name, or a function that makes one; see `find`.
        trust: load files that are unpickled, and code that a run folder names; see `find`.
        vecnormalize: statistics of VecNormalize for a model of stable-baselines3; see `find`.
        progress: called during the evaluation; see `ProgressCallback`.
        **options: see `gridcade.evaluation.options.EvaluationOptions`.

    Raises:
        InputError: see `find` and `gridcade.evaluation.evaluate.evaluate_policy`.
    """
    check_options(evaluate, options, EvaluationOptions.__annotations__)
    contender = find(policy, env, trust=trust, vecnormalize=vecnormalize)
    with notebook_bar() as bar:
        progress = bar.evaluation if bar and progress is None else progress
        result = evaluate_policy(
            contender.policy, contender.env, name=contender.name, progress=progress, **options
        )
    notes = tuple(note.replace(result.env, contender.env_name) for note in result.notes)
    return replace(result, env=contender.env_name, notes=notes)


def save_evaluation(run: Run, result: Evaluation) -> Path:
    """Write the result of an evaluation into the run folder of its policy; returns the file.

    Raises:
        OSError: the file cannot be written.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    file = run.path / "evaluation" / f"{stamp}.json"
    file.parent.mkdir(exist_ok=True)
    write_text(file, dumps(result.as_dict(), indent=2) + "\n")
    return file


def check(env: EnvLike) -> "EnvCheck":
    """Check an environment before agents learn in it.

    Runs Gymnasium's checker, stable-baselines3's if it is installed, and Gridcade's own. They reset
    and step the environment.

    Args:
        env: an environment, its name, or a function that makes one.

    Returns:
        A page of findings; its `ok` is true if none of them is a problem.

    Raises:
        InputError: the environment cannot be made.
    """
    from gridcade.checking.check import check_environment

    return check_environment(env)


def solve(
    env: EnvLike, criterion: solver.Criterion | None = None, discount: float | None = None
) -> EnvSolution:
    """Compute an optimal policy of an environment whose model is known.

    Args:
        env: an environment, its name, or a function that makes one.
        criterion: the objective to maximize; see `gridcade.exact.solver.solve`.
        discount: discount factor of the `discounted` criterion, at least 0 and less than 1; None:
            0.99.

    Raises:
        InputError: the model is unknown, an argument is invalid, or no optimum exists.
    """
    gamma = _discount(discount)
    single, label, model = _env_with_model(env)
    notes = model_notes(single)
    solution = solver.solve(model, criterion, gamma)
    notes = [note for note in (solution_note(model, solution), *notes) if note]
    if discount is not None and solution.criterion != "discounted":
        measure = solution.criterion.replace("-", " ")
        notes.append(
            f"--discount has no effect on the {measure}; add --criterion discounted "
            "(Python: criterion='discounted')"
        )
    return EnvSolution(
        **vars(solution),
        env_name=label,
        env=single,
        note="\n".join(notes) or None,
    )


def sweeps(
    env: EnvLike,
    method: Method = "value-iteration",
    criterion: solver.Criterion | None = None,
    discount: float | None = None,
    *,
    policy: PolicyLike = "random",
) -> Iterator[EnvSweep]:
    """Plan in an environment whose model is known, and yield values and policy after each sweep.

    The first result is the state before any sweep. The last result is the exact solution, up to
    rounding; its `converged` is true.

    Args:
        env: an environment, its name, or a function that makes one.
        method: `value-iteration`, `policy-iteration`, or `policy-evaluation` of one policy.
        criterion: the objective to maximize; see `gridcade.exact.solver.solve`.
        discount: discount factor of the `discounted` criterion, at least 0 and less than 1; None:
            0.99.
        policy: the policy to evaluate, or its name; see `find`.

    Raises:
        InputError: the model or the policy's probabilities are unknown, an argument is invalid, no
            optimum exists, or, under `return`, the evaluated policy may never end.
    """
    gamma = _discount(discount)
    single, label, model = _env_with_model(env)
    criterion = criterion or solver.default_criterion(model)
    if discount is not None and criterion != "discounted":
        raise InputError(
            f"discount is {gamma}, which has no effect on the {criterion.replace('-', ' ')}; set "
            "criterion to discounted, or leave the discount out"
        )
    table = None
    if not (isinstance(policy, str) and policy == "random"):
        table = policy_table(find(policy, single).policy, single, model)
        if table is None:
            raise InputError("the action probabilities of this policy are not known")
    found = model_sweeps(model, method, criterion, gamma, table)
    used = gamma if criterion == "discounted" else None
    return (
        EnvSweep(
            **vars(sweep),
            env=single,
            env_name=label,
            method=method,
            criterion=criterion,
            discount=used,
        )
        for sweep in found
    )


def _discount(discount: float | None) -> float:
    """Check a discount factor and return it; None stands for 0.99."""
    gamma = 0.99 if discount is None else float(discount)
    solver.check_discount(gamma)
    return gamma


def _env_with_model(env: EnvLike) -> tuple[Env, str, Model]:
    """Make an environment; returns it with its name and its model.

    Raises:
        InputError: the model is unknown.
    """
    with EnvPool(env) as pool:
        single, label = pool.first, registry.label_of(pool.first)
        model = registry.known_model(single)
    if model is None:
        notes = model_notes(single)
        reason = f": {notes[0]}" if notes else ""
        raise InputError(
            f"the model of '{label}' is not known, so it cannot be solved exactly{reason}"
        )
    return single, env if isinstance(env, str) else label, model


def compare(
    contenders: ContenderName | Sequence[ContenderName],
    envs: EnvLike | Sequence[EnvLike] = (),
    *,
    presets: Sequence[str] = (),
    out: str | Path | None = None,
    backend: "Backend" = "loky",
    address: str | None = None,
    jobs: int | None = None,
    report: "Callable[[Sequence[TaskStatus]], None] | None" = None,
    note: Callable[[str], None] = lambda _: None,
    **options: Unpack[StudyOptions],
) -> "PrintedComparison":
    """Train and evaluate contenders over several seeds, and write a report.

    Results that the study's folder already holds are kept. Agents are trained and evaluated in
    other processes.

    Args:
        contenders: agents (`q-learning`, `dqn:two-core`), which are trained; policies (`random`,
            `optimal`, shipped agents, runs), which are only evaluated; or a study file, NAME.toml.
        envs: names of environments; or functions with an import path, or environments that were
            made by a name, which stand for their names.
        presets: `CONTENDER=NAME`, or `NAME` for every agent without a preset.
        out: the study's folder. Default: one under studies/, named after the study.
        backend: see `gridcade.study.runner.run_study`; also for `address` and `jobs`.
        address: address of a cluster.
        jobs: number of tasks that run at the same time.
        report: called often, with the status of every task.
        note: called with a sentence about results that an earlier report in the folder showed and
            the new one does not.
        **options: see `gridcade.study.study.StudyOptions`.

    Raises:
        InputError: a name is unknown, a value is out of its range, the folder holds something else,
            or no worker can be started.
    """
    from gridcade.report import write_page, write_results
    from gridcade.report.summary import PrintedComparison
    from gridcade.study.runner import run_study

    check_options(compare, options, STUDY_SETTINGS.keys() - {"environments"})
    if isinstance(contenders, str | os.PathLike | Run):
        contenders = [contenders]
    names = [_contender_name(contender) for contender in contenders]
    several = [envs] if isinstance(envs, str | gym.Env) or callable(envs) else envs
    env_names = [_env_name(env) for env in several]
    study, name = study_from_arguments(names, env_names, presets, **options)
    folder = Path("studies") / name if out is None else Path(out)
    with notebook_bar() as bar:
        report = bar.study if bar and report is None else report
        comparison = run_study(
            *(study, folder),
            backend=backend,
            address=address,
            jobs=plain(jobs),
            report=report,
            note=note,
        )
    write_results(comparison, folder)
    return PrintedComparison(**vars(comparison), page=write_page(comparison, folder))


def watch(
    policy: PolicyLike,
    env: EnvLike | None = None,
    *,
    trust: bool = False,
    vecnormalize: str | os.PathLike[str] | None = None,
    **options: "Unpack[WatchOptions]",
) -> None:
    """Show episodes of a policy in the terminal, in a window or as a video.

    Args:
        policy: a policy or its name; see `find`.
        env: an environment, its name, or a function that makes one; see `find`. An environment
            must have been made with render_mode="rgb_array".
        trust: load files that are unpickled, and code that a run folder names; see `find`.
        vecnormalize: statistics of VecNormalize for a model of stable-baselines3; see `find`.
        **options: see `gridcade.viewing.show.WatchOptions`.

    Raises:
        InputError: see `find` and `gridcade.viewing.show.watch`.
    """
    from gridcade.viewing import show

    check_options(watch, options, show.WatchOptions.__annotations__)
    contender = find(policy, env, trust=trust, vecnormalize=vecnormalize)
    given = cast(show.WatchOptions, convert_numbers(options, show.WatchOptions, "watch"))
    show.watch(
        contender.policy, contender.env, name=contender.name, env_name=contender.env_name, **given
    )


def show(
    policy: PolicyLike,
    env: EnvLike | None = None,
    *,
    trust: bool = False,
    vecnormalize: str | os.PathLike[str] | None = None,
    **options: "Unpack[ShowOptions]",
) -> "Player":
    """Show episodes of a policy in a notebook, as a video with controls.

    Args:
        policy: a policy or its name; see `find`.
        env: an environment, its name, or a function that makes one; see `find`. An environment
            must have been made with render_mode="rgb_array".
        trust: load files that are unpickled, and code that a run folder names; see `find`.
        vecnormalize: statistics of VecNormalize for a model of stable-baselines3; see `find`.
        **options: see `gridcade.viewing.player.ShowOptions`.

    Raises:
        InputError: see `find` and `gridcade.viewing.player.record`.
    """
    from gridcade.viewing import player

    check_options(show, options, player.ShowOptions.__annotations__)
    contender = find(policy, env, trust=trust, vecnormalize=vecnormalize)
    given = cast(player.ShowOptions, convert_numbers(options, player.ShowOptions, "show"))
    return player.record(
        contender.policy, contender.env, contender.name, contender.env_name, **given
    )


def play(env: str, episodes: int = 3, seed: int = 0, confidence: float = 0.95) -> Evaluation:
    """Let a human play in the terminal; see `gridcade.viewing.play.play`."""
    from gridcade.viewing.play import play

    return play(env, int(episodes), int(seed), float(confidence))


def serve(runs: str | Path = RUNS, *, port: int = 0, height: int = 900) -> "LivePage":
    """Serve the live page in the background. A notebook shows it in a frame.

    Args:
        runs: directory of the run folders that the page shows.
        port: port; 0: any free port.
        height: height of the frame in a notebook, in pixels.

    Returns:
        The page, with its `address`; `stop()` ends it.

    Raises:
        InputError: the port cannot be used.
    """
    from gridcade.live.background import LivePage

    return LivePage(Path(runs), port, height)


def _env_name(env: EnvLike) -> str:
    """Return the name by which workers make an environment of a study.

    Raises:
        InputError: the environment has no name.
    """
    check_env(env)
    name = nameable(env)
    if name is None:
        what = "environment" if isinstance(env, gym.Env) else "function"
        raise InputError(
            f"compare makes environments in other processes, and this {what} has no name there: "
            f"{brief(env)}; pass the name, such as 'my_package.my_module:make_env' for a function "
            "at the top level of a module"
        )
    return name


def _contender_name(contender: object) -> str:
    """Return the name of a contender of a study; for a run, the path of its folder."""
    if isinstance(contender, Run):
        return str(contender.path)
    if isinstance(contender, str | os.PathLike):
        return str(contender)
    raise InputError(
        f"a contender of a study is the name of an agent or policy, or a run, not "
        f"{brief(contender)}; to evaluate a policy object, use gridcade.evaluate"
    )
