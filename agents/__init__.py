"""Agents: policies that learn from the steps that they are handed.

`base.py` is the contract, and every algorithm is one file. An agent is found by its name and loaded
when it is used. This package may import `envs` and `experience`.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from gridcade.envs import registry
from gridcade.errors import unknown

if TYPE_CHECKING:
    from gridcade.agents.dqn import DQN as DQN
    from gridcade.agents.dqn import DQNConfig as DQNConfig
    from gridcade.agents.pqn import PQN as PQN
    from gridcade.agents.pqn import PQNConfig as PQNConfig
    from gridcade.agents.q_learning import QLearning as QLearning
    from gridcade.agents.q_learning import QLearningConfig as QLearningConfig
    from gridcade.agents.schedules import Schedule as Schedule

PRESETS = Path(__file__).parent / "presets"
TRAINED = Path(__file__).parent / "trained"
WEIGHTS = "weights.safetensors"  # of an agent in it
SB3 = "sb3-"  # begins the names of stable-baselines3's algorithms
_EXPORTS = {
    "DQN": "dqn",
    "DQNConfig": "dqn",
    "PQN": "pqn",
    "PQNConfig": "pqn",
    "QLearning": "q_learning",
    "QLearningConfig": "q_learning",
    "Schedule": "schedules",
}


@dataclass(frozen=True)
class AgentKind:
    """What there is to know of an agent before one is made."""

    name: str
    about: str
    module: str  # of gridcade.agents
    config_name: str
    default_preset: str
    image_preset: str = ""  # for environments seen as images, if another one
    pixels_preset: str = ""  # for grey or coloured pictures, [h, w, 1 or 3], if another one again
    state_preset: str = ""  # for worlds seen as numbered states, if another one
    presets_folder: str = ""  # if not the one of its name

    def preset_for(self, env: str) -> str:
        """The default preset for an environment of a name."""
        if not self.image_preset:
            return self.default_preset
        with closing(registry.make(env)) as single:
            space = single.observation_space
        if self.state_preset and isinstance(space, gym.spaces.Discrete):
            return self.state_preset
        if space.shape is None or len(space.shape) != 3:
            return self.default_preset
        picture = space.shape[-1] in (1, 3)
        return (picture and self.pixels_preset) or self.image_preset

    @property
    def config(self) -> Any:
        """The dataclass of its hyperparameters."""
        return getattr(import_module(f"gridcade.agents.{self.module}"), self.config_name)

    @property
    def make(self) -> Callable[..., Any]:
        """`make(env, config, seed)`: an agent that fits an environment; InputError if none can."""
        made: Callable[..., Any] = import_module(f"gridcade.agents.{self.module}").make
        return made

    def compiled_loop(self, agent: Any, env: Any, seed: int) -> Any:
        """The compiled loop of a tabular agent in a world whose model is known; otherwise None."""
        base = import_module("gridcade.agents.base")
        model = registry.known_model(env) if isinstance(agent, base.Compiled) else None
        return model and agent.compiled_loop(model, registry.time_limit(env), seed)

    def presets(self) -> dict[str, Path]:
        """Its presets by name."""
        folder = self.presets_folder or self.name
        return {file.stem: file for file in sorted(PRESETS.glob(f"{folder}/*.toml"))}

    def preset(self, name: str) -> Path:
        """The file of a preset; InputError, with the nearest name, if there is none."""
        found = self.presets()
        if name not in found:
            raise unknown(f"preset of {self.name}", name, found)
        return found[name]


AGENTS = {
    kind.name: kind
    for kind in (
        AgentKind(
            name="q-learning",
            about="tabular Q-learning: Watkins' discounted, and differential for the gain",
            module="q_learning",
            config_name="QLearningConfig",
            default_preset="watkins",
        ),
        AgentKind(
            name="dqn",
            about="deep Q-learning with experience replay, after Mnih et al. (2013, 2015)",
            module="dqn",
            config_name="DQNConfig",
            default_preset="vector",
            image_preset="two-core",
            pixels_preset="pixels",
        ),
        AgentKind(
            name="pqn",
            about="deep Q-learning on many environments, without replay (Gallici et al. 2024)",
            module="pqn",
            config_name="PQNConfig",
            default_preset="vector-pqn",
            image_preset="two-core-pqn",
            pixels_preset="pixels-pqn",
        ),
        *(
            AgentKind(
                name=f"{SB3}{algorithm.lower()}",
                about=f"stable-baselines3's {algorithm}, as a reference",
                module="sb3",
                config_name=f"{algorithm}Config",
                default_preset="vector",
                image_preset="two-core",
                state_preset="gridworld",
            )
            for algorithm in ("DQN", "PPO", "A2C")
        ),
    )
}


def trained() -> dict[str, Path]:
    """The agents that come trained, by name: folders with config, weights and a model card."""
    return {file.parent.name: file.parent for file in sorted(TRAINED.glob("*/config.toml"))}


def find(name: str) -> AgentKind:
    """An agent by its name; InputError, with the nearest one, if there is none.

    Every algorithm of stable-baselines3 is one: `sb3-sac` is its SAC.
    """
    if name in AGENTS:
        return AGENTS[name]
    others: dict[str, Any] = {}
    if name.startswith(SB3):
        others = import_module("gridcade.agents.sb3").algorithms()
    if name not in others:
        raise unknown("agent", name, {**AGENTS, **others})
    algorithm = others[name].__name__
    return AgentKind(
        name=name,
        about=f"stable-baselines3's {algorithm}, as a reference",
        module="sb3",
        config_name=f"{algorithm}Config",
        default_preset="defaults",
        presets_folder="sb3",
    )


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(f"gridcade.agents.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
