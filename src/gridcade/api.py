"""What the command line does, from Python: policies and environments by object or by name."""

import os
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Any, Protocol, Unpack, runtime_checkable

import gymnasium as gym

from gridcade import agents
from gridcade.agents.base import AgentConfig, BaseAgent, Policy, Tensors, Transferable
from gridcade.envs import registry
from gridcade.envs.registry import make
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import Evaluation, evaluate_policy
from gridcade.evaluation.options import EvaluationOptions, ProgressCallback
from gridcade.evaluation.policies import optimal_policy, random_policy
from gridcade.exact import solver
from gridcade.training.config import RunConfig
from gridcade.training.run_folder import Run, find_trained, write_text
from gridcade.training.sessions import resume, train

__all__ = ["Contender", "evaluate", "find", "load", "make", "resume", "solve", "train"]

BUILT_IN = ("random", "optimal")
ZIP = ".zip"  # ends the names of the files that stable-baselines3 saves
Env = gym.Env[Any, Any]


@runtime_checkable
class HasDevice(AgentConfig, Protocol):
    """Hyperparameters that name a device."""

    device: str


@dataclass(frozen=True)
class Contender:
    """A policy, where it came from, and the environment it is for."""

    policy: Policy
    name: str
    env: str | Env
    run: Run | None = None  # whose agent it is


def find(policy: Any, env: str | Env | None = None, *, trust: bool = False) -> Contender:
    """A policy by its name, with its environment.

    Args:
        policy: an object that predicts, a run folder, a checkpoint, an agent that comes trained
            (`breakout`), a model that stable-baselines3 has saved (`model.zip`), `random` or
            `optimal`.
        env: an environment or its name; None: the one that the agent was trained on. On another
            protocol of an Atari game an agent keeps the actions that it knows.
        trust: load what holds pickles, which may run any code: such a `model.zip`.

    Raises:
        InputError: no such policy or environment, or the two do not fit.
    """
    if isinstance(policy, Contender):
        return policy
    if not isinstance(env, str | gym.Env | None):
        raise InputError(f"an environment is a name or a Gymnasium environment, not {env!r}")
    if not isinstance(policy, str | os.PathLike | Run):
        if env is None:
            raise InputError("a policy that is no run needs an environment")
        if not isinstance(policy, Policy):
            raise InputError(f"a policy has predict(observation, …); {policy!r} has not")
        return Contender(policy, type(policy).__name__, env)
    if isinstance(policy, str) and policy in BUILT_IN:
        if env is None:
            raise InputError(f"'{policy}' needs an environment: --env ENV")
        single = make(env) if isinstance(env, str) else env
        made = random_policy(single) if policy == "random" else optimal_policy(single)
        return Contender(made, policy, env)
    if not isinstance(policy, Run) and str(policy).endswith(ZIP) and os.path.isfile(policy):
        return _saved_model(str(policy), env, trust)
    run, config, tensors = find_trained(policy, BUILT_IN)
    trained_on = config.env if run is None else run.env
    where = trained_on if env is None else env
    if isinstance(where, str):
        where = registry.with_actions_of(where, trained_on)
    name = str(policy.path if isinstance(policy, Run) else policy)
    agent = _agent(name, config, tensors, make(where) if isinstance(where, str) else where)
    return Contender(agent, name, where, run)


def load(
    policy: str | os.PathLike[str] | Run, env: str | Env | None = None, *, trust: bool = False
) -> Policy:
    """A policy by its name; see `find`."""
    return find(policy, env, trust=trust).policy


def evaluate(
    policy: Any,
    env: str | Env | None = None,
    *,
    trust: bool = False,
    progress: ProgressCallback | None = None,
    **options: Unpack[EvaluationOptions],
) -> Evaluation:
    """Evaluate a policy, given by an object or by name.

    Args:
        policy: see `find`.
        env: see `find`.
        trust: see `find`.
        progress: called during the evaluation; see `ProgressCallback`.
        **options: see `gridcade.evaluation.options.EvaluationOptions`.

    Raises:
        InputError: see `find` and `gridcade.evaluation.evaluate.evaluate_policy`.
    """
    contender = find(policy, env, trust=trust)
    return evaluate_policy(
        contender.policy, contender.env, name=contender.name, progress=progress, **options
    )


def keep(run: Run, result: Evaluation) -> Path:
    """Write an evaluation into the folder of the run that was evaluated.

    Raises:
        OSError: it cannot be written there.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    file = run.path / "evaluation" / f"{stamp}.json"
    file.parent.mkdir(exist_ok=True)
    write_text(file, dumps(result.as_dict(), indent=2) + "\n")
    return file


def solve(
    env: str | Env, criterion: solver.Criterion | None = None, discount: float = 0.99
) -> solver.Solution:
    """An optimal policy of an environment whose model is known; see `gridcade.exact.solver.solve`.

    Raises:
        InputError: the model is not known, the criterion has no optimum there, or the discount is
            out of its range, whether or not the criterion takes one.
    """
    solver.check_discount(discount)
    single = make(env) if isinstance(env, str) else env
    model = registry.known_model(single)
    if model is None:
        label = single.spec.id if single.spec else type(single.unwrapped).__name__
        raise InputError(f"the model of '{label}' is not known: it cannot be solved exactly")
    return solver.solve(model, criterion, discount)


def _saved_model(path: str, env: str | Env | None, trust: bool) -> Contender:
    """A model that stable-baselines3 has saved; its file says nothing of its environment."""
    if not trust:
        raise InputError(
            f"'{path}' is a model of stable-baselines3, whose pickles may run any code when it is "
            "loaded: --trust if you trust where it comes from"
        )
    if env is None:
        raise InputError(f"'{path}' needs an environment: --env ENV")
    from gridcade.agents.sb3 import load_zip

    single = make(env) if isinstance(env, str) else env
    return Contender(load_zip(path, single), path, env)


def _agent(name: str, config: RunConfig, tensors: Tensors, env: Env) -> BaseAgent:
    """A trained agent, made for an environment. It acts on the CPU, whatever it learned with."""
    hyperparameters = config.hyperparameters
    if isinstance(hyperparameters, HasDevice):
        hyperparameters = replace(hyperparameters, device="cpu")
    agent = agents.find(config.agent).make(env, hyperparameters, config.seed)
    try:
        if "counters" in tensors or not isinstance(agent, Transferable):
            agent.load_state_dict(tensors)
        elif left_out := agent.take_layers(tensors):  # weights alone
            raise ValueError(f"these layers differ: {', '.join(left_out)}")
        else:
            agent.steps = sys.maxsize  # it explores as little as at the end of its training
    except ValueError as error:
        raise InputError(
            f"the agent of '{name}' (trained on {config.env}) does not fit here: {error}"
        ) from None
    return agent
