"""Training: a run from its config to its end, and on from where it was stopped or killed.

A run's checkpoint holds everything that its future depends on, so a run that was killed at any
moment and resumed ends with the same tensors, to the bit, as one that was not.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym

from gridcade import agents
from gridcade.agents import AgentKind
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.experience.vector import make_vector
from gridcade.training.config import RunConfig, differences, from_dict, read_toml, to_dict
from gridcade.training.provenance import provenance
from gridcade.training.run_folder import PROVENANCE, Run, find_learnt
from gridcade.training.tensorboard import TensorBoardLogger
from gridcade.training.trainer import GymnasiumLoop, Loop, Progress, Trainer, used_up

DEFAULT_STEPS = 200_000  # steps
EPOCHS = 50  # in the steps asked for, unless the epoch's length is given
SHORTEST_EPOCH = 1_000  # steps
EPOCH_BY_TIME = 1_000_000  # steps, of runs bounded by minutes alone
MEMORY_BESIDE = 2_500_000_000  # bytes, that a deep agent and the system take besides its replay
LONGEST_UNSAVED = 40_000  # steps, that a replay in the run folder has room for besides


def train(
    agent: str,
    env: str,
    *,
    preset: str | None = None,
    config: str | Path | None = None,
    seed: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    epoch: int | None = None,
    evaluation_episodes: int | None = None,
    evaluation_every: int | None = None,
    envs: int | None = None,
    init_from: str | Path | None = None,
    hyperparameters: Any = None,
    out: str | Path | None = None,
    report: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] | None = None,
) -> Run:
    """Train an agent in a run folder of its own.

    Args:
        agent: its name.
        env: a Gymnasium id, a short name or a map file.
        preset: one of the agent's; None: its default one.
        config: a TOML file like a run's config.toml, laid over the preset.
        seed: of everything random; None: the config file's, or 0.
        steps: steps, over all environments.
        minutes: of training.
        epoch: steps from one line of metrics, and checkpoint, to the next; in between there are
            checkpoints where a replay's file asks for them.
        evaluation_episodes: of an evaluation, where no exact value can be had.
        evaluation_every: epochs from one evaluation to the next.
        envs: environments side by side.
        init_from: an agent of the same kind, a run folder or one that comes trained: where its
            layers fit, this one starts with them.
        hyperparameters: of the agent: a mapping laid over preset and config file, or its whole
            config.
        out: the run folder, new; None: one under `runs/`.
        report: called now and then with the progress.
        stop: asked now and then; true ends the session with a checkpoint.
        note: called with what there is to say before the training starts.

    Raises:
        InputError: an unknown name, a value out of its range, or a folder that is taken.
    """
    kind = agents.find(agent)
    given = {
        "seed": seed,
        "steps": steps,
        "minutes": minutes,
        "epoch": epoch,
        "evaluation_episodes": evaluation_episodes,
        "evaluation_every": evaluation_every,
        "envs": envs,
        "init_from": None if init_from is None else str(init_from),
    }
    settled = settle(kind, env, preset, config, given, hyperparameters)
    made, left = tried(settled)  # what does not fit is told before a folder is made
    if left and note is not None:
        note(f"layers that do not fit, and start afresh: {', '.join(left)}")
    if note is not None and (warning := _tight_memory(getattr(made, "replay_bytes", 0))):
        note(warning)
    check_memory([memory_of(made)])
    world = registry.map_text(env)
    path = Path(out) if out is not None else _free_folder(settled)
    if os.path.isfile(path / "config.toml"):  # Path.is_file raises on long names
        raise _taken(Run(path), settled, world)
    return _session(Run.create(path, settled, world), report, stop, note=note)


def resume(
    path: str | Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    report: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] | None = None,
) -> Run:
    """Go on with a run from its last checkpoint, to its own budget or a new one.

    An agent that brings its own loop, as those of stable-baselines3, starts over instead.

    Args:
        path: the run folder.
        steps: a new bound on steps, in all.
        minutes: a new bound on minutes of training, in all. Either one replaces both old bounds.
        report: called now and then with the progress.
        stop: asked now and then; true ends the session with a checkpoint.
        note: called with what there is to say before the training starts.

    Raises:
        InputError: no run folder, one that cannot be read, or one that is being trained.
    """
    run = Run(path)
    config = run.config
    if steps is not None or minutes is not None:
        budget = {"steps": steps, "minutes": minutes}
        config = from_dict(to_dict(config) | budget, RunConfig, "the new budget")
    made = max(run.checkpoints(), default=0)
    if steps is not None and steps < made and steps != run.config.steps:
        raise InputError(f"steps is {steps}; the run has made {made} already")
    return _session(run, report, stop, config, note)


def settle(
    kind: AgentKind,
    env: str,
    preset: str | None,
    config: str | Path | None,
    given: Mapping[str, Any],
    hyperparameters: Any = None,
) -> RunConfig:
    """A run's config: the preset, the config file laid over it, and over both what was given.

    The topmost layer that bounds the steps or the minutes decides both.

    Raises:
        InputError: an unknown name or a value out of its range, with the file it stands in.
    """
    preset = preset or kind.preset_for(env)
    layers = _layers(kind, preset, config).values()
    values: dict[str, Any] = {}
    for layer in (*layers, {k: v for k, v in given.items() if v is not None}):
        if {"steps", "minutes"} & set(layer):
            values = {k: v for k, v in values.items() if k not in ("steps", "minutes")}
        values |= layer
    if "steps" not in values and "minutes" not in values:
        values["steps"] = DEFAULT_STEPS
    if not is_dataclass(hyperparameters):
        hyperparameters = hyperparameters_of(kind, preset, config, hyperparameters)
    values |= {"agent": kind.name, "env": env, "preset": preset}
    values["hyperparameters"] = to_dict(hyperparameters)
    settled = from_dict(values, RunConfig, "config")
    if "epoch" in values:
        return settled
    even_share = settled.steps // EPOCHS if settled.steps else EPOCH_BY_TIME
    return replace(settled, epoch=max(SHORTEST_EPOCH, even_share))


def hyperparameters_of(
    kind: AgentKind,
    preset: str | None,
    config: str | Path | None,
    given: Mapping[str, Any] | None = None,
) -> Any:
    """An agent's hyperparameters: the preset's, the config file's over them, then those given."""
    merged: dict[str, Any] = {}
    for file, layer in _layers(kind, preset, config).items():
        merged = _merged(merged, layer.get("hyperparameters", {}))
        from_dict(merged, kind.config, f"{file}, hyperparameters")  # says whose mistake it is
    return from_dict(_merged(merged, given or {}), kind.config, "hyperparameters")


