"""Policies by name: runs, checkpoints, shipped agents, models of other libraries, and more."""

import os
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import gymnasium as gym

from gridcade import agents
from gridcade.agents.base import BaseAgent, HasDevice, Policy, Tensors, Transferable
from gridcade.envs import registry
from gridcade.envs.book.changing_mazes import phase_in_training
from gridcade.envs.objects import EnvLike, check_env, function_name
from gridcade.envs.types import Env
from gridcade.errors import InputError, InputWarning, brief
from gridcade.evaluation.policies import optimal_policy, random_policy
from gridcade.experience.pool import EnvPool
from gridcade.formatting import shell_command
from gridcade.training.config import RunConfig
from gridcade.training.find_run import find_trained
from gridcade.training.run_folder import Run
from gridcade.training.trust import check_trusted

BUILT_IN: dict[str, Callable[[Env], Policy]] = {
    "random": random_policy,
    "optimal": optimal_policy,
}
GIVE_ENV = "give one, as in --env FourRooms (Python: env='FourRooms')"
ZIP = ".zip"  # suffix of the files that stable-baselines3 saves


@dataclass(frozen=True)
class Contender:
    """A policy with its name and its environment."""

    policy: Policy
    name: str
    env: EnvLike
    run: Run | None = None  # the policy's run folder
    trained_env: str | None = None  # the environment in which it was trained; None: unknown

    @property
    def env_name(self) -> str:
        """The environment's name as the user gave it, even if the run has a copy of the map."""
        if isinstance(self.env, str):
            own_world = self.run is not None and self.env == self.run.env
            return self.run.settings.env if self.run and own_world else self.env
        if isinstance(self.env, gym.Env):
            return registry.label_of(self.env)
        return function_name(self.env) or str(getattr(self.env, "__name__", self.env))


PolicyLike: TypeAlias = Contender | Policy | Run | str | os.PathLike[str]


def find(
    policy: PolicyLike,
    env: EnvLike | None = None,
    *,
    trust: bool = False,
    vecnormalize: str | os.PathLike[str] | None = None,
) -> Contender:
    """Find a policy by its name, and its environment.

    Args:
        policy: a policy; a run or its folder (its last checkpoint); a checkpoint in one; a shipped
            agent (`breakout`); `random` or `optimal`; or a model saved by stable-baselines3 or
            sb3-contrib (`model.zip`).
        env: an environment, its name, or a function that makes one; None: the environment in which
            the agent was trained. If that is a maze that changes during training, it is made as it
            was at the end. Under another protocol of its Atari game, an agent keeps its actions.
        trust: run code that others may have chosen: unpickle `model.zip`, and import the
            environment of a run that another user trained.
        vecnormalize: file of statistics that stable-baselines3's VecNormalize saved, which is
            unpickled too. A model that was trained with them needs them to normalize observations.

    Raises:
        InputError: the policy or environment does not exist, or they do not fit each other.
    """
    model = saved_model(policy) if isinstance(policy, str | os.PathLike) else None
    if vecnormalize is not None and model is None:
        raise InputError(
            "--vecnormalize (Python: vecnormalize=) is for a model.zip of stable-baselines3; "
            f"{brief(policy) if not isinstance(policy, Run) else policy.path} is not one"
        )
    if isinstance(policy, Contender):
        return policy
    if env is not None:
        check_env(env)
    if not isinstance(policy, str | os.PathLike | Run):
        if env is None:
            raise InputError(f"a policy object needs an environment: {GIVE_ENV}")
        if not isinstance(policy, Policy):
            raise InputError(f"a policy has predict(observation, …); {brief(policy)} does not")
        return Contender(policy, type(policy).__name__, env)
    if isinstance(policy, str) and policy in BUILT_IN:
        if env is None:
            raise InputError(f"'{policy}' needs an environment: {GIVE_ENV}")
        with EnvPool(env) as pool:
            return Contender(BUILT_IN[policy](pool.first), policy, env)
    if model is not None:
        return _find_sb3_model(model, env, trust, vecnormalize)
    return _find_trained_agent(policy, env, trust)


def load(
    policy: PolicyLike,
    env: EnvLike | None = None,
    *,
    trust: bool = False,
    vecnormalize: str | os.PathLike[str] | None = None,
) -> Policy:
    """Load a policy by its name; see `find` for the arguments and errors."""
    return find(policy, env, trust=trust, vecnormalize=vecnormalize).policy


