"""Gridcade's environments as stable-baselines3's vectorized environment."""

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnv,
    VecEnvIndices,
    VecEnvObs,
    VecEnvStepReturn,
)

from gridcade.agents.base import Actions, Masks, Observations
from gridcade.envs.actions import action_index
from gridcade.envs.masks import METHOD, masks_of_parts
from gridcade.envs.types import Array
from gridcade.experience.loop import Experience
from gridcade.experience.step import Step


class SB3VecEnv(VecEnv):
    """A VecEnv that steps environments through `Experience`, so each episode has its own seed.

    For stable-baselines3, a lost life is the end of an episode, while the game continues. This
    class also plays the agent's part in `Experience`: its `act` returns the actions that
    stable-baselines3 passed to `step_async`.

    Args:
        experience: the loop that steps the environments.
        clip_rewards: whether stable-baselines3 receives rewards clipped to [-1, 1].
    """

    latest: Step  # the last step, with raw rewards
    failure: Exception | None = None  # the error that an environment raised

    def __init__(self, experience: Experience, clip_rewards: bool):
        self.envs = experience.envs
        self._experience = experience
        self._clip_rewards = clip_rewards
        self._steps = experience.steps(self)
        self._actions: Actions
        super().__init__(
            self.envs.num_envs, self.envs.single_observation_space, self.envs.single_action_space
        )

    # ---- the agent's side, called by Experience

    def act(self, observations: Observations, masks: Masks | None = None) -> Actions:
        """Return the actions that stable-baselines3 has selected."""
        del observations, masks
        return self._actions

    def observe(self, step: Step) -> None:
        """Keep the step."""
        self.latest = step

    def update(self) -> None:
        """Do nothing: stable-baselines3 learns in its own loop."""

    # ---- the environment's side, called by stable-baselines3

    def reset(self) -> VecEnvObs:
        """Return the current observations; `Experience` has reset the environments already."""
        observations: VecEnvObs = self._experience.current
        return observations

    def step_async(self, actions: Array) -> None:
        """Set the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step every environment.

        Returns:
            Observations, rewards, ends of episodes, and infos, as `DummyVecEnv` returns them. Where
            an episode ended, the observation is the first one of the next episode, and the info has
            the last one.
        """
        try:
            step = next(self._steps)
        except Exception as error:
            self.failure = error
            raise
        lost = np.zeros(self.num_envs, bool) if step.life_lost is None else step.life_lost
        terminated = step.terminated | lost
        dones = terminated | step.truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for env in np.flatnonzero(dones).tolist():
            infos[env] = {
                "terminal_observation": _observation_of(step.next_observations, env),
                "TimeLimit.truncated": bool(step.truncated[env] and not terminated[env]),
            }
        rewards = np.clip(step.rewards, -1, 1) if self._clip_rewards else step.rewards
        return step.current, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Do nothing: the owner of the environments closes them."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the vectorized environment, once for each index."""
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return False for each index: no environment has a wrapper of stable-baselines3."""
        del wrapper_class
        return [False] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Not supported: no algorithm calls it."""
        raise NotImplementedError

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Return the action masks of each environment, for MaskablePPO; no other method works.

        If actions have several parts, the masks of the parts are concatenated. If the environment
        gives no masks, all actions are allowed.
        """
        del args, indices, kwargs
        if method_name != METHOD:
            raise NotImplementedError
        index, masks = action_index(self.action_space), self._experience.current_masks
        if masks is None:
            masks = np.ones((self.num_envs, index.count), dtype=bool)
        return list(masks_of_parts(masks, index))

    def has_attr(self, attr_name: str) -> bool:
        """Whether the environments have an attribute; all have action masks."""
        return attr_name == METHOD or super().has_attr(attr_name)


def _observation_of(observations: Any, env: int) -> Any:
    """Return one environment's observation from an array [n, ...], or a dict of such arrays."""
    if isinstance(observations, dict):
        return {key: values[env] for key, values in observations.items()}
    return observations[env]
