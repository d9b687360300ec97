"""Agents that learn with stable-baselines3's algorithms.

Every algorithm that stable-baselines3 exports is an agent. It learns in Gridcade's environments by
one call of its own `learn`, so its schedules work as usual. Weights are saved as tensors; nothing
is pickled. The configs are in `sb3_config.py`, the environments in `sb3_env.py`, the construction
of models in `sb3_model.py`, and the loading of zip files in `sb3_zip.py`.
"""

import os
import sys
from typing import Any

from gridcade.envs.types import Array, Env, Envs
from gridcade.errors import InputError

try:  # before the slow imports, and before the sb3 modules that import it without this check
    from stable_baselines3.common.base_class import BaseAlgorithm
except ImportError:
    raise InputError("sb3 agents need stable-baselines3: pip install 'gridcade[sb3]'") from None

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.dqn import DQN
from torch import Tensor

from gridcade.agents.base import (
    Callback,
    Floats,
    Masks,
    Observation,
    Observations,
    PolicyState,
    SamplingPolicy,
    SelfTrainedAgent,
    Tensors,
)
from gridcade.agents.probabilities import greedy, with_epsilon
from gridcade.agents.sb3_config import SB3Config, algorithms, config_class
from gridcade.agents.sb3_env import SB3VecEnv
from gridcade.agents.sb3_model import (
    UNBOUNDED_STEPS,
    buffer_bytes,
    build_model,
    one_line,
    preserve_random_streams,
)
from gridcade.agents.sb3_normalize import Normalize, load_normalization
from gridcade.agents.sb3_streams import begin_training, check_no_training, end_training
from gridcade.agents.sb3_zip import load_model
from gridcade.agents.spaces import check_sb3_spaces
from gridcade.experience.loop import Experience
from gridcade.seeding import stream


def __getattr__(name: str) -> Any:
    """Return a config class such as `PPOConfig`, which `AgentKind` reads from this module."""
    for algorithm in algorithms().values():
        if name == f"{algorithm.__name__}Config":
            return config_class(algorithm)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make(env: Env, config: SB3Config, seed: int) -> "SB3Agent":
    """Make an agent for an environment. Call its `set_env` before `learn`.

    Raises:
        InputError: the algorithm rejects the environment or the hyperparameters.
    """
    check_sb3_spaces(env)
    with preserve_random_streams():
        model = build_model(config, env, seed, replay=False)
    model.env = None  # not needed before `set_env`; the agent can be copied without it
    return _agent(model, config, seed)


def load_zip(
    path: str | os.PathLike[str], env: Env, vecnormalize: str | os.PathLike[str] | None = None
) -> "SB3Agent":
    """Load a model that stable-baselines3 has saved, as an agent that acts but does not learn.

    The files can run any code: load only files that you trust. See `sb3_zip.load_model`.

    Args:
        path: the zip file of the model.
        env: the environment that the model will act in.
        vecnormalize: a file with statistics of VecNormalize, which normalize observations.

    Raises:
        InputError: a file does not hold a model or statistics, or does not fit the environment.
    """
    agent = _agent(load_model(path, env), None, 0)
    if vecnormalize is not None:
        agent.normalize = load_normalization(vecnormalize, env)
    return agent


def _agent(model: BaseAlgorithm, config: SB3Config | None, seed: int) -> "SB3Agent":
    """Make an agent of a model; it has action probabilities if the actions are Discrete."""
    actions = model.action_space
    if isinstance(actions, gym.spaces.Discrete) and actions.start != 0:
        raise InputError(
            f"stable-baselines3 needs actions that start at 0; the action space is {actions}"
        )
    if type(model).__module__.startswith("sb3_contrib."):
        from gridcade.agents.sb3_contrib import agent_kind

        return agent_kind(model)(model, config, seed)
    if not isinstance(actions, gym.spaces.Discrete):
        return SB3Agent(model, config, seed)
    kind = DQNSB3Agent if isinstance(model, DQN) else ActorCriticSB3Agent
    return kind(model, config, seed)


