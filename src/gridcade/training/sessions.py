"""Sessions of training: start or resume a run, after checking that it can train."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack, cast

import gymnasium as gym

from gridcade import agents
from gridcade.agents.base import (
    Agent,
    AgentConfig,
    BaseAgent,
    Compiled,
    CompiledLoop,
    HasDevice,
    SelfTrainedAgent,
    Transferable,
)
from gridcade.aliases import check_options, synonyms
from gridcade.envs import registry
from gridcade.envs.masks import gives_masks
from gridcade.envs.objects import EnvLike, copier, game_by_name, identity
from gridcade.envs.types import Env, Envs
from gridcade.errors import InputError
from gridcade.exact.model_check import model_notes
from gridcade.experience.pool import EnvPool
from gridcade.experience.vector import action_masks
from gridcade.files import slug
from gridcade.formatting import shell_command
from gridcade.training.config import (
    Recipe,
    RunConfig,
    RunSettings,
    convert_numbers,
    differences,
    field_names,
    read_recipe,
    resolve_config,
    used_up,
)
from gridcade.training.evaluator import Evaluator
from gridcade.training.find_run import find_trained
from gridcade.training.options import ResumeOptions, TrainOptions
from gridcade.training.provenance import provenance
from gridcade.training.run_folder import PROVENANCE, Run
from gridcade.training.run_names import RUNS, is_run
from gridcade.training.tensorboard import TensorBoardLogger, check_tensorboard
from gridcade.training.trainer import Progress, StepLoop, Trainer
from gridcade.training.trust import ENTRY, changed_code, check_trusted, origin_entry

MEMORY_BESIDE = 2_500_000_000  # bytes reserved for the networks and the system
LONGEST_UNSAVED = 40_000  # steps; a replay on disk has room for this many between checkpoints

Report = Callable[[Progress], None]
Note = Callable[[str], None]


def train(
    agent: str | Recipe,
    env: EnvLike,
    *,
    hyperparameters: AgentConfig | dict[str, Any] | None = None,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
    note: Note = lambda _: None,
    **options: Unpack[TrainOptions],
) -> Run:
    """Train an agent in a new run folder.

    Args:
        agent: the agent's name; or a recipe, which holds the agent's preset and config file.
        env: a name; a function that makes an environment; or an environment, which stays open. If
            several are needed, an environment that `gymnasium.make` made is copied. Any other one
            trains alone.
        hyperparameters: the agent's whole config, or a table that overrides preset and config file.
        report: called often, with the progress.
        stop: called often; returns whether to end the session with a checkpoint.
        note: called with sentences that the user should read before training starts.
        **options: see `TrainOptions`.

    Raises:
        InputError: a name is unknown, a value is out of its range, or the folder is taken.
    """
    with EnvPool(game_by_name(env), copies=True) as pool:
        config = _resolve(agent, env, pool.first, hyperparameters, options)
        if config.envs > 1 and not pool.can_copy and options.get("envs") is None:
            note(f"envs is 1, not {config.envs}: this environment object cannot be copied")
            config = replace(config, envs=1)
        return _start(config, pool, options.get("out"), report, stop, note)


def start(
    config: RunConfig,
    out: Path,
    *,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train with a resolved config in a new run folder; see `train`."""
    with EnvPool(config.env) as pool:
        return _start(config, pool, out, report, stop, lambda _: None)


