"""Agents: policies that learn from the steps that they are handed.

`base.py` is the contract, and every algorithm is one file. An agent is found by its name and loaded
when it is used. This package may import `envs` and `experience`.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from gridcade.envs.observations import ArrayEncoder
from gridcade.envs.registry import known_model
from gridcade.envs.suites import find_suite
from gridcade.envs.types import Env
from gridcade.errors import InputError, unknown

if TYPE_CHECKING:
    from gridcade.agents.base import Agent, AgentConfig, SelfTrainedAgent
    from gridcade.agents.dqn import DQN as DQN
    from gridcade.agents.dqn import DQNConfig as DQNConfig
    from gridcade.agents.pqn import PQN as PQN
    from gridcade.agents.pqn import PQNConfig as PQNConfig
    from gridcade.agents.q_learning import QLearning as QLearning
    from gridcade.agents.q_learning import QLearningConfig as QLearningConfig
    from gridcade.agents.schedules import Schedule as Schedule

PRESETS = Path(__file__).parent / "presets"
TRAINED = Path(__file__).parent / "trained"
WEIGHTS = "weights.safetensors"  # of a shipped agent
SB3 = "sb3-"  # begins the names of stable-baselines3's algorithms
SMALL_IMAGES = "minatar", "minigrid"  # presets for small images of other environments
MANY_STATES = 128  # numbered states; above this number an agent may have another default preset
EXPORTS = {
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
    """What is known of an agent before its module is loaded."""

    name: str
    about: str
    module: str  # of gridcade.agents
    config_name: str
    default_preset: str
    image_preset: str = ""  # for Atari games and other stacks of pictures; default: default_preset
    pixels_preset: str = ""  # for other pictures of bytes, 36 pixels or more; default: image_preset
    state_preset: str = ""  # for numbered states; default: default_preset
    dict_preset: str = ""  # for Dict observations; default: default_preset
    large_preset: str = ""  # for more than MANY_STATES numbered states; default: state_preset
    presets_folder: str = ""  # default: its name

    def preset_for(self, env: Env) -> str:
        """The default preset for an environment: that of its suite, or by its observations."""
        space = env.observation_space
        if isinstance(space, gym.spaces.Discrete):
            # The steps of large_preset are for the compiled loop of worlds with a model.
            return self.preset_for_states(int(space.n) if known_model(env) is not None else 1)
        try:
            images = [part for part in ArrayEncoder(space).parts if part.image_kind]
        except InputError:  # no network can learn here, and `make` says why
            images = []
        if any(part.image_kind == "small" for part in images):
            suite = find_suite(env.spec.id) if env.spec else None
            names = [suite.package if suite else "", *SMALL_IMAGES]
            preset = next((name for name in names if name in self.presets()), "")
        else:
            shapes = [part.image for part in images if part.image]
            stacked = any(shape.channels not in (1, 3) for shape in shapes)
            pixels = "" if stacked else self.pixels_preset
            preset = (pixels or self.image_preset) if shapes else ""
        if isinstance(space, gym.spaces.Dict):
            preset = preset or self.dict_preset
        return preset or self.default_preset

    def preset_for_states(self, states: int) -> str:
        """The default preset for so many numbered states."""
        large = self.large_preset if states > MANY_STATES else ""
        return large or self.state_preset or self.default_preset

    @property
    def presets_differ(self) -> bool:
        """Whether the default preset depends on the environment."""
        presets = (self.image_preset, self.pixels_preset, self.state_preset, self.large_preset)
        return any(presets) or any(name in self.presets() for name in SMALL_IMAGES)

    @property
    def config(self) -> "type[AgentConfig]":
        """The dataclass of its hyperparameters."""
        config: type[AgentConfig] = getattr(self._load(), self.config_name)
        return config

    def make(self, env: Env, config: "AgentConfig", seed: int) -> "Agent | SelfTrainedAgent":
        """Make an agent for an environment; InputError if it does not fit."""
        agent: Agent | SelfTrainedAgent = self._load().make(env, config, seed)
        return agent

    def presets(self) -> dict[str, Path]:
        """Its presets by name."""
        folder = self.presets_folder or self.name
        return {file.stem: file for file in sorted(PRESETS.glob(f"{folder}/*.toml"))}

    def preset(self, name: str) -> Path:
        """The file of a preset; InputError, with the nearest name, if it does not exist."""
        presets = self.presets()
        if name not in presets:
            raise unknown(f"preset of {self.name}", name, presets)
        return presets[name]

    def _load(self) -> ModuleType:
        return import_module(f"gridcade.agents.{self.module}")


AGENTS = {
    kind.name: kind
    for kind in (
        AgentKind(
            name="q-learning",
            about="tabular Q-learning: Watkins' discounted, and differential for average reward",
            module="q_learning",
            config_name="QLearningConfig",
            default_preset="watkins",
            large_preset="watkins-large",
        ),
        AgentKind(
            name="dqn",
            about="deep Q-learning with experience replay (Mnih et al. 2013, 2015)",
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
                # the n-step returns of other presets are not supported for Dict observations
                dict_preset="defaults" if algorithm == "DQN" else "",
            )
            for algorithm in ("DQN", "PPO", "A2C")
        ),
    )
}


def trained() -> dict[str, Path]:
    """The shipped agents by name: folders with a config, weights and a model card."""
    return {file.parent.name: file.parent for file in sorted(TRAINED.glob("*/config.toml"))}


def find(name: str) -> AgentKind:
    """Find an agent by its name; InputError, with the nearest one, if it does not exist.

    Every algorithm of stable-baselines3 is one: `sb3-sac` is its SAC. So are those of sb3-contrib
    that `sb3_config.CONTRIB` lists.
    """
    if name in AGENTS:
        return AGENTS[name]
    others: dict[str, type] = {}
    if name.startswith(SB3):
        others = import_module("gridcade.agents.sb3").algorithms()
        import_module("gridcade.agents.sb3_config").check_contrib(name)
    if name not in others:
        raise unknown("agent", name, {**AGENTS, **others})
    algorithm = others[name].__name__
    package = others[name].__module__.partition(".")[0].replace("_", "-")
    return AgentKind(
        name=name,
        about=f"{package}'s {algorithm}, as a reference",
        module="sb3",
        config_name=f"{algorithm}Config",
        default_preset="defaults",
        presets_folder="sb3",
    )


def __getattr__(name: str) -> Any:
    if name in EXPORTS:
        return getattr(import_module(f"gridcade.agents.{EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
