"""Agents: policies that learn from the steps of the loop.

`base.py` defines the interface, and every algorithm is one file. `find` finds an agent by its name;
its module is loaded when it is first used. This package may import `envs` and `experience`.
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
    from gridcade.agents.double_q_learning import DoubleQLearning as DoubleQLearning
    from gridcade.agents.double_q_learning import DoubleQLearningConfig as DoubleQLearningConfig
    from gridcade.agents.dqn import DQN as DQN
    from gridcade.agents.dqn import DQNConfig as DQNConfig
    from gridcade.agents.dyna_q import DynaQ as DynaQ
    from gridcade.agents.dyna_q import DynaQConfig as DynaQConfig
    from gridcade.agents.expected_sarsa import ExpectedSarsa as ExpectedSarsa
    from gridcade.agents.expected_sarsa import ExpectedSarsaConfig as ExpectedSarsaConfig
    from gridcade.agents.monte_carlo import MonteCarlo as MonteCarlo
    from gridcade.agents.monte_carlo import MonteCarloConfig as MonteCarloConfig
    from gridcade.agents.pqn import PQN as PQN
    from gridcade.agents.pqn import PQNConfig as PQNConfig
    from gridcade.agents.q_lambda import QLambda as QLambda
    from gridcade.agents.q_lambda import QLambdaConfig as QLambdaConfig
    from gridcade.agents.q_learning import QLearning as QLearning
    from gridcade.agents.q_learning import QLearningConfig as QLearningConfig
    from gridcade.agents.sarsa import Sarsa as Sarsa
    from gridcade.agents.sarsa import SarsaConfig as SarsaConfig
    from gridcade.agents.schedules import Schedule as Schedule

PRESETS = Path(__file__).parent / "presets"
TRAINED = Path(__file__).parent / "trained"
WEIGHTS = "weights.safetensors"  # the file in a shipped agent's folder
SB3 = "sb3-"  # prefix of the names of stable-baselines3's algorithms
SMALL_IMAGES = "minatar", "minigrid"  # presets for small images of other environments
MANY_STATES = 128  # numbered states; above this number an agent may have another default preset
EXPORTS = {
    "DQN": "dqn",
    "DQNConfig": "dqn",
    "DoubleQLearning": "double_q_learning",
    "DoubleQLearningConfig": "double_q_learning",
    "DynaQ": "dyna_q",
    "DynaQConfig": "dyna_q",
    "ExpectedSarsa": "expected_sarsa",
    "ExpectedSarsaConfig": "expected_sarsa",
    "MonteCarlo": "monte_carlo",
    "MonteCarloConfig": "monte_carlo",
    "PQN": "pqn",
    "PQNConfig": "pqn",
    "QLambda": "q_lambda",
    "QLambdaConfig": "q_lambda",
    "QLearning": "q_learning",
    "QLearningConfig": "q_learning",
    "Sarsa": "sarsa",
    "SarsaConfig": "sarsa",
    "Schedule": "schedules",
}


@dataclass(frozen=True)
class AgentKind:
    """The description of an agent: what is known before its module is loaded."""

    name: str
    about: str
    module: str  # in gridcade.agents
    config_name: str
    default_preset: str
    image_preset: str = ""  # for Atari games and other stacks of pictures; default: default_preset
    pixels_preset: str = ""  # for other pictures of bytes, 36 pixels or more; default: image_preset
    state_preset: str = ""  # for numbered states; default: default_preset
    dict_preset: str = ""  # for Dict observations; default: default_preset
    large_preset: str = ""  # for more than MANY_STATES numbered states; default: state_preset
    presets_folder: str = ""  # folder of presets that several agents share; default: only its own
    is_tabular: bool = False  # whether it has a table of values; see tabular.py

    def preset_for(self, env: Env) -> str:
        """Select the default preset for an environment, by its suite and its observations."""
        space = env.observation_space
        if isinstance(space, gym.spaces.Discrete):
            # The steps of large_preset are for the compiled loop of worlds with a model.
            return self.preset_for_states(int(space.n) if known_model(env) is not None else 1)
        try:
            images = [part for part in ArrayEncoder(space).parts if part.image_kind]
        except InputError:  # no network can learn here; `make` raises the error with the reason
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
        """Return the default preset for this number of numbered states."""
        large = self.large_preset if states > MANY_STATES else ""
        return large or self.state_preset or self.default_preset

    @property
    def presets_differ(self) -> bool:
        """Whether the default preset depends on the environment."""
        presets = (self.image_preset, self.pixels_preset, self.state_preset, self.large_preset)
        return any(presets) or any(name in self.presets() for name in SMALL_IMAGES)

    @property
    def config(self) -> "type[AgentConfig]":
        """The dataclass of the agent's hyperparameters."""
        config: type[AgentConfig] = getattr(self._load(), self.config_name)
        return config

    def make(self, env: Env, config: "AgentConfig", seed: int) -> "Agent | SelfTrainedAgent":
        """Make an agent for an environment; InputError if they do not fit."""
        agent: Agent | SelfTrainedAgent = self._load().make(env, config, seed)
        return agent

    def presets(self) -> dict[str, Path]:
        """Return the files of the agent's presets, by name."""
        folders = self.presets_folder or self.name, self.name
        files = {file for folder in folders for file in PRESETS.glob(f"{folder}/*.toml")}
        return {file.stem: file for file in sorted(files, key=lambda file: file.stem)}

    def preset(self, name: str) -> Path:
        """Return the file of a preset; InputError, with the known names, if it does not exist."""
        presets = self.presets()
        if name not in presets:
            owners = [kind.name for kind in AGENTS.values() if name in kind.presets()]
            if owners:
                raise InputError(
                    f"unknown preset of {self.name} '{name}' (a preset of {', '.join(owners)}); "
                    f"known: {', '.join(presets)}"
                )
            raise unknown(f"preset of {self.name}", name, presets)
        return presets[name]

    def _load(self) -> ModuleType:
        return import_module(f"gridcade.agents.{self.module}")