def _layers(
    kind: AgentKind, preset: str | None, config: str | Path | None
) -> dict[Path, dict[str, Any]]:
    """The preset's and the config file's values, each checked by itself, the upper one last."""
    files = [kind.preset(preset or kind.default_preset)]
    files += [Path(config)] if config is not None else []
    layers = {}
    for file in files:
        layer = read_toml(file)
        if layer.get("agent", kind.name) != kind.name:
            raise InputError(f"{file} is for the agent {layer['agent']}, not for {kind.name}")
        from_dict({"agent": kind.name, "env": "", "steps": 1} | layer, RunConfig, str(file))
        layers[file] = layer
    return layers


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, the upper laid over the lower."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def tried(config: RunConfig) -> tuple[Any, list[str]]:
    """A run's agent as it would begin, and the layers that would start afresh.

    Raises:
        InputError: it does not fit its environment or its budget.
    """
    with closing(registry.make(config.env)) as single:
        agent = _make_agent(agents.find(config.agent), single, config)
        return agent, _take_layers(agent, config)


def memory_of(agent: Any) -> int:
    """Bytes of memory that an agent fills as it learns, where they are many."""
    return int(getattr(agent, "memory_bytes", 0))


def check_memory(needed: Sequence[int]) -> None:
    """Raise InputError where agents side by side would outgrow this machine's memory, hours later.

    A system of MEMORY_BESIDE is supposed, or on small machines of half the memory.

    Args:
        needed: bytes, by each of them.
    """
    total, memory = sum(needed), _memory()
    if memory is not None and total > max(memory - MEMORY_BESIDE, memory // 2):
        several = len(needed) > 1
        replays = f"{len(needed)} replays side by side" if several else "the replay or rollout"
        raise InputError(
            f"{replays} would take {total / 1e9:.1f} GB of this machine's {memory / 1e9:.1f} GB of "
            f"memory: take a smaller buffer_size or rollout{', or fewer --jobs' if several else ''}"
        )


def _make_agent(kind: AgentKind, env: gym.Env[Any, Any], config: RunConfig) -> Any:
    hyperparameters = from_dict(config.hyperparameters, kind.config, "hyperparameters")
    agent = kind.make(env, hyperparameters, config.seed)
    if hasattr(agent, "plan"):
        agent.plan(config.steps)
    if hasattr(agent, "check_envs"):
        agent.check_envs(config.envs)
    return agent


def _take_layers(agent: Any, config: RunConfig) -> list[str]:
    """Start from the layers of the agent that `init_from` names; the layers that did not fit.

    Raises:
        InputError: there is none, it is of another kind, or not one layer fits, or not one that is
            to be frozen.
    """
    if not config.init_from:
        if config.hyperparameters.get("freeze", "nothing") != "nothing":
            raise InputError("--freeze takes layers that have learnt: give --init-from RUN as well")
        return []
    _, other, tensors = find_learnt(config.init_from)
    name = other.agent
    if name != config.agent or not hasattr(agent, "take_layers"):
        raise InputError(f"{config.agent} cannot start from '{config.init_from}', which is {name}")
    left: list[str] = agent.take_layers(tensors)
    if len(left) == agent.layers:
        raise InputError(f"no layer of '{config.init_from}' fits")
    return left


def _tight_memory(replay: int) -> str:
    """What to say where a replay of so many bytes leaves too little memory; or nothing."""
    memory = _memory()
    if not replay or memory is None or replay + MEMORY_BESIDE <= memory:
        return ""
    return (
        f"the replay takes {replay / 1e9:.1f} GB and this machine has {memory / 1e9:.1f} GB of "
        "memory: sampling will wait for the disk; a smaller --replay-capacity is faster"
    )


def _memory() -> int | None:
    """This machine's memory in bytes; None: it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not every system tells
        return None


def _free_folder(config: RunConfig) -> Path:
    """`runs/FourRooms-q-learning-s0`, or with -2, -3 … where that is taken."""
    base, _, query = config.env.partition("?")
    short = Path(base).stem.removesuffix("-v0")
    words = [short, *query.replace("=", "").split("&")] if query else [short]
    name = "-".join([*words, config.agent, f"s{config.seed}"]).replace("/", "_")
    path, number = Path("runs") / name, 1
    while os.path.lexists(path):
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path


def _taken(run: Run, config: RunConfig, world: str | None) -> InputError:
    """What to say of a folder that already holds a run."""
    found = differences(run.config, config)
    if run.world != world:
        found.append("the map differs")
    if found:
        return InputError(
            f"'{run.path}' holds a run with another config ({'; '.join(found)}): "
            "choose another --out"
        )
    return InputError(f"'{run.path}' holds this very run: gridcade resume {run.path}")


def _session(
    run: Run,
    report: Callable[[Progress], None] | None,
    stop: Callable[[], bool],
    config: RunConfig | None = None,
    note: Callable[[str], None] | None = None,
) -> Run:
    """Train from the last checkpoint on, until the budget is used up or `stop` says so."""
    config = config or run.config
    kind = agents.find(config.agent)
    with (
        run.locked(),
        closing(make_vector(run.env, config.envs)) as envs,
        closing(registry.make(run.env)) as env,
    ):
        agent = _make_agent(kind, env, config)
        session = provenance(config.seed)
        loop: Loop | None = None
        if hasattr(agent, "learn"):
            session |= _start_over(run, config, note)
            agent.enter(envs)
        else:
            if hasattr(agent, "attach"):
                agent.attach(config.envs, min(config.epoch, LONGEST_UNSAVED), run.storage)
            session |= _precision(agent, note)
            loop = kind.compiled_loop(agent, env, config.seed) if config.envs == 1 else None
            loop = loop or GymnasiumLoop(agent, envs, config.seed)
        trainer = Trainer(run, config, agent, loop, env)
        if run.checkpoints():
            trainer.load(run.last_checkpoint())
        else:
            _take_layers(agent, config)
            trainer.save()
        if config != run.config:
            run.rewrite_config(config)
        run.clear_leftovers()
        run.cut_metrics(agent.steps)
        run.add_provenance(session)
        threads = getattr(agent, "threads", 1)
        with _torch_threads(threads), closing(TensorBoardLogger(run.path, agent.steps)) as board:
            trainer.go_on(report, stop, board)
    return run


def _precision(agent: Any, note: Callable[[str], None] | None) -> dict[str, Any]:
    """What a deep agent's passes run in, for the provenance: others give other bits."""
    if not getattr(agent, "precision", ""):
        return {}
    if getattr(agent, "lacks_units", False) and note is not None:
        note("this processor has no units for bfloat16: passes run in float32, and slower")
    return {"precision": agent.precision}


def _start_over(run: Run, config: RunConfig, note: Callable[[str], None] | None) -> dict[str, Any]:
    """Make way for a training that cannot be taken up again; what its provenance says of that.

    Raises:
        InputError: it had come to its end, and would now be longer.
    """
    if not (run.path / PROVENANCE).is_file():  # it has not begun to learn
        return {}
    made = max(run.checkpoints(), default=0)
    seconds = run.load_checkpoint(made)[2]["seconds"] if made else 0.0
    if used_up(config, made, seconds):
        return {}
    if used_up(run.config, made, seconds):
        raise InputError(
            f"'{run.path}' has come to its end, and {config.agent} cannot go on from there: "
            "train it anew, with another --out"
        )
    if note is not None:
        note(f"{config.agent} cannot go on from {made:,} steps: it starts over")
    run.drop_checkpoints()
    return {"started_over": made}


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """PyTorch, if an agent has loaded it, on so many threads: another number gives other bits."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)
