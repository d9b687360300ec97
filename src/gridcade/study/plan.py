"""The tasks of a study: one per training run, and one per fixed policy on an environment."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from gridcade import agents, contenders
from gridcade.envs import registry
from gridcade.envs.origins import code_hash
from gridcade.errors import InputError
from gridcade.formatting import shell_command
from gridcade.study.study import ContenderSpec, Study
from gridcade.study.task import Task
from gridcade.training import sessions
from gridcade.training.config import RunConfig, to_dict
from gridcade.training.find_run import find_run, find_trained
from gridcade.training.run_folder import PROVENANCE
from gridcade.training.run_names import unknown_policy

KEY_LENGTH = 16  # hexadecimal digits of a hash
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
    if spec.kind is None:
        policy, identity = _check_fixed_policy(spec, env)
        key = _key((spec.policy, *identity), *_evaluation_parts(env, study))
        return [Task(spec, env, None, None, key, policy=policy)]
    configs, memory_bytes = _run_configs(spec, env, study)
    parts = _evaluation_parts(env, study)
    if init_from := configs[0].init_from:
        parts = (*parts, _weights_hash(init_from))
    return [
        Task(spec, env, config.seed, config, _key(_learning(config), *parts), memory_bytes)
        for config in configs
    ]


def _evaluation_parts(env: str, study: Study) -> tuple[Any, ...]:
    """Return what every evaluation on an environment depends on besides its policy."""
    world = registry.map_text(env) or code_hash(env)
    return env, world, study.episodes, study.evaluation_seed, study.confidence


def _run_configs(spec: ContenderSpec, env: str, study: Study) -> tuple[list[RunConfig], int]:
    """Return the config of a contender's run for each seed, and the memory of a run in bytes.

    Raises:
        InputError: a hyperparameter is invalid, or the agent does not fit the environment.
    """
    kind = agents.find(spec.policy)
    # A preset may use all cores, but tasks run side by side, each on one thread.
    has_threads = "threads" in {field.name for field in fields(kind.config)}
    hyperparameters = ({"threads": 1} if has_threads else {}) | spec.hyperparameters
    config, agent = sessions.dry_run(
        kind.name,
        env,
        hyperparameters,
        preset=spec.preset or None,
        steps=study.steps,
        minutes=study.minutes,
        envs=spec.envs,
        evaluation_every=spec.evaluation_every,
        tensorboard=study.tensorboard or None,
        init_from=_pinned_checkpoint(spec.init_from) if spec.init_from else None,
    )
    configs = [replace(config, seed=seed) for seed in range(study.seeds)]
    return configs, agent.memory_bytes(config.envs)


def _learning(config: RunConfig) -> dict[str, Any]:
    """The part of a config on which the result of a run depends."""
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
    for name in ("preset", "hyperparameters", "envs", "evaluation_every", "init_from"):
        if value := getattr(spec, name):
            raise InputError(f"{name} is {value}; '{spec.policy}' is not trained: remove it")
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


def _pinned_checkpoint(policy: str) -> str:
    """Return a trained agent's name, or the path of a run's last checkpoint at this moment."""
    if policy in agents.trained():
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