def tabular(name: str, class_name: str, about: str) -> AgentKind:
    """Describe a tabular agent that has the presets of most tabular agents."""
    return AgentKind(
        name=name,
        about=about,
        module=name.replace("-", "_"),
        config_name=f"{class_name}Config",
        default_preset="annealed",
        large_preset="annealed-large",
        presets_folder="tabular",
        is_tabular=True,
    )


AGENTS = {
    kind.name: kind
    for kind in (
        AgentKind(
            name="monte-carlo",
            about="tabular Monte Carlo control: on-policy, first-visit; learns when episodes end",
            module="monte_carlo",
            config_name="MonteCarloConfig",
            default_preset="annealed",
            is_tabular=True,
        ),
        tabular("sarsa", "Sarsa", "tabular Sarsa: discounted, and differential for average reward"),
        AgentKind(
            name="q-learning",
            about="tabular Q-learning: Watkins' discounted, and differential for average reward",
            module="q_learning",
            config_name="QLearningConfig",
            default_preset="watkins",
            large_preset="watkins-large",
            is_tabular=True,
        ),
        tabular(
            "expected-sarsa",
            "ExpectedSarsa",
            "tabular Expected Sarsa (van Seijen et al. 2009): averages over the next action",
        ),
        tabular(
            "double-q-learning",
            "DoubleQLearning",
            "tabular double Q-learning (van Hasselt 2010): two tables, against maximization bias",
        ),
        tabular(
            "dyna-q",
            "DynaQ",
            "tabular Dyna-Q and Dyna-Q+ (Sutton 1990): plans with a learned, deterministic model",
        ),
        tabular(
            "q-lambda",
            "QLambda",
            "tabular Watkins' Q(lambda) (Watkins 1989): Q-learning with eligibility traces",
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
    """Return the folders of the shipped agents by name: config, weights and model card."""
    return {file.parent.name: file.parent for file in sorted(TRAINED.glob("*/config.toml"))}


def find(name: str) -> AgentKind:
    """Find an agent by its name; InputError, with the nearest name, if it does not exist.

    Every algorithm of stable-baselines3 is an agent: `sb3-sac` is its SAC. So is every algorithm of
    sb3-contrib in `sb3_config.CONTRIB`.
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
