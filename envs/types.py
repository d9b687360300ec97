"""Types of Gymnasium's objects, whose observations and actions have no static types."""

from typing import Any, TypeAlias

import gymnasium as gym
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Env: TypeAlias = gym.Env[Any, Any]
Envs: TypeAlias = VectorEnv[Any, Any, Any]  # several environments, stepped side by side
Space: TypeAlias = gym.Space[Any]
