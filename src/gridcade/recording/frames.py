"""Frames of episodes: what there is to see after each step, and with a policy beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray

from gridcade.envs import registry
from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import Actor
from gridcade.evaluation.policies import state_values
from gridcade.exact.values import policy_table
from gridcade.seeding import episode_seed, episode_stream

Env = gym.Env[Any, Any]
DEFAULT_FPS = 8.0
ENDLESS = 500  # steps that count as an episode, where a task never ends
END_PAUSE = 1.0  # seconds that the end of an episode stays in sight


@dataclass(frozen=True)
class Frame:
    """What there is to see after a step, or after a reset."""

    picture: NDArray[np.uint8]  # [height, width, 3]
    place: tuple[int, int] | None  # row and column of the agent, in a drawn world
    episode: int  # from 1
    steps: int  # of this episode
    total: float  # its return so far
    end: str  # "", "ended", "cut by the time limit", "cut after 500 steps"


def play_frames(actor: Actor, env: Env, episodes: int, seed: int) -> Iterator[Frame]:
    """Episode after episode, a frame a step."""
    longest = registry.time_limit(env) or ENDLESS
    for episode in range(episodes):
        chosen = episode_seed(seed, "watching", 0, episode)
        rngs = [episode_stream(chosen)]
        observation, _ = env.reset(seed=chosen)
        steps, total, end = 0, 0.0, ""
        yield Frame(picture(env), _place(env), episode + 1, 0, 0.0, end)
        while not end:
            action = actor.act(_alone(env, observation), np.array([steps == 0]), rngs)[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            steps += 1
            total += float(reward)
            if terminated:
                end = "ended"
            elif truncated:
                end = "cut by the time limit"
            elif steps >= longest:
                end = f"cut after {longest} steps"
            yield Frame(picture(env), _place(env), episode + 1, steps, total, end)


def _alone(env: Env, observation: Any) -> Any:
    """A batch of one observation."""
    space = env.observation_space
    empty: Any = create_empty_array(space, 1)
    return concatenate(space, [observation], empty)


def picture(env: Env) -> NDArray[np.uint8]:
    """The environment's picture; InputError, with what to install, where it cannot be drawn."""
    try:
        return np.asarray(env.render(), dtype=np.uint8)
    except DependencyNotInstalled as error:
        raise InputError(f"this environment's picture needs more: {error}") from None


def drawable(name: str) -> Env:
    """An environment that draws itself; InputError where it cannot."""
    env = registry.make(name, render_mode="rgb_array")
    if env.render_mode != "rgb_array":
        raise InputError(f"{name} has no picture to show")
    return env


def read_value_overlay(actor: Actor, env: Env) -> Overlay | None:
    """Values and probabilities by state, where the world is drawn and the policy can tell them."""
    world = env.unwrapped
    if not isinstance(world, TabularEnv):
        return None
    table = policy_table(actor.policy, env, world.model)
    return None if table is None else Overlay(state_values(actor.policy), table)


def with_overlay(
    seen: Iterator[Frame], env: Env, value_overlay: Overlay | None, fps: float
) -> Iterator[NDArray[np.uint8]]:
    """Pictures, with what a tabular policy thinks beside them; ends stay in sight for a while."""
    world = env.unwrapped
    for frame in seen:
        shown = frame.picture
        if value_overlay is not None and isinstance(world, TabularEnv):
            world.overlay = value_overlay
            thoughts = picture(env)
            world.overlay = None
            gap = np.full((shown.shape[0], 8, 3), 255, dtype=np.uint8)
            shown = np.concatenate([shown, gap, thoughts], axis=1)
        for _ in range(1 + round(END_PAUSE * fps) if frame.end else 1):
            yield shown


def _place(env: Env) -> tuple[int, int] | None:
    world = env.unwrapped
    if not isinstance(world, TabularEnv):
        return None
    row, column = world.places[world.state]
    return int(row), int(column)
