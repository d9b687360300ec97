"""The public Python API: make, solve, train, evaluate and load, by names or objects."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Protocol, TypeAlias, Unpack, runtime_checkable

import gymnasium as gym

from gridcade import agents
from gridcade.agents.base import AgentConfig, BaseAgent, Policy, Tensors, Transferable
from gridcade.envs import registry
from gridcade.envs.registry import make
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.options import EvaluationOptions, ProgressCallback
from gridcade.evaluation.policies import optimal_policy, random_policy
from gridcade.evaluation.result import Evaluation
from gridcade.exact import solver
from gridcade.training.config import RunConfig
from gridcade.training.run_folder import Run, find_trained, write_text
from gridcade.training.sessions import resume, train

__all__ = ["Contender", "evaluate", "find", "load", "make", "resume", "solve", "train"]

BUILT_IN: dict[str, Callable[[Env], Policy]] = {
    "random": random_policy,
    "optimal": optimal_policy,
}
ZIP = ".zip"  # suffix of the files that stable-baselines3 saves


@runtime_checkable
class HasDevice(AgentConfig, Protocol):
    """Hyperparameters with a device."""

    device: str


@dataclass(frozen=True)
class Contender:
    """A policy with its name and its environment."""

    policy: Policy
    name: str
    env: str | Env
    run: Run | None = None  # the policy's run folder


PolicyLike: TypeAlias = Contender | Policy | Run | str | os.PathLike[str]


def find(policy: PolicyLike, env: str | Env | None = None, *, trust: bool = False) -> Contender:
    """Find a policy by its name, and its environment.

    Args:
        policy: a policy; a run or its folder (its last checkpoint); a checkpoint in one; a shipped
            agent (`breakout`); `random` or `optimal`; or a model saved by stable-baselines3
            (`model.zip`).
        env: an environment or its name; None: the one that the agent was trained in. Under another
            protocol of its Atari game, an agent keeps its set of actions.
        trust: load files that are unpickled, which can run any code. Only `model.zip` needs it.

    Raises:
        InputError: the policy or environment does not exist, or they do not fit.
    """
    if isinstance(policy, Contender):
        return policy
    if not isinstance(env, str | gym.Env | None):
        raise InputError(f"an environment is a name or a Gymnasium environment, not {env!r}")
    if not isinstance(policy, str | os.PathLike | Run):
        if env is None:
            raise InputError("a policy object needs an environment")
        if not isinstance(policy, Policy):
            raise InputError(f"a policy has predict(observation, …); {policy!r} does not")
        return Contender(policy, type(policy).__name__, env)
    if isinstance(policy, str) and policy in BUILT_IN:
        if env is None:
            raise InputError(f"'{policy}' needs an environment: --env ENV")
        single = make(env) if isinstance(env, str) else env
        return Contender(BUILT_IN[policy](single), policy, env)
    if not isinstance(policy, Run) and str(policy).endswith(ZIP) and os.path.isfile(policy):
        return _find_sb3_model(str(policy), env, trust)
    return _find_trained_agent(policy, env)


def load(policy: PolicyLike, env: str | Env | None = None, *, trust: bool = False) -> Policy:
    """Load a policy by its name; see `find` for the arguments and errors."""
    return find(policy, env, trust=trust).policy


def evaluate(
    policy: PolicyLike,
    env: str | Env | None = None,
    *,
    trust: bool = False,
    progress: ProgressCallback | None = None,
    **options: Unpack[EvaluationOptions],
) -> Evaluation:
    """Evaluate a policy.

    Args:
        policy: a policy or its name; see `find`.
        env: an environment or its name; see `find`.
        trust: load files that are unpickled; see `find`.
        progress: called during the evaluation; see `ProgressCallback`.
        **options: see `gridcade.evaluation.options.EvaluationOptions`.

    Raises:
        InputError: see `find` and `gridcade.evaluation.evaluate.evaluate_policy`.
    """
    contender = find(policy, env, trust=trust)
    return evaluate_policy(
        contender.policy, contender.env, name=contender.name, progress=progress, **options
    )


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


def solve(
    env: str | Env, criterion: solver.Criterion | None = None, discount: float = 0.99
) -> solver.Solution:
    """Compute an optimal policy of an environment whose model is known.

    Args:
        env: an environment or its name.
        criterion: the objective to maximize; see `gridcade.exact.solver.solve`.
        discount: discount factor of the `discounted` criterion, at least 0 and less than 1.

    Raises:
        InputError: the model is unknown, an argument is invalid, or no optimum exists.
    """
    solver.check_discount(discount)
    single = make(env) if isinstance(env, str) else env
    model = registry.known_model(single)
    if model is None:
        label = single.spec.id if single.spec else type(single.unwrapped).__name__
        raise InputError(f"the model of '{label}' is not known, so it cannot be solved exactly")
    return solver.solve(model, criterion, discount)


def _find_sb3_model(path: str, env: str | Env | None, trust: bool) -> Contender:
    """Load a model saved by stable-baselines3, which does not name its environment."""
    if not trust:
        raise InputError(
            f"'{path}' is a model of stable-baselines3; loading it unpickles data, which can run "
            "any code: add --trust if you trust its author"
        )
    if env is None:
        raise InputError(f"'{path}' needs an environment: --env ENV")
    from gridcade.agents.sb3 import load_zip

    single = make(env) if isinstance(env, str) else env
    return Contender(load_zip(path, single), path, env)


def _find_trained_agent(policy: str | os.PathLike[str] | Run, env: str | Env | None) -> Contender:
    """Load a shipped agent, or the agent of a run."""
    run, config, tensors = find_trained(policy, BUILT_IN)
    trained_env = config.env if run is None else run.env
    env = trained_env if env is None else env
    if isinstance(env, str):
        env = registry.with_actions_of(env, trained_env)
    name = str(policy.path if isinstance(policy, Run) else policy)
    single = make(env) if isinstance(env, str) else env
    return Contender(_load_agent(name, config, tensors, single), name, env, run)


def _load_agent(name: str, config: RunConfig, tensors: Tensors, env: Env) -> BaseAgent:
    """Make a trained agent for an environment. It acts on the CPU, wherever it was trained."""
    hyperparameters = config.hyperparameters
    if isinstance(hyperparameters, HasDevice):
        hyperparameters = replace(hyperparameters, device="cpu")
    agent = agents.find(config.agent).make(env, hyperparameters, config.seed)
    try:
        if "counters" in tensors or not isinstance(agent, Transferable):
            agent.load_state_dict(tensors)
        elif missing := agent.take_layers(tensors):  # a shipped agent has only weights
            raise ValueError(f"these layers differ: {', '.join(missing)}")
        else:
            agent.steps = sys.maxsize  # schedules are at their final values
    except ValueError as error:
        raise InputError(
            f"the agent of '{name}' (trained on {config.env}) does not fit here: {error}"
        ) from None
    return agent