def _start(
    config: RunConfig,
    pool: EnvPool,
    out: str | Path | None,
    report: Report | None,
    stop: Callable[[], bool],
    note: Note,
) -> Run:
    """Make the agent, check that it can train here, and train it in a new folder."""
    if config.envs > 1 and not pool.can_copy:
        raise InputError(
            f"envs is {config.envs}, but an environment object that cannot be copied trains alone: "
            "set envs to 1, or pass a function that makes such an environment"
        )
    agent = make_agent(config, pool.first)
    sentences = [
        *registry.notes_on_world(config.env, pool.first),
        *model_notes(pool.first),
        *_average_reward_note(config, pool.first),
        *start_from(agent, config),
        *agent.warnings(),
        *_memory_note(agent, pool.first),
    ]
    check_memory([agent.memory_bytes(config.envs)])
    for sentence in sentences:
        note(sentence)
    pool.vector(config.envs)  # an error here leaves no folder behind
    world = registry.map_text(config.env) if config.env_source == "name" else None
    path = Path(out) if out is not None else _free_folder(config, note)
    if is_run(path):
        raise _folder_taken(Run(path), config, world)
    if config.env_source != "name":
        note(_how_to_resume(config, path))
    run = Run.create(path, config, world)
    origin = partial(origin_entry, config.env, run.env)
    return _session(run, config, agent, pool, report, stop, note, origin)


def resume(
    path: str | Path,
    env: EnvLike | None = None,
    *,
    trust: bool = False,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
    note: Note = lambda _: None,
    **options: Unpack[ResumeOptions],
) -> Run:
    """Resume a run from its last checkpoint, to its own budget or a new one.

    An agent that runs its own loop, such as those of stable-baselines3, starts over instead.

    Args:
        path: the run folder.
        env: a function that makes the environment, if it has no name. Default: the environment that
            the run's config names.
        trust: run the code of the environment that the config names, even if somebody else may have
            chosen it: see `gridcade.training.trust`.
        report: called often, with the progress.
        stop: called often; returns whether to end the session with a checkpoint.
        note: called with sentences that the user should read before training starts.
        **options: see `ResumeOptions`.

    Raises:
        InputError: the folder holds no run, cannot be read, or another process trains in it.
    """
    check_options(resume, options, ResumeOptions.__annotations__)
    run = Run(path)
    config = run.config
    options = cast(ResumeOptions, convert_numbers(options, ResumeOptions, "resume"))
    steps, minutes = options.get("steps"), options.get("minutes")
    if steps is not None or minutes is not None:
        config = replace(config, steps=steps, minutes=minutes)
    if (tensorboard := options.get("tensorboard")) is not None:
        config = replace(config, tensorboard=tensorboard)
    if (device := options.get("device")) is not None:
        config = replace(config, hyperparameters=_with_device(config, device, note))
    taken = max(run.checkpoints(), default=0)
    if steps is not None and steps < taken and steps != run.settings.steps:
        raise InputError(f"steps is {steps}, but the run has taken {taken} already")
    if env is None and not trust:
        check_trusted(run.path, run.settings.env, run.origin)
    with EnvPool(_env_to_resume(run, env), copies=True) as pool:
        if env is None and (changed := changed_code(run.env, run.origin)):
            note(changed)
        learner = make_agent(config, pool.first)
        for sentence in learner.warnings():
            note(sentence)
        if run.is_new:
            start_from(learner, config)

        def origin() -> dict[str, Any]:
            # Sign only code that this session has run: not the code that `env` replaces.
            return origin_entry(config.env, run.env) if env is None else {ENTRY: run.origin}

        return _session(run, config, learner, pool, report, stop, note, origin)


def _with_device(config: RunConfig, device: str, note: Note) -> AgentConfig:
    """Return a run's hyperparameters with another device; InputError if its agent has none."""
    hyperparameters = config.hyperparameters
    if not isinstance(hyperparameters, HasDevice):
        raise InputError(f"device is {device}, but {config.agent} has no network")
    if (before := hyperparameters.device) != device:
        note(
            f"this run now learns on {device}, and learned on {before} before: devices round "
            f"differently, so it will differ from a run that stays on {before}"
        )
    return replace(hyperparameters, device=device)


