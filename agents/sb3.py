"""stable-baselines3's algorithms as contenders: their own loop, our environments and run folder.

An algorithm's config has the arguments of its constructor, under their own names. It learns through
one call of its own `learn`, so that its schedules hold, and is kept as tensors: nothing is pickled.
"""

import json
import os
import random
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache, reduce
from inspect import getdoc, signature
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

import gymnasium as gym
import numpy as np
import torch
from gridcade.agents.optimisers import MnihRMSProp
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import Doc

from gridcade import agents
from gridcade.agents.base import SamplingPolicy
from gridcade.agents.networks import network
from gridcade.agents.probabilities import greedy, with_epsilon
from gridcade.errors import InputError, unknown
from gridcade.experience.loop import Experience
from gridcade.experience.step import Step
from gridcade.seeding import stream

try:
    import stable_baselines3
    from stable_baselines3.common import torch_layers
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.preprocessing import (
        is_image_space,
        is_image_space_channels_first,
    )
    from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
    from stable_baselines3.common.utils import LinearSchedule
    from stable_baselines3.common.vec_env import VecEnv, VecTransposeImage
except ImportError:
    raise InputError("this takes stable-baselines3: pip install 'gridcade[sb3]'") from None

Floats = NDArray[np.float64]
Tensors = dict[str, NDArray[Any]]
Look = Callable[[Step], bool]  # called after each step; whether to go on

LINEAR = "lin_"  # RL Zoo's word for a schedule
ENDLESS = 10**12  # steps, of runs that time alone bounds
SMALLEST_IMAGE = 36  # pixels a side, that the convolutions of 2015 take
NOT_OURS = {  # arguments that are no hyperparameters, or that SB3Config has in its own way
    *("policy", "policy_kwargs", "env", "seed"),
    *("stats_window_size", "tensorboard_log", "verbose", "_init_setup_model"),
}
OURS = {"device": "cpu"}  # defaults that are our agents', so that no contender has more machine
TELLABLE = (bool, int, float, str, NoneType)  # by a TOML file
LEAST = {
    **dict.fromkeys(("batch_size", "buffer_size", "n_epochs", "n_steps", "policy_delay"), 1),
    **dict.fromkeys(("target_update_interval", "threads", "train_freq"), 1),
    **dict.fromkeys(("learning_starts", "schedule_steps"), 0),
}


class Mnih2013CNN(torch_layers.BaseFeaturesExtractor):
    """The hidden layers of Mnih et al. (2013); those of 2015 are stable-baselines3's NatureCNN.

    Pixels of 0 to 1, [batch, frames, height, width] -> [batch, 256].
    """

    def __init__(self, observation_space: gym.spaces.Box):
        layers: Any = network("2013", observation_space.shape, 1).children()
        first, *others, output = layers
        super().__init__(observation_space, output.in_features)
        pixels = nn.Conv2d(observation_space.shape[0], first.out_channels, 8, stride=4)
        self.layers = nn.Sequential(pixels, *others)

    def forward(self, observations: Tensor) -> Tensor:
        """The last hidden layer."""
        features: Tensor = self.layers(observations)
        return features


def mnih_rmsprop(parameters: Iterable[Tensor], lr: float, **rest: float) -> MnihRMSProp:
    """The RMSProp of Mnih et al., called as PyTorch's optimisers are."""
    return MnihRMSProp(parameters, lr, **rest)


CLASSES: dict[str, dict[str, Any]] = {  # of policy_kwargs, by the names that a TOML file gives them
    "activation_fn": {
        name: getattr(nn, name) for name in nn.modules.activation.__all__ if hasattr(nn, name)
    },
    "features_extractor_class": {
        "CombinedExtractor": torch_layers.CombinedExtractor,
        "FlattenExtractor": torch_layers.FlattenExtractor,
        "Mnih2013CNN": Mnih2013CNN,
        "NatureCNN": torch_layers.NatureCNN,
    },
    "optimizer_class": {
        **{name: getattr(torch.optim, name) for name in torch.optim.__all__ if name[0].isupper()},
        "MnihRMSProp": mnih_rmsprop,
        "RMSpropTFLike": RMSpropTFLike,
    },
}


