"""The tasks of a study: one per training run, and one per fixed policy on an environment."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from gridcade import agents, contenders
from gridcade.agents.base import BaseAgent
from gridcade.envs import registry
from gridcade.envs.book.changing_mazes import phase_in_training
from gridcade.envs.origins import code_hash
from gridcade.errors import InputError
from gridcade.formatting import shell_command
from gridcade.study.contender import ContenderSpec
from gridcade.study.measures import Recording
from gridcade.study.recording import check_recordable
from gridcade.study.study import Study
from gridcade.study.task import Task
from gridcade.training import sessions
from gridcade.training.config import RunConfig, to_dict
from gridcade.training.find_run import find_run, find_trained
from gridcade.training.run_folder import PROVENANCE
from gridcade.training.run_names import unknown_policy

KEY_LENGTH = 16  # hexadecimal digits of a hash
UNBOUNDED = 2**53  # steps of a run with a budget of episodes
NO_INFLUENCE = ("env_source", "tensorboard")  # settings that do not change a run's result


def plan_tasks(study: Study) -> list[Task]:
    """List the tasks of a study: fixed policies first, then in the order of seeds.

    Raises:
        InputError: a name or value is invalid, or a contender does not fit an environment.
    """
    tasks = []
    for env in study.environments:
        for spec in study.contenders:
            try:
                tasks += _contender_tasks(spec, env, study)
            except InputError as error:
                raise InputError(f"{spec.label} on {env}: {error}") from None
        if study.measure == "evaluation":
            _check_unchanging(env)
    paths = [task.path for task in tasks]
    if duplicates := sorted({p for p in paths if paths.count(p) > 1}):
        raise InputError(
            f"two contenders or environments would share the folder '{duplicates[0]}'; rename one"
        )
    return sorted(tasks, key=lambda task: -1 if task.seed is None else task.seed)


def read_sessions(file: Path) -> list[dict[str, Any]]:
    """Read the sessions of a study or a run from a JSON file; empty if it cannot be read."""
    try:
        return list(json.loads(file.read_bytes())["sessions"])
    except (OSError, KeyError, TypeError, ValueError):
        return []


def _contender_tasks(spec: ContenderSpec, env: str, study: Study) -> list[Task]:
    """List the tasks of a contender on an environment."""
    _check_own_budget(spec, study)
    if study.measure != "evaluation":
        return [_recording_task(spec, env, study)]
    if spec.kind is None:
        policy, identity = _check_fixed_policy(spec, env)
        key = _key((spec.policy, *identity), *_evaluation_parts(env, study))
        return [Task(spec, env, None, None, key, policy=policy)]
    first, agent = _run_config(spec, env, study)
    memory_bytes = agent.memory_bytes(first.envs)
    parts = _evaluation_parts(env, study)
    tasks = []
    # Hashes of the weights from which runs start, by policy.
    hashes: dict[str, list[str]] = {"": []}
    for seed in range(study.seeds):
        config = replace(first, seed=seed, init_from=_pinned_checkpoint(spec.init_from, seed))
        if config.init_from not in hashes:  # Hash a checkpoint only once: it may be large.
            hashes[config.init_from] = [_weights_hash(config.init_from)]
        key = _key(_learning(config), *parts, *hashes[config.init_from])
        tasks.append(Task(spec, env, seed, config, key, memory_bytes))
    return tasks


def _check_own_budget(spec: ContenderSpec, study: Study) -> None:
    """Raise InputError if a contender's own number of seeds or episodes is not allowed.

    Only a contender of a sweep with training_episodes may have its own numbers, because such a
    study makes no verdicts, and each point of its figure stands alone.
    """
    for name in ("seeds", "training_episodes"):
        value = getattr(spec, name)
        if value is None:
            continue
        if not spec.sweep or study.training_episodes is None:
            raise InputError(
                f"{name} is {value}; only a contender of a sweep with training_episodes may have "
                f"its own {name}: set {name} outside the contenders"
            )
        if value < 1:
            raise InputError(f"{name} is {value}; it must be 1 or greater")


def _check_unchanging(env: str) -> None:
    """Raise InputError if an environment changes during training.

    An evaluation would use the environment before the change, not that in which training ended.
    """
    with closing(registry.make(env)) as single:
        if phase_in_training(single, 0) is None:
            return
    before, after = (
        shell_command(registry.with_arguments(env, {"phase": phase}))
        for phase in ("before", "after")
    )
    raise InputError(
        f"{env} changes during training, but an evaluation needs an environment that stays the "
        f"same; write {before} or {after}"
    )


def _recording_task(spec: ContenderSpec, env: str, study: Study) -> Task:
    """Return the task that trains a contender with all seeds and records the measure."""
    measure = study.measure
    if measure == "evaluation" or spec.kind is None:
        raise InputError(f"a policy that is not trained has no {measure}: remove the policy")
    for name in ("envs", "epoch", "evaluation_every", "init_from"):
        if value := getattr(spec, name):
            raise InputError(f"{name} is {value}; the measure {measure} ignores it: remove {name}")
    recording = Recording(
        measure,
        spec.seeds or study.seeds,
        study.steps,
        spec.training_episodes or study.training_episodes,
        study.figure.points,
    )
    config, agent = _run_config(spec, env, study)
    with closing(registry.make(env)) as single:
        check_recordable(agent, single, recording)
    key = _key(_learning(config), _world(env), asdict(recording))
    return Task(spec, env, None, config, key, recording=recording)


def _evaluation_parts(env: str, study: Study) -> tuple[Any, ...]:
    """Return what every evaluation on an environment depends on besides its policy."""
    return env, _world(env), study.episodes, study.evaluation_seed, study.confidence


def _world(env: str) -> str | None:
    """Return what identifies the map or the code of an environment besides its name."""
    return registry.map_text(env) or code_hash(env)


def _run_config(spec: ContenderSpec, env: str, study: Study) -> tuple[RunConfig, BaseAgent]:
    """Return the config of a contender's run with seed 0, and its agent.

    Raises:
        InputError: a hyperparameter is invalid, or the agent does not fit the environment.
    """
    kind = agents.find(spec.policy)
    # A preset may use all cores, but tasks run side by side, each on one thread.
    has_threads = "threads" in {field.name for field in fields(kind.config)}
    hyperparameters = ({"threads": 1} if has_threads else {}) | spec.hyperparameters
    return sessions.dry_run(
        kind.name,
        env,
        hyperparameters,
        preset=spec.preset or None,
        steps=UNBOUNDED if study.training_episodes else study.steps,
        minutes=study.minutes,
        envs=spec.envs,
        epoch=spec.epoch,
        evaluation_every=spec.evaluation_every,
        tensorboard=study.tensorboard or None,
        init_from=_pinned_checkpoint(spec.init_from, 0) or None,
    )


def _learning(config: RunConfig) -> dict[str, Any]:
    """Return the settings of a config on which the result of a run depends."""
    values = to_dict(config)
    return {key: value for key, value in values.items() if key not in NO_INFLUENCE}


def _check_fixed_policy(spec: ContenderSpec, env: str) -> tuple[str, Sequence[Any]]:
    """Return the policy to evaluate, and what identifies it besides its name.

    For a run folder, this is its last checkpoint at this moment.

    Raises:
        InputError: the policy is unknown, has settings for training, or does not fit the
            environment.
    """
    known = {*contenders.BUILT_IN, *agents.trained()}
    model = contenders.saved_model(spec.policy)
    if spec.policy not in known and not os.path.exists(spec.policy) and not model:
        if registry.is_environment(spec.policy):
            right = shell_command("--env", spec.policy)
            raise InputError(f"'{spec.policy}' is an environment; write: {right}")
        raise unknown_policy("contender", spec.policy, {*known, *agents.AGENTS})
    for name in ("preset", "hyperparameters", "envs", "epoch", "evaluation_every", "init_from"):
        if value := getattr(spec, name):
            raise InputError(f"{name} is {value}; '{spec.policy}' is not trained: remove {name}")
    if model:
        raise InputError(
            f"'{spec.policy}' cannot be in a study, because loading a model of "
            "stable-baselines3 may run any code; use gridcade evaluate with --trust"
        )
    if contenders.find(spec.policy, env).run is None:
        trained = spec.policy in agents.trained()
        return spec.policy, (_weights_hash(spec.policy) if trained else None,)
    run, steps = find_run(spec.policy, known)
    runs = read_sessions(run.path / PROVENANCE)
    started = runs[0].get("started") if runs else None
    return str(run.checkpoint(steps)), (steps, _learning(run.config), started)


def _pinned_checkpoint(init_from: str, seed: int) -> str:
    """Return a trained agent's name, or the path of a run's last checkpoint at this moment.

    Empty if `init_from` is empty. {seed} in it stands for the seed.
    """
    policy = init_from.replace("{seed}", str(seed))
    if not policy or policy in agents.trained():
        return policy
    run, steps = find_run(policy, agents.trained())
    return str(run.checkpoint(steps))


def _weights_hash(policy: str) -> str:
    """Hash the config and the weights of a trained agent or a checkpoint."""
    _, config, tensors = find_trained(policy)
    digest = hashlib.sha256(json.dumps(to_dict(config), sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest()[:KEY_LENGTH]


def _key(*parts: Sequence[Any] | Mapping[str, Any] | str | float | None) -> str:
    """Hash everything that a result depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]