def _env_to_resume(run: Run, env: EnvLike | None) -> EnvLike:
    """Return the environment in which a run is resumed; InputError if it cannot be made again."""
    source, name = run.settings.env_source, run.settings.env
    if source == "object":
        raise InputError(
            f"'{run.path}' cannot be resumed: its environment was an object ({name}) that cannot "
            "be copied; train again, with a function that makes the environment"
        )
    if env is None and source == "function":
        raise InputError(
            f"'{run.path}' was trained in Python, on environments that a function made ({name}); "
            f"resume it in Python: gridcade.resume('{run.path}', env=FUNCTION)"
        )
    if isinstance(env, gym.Env) and copier(env) is None:
        raise InputError("to resume a run, pass a function that makes the environment as env")
    return run.env if env is None else env


def _how_to_resume(config: RunConfig, path: Path) -> str:
    """Say how to resume a run whose environments have no name."""
    if config.env_source == "object":
        return (
            "this run cannot be resumed, and its evaluations end the running episode, because the "
            "environment is an object that cannot be copied: better pass a function that makes it"
        )
    return f"only Python can resume this run: gridcade.resume('{path}', env=FUNCTION)"


def dry_run(
    agent: str, env: str, hyperparameters: dict[str, Any], **options: Unpack[TrainOptions]
) -> tuple[RunConfig, BaseAgent]:
    """Resolve a run's config and make its agent, to see whether the run can start.

    Raises:
        InputError: a value is out of its range, or agent, environment and budget do not fit.
    """
    with EnvPool(env) as pool:
        config = _resolve(agent, env, pool.first, hyperparameters, options)
        learner = make_agent(config, pool.first)
        start_from(learner, config)
        return config, learner


def make_agent(config: RunConfig, env: Env) -> Agent | SelfTrainedAgent:
    """Make a run's agent for its environment; InputError if it does not fit."""
    if config.tensorboard:
        check_tensorboard()
    agent = agents.find(config.agent).make(env, config.hyperparameters, config.seed)
    if isinstance(agent, SelfTrainedAgent):
        agent.set_total_steps(config.steps)
    else:
        agent.check_num_envs(config.envs)
    return agent


def start_from(agent: BaseAgent, config: RunConfig) -> list[str]:
    """Load the layers of the agent that `init_from` names; returns notes on layers left out.

    Raises:
        InputError: there is no such agent, it is of another kind, this agent cannot load layers, no
            layer fits, or a frozen layer was not loaded and would stay random.
    """
    if not config.init_from:
        if isinstance(agent, Transferable) and agent.needs_layers:
            raise InputError(
                "conv, as the value of freeze or init_layers, needs trained layers: also give "
                "--init-from RUN (Python: init_from=)"
            )
        return []
    _, other, tensors = find_trained(config.init_from)
    if not isinstance(agent, Transferable):
        raise InputError(
            f"{config.agent} cannot start from '{config.init_from}', because {config.agent} cannot "
            "load layers: leave out --init-from (Python: init_from=)"
        )
    if other.agent != config.agent:
        raise InputError(
            f"{config.agent} cannot start from '{config.init_from}': its agent is {other.agent}"
        )
    try:
        left_out = agent.take_layers(tensors)
    except InputError as error:
        raise InputError(f"cannot start from '{config.init_from}': {error}") from None
    return (
        [f"these layers do not fit and are initialized at random: {', '.join(left_out)}"]
        if left_out
        else []
    )


