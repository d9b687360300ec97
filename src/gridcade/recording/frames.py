"""Frames of episodes: the picture after each step, and a tabular policy's values beside it."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from gridcade.envs import registry
from gridcade.envs.masks import MaskReader
from gridcade.envs.rendering import Overlay
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Env, Space
from gridcade.errors import InputError
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.policies import state_values
from gridcade.exact.values import policy_table
from gridcade.recording.legend import legend_strip
from gridcade.recording.pictures import Picture, to_picture
from gridcade.seeding import episode_seed, episode_stream

DEFAULT_FPS = 8.0  # frames per second, for an environment that states no rate
CONTINUING_STEPS = 500  # steps of an episode, for a task that never ends
END_PAUSE = 1.0  # seconds for which the last frame of an episode is shown
OVERLAY_GAP = 8  # pixels between the picture and the overlay


@dataclass(frozen=True)
class Frame:
    """The state of an episode after a reset or a step."""

    picture: Picture
    agent: tuple[int, int] | None  # row and column of the agent; None: the world has no cells
    episode: int  # from 1
    steps: int  # environment steps since the reset
    episode_return: float  # undiscounted sum of the rewards since the reset
    end: str  # how the episode ended; "" before its last frame


def play_frames(actor: EvaluatedPolicy, env: Env, episodes: int, seed: int) -> Iterator[Frame]:
    """Play episodes and yield a frame after every reset and every step.

    Args:
        actor: the policy, which selects the actions.
        env: an environment with render_mode="rgb_array".
        episodes: number of episodes to play.
        seed: selects the seed of each episode.
    """
    max_steps = registry.time_limit(env) or CONTINUING_STEPS
    reader = MaskReader(env)
    for episode in range(episodes):
        reset_seed = episode_seed(seed, "watching", 0, episode)
        rngs = [episode_stream(reset_seed)]
        observation, info = env.reset(seed=reset_seed)
        mask = reader.after_reset(info)
        steps, episode_return, end = 0, 0.0, ""
        yield Frame(render_picture(env), agent_place(env), episode + 1, steps, episode_return, end)
        while not end:
            masks = None if mask is None else mask[None]
            batch, starts = batch_of_one(env, observation), np.array([steps == 0])
            actions = actor.act(batch, starts, rngs, masks)
            action = first_of_batch(env.action_space, actions)
            observation, reward, terminated, truncated, info = env.step(action)
            mask = reader.after_step(info, terminated, truncated)
            steps += 1
            episode_return += float(reward)
            if terminated:
                end = "terminated"
            elif truncated:
                end = "truncated by the time limit"
            elif steps >= max_steps:
                end = f"truncated after {max_steps} steps"
            yield Frame(
                render_picture(env), agent_place(env), episode + 1, steps, episode_return, end
            )


def make_rgb_env(name: str) -> Env:
    """Make an environment with render_mode="rgb_array".

    Raises:
        InputError: the environment does not exist or cannot draw pictures.
    """
    no_picture = f"{name} has no picture to show: it has no render mode rgb_array"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium's, about the render mode: an error follows
        if not registry.takes_render_mode(name):
            raise InputError(no_picture)
        env = registry.make(name, render_mode="rgb_array")
    modes = (env.metadata or {}).get("render_modes", ())
    if env.render_mode != "rgb_array" or "rgb_array" not in modes:
        raise InputError(no_picture)
    return env


def frame_rate(env: Env) -> float:
    """Return the frames per second that an environment states; DEFAULT_FPS if it states none."""
    rate: Any = (env.metadata or {}).get("render_fps")
    is_number = isinstance(rate, int | float | np.integer | np.floating)
    return float(rate) if is_number and 0 < rate < math.inf else DEFAULT_FPS


def render_picture(env: Env) -> Picture:
    """Render an environment.

    Raises:
        InputError: a package that the environment needs for drawing is not installed, or the
            environment cannot draw itself.
    """
    try:
        return to_picture(env.render())
    except DependencyNotInstalled as error:
        reason = str(error)
        if "pygame" in reason:  # Gymnasium names an extra for each family of environments
            reason = "it needs pygame-ce: pip install 'gridcade[window]'"
        raise InputError(f"cannot draw this environment: {reason}") from None
    except NotImplementedError:
        raise InputError("cannot draw this environment: it does not implement `render`") from None


def read_value_overlay(actor: EvaluatedPolicy, env: Env) -> Overlay | None:
    """Read a tabular policy's state values and action probabilities.

    Returns:
        None if the world has no cells, or the action probabilities are not known in every state.
    """
    world = env.unwrapped
    if not isinstance(world, TabularEnv):
        return None
    probabilities = policy_table(actor.policy, env, world.model)
    if probabilities is None:
        return None
    values = state_values(actor.policy)
    if values is not None:  # an agent learns no value in an end, where it takes no action
        ends = [world.world.cell(row, column).end for row, column in world.places.tolist()]
        values = np.where(ends, np.nan, values)
    return Overlay(values, probabilities)


def overlay_pictures(
    frames: Iterator[Frame], env: Env, value_overlay: Overlay | None, fps: float
) -> Iterator[Picture]:
    """Yield the picture of each frame, with the overlay beside it where the policy has one.

    A legend of the colors and arrows is below them. The last picture of an episode is repeated for
    END_PAUSE seconds.
    """
    world = env.unwrapped
    for frame in frames:
        picture = frame.picture
        if value_overlay is not None and isinstance(world, TabularEnv):
            world.overlay = value_overlay
            drawn_over = render_picture(env)
            world.overlay = None
            gap = np.full((picture.shape[0], OVERLAY_GAP, 3), 255, dtype=np.uint8)
            both = np.concatenate([picture, gap, drawn_over], axis=1)
            left = picture.shape[1] + OVERLAY_GAP
            width, arrows = both.shape[1], world.draws_arrows
            legend = legend_strip(world.world, value_overlay, width, left, arrows)
            picture = np.concatenate([both, legend])
        for _ in range(1 + round(END_PAUSE * fps) if frame.end else 1):
            yield picture


def batch_of_one(env: Env, observation: Any) -> Any:
    """Add a batch dimension to an observation."""
    space = env.observation_space
    empty: Any = create_empty_array(space, 1)
    return concatenate(space, [observation], empty)


def first_of_batch(space: Space, batch: Any) -> Any:
    """Return the first element of a batch: of an array, or of a dict or tuple of arrays."""
    if isinstance(batch, np.ndarray):
        return batch[0]
    return next(iter(iterate(batch_space(space, 1), batch)))


def agent_place(env: Env) -> tuple[int, int] | None:
    """Return row and column of the agent; None where the world has no cells."""
    world = env.unwrapped
    if not isinstance(world, TabularEnv):
        return None
    row, column = world.places[world.state]
    return int(row), int(column)
