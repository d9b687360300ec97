"""Models and algorithms of sb3-contrib, the second package of stable-baselines3."""

from base64 import b64decode
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import ArrayLike
from stable_baselines3.common.base_class import BaseAlgorithm

from gridcade.agents.base import Floats, Masks, Observation, Observations, PolicyState
from gridcade.agents.probabilities import greedy
from gridcade.agents.sb3 import ActorCriticSB3Agent, DQNSB3Agent, SB3Agent
from gridcade.agents.sb3_config import INSTALL_CONTRIB
from gridcade.envs.types import Array
from gridcade.errors import InputError

MODULES = {  # algorithm -> the module of its own policies, which no other algorithm uses
    "ARS": b"sb3_contrib.ars",
    "CrossQ": b"sb3_contrib.crossq",
    "MaskablePPO": b"sb3_contrib.common.maskable",
    "QRDQN": b"sb3_contrib.qrdqn",
    "RecurrentPPO": b"sb3_contrib.common.recurrent",
    "TQC": b"sb3_contrib.tqc",
}


def algorithm_name(attributes: Mapping[str, Any]) -> str:
    """Find the algorithm of a saved model without unpickling; "" if it is not sb3-contrib's.

    The pickle of a policy's class, or of a class that inherits from it, holds the name of the
    module in plain bytes. TRPO has the policies of PPO, but its own hyperparameters.

    Args:
        attributes: the model's attributes in its zip file, by name.
    """
    if "cg_max_steps" in attributes:
        return "TRPO"
    policy = attributes.get("policy_class")
    pickled = b64decode(policy.get(":serialized:", "")) if isinstance(policy, dict) else b""
    return next((name for name, module in MODULES.items() if module in pickled), "")


def load_algorithm(name: str) -> type[BaseAlgorithm]:
    """Load an algorithm; InputError, with the command that installs it, if it is missing."""
    try:
        algorithm: type[BaseAlgorithm] = getattr(import_module("sb3_contrib"), name)
    except ImportError:
        raise InputError(f"{name} needs sb3-contrib: {INSTALL_CONTRIB}") from None
    return algorithm


def agent_kind(model: BaseAlgorithm) -> type[SB3Agent]:
    """Return the class of agent for a model; it has action probabilities if these are known."""
    name = type(model).__name__
    discrete = isinstance(model.action_space, gym.spaces.Discrete)
    masked = name == "MaskablePPO"
    if not discrete or isinstance(model.observation_space, gym.spaces.Dict):
        return MaskablePPOAgent if masked else SB3Agent
    kinds: dict[str, type[SB3Agent]] = {
        "MaskablePPO": DiscreteMaskablePPOAgent,
        "QRDQN": QRDQNSB3Agent,
        "TRPO": ActorCriticSB3Agent,
    }
    return kinds.get(name, SB3Agent)


class MaskablePPOAgent(SB3Agent):
    """MaskablePPO, which receives the action masks of its environment."""

    uses_masks = True

    def predict(
        self,
        observation: Observation,
        state: PolicyState = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
        action_masks: ArrayLike | None = None,
    ) -> tuple[Array, PolicyState]:
        """Return actions for one observation or a batch; masks cover all parts of the actions."""
        model: Any = self.model
        actions, state = model.predict(
            self.normalize(observation), state, episode_start, deterministic, action_masks
        )
        return np.asarray(actions), state


class DiscreteMaskablePPOAgent(ActorCriticSB3Agent):
    """MaskablePPO with Discrete actions, whose probabilities are known."""

    uses_masks = True

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Masks | None = None
    ) -> Floats:
        """Return action probabilities at observations [n, ...]: [n, actions]; 0 if forbidden."""
        policy: Any = self.model.policy
        with torch.no_grad():
            distribution = policy.get_distribution(self._inputs(observations), masks).distribution
            table = distribution.probs.cpu().numpy().astype(np.float64)
        if masks is not None:
            table = np.where(masks, table, 0.0)
        return greedy(table, masks) if deterministic else table / table.sum(axis=1, keepdims=True)


class QRDQNSB3Agent(DQNSB3Agent):
    """QR-DQN (Dabney et al. 2018): the value of an action is the mean of its quantiles."""

    def action_values(self, observations: Observations) -> Floats:
        """Return Q(s, a) at observations [n, ...]: [n, actions]."""
        policy: Any = self.model.policy
        with torch.no_grad():
            quantiles = policy.quantile_net(self._inputs(observations))  # [n, quantiles, actions]
        return np.asarray(quantiles.mean(dim=1).cpu().numpy(), dtype=np.float64)