def saved_model(policy: str | os.PathLike[str]) -> str | None:
    """Return the file of a model that stable-baselines3 saved; None: the policy is no such model.

    The name may lack .zip, which stable-baselines3 adds when it saves a model. It does not add it
    to a name with another suffix, such as ppo-v1.5.
    """
    path = os.fspath(policy)
    if path in BUILT_IN or path in agents.trained() or os.path.isdir(path):
        return None
    if os.path.isfile(path):
        return path if path.lower().endswith(ZIP) or zipfile.is_zipfile(path) else None
    return path + ZIP if os.path.isfile(path + ZIP) else None


def _find_sb3_model(
    path: str,
    env: EnvLike | None,
    trust: bool,
    vecnormalize: str | os.PathLike[str] | None,
) -> Contender:
    """Load a model saved by stable-baselines3, which does not name its environment."""
    if not trust:
        raise InputError(
            f"'{path}' is a model of stable-baselines3; loading it unpickles data, which can run "
            "any code: add --trust (Python: trust=True) if you trust its author"
        )
    if env is None:
        raise InputError(f"'{path}' needs an environment: {GIVE_ENV}")
    from gridcade.agents.sb3 import load_zip
    from gridcade.agents.sb3_normalize import unused_statistics

    with EnvPool(env) as pool:
        agent = load_zip(path, pool.first, vecnormalize)
    if vecnormalize is None and (unused := unused_statistics(Path(path))):
        text = (
            f"'{unused}' lies beside the model and is not used: a model that was trained with it "
            f"needs {shell_command('--vecnormalize', unused)} (Python: vecnormalize='{unused}')"
        )
        warnings.warn(text, InputWarning, stacklevel=2)
    return Contender(agent, path, env)


def _find_trained_agent(
    policy: str | os.PathLike[str] | Run, env: EnvLike | None, trust: bool
) -> Contender:
    """Load a shipped agent, or the agent of a run."""
    try:
        run, config, tensors = find_trained(policy, BUILT_IN)
    except InputError as error:
        if "did you mean" in str(error) or not registry.is_environment(str(policy)):
            raise
        raise InputError(
            f"'{policy}' is an environment, not a policy; write: "
            f"{shell_command('random', '--env', policy)} "
            f"(Python: 'random', env='{policy}')"
        ) from None
    trained_env = config.env if run is None else run.env
    named = config.env_source == "name"
    if env is None and not named:
        raise InputError(
            f"'{policy}' was trained in Python, on an environment without a name ({trained_env}); "
            "give it in Python: env=FUNCTION, or env=OBJECT"
        )
    if env is None and run is not None and not trust:
        instead = f", or name it: {shell_command('--env', run.settings.env)}"
        check_trusted(run.path, run.settings.env, run.origin, instead)
    own, env = env is None, trained_env if env is None else env
    if isinstance(env, str) and named:
        env = registry.with_actions_of(env, trained_env)
    name = str(policy.path if isinstance(policy, Run) else policy)
    with EnvPool(env) as pool:
        agent = _load_agent(name, config, tensors, pool.first)
        last_step = agent.steps - config.envs  # of training, which counts steps from 0
        if own and isinstance(env, str) and (phase := phase_in_training(pool.first, last_step)):
            env = registry.with_arguments(env, {"phase": phase})
    return Contender(agent, name, env, run, trained_env)


def _load_agent(name: str, config: RunConfig, tensors: Tensors, env: Env) -> BaseAgent:
    """Make a trained agent for an environment. It acts on the CPU, wherever it was trained."""
    hyperparameters = config.hyperparameters
    if isinstance(hyperparameters, HasDevice):
        hyperparameters = replace(hyperparameters, device="cpu")
    agent = agents.find(config.agent).make(env, hyperparameters, config.seed)
    try:
        if "counters" in tensors or not isinstance(agent, Transferable):
            agent.load_state_dict(tensors)
        elif missing := agent.take_layers(tensors, whole=True):  # a shipped agent has only weights
            raise ValueError(f"these layers differ: {', '.join(missing)}")
        else:
            agent.steps = sys.maxsize  # schedules are at their final values
    except ValueError as error:
        here, states, q = registry.name_of(env), env.observation_space, tensors.get("q")
        reason = str(error)
        if q is not None and isinstance(states, gym.spaces.Discrete) and len(q) != states.n:
            reason = f"it learned {len(q)} states, {here} has {states.n}"
        raise InputError(
            f"the agent of '{name}' (trained on {config.env}) does not fit here: {reason}; "
            f"train one there: {shell_command('gridcade', 'train', config.agent, here)}"
        ) from None
    return agent