def check_memory(needed: Sequence[int]) -> None:
    """Raise InputError if agents side by side need more memory than this machine has.

    Otherwise training would fail hours later, when their replays are full. MEMORY_BESIDE, or half
    of a small memory, is left to the system.

    Args:
        needed: bytes that each agent needs.
    """
    total, memory = sum(needed), machine_memory()
    if memory is not None and total > max(memory - MEMORY_BESIDE, memory // 2):
        several = len(needed) > 1
        what = f"{len(needed)} replays side by side" if several else "the replay or rollout"
        raise InputError(
            f"{what} would take {total / 1e9:.1f} GB of this machine's {memory / 1e9:.1f} GB of "
            f"memory: use a smaller buffer_size or rollout{', or fewer --jobs' if several else ''}"
        )


def machine_memory() -> int | None:
    """Return this machine's memory in bytes; None if the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _resolve(
    agent: str | Recipe,
    env: EnvLike,
    single: Env,
    hyperparameters: AgentConfig | dict[str, Any] | None,
    options: TrainOptions,
) -> RunConfig:
    """Resolve the run's config from all its layers."""
    overlay = hyperparameters if isinstance(hyperparameters, dict) else None
    complete = None if isinstance(hyperparameters, dict) else hyperparameters
    if isinstance(agent, Recipe):
        recipe = agent
    else:
        kind, file = agents.find(agent), options.get("config")
        preset = options.get("preset") or kind.preset_for(single)
        recipe = read_recipe(kind, preset, Path(file) if file is not None else None, overlay)
    # For hyperparameters, also by other libraries' names, `resolve_config` has a better message.
    fields = field_names(recipe.kind.config)
    others = [key for key in options if key not in fields and not synonyms(key, fields)]
    check_options(train, others, TrainOptions.__annotations__)
    settings = {k: v for k, v in options.items() if k not in ("preset", "config", "out")}
    if settings.get("init_from") is not None:
        settings["init_from"] = str(settings["init_from"])
    name, source = identity(env, single)
    return replace(resolve_config(recipe, name, settings, complete), env_source=source)


def _session(
    run: Run,
    config: RunConfig,
    agent: Agent | SelfTrainedAgent,
    pool: EnvPool,
    report: Report | None,
    stop: Callable[[], bool],
    note: Note,
    origin: Callable[[], dict[str, Any]],
) -> Run:
    """Train from the last checkpoint on, until the budget is used up or `stop` returns true.

    `origin` returns the provenance entry that says where the environment's code comes from.
    """
    with run.locked(), ExitStack() as stack:
        envs = pool.vector(config.envs)
        session = provenance(config.seed) | origin()
        if agent.precision:
            session["precision"] = agent.precision
        if agent.accelerator:
            session["accelerator"] = agent.accelerator
        loop: StepLoop | CompiledLoop | None = None
        if isinstance(agent, SelfTrainedAgent):
            agent.set_env(envs)
            session |= _start_over(run, config, note)
            if action_masks(envs) is not None and not agent.uses_masks:
                note(f"{config.agent} does not use action masks: it may take forbidden actions")
        else:
            agent.allocate(config.envs, min(config.epoch, LONGEST_UNSAVED), run.storage)
            if agent.storage_bytes and run.damaged():
                note(
                    "the replay holds later steps than the checkpoint, so the result may differ "
                    "from that of an uninterrupted run"
                )
            loop = _loop(agent, envs, pool.first, config.seed)
        in_envs = isinstance(loop, StepLoop | None)
        evaluator = stack.enter_context(
            closing(Evaluator(config, agent, pool, in_envs, stop, note))
        )
        trainer = Trainer(run, config, agent, loop, envs, evaluator, report, stop)
        if run.is_new:
            trainer.save()
        else:
            trainer.load(run.last_checkpoint())
            if lost := trainer.lost_episodes:
                note(
                    f"{lost} of {config.envs} running episodes cannot be continued, because "
                    "their actions did not lead to the same observations again (unseeded "
                    "randomness, or another version of the environment): new episodes start"
                )
        if config != run.config:
            run.rewrite_config(config)
        run.clear_leftovers()
        run.cut_metrics(agent.steps)
        run.add_provenance(session)
        with (
            _torch_threads(agent.torch_threads),
            closing(TensorBoardLogger(run.path, agent.steps, config.tensorboard)) as logger,
        ):
            trainer.train(logger)
    return run


def _loop(agent: Agent, envs: Envs, env: Env, seed: int) -> StepLoop | CompiledLoop:
    """Make the compiled loop if the agent is tabular and the model known, else a StepLoop."""
    compiled = compiled_loop(agent, env, seed) if envs.num_envs == 1 else None
    return compiled or StepLoop(agent, envs, seed)


def compiled_loop(agent: Agent, env: Env, seed: int) -> CompiledLoop | None:
    """Make the compiled loop of an agent in an environment.

    None if the agent is not tabular, or the model of the environment is not known.
    """
    model = registry.known_model(env)
    if model is None or not isinstance(agent, Compiled):
        return None
    return agent.compiled_loop(model, registry.time_limit(env), seed)


def _start_over(run: Run, config: RunConfig, note: Note) -> dict[str, int]:
    """Remove the checkpoints of a run that cannot be resumed; returns an entry for provenance.

    Raises:
        InputError: the run has reached its old budget, and the new one is longer.
    """
    if not (run.path / PROVENANCE).is_file():  # the run has not begun to learn
        return {}
    taken = max(run.checkpoints(), default=0)
    seconds = run.load_checkpoint(taken)[2]["seconds"] if taken else 0.0
    if used_up(config, taken, seconds):
        return {}
    if used_up(run.settings, taken, seconds):
        raise InputError(
            f"'{run.path}' has reached its budget, and {config.agent} cannot resume: "
            "train again, with another --out (Python: out=)"
        )
    note(f"{config.agent} cannot resume from {taken:,} steps: it starts over")
    run.drop_checkpoints()
    return {"started_over": taken}


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Set PyTorch's number of threads, which changes the last bits of results, if it is loaded."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


def _average_reward_note(config: RunConfig, env: Env) -> list[str]:
    """Note if an agent that could maximize the average reward maximizes the discounted return."""
    model, preset = registry.known_model(env), "average-reward"
    if model is None or not model.continuing or preset not in agents.find(config.agent).presets():
        return []
    if vars(config.hyperparameters).get("criterion") == preset:
        return []
    return [
        f"{config.agent} maximizes the discounted return here; --preset {preset} maximizes the "
        "average reward"
    ]


def _memory_note(agent: BaseAgent, env: Env) -> list[str]:
    """Warn if the replay on disk, with the masks of the environment, does not fit into memory."""
    frames, masks, memory = agent.storage_bytes, agent.mask_bytes, machine_memory()
    if memory is None or frames + masks + MEMORY_BESIDE <= memory:
        return []
    masks = masks if masks and gives_masks(env) else 0
    size = frames + masks
    if not size or size + MEMORY_BESIDE <= memory:
        return []
    part = f", {masks / 1e9:.1f} GB of it for action masks," if masks else ""
    return [
        f"the replay takes {size / 1e9:.1f} GB{part} and this machine has {memory / 1e9:.1f} GB of "
        "memory: sampling will wait for the disk; a smaller --replay-capacity is faster"
    ]


def _free_folder(config: RunSettings, note: Note) -> Path:
    """Return `runs/FourRooms-q-learning-s0`; if it exists, note that and append -2, -3, ..."""
    base, _, query = config.env.partition("?")
    short = Path(base.rpartition(":")[2]).stem.removesuffix("-v0")
    words = [short, *query.replace("=", "").split("&")] if query else [short]
    name = f"{slug('-'.join(words))}-{config.agent}-s{config.seed}"
    path = first = RUNS / name
    number = 1
    while os.path.lexists(path):
        number += 1
        path = first.with_name(f"{name}-{number}")
    if path != first:
        note(f"{first} already exists; this run is saved in {path}")
    return path


def _folder_taken(run: Run, config: RunConfig, world: str | None) -> InputError:
    """Build the error for a folder that already holds a run."""
    differing = differences(run.config, config)
    if run.world != world:
        differing.append("the map differs")
    if differing:
        return InputError(
            f"'{run.path}' holds a run with another config ({'; '.join(differing)}): "
            "choose another --out (Python: out=)"
        )
    return InputError(
        f"'{run.path}' holds a run with this config already; continue it: "
        f"{shell_command('gridcade', 'resume', run.path)}"
    )