@dataclass(frozen=True)
class SB3Config:
    """What every algorithm takes; `config_class` adds the arguments of one's constructor.

    Raises:
        InputError: a field is out of its range.
    """

    algorithm: ClassVar[type[BaseAlgorithm]]
    schedules: ClassVar[tuple[str, ...]]  # fields that may be schedules

    policy: str = "auto"
    """MlpPolicy, CnnPolicy or MultiInputPolicy; auto: CnnPolicy for images."""
    policy_kwargs: dict[str, Any] = field(default_factory=dict)
    """Of the policy, such as net_arch; classes by their names, such as optimizer_class Adam."""
    clip_rewards: bool = False
    """Rewards to [-1, 1], for the learner only."""
    schedule_steps: int = 0
    """Steps that schedules count as the whole training; 0: as many as the run is to make."""
    threads: int = 1
    """PyTorch's."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, least in LEAST.items():
            value = getattr(self, name, least)
            if isinstance(value, int) and value < least:
                raise InputError(f"{name} is {value}; it takes {least} or more")
        if not 0 <= (gamma := getattr(self, "gamma", 1.0)) <= 1:
            raise InputError(f"gamma is {gamma}; it takes 0 to 1")
        for name in self.schedules:
            _scheduled(name, getattr(self, name), 1.0)

    @property
    def scheduled(self) -> bool:
        """Whether something changes over the training."""
        changing = [isinstance(getattr(self, name), str) for name in self.schedules]
        return any(changing) or hasattr(self, "exploration_fraction")


def _scheduled(name: str, value: Any, share: float) -> Any:
    """What stable-baselines3 takes for `lin_0.1`: from 0.1 to 0 in a share of the training."""
    if not isinstance(value, str):
        return value
    try:
        return LinearSchedule(float(value.removeprefix(LINEAR)), 0.0, share)
    except ValueError:
        raise InputError(
            f"{name} is '{value}'; it takes a number, or {LINEAR}NUMBER, which falls to 0"
        ) from None


def algorithms() -> dict[str, type[BaseAlgorithm]]:
    """The algorithms that stable-baselines3 exports, by our names for them, such as `sb3-dqn`."""
    exported = (getattr(stable_baselines3, name) for name in stable_baselines3.__all__)
    found = [one for one in exported if isinstance(one, type) and issubclass(one, BaseAlgorithm)]
    return {agents.SB3 + one.__name__.lower(): one for one in found}


@cache
def config_class(algorithm: type[BaseAlgorithm]) -> type[SB3Config]:
    """The config of an algorithm: SB3Config, and its constructor's arguments with their defaults.

    The device alone is cpu, as our agents' is. What no TOML file can tell, such as a class or an
    object, is left out.
    """
    added: list[Any] = []
    schedules = []
    about = dict(re.findall(r":param (\w+): ((?:.(?!:param ))*)", getdoc(algorithm) or "", re.S))
    for name, parameter in signature(algorithm).parameters.items():
        union = get_origin(parameter.annotation) in (Union, UnionType)
        kinds = get_args(parameter.annotation) if union else (parameter.annotation,)
        told = [k for k in kinds if k in TELLABLE or get_origin(k) in (dict, tuple)]
        if name in NOT_OURS or told in ([], [NoneType]):
            continue
        if any(get_origin(kind) is dict for kind in told):  # and where it is left out an empty one
            kind, default = dict[str, Any], field(default_factory=dict)
        else:
            if any(get_origin(kind) is Callable for kind in kinds):
                schedules.append(name)
                told.append(str)
            kind, default = reduce(or_, told), field(default=OURS.get(name, parameter.default))
        words = Doc(" ".join(about.get(name, "").split()))
        added.append((name, Annotated[kind, words], default))
    namespace = {
        "algorithm": algorithm,
        "schedules": tuple(schedules),
        "__doc__": SB3Config.__doc__,
    }
    name = f"{algorithm.__name__}Config"
    return make_dataclass(name, added, bases=(SB3Config,), namespace=namespace, frozen=True)


def __getattr__(name: str) -> Any:
    for algorithm in algorithms().values():
        if name == f"{algorithm.__name__}Config":
            return config_class(algorithm)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class SB3VecEnv(VecEnv):
    """Our environments as stable-baselines3 takes them: each episode is reset by its own seed.

    A lost life ends an episode for the learner, while the game goes on.

    Args:
        experience: the loop that steps them; a step of it is a step here.
        clip_rewards: to [-1, 1].
    """

    def __init__(self, experience: Experience, clip_rewards: bool):
        self.envs = experience.envs
        self._experience = experience
        self._clip = clip_rewards
        self._steps = experience.steps(self)
        self._actions: NDArray[Any]
        self.latest: Step
        self.failure: Exception | None = None  # of the environments
        super().__init__(
            self.envs.num_envs, self.envs.single_observation_space, self.envs.single_action_space
        )

    def act(self, observations: Any) -> NDArray[Any]:
        """The actions that stable-baselines3 has chosen."""
        del observations
        return self._actions

    def observe(self, step: Step) -> None:
        """Keep the step, for who looks on."""
        self.latest = step

    def update(self) -> None:
        """Learning is stable-baselines3's own matter."""

    def reset(self) -> Any:
        """The observations that the first steps are made from."""
        return self._experience.current

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Observations, rewards, whether an episode ended, and infos, as `DummyVecEnv` has them."""
        try:
            step = next(self._steps)
        except Exception as error:
            self.failure = error
            raise
        lost = np.zeros(self.num_envs, bool) if step.life_lost is None else step.life_lost
        ended = step.terminated | lost
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        dones = ended | step.truncated
        for env in np.flatnonzero(dones):
            infos[env] = {
                "terminal_observation": _one(step.next_observations, int(env)),
                "TimeLimit.truncated": bool(step.truncated[env] and not ended[env]),
            }
        rewards = np.clip(step.rewards, -1, 1) if self._clip else step.rewards
        return step.current, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """They are closed by whoever made them."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of all environments together, once for each."""
        return [getattr(self.envs, attr_name)] * len(self._indices(indices))

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """No wrapper of stable-baselines3's is in here."""
        del wrapper_class
        return [False] * len(self._indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not to be had: no algorithm asks for it."""
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Not to be had: no algorithm asks for it."""
        raise NotImplementedError

    def _indices(self, indices: Any) -> list[int]:
        return list(self._get_indices(indices))


def _one(observations: Any, env: int) -> Any:
    """The observation of one environment."""
    if isinstance(observations, dict):
        return {key: value[env] for key, value in observations.items()}
    return observations[env]


class Reference:
    """A model of stable-baselines3's: a policy, and if its config is known an agent.

    Args:
        model: the model.
        config: what it was made of; None: it is not to learn.
        seed: of everything random.
    """

    def __init__(self, model: BaseAlgorithm, config: SB3Config | None = None, seed: int = 0):
        self.model: Any = model
        self.config, self._seed = config, seed
        self.steps = 0
        self._total = ENDLESS  # steps of the training
        self._arena: SB3VecEnv

    @property
    def threads(self) -> int:
        """PyTorch's, while it learns."""
        return int(self._config.threads)

    @property
    def memory_bytes(self) -> int:
        """What a full replay buffer takes."""
        space = self.model.observation_space
        if not hasattr(self._config, "buffer_size") or not space.shape:
            return 0
        copies = 1 if getattr(self._config, "optimize_memory_usage", False) else 2
        observation = np.empty(space.shape, space.dtype)
        return copies * observation.nbytes * int(self._config.buffer_size)

    @property
    def _config(self) -> Any:
        assert self.config is not None  # noqa: S101 - for the type checker
        return self.config

    def plan(self, steps: int | None) -> None:
        """Take the number of steps that it is to make; None: time alone bounds them.

        Raises:
            InputError: its schedules would have no end.
        """
        config = self._config
        if steps is None and config.scheduled and not config.schedule_steps:
            raise InputError(
                "stable-baselines3's schedules are shares of the training: give --steps as well, "
                "or --schedule-steps"
            )
        self._total = steps or ENDLESS

    def enter(self, envs: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        """Take the environments to learn in, and the memory that learning needs.

        The global random streams are seeded: stable-baselines3 draws from them.

        Raises:
            InputError: the algorithm does not take them.
        """
        config = self._config
        self._arena = SB3VecEnv(Experience(envs, self._seed), config.clip_rewards)
        self.model = build(config, self._arena, self._seed, self._total)
        self.model.set_logger(Logger(folder=None, output_formats=[]))

    def learn(self, look: Look) -> None:
        """Learn in one call of `learn`, until `look` says so or the planned steps are made.

        Of a rollout that the plan cuts off nothing is learnt.

        Raises:
            InputError: it cannot go on, as when its numbers have diverged.
        """

        def after_step(_locals: dict[str, Any], _globals: dict[str, Any]) -> bool:
            if self.steps >= self._total:
                return False  # PPO would fill its rollout
            self.steps = self.model.num_timesteps
            return look(self._arena.latest)

        try:
            self.model.learn(self._total, callback=after_step, log_interval=sys.maxsize)
        except InputError:
            raise
        except (AssertionError, ValueError) as error:
            if error is self._arena.failure:
                raise
            name = type(self.model).__name__
            raise InputError(f"stable-baselines3's {name} cannot go on: {_line(error)}") from error

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Actions for one observation or a batch."""
        given = (observation, state, episode_start, deterministic)
        actions, inner = self.model.predict(*given)
        return actions, inner

    def metrics(self) -> dict[str, float]:
        """What the algorithm has recorded of its last update; but for two under its own names."""
        found = {}
        for name, value in self.model.logger.name_to_value.items():
            if name == "rollout/exploration_rate":
                found["epsilon"] = min(float(value), 1.0)
            elif name.startswith("train/") and np.isfinite(value):
                key = name.removeprefix("train/")
                found["updates" if key == "n_updates" else key] = float(value)
        return found

    def state_dict(self) -> Tensors:
        """The policy's weights: enough to act by, not to learn on."""
        found = {"counters": np.array([self.steps])}
        if hasattr(self.model, "exploration_rate"):
            found["exploration_rate"] = np.array([self.model.exploration_rate])
        weights = self.model.policy.state_dict()
        return found | {f"policy.{key}": value.cpu().numpy() for key, value in weights.items()}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Put back what `state_dict` gave.

        Raises:
            ValueError: a tensor is missing, or of another shape.
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
            raise ValueError(_line(error)) from None
        if "exploration_rate" in tensors:
            (self.model.exploration_rate,) = tensors["exploration_rate"].tolist()


class DiscreteSB3Agent(SamplingPolicy, Reference):
    """One whose actions are Discrete, so that it can tell its action probabilities.

    They are greedy, and where chance is asked for those of the policy: a softmax, or for DQN
    epsilon-greedy as it acts now.
    """

    def __init__(self, model: BaseAlgorithm, config: SB3Config | None = None, seed: int = 0):
        super().__init__(model, config, seed)
        self._observation_axes = len(model.observation_space.shape or ())
        self._prediction_rng = stream(seed, "prediction")

    @property
    def _epsilon(self) -> float:
        """A schedule may begin above 1, to reach it when the first update is made."""
        return min(getattr(self.model, "exploration_rate", 0.0), 1.0)

    def probabilities(self, observations: Any, deterministic: bool = True) -> Floats:
        """Action probabilities at observations [n, …]: [n, actions]."""
        policy = self.model.policy
        policy.set_training_mode(False)
        with torch.no_grad():
            seen, _ = policy.obs_to_tensor(np.asarray(observations))
            if hasattr(policy, "q_net"):
                table = greedy(policy.q_net(seen).cpu().numpy())
                return table if deterministic else with_epsilon(table, self._epsilon)
            told = policy.get_distribution(seen).distribution.probs.cpu().numpy()
        table = told.astype(np.float64)
        return greedy(table) if deterministic else table / table.sum(axis=1, keepdims=True)


def build(
    config: SB3Config, env: Any, seed: int, total: int = ENDLESS, **instead: Any
) -> BaseAlgorithm:
    """A model as its config has it.

    Args:
        config: the algorithm and its arguments.
        env: a Gymnasium environment, or a VecEnv.
        seed: that stable-baselines3 seeds the global random streams by.
        total: steps of the training.
        instead: of some of the config's arguments.

    Raises:
        InputError: the algorithm does not take them, or not that environment.
    """
    share = config.schedule_steps / total if config.schedule_steps else 1.0
    given = {name: getattr(config, name) for name in _arguments(type(config))}
    given |= {name: _scheduled(name, given[name], share) for name in config.schedules}
    if "exploration_fraction" in given:
        given["exploration_fraction"] *= share
    given |= {name: value for name, value in instead.items() if name in given}
    algorithm: Any = config.algorithm
    policy = _policy(config, env.observation_space)
    kwargs = _policy_kwargs(config.policy_kwargs, algorithm.policy_aliases[policy])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of memory and processors: told elsewhere
            made: BaseAlgorithm = algorithm(policy, env, policy_kwargs=kwargs, seed=seed, **given)
    except (AssertionError, MemoryError, NotImplementedError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        name = algorithm.__name__
        raise InputError(
            f"stable-baselines3's {name} does not take this: {_line(error)}"
        ) from error
    return made


def _arguments(config: type[SB3Config]) -> set[str]:
    """Of the fields of a config those that the algorithm's constructor takes."""
    return {f.name for f in fields(config)} - {f.name for f in fields(SB3Config)}


def _policy(config: SB3Config, space: gym.Space[Any]) -> str:
    """The name of the policy."""
    if config.policy == "auto":
        if isinstance(space, gym.spaces.Dict):
            return "MultiInputPolicy"
        image = is_image_space(space) and sorted(space.shape or ())[1] >= SMALLEST_IMAGE
        return "CnnPolicy" if image else "MlpPolicy"
    known = config.algorithm.policy_aliases
    if config.policy not in known:
        raise unknown("policy", config.policy, ["auto", *known])
    return config.policy


def _policy_kwargs(given: Mapping[str, Any], policy: Any) -> dict[str, Any]:
    """Arguments of a policy, classes found by their names."""
    known = [*signature(policy).parameters][3:]  # without spaces and schedule
    found = dict(given)
    for name, value in given.items():
        if name not in known:
            raise unknown("field of policy_kwargs", name, known)
        if name in CLASSES:
            if value not in CLASSES[name]:
                raise unknown(name, str(value), CLASSES[name])
            found[name] = CLASSES[name][value]
    return found


def _line(error: Exception) -> str:
    """What an error says, in one line: of several, the first that says what it is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    of_several = len(lines) > 1 and lines[0].endswith(":")
    return lines[of_several] if lines else type(error).__name__


@contextmanager
def _streams_kept() -> Iterator[None]:
    """Leave the global random streams, which stable-baselines3 seeds, as they were."""
    python, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpys)  # noqa: NPY002


def make(env: gym.Env[Any, Any], config: SB3Config, seed: int) -> Reference:
    """An agent that fits an environment; InputError if none can. To learn, it has to `enter`."""
    with _streams_kept():
        model = build(config, env, seed, buffer_size=1)
    return _wrapped(model, config, seed)


def _wrapped(model: BaseAlgorithm, config: SB3Config | None = None, seed: int = 0) -> Reference:
    actions, seen = model.action_space, model.observation_space
    if isinstance(actions, gym.spaces.Discrete):
        if actions.start != 0:
            raise InputError(f"stable-baselines3 takes actions from 0 on; these are {actions}")
        if not isinstance(seen, gym.spaces.Dict):
            return DiscreteSB3Agent(model, config, seed)
    return Reference(model, config, seed)


def load_zip(path: str | os.PathLike[str], env: gym.Env[Any, Any]) -> Reference:
    """A model that stable-baselines3 has saved. Its file may run any code: only if it is trusted.

    Args:
        path: the zip file.
        env: where it is to act.

    Raises:
        InputError: it is no such file, or its model does not fit the environment.
    """
    algorithm: Any = None
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
        algorithm = _algorithm_of(data)
        small = {"buffer_size": 1} if "buffer_size" in data else {}
        with warnings.catch_warnings(), _streams_kept():
            warnings.simplefilter("ignore")  # of what was saved by another version
            model = algorithm.load(path, device="cpu", **small)
    except Exception as error:  # pickles raise anything
        name = algorithm.__name__ if algorithm else "model"
        raise InputError(
            f"cannot load '{path}' as a stable-baselines3 {name}: {_line(error)}"
        ) from error
    seen: Any = env.observation_space
    if is_image_space(seen) and not is_image_space_channels_first(seen):
        seen = VecTransposeImage.transpose_space(seen)  # as stable-baselines3 does
    spaces = {
        "observation": (model.observation_space, seen),
        "action": (model.action_space, env.action_space),
    }
    for what, (saved, present) in spaces.items():
        if _form(saved) != _form(present):
            words = f"its {what}s are {saved}, these {present}"
            raise InputError(f"the model '{path}' does not fit here: {' '.join(words.split())}")
    return _wrapped(model)


def _algorithm_of(data: Mapping[str, Any]) -> type[BaseAlgorithm]:
    """Whose attributes a model has, by their names: nothing is unpickled.

    The one of whose hyperparameters the fewest are missing; of equals the one that has more.
    """

    def rank(algorithm: type[BaseAlgorithm]) -> tuple[int, int]:
        names = _arguments(config_class(algorithm))
        return len(names - set(data)), -len(names)

    return min(algorithms().values(), key=rank)


def _form(space: gym.Space[Any]) -> Any:
    """What a network depends on; bounds differ from one version of an environment to another."""
    if isinstance(space, gym.spaces.Dict):
        return {key: _form(part) for key, part in space.items()}
    sizes = [str(getattr(space, name, None)) for name in ("n", "nvec")]
    return type(space), space.shape, *sizes