def _unchanged(observations: Any) -> Any:
    """Return observations unchanged; a function, because agents with a lambda cannot be pickled."""
    return observations


class SB3Agent(SelfTrainedAgent):
    """A model of stable-baselines3 or sb3-contrib as an agent.

    Args:
        model: the model. `set_env` replaces it by one for the environments.
        config: the hyperparameters that the model was built from; None: it cannot learn.
        seed: the run's random seed.

    Attributes:
        normalize: normalizes observations before the model sees them.
    """

    uses_masks = False

    def __init__(self, model: BaseAlgorithm, config: SB3Config | None = None, seed: int = 0):
        self.model = model
        self.normalize: Normalize = _unchanged
        self.config = config
        self.torch_threads = config.threads if config else 1
        self._seed = seed
        self._total_steps = UNBOUNDED_STEPS
        self._envs: SB3VecEnv

    def set_total_steps(self, steps: int | None) -> None:
        """Set the run's number of steps, which schedules need; None: only time bounds the run.

        Raises:
            InputError: the schedules need a number of steps, or an agent of stable-baselines3
                trains on another thread.
        """
        check_no_training()
        config = self._learning_config
        if steps is None and config.has_schedules and not config.schedule_steps:
            raise InputError(
                "stable-baselines3's schedules end after a fraction of the total number of steps, "
                "which minutes alone do not give: set --steps as well, or --schedule-steps"
            )
        self._total_steps = steps or UNBOUNDED_STEPS

    def set_env(self, envs: Envs) -> None:
        """Set the environments to learn in, and allocate the replay or rollout buffer.

        This seeds the global random streams, from which stable-baselines3 draws.

        Raises:
            InputError: the algorithm rejects the environments, or an agent of stable-baselines3
                trains on another thread.
        """
        config = self._learning_config
        begin_training(self)
        self._envs = SB3VecEnv(Experience(envs, self._seed), config.clip_rewards)
        self.model = build_model(config, self._envs, self._seed, self._total_steps)
        self.model.set_logger(Logger(folder=None, output_formats=[]))

    def learn(self, callback: Callback) -> None:
        """Learn until the callback returns False, or the total number of steps is reached.

        The agent does not learn from a rollout that the total number of steps cuts off.

        Raises:
            InputError: the algorithm cannot continue, for example because it has diverged.
        """

        def after_step(_locals: dict[str, Any], _globals: dict[str, Any]) -> bool:
            # On-policy algorithms fill their last rollout beyond the total number of steps
            # (https://github.com/DLR-RM/stable-baselines3/issues/1150). The first step beyond it is
            # not counted, and ends the training, because it belongs to such a rollout.
            if self.steps >= self._total_steps:
                return False
            self.steps = self.model.num_timesteps
            return callback(self._envs.latest)

        try:
            # The logger is never dumped, because that would clear the values for `metrics`.
            self.model.learn(self._total_steps, callback=after_step, log_interval=sys.maxsize)
        except InputError:
            raise
        except (AssertionError, ValueError) as error:
            if error is self._envs.failure:
                raise
            name = type(self.model).__name__
            raise InputError(
                f"stable-baselines3's {name} cannot continue: {one_line(error)}"
            ) from error
        finally:
            end_training()

    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
    ) -> tuple[Array, PolicyState]:
        """Return actions for one observation or a batch."""
        array: Any = self.normalize(observation)  # the protocol also allows a single number
        return self.model.predict(array, state, episode_start, deterministic)

    def metrics(self) -> dict[str, float]:
        """Return the values that stable-baselines3 recorded at its last update, under its names.

        Two values get the names of Gridcade's own agents: `epsilon` and `updates`.
        """
        metrics = {}
        for name, value in self.model.logger.name_to_value.items():
            if name == "rollout/exploration_rate":
                metrics["epsilon"] = min(float(value), 1.0)
            elif name.startswith("train/") and np.isfinite(value):
                key = name.removeprefix("train/")
                metrics["updates" if key == "n_updates" else key] = float(value)
        return metrics

    def state_dict(self) -> Tensors:
        """Return the policy's weights, the steps and epsilon: enough to act, not to resume."""
        tensors = {"counters": np.array([self.steps])}
        rate = getattr(self.model, "exploration_rate", None)  # only DQN and QR-DQN have it
        if rate is not None:
            tensors["exploration_rate"] = np.array([rate])
        weights = self.model.policy.state_dict()
        return tensors | {f"policy.{key}": value.cpu().numpy() for key, value in weights.items()}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: a tensor is missing, or has another shape.
        """
        weights = {
            key.removeprefix("policy."): torch.from_numpy(np.array(value))
            for key, value in tensors.items()
            if key.startswith("policy.")
        }
        try:
            self.model.policy.load_state_dict(weights)
            (self.steps,) = tensors["counters"].tolist()
        except (KeyError, RuntimeError) as error:
            raise ValueError(one_line(error)) from None
        if "exploration_rate" in tensors:
            model: Any = self.model
            (model.exploration_rate,) = tensors["exploration_rate"].tolist()

    def memory_bytes(self, num_envs: int) -> int:
        """Return the bytes of a full replay buffer, or of a rollout of all environments."""
        return buffer_bytes(self.config, self.model, num_envs) if self.config else 0

    @property
    def _learning_config(self) -> SB3Config:
        if self.config is None:
            raise InputError("a model that was loaded from a zip file cannot learn")
        return self.config


class DiscreteSB3Agent(SamplingPolicy, SB3Agent):
    """An agent with Discrete actions, whose action probabilities are known."""

    def __init__(self, model: BaseAlgorithm, config: SB3Config | None = None, seed: int = 0):
        super().__init__(model, config, seed)
        self._observation_space = model.observation_space
        self._prediction_rng = stream(seed, "prediction")

    def _inputs(self, observations: Any) -> Tensor | dict[str, Tensor]:
        """Convert observations [n, ...] to inputs of the policy, and set its evaluation mode."""
        self.model.policy.set_training_mode(False)
        batch = observations if isinstance(observations, dict) else np.asarray(observations)
        inputs, _ = self.model.policy.obs_to_tensor(self.normalize(batch))
        return inputs


class DQNSB3Agent(DiscreteSB3Agent):
    """DQN. Deterministic: the greedy policy; otherwise epsilon-greedy with the current epsilon."""

    def action_values(self, observations: Observations) -> Floats:
        """Return Q(s, a) at observations [n, ...]: [n, actions]."""
        policy: Any = self.model.policy
        with torch.no_grad():
            values = policy.q_net(self._inputs(observations)).cpu().numpy()
        return np.asarray(values, dtype=np.float64)

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Return the action probabilities at observations [n, ...]: [n, actions], without masks."""
        del masks
        table = greedy(self.action_values(observations))
        return table if deterministic else with_epsilon(table, self._epsilon)

    @property
    def _epsilon(self) -> float:
        """The current probability of a random action, at most 1.

        Schedules of presets start above 1, so that epsilon is 1 at the first update:
        stable-baselines3 counts from the first step, not from `learning_starts`
        (https://github.com/DLR-RM/stable-baselines3/issues/529).
        """
        model: Any = self.model
        return min(float(model.exploration_rate), 1.0)


class ActorCriticSB3Agent(DiscreteSB3Agent):
    """A2C or PPO. Deterministic: the most probable action; otherwise the policy's distribution."""

    def state_values(self, observations: Observations) -> Floats:
        """Return V(s) at observations [n, ...]: [n]."""
        policy: Any = self.model.policy
        with torch.no_grad():
            values = policy.predict_values(self._inputs(observations)).cpu().numpy()  # [n, 1]
        return np.asarray(values[:, 0], dtype=np.float64)

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Return the action probabilities at observations [n, ...]: [n, actions], without masks."""
        del masks
        policy: Any = self.model.policy
        with torch.no_grad():
            distribution = policy.get_distribution(self._inputs(observations)).distribution
            table = distribution.probs.cpu().numpy().astype(np.float64)  # [n, actions]
        return greedy(table) if deterministic else table / table.sum(axis=1, keepdims=True)
