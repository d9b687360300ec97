"""Small worlds and policies for tests of evaluations."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from gridcade.envs import registry
from gridcade.envs.gridworld import grid_model
from gridcade.envs.maps import parse_world
from gridcade.envs.tabular import Model
from gridcade.evaluation.episodes import EpisodeRunner
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.policies import UniformPolicy
from gridcade.experience.vector import make_vector

WORLDS = {
    # a reward only at an end: frequent, and rare
    "goal": "slip: 0.3\nlegend:\n    o: end\nmap:\no....\no.S.G\no....\nooooo",
    "rare": "legend:\n    o: end\nmap:\noooooo\n#SS..G\noooooo",
    # rewards in all steps, so that returns are correlated with lengths
    "costs": "step reward: -0.1\nslip: 0.2\nlegend:\n    o: end, reward -1\nmap:\nS..\n.o.\n..G",
    # most episodes are truncated
    "limited": "step reward: -1\ntime limit: 8\nmap:\nS..G",
    # a continuing task
    "portal": "legend:\n    P: reward 1, to S\nmap:\nS.P",
}


def write_maps(folder: Path) -> Path:
    """Write the worlds as map files, from which environments can be made."""
    for name, text in WORLDS.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def world_model(name: str) -> tuple[Model, int | None]:
    """The model and the time limit of one of the worlds."""
    world = parse_world(WORLDS[name])
    return grid_model(world), world.time_limit


def env_model(env: str) -> tuple[Model, int | None]:
    """The model and the time limit of an environment."""
    single = registry.make(env)
    model = registry.known_model(single)
    assert model is not None
    return model, registry.time_limit(single)


def uniform_runner(env: str, num_envs: int) -> EpisodeRunner:
    """A runner of the uniformly random policy."""
    single = registry.make(env)
    policy = EvaluatedPolicy(UniformPolicy(4), single, epsilon=0.0, deterministic=True)
    limit = registry.time_limit(single)
    return EpisodeRunner([make_vector(env, num_envs)], policy, discount=0.99, time_limit=limit)


class SeedRecorder(gym.Wrapper[Any, Any, Any, Any]):
    """Records the seed of every reset."""

    def __init__(self, env: gym.Env[Any, Any]):
        super().__init__(env)
        self.seeds: list[int] = []

    def reset(self, **options: Any) -> Any:
        self.seeds.append(options["seed"])
        return self.env.reset(**options)


class Corridor(gym.Env[Any, Any]):
    """Episodes of a fixed length with reward 1 in each step; the model is unknown."""

    def __init__(self, length: int = 3) -> None:
        self.observation_space = gym.spaces.Discrete(3)
        self.action_space = gym.spaces.Discrete(4)
        self._length, self._steps = length, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        del seed, options
        self._steps = 0
        return 0, {}

    def step(self, action: Any) -> Any:
        del action
        self._steps += 1
        return min(self._steps, 2), 1.0, self._steps == self._length, False, {}


class Predictor:
    """A policy with `predict` only that always moves right; it may return an inner state."""

    def __init__(self, has_state: bool):
        self._has_state = has_state
        self.starts: list[Any] = []  # the `episode_start` of each call

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        del state, deterministic
        self.starts.append(np.array(episode_start))
        return np.ones(len(observation), dtype=np.int64), (0 if self._has_state else None)
