"""Frames of episodes: what happened at each step, and the pictures made from them."""

import math
import sys
from itertools import islice, pairwise
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from gridcade.envs import registry
from gridcade.envs.maps import parse_world
from gridcade.envs.rendering import AGENT, GOAL, START, Overlay, value_colors
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.policies import (
    TabularPolicy,
    UniformPolicy,
    optimal_policy,
    random_policy,
)
from gridcade.recording import frames as frames_module
from gridcade.recording.frames import (
    DEFAULT_FPS,
    Frame,
    frame_rate,
    make_rgb_env,
    overlay_pictures,
    play_frames,
    read_value_overlay,
    render_picture,
)
from gridcade.recording.legend import HEIGHT, SCALE_WIDTH, legend_strip

SMALL = "RussellNorvig4x3"


def greedy(policy: Any, env: gym.Env[Any, Any]) -> EvaluatedPolicy:
    return EvaluatedPolicy(policy, env, None, deterministic=True)


def play(name: str, policy: Any, episodes: int, seed: int = 0) -> list[Frame]:
    env = make_rgb_env(name)
    return list(play_frames(greedy(policy, env), env, episodes, seed))


def test_frames_of_known_episodes() -> None:
    frames = play("CliffWalk", optimal_policy(registry.make("CliffWalk")), 2)
    assert len(frames) == 2 * 14
    path = [(3, 0), *((2, column) for column in range(12)), (3, 11)]
    for episode in (1, 2):
        part = [frame for frame in frames if frame.episode == episode]
        assert [frame.steps for frame in part] == list(range(14))
        assert [frame.episode_return for frame in part] == [-float(n) for n in range(14)]
        assert [frame.end for frame in part] == [""] * 13 + ["terminated"]
        assert [frame.agent for frame in part] == path


def test_episodes_end_at_the_time_limit() -> None:
    left = TabularPolicy(np.eye(4)[np.full(38, 3)])  # into the left wall
    frames = play("CliffWalk?time_limit=9", left, 1)
    assert (len(frames), frames[-1].episode_return) == (10, -9)
    assert [frame.end for frame in frames] == [""] * 9 + ["truncated by the time limit"]


def test_continuing_task_is_cut_into_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "CONTINUING_STEPS", 12)
    frames = play("NearAndFar", UniformPolicy(4), 2)
    assert [frame.end for frame in frames if frame.end] == ["truncated after 12 steps"] * 2
    assert len(frames) == 26


def test_seed_determines_the_episodes() -> None:
    first, again, other = (
        [
            (frame.agent, frame.episode_return)
            for frame in play("FourRooms?time_limit=40", UniformPolicy(4), 3, seed)
        ]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_frame_has_the_sum_of_rewards_and_the_picture_after_its_step() -> None:
    rewards: list[float] = []
    pictures: list[NDArray[np.uint8]] = []

    class Recorder(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            received = self.env.step(action)
            rewards.append(float(received[1]))
            pictures.append(np.asarray(self.env.render()))
            return received

    env = Recorder(make_rgb_env(SMALL))
    for frame in play_frames(greedy(random_policy(env), env), env, 4, seed=5):
        if frame.steps == 0:
            rewards.clear()
            continue
        assert frame.episode_return == pytest.approx(sum(rewards))
        np.testing.assert_array_equal(frame.picture, pictures[-1])


@pytest.mark.parametrize("name", ["Blackjack", "FourRooms?observation=pixels", "CartPole"])
def test_policies_receive_batches_of_one_observation(name: str) -> None:
    pytest.importorskip("pygame")
    env = make_rgb_env(name)
    batch_space = gym.vector.utils.batch_space(env.observation_space, 1)
    batches = []

    class Checker(UniformPolicy):
        def probabilities(
            self, observations: Any, deterministic: bool = True, masks: Any = None
        ) -> Any:
            batches.append(batch_space.contains(observations))
            return super().probabilities(observations, deterministic, masks)

    actions: Any = env.action_space
    policy = Checker(int(actions.n), observation_space=env.observation_space)
    list(islice(play_frames(greedy(policy, env), env, 2, 0), 10))
    assert len(batches) > 1
    assert all(batches)


def test_environment_without_a_picture_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoPicture(WithoutRendering):
        metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}  # type: ignore[misc]

    def make(**options: Any) -> NoPicture:
        del options
        return NoPicture()

    spec = EnvSpec("NoPicture-v0", entry_point=make)
    monkeypatch.setitem(gym.registry, spec.id, spec)
    with pytest.raises(InputError, match="NoPicture-v0 has no picture to show"):
        make_rgb_env("NoPicture-v0")


class WithoutRendering(gym.Env[Any, Any]):
    """An environment with states and actions, which draws nothing."""

    observation_space: Any = gym.spaces.Discrete(2)
    action_space: Any = gym.spaces.Discrete(2)
    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]


class OnlyText(WithoutRendering):
    """An environment that accepts any render mode, but offers only text."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"]}  # type: ignore[misc]

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode


@pytest.mark.parametrize("kind", [WithoutRendering, OnlyText])
def test_plain_environment_that_cannot_be_drawn_is_an_error(
    kind: Any,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    """One line, without Gymnasium's warnings."""
    monkeypatch.setitem(gym.registry, "Plain-v0", EnvSpec("Plain-v0", entry_point=kind))
    with pytest.raises(InputError, match=r"^Plain-v0 has no picture to show: .* rgb_array$"):
        make_rgb_env("Plain-v0")
    assert not recwarn.list
    with pytest.raises(InputError, match="does not implement `render`"):
        render_picture(kind())


def test_pictures_repeat_at_the_end_of_each_episode() -> None:
    env = make_rgb_env("CliffWalk")
    frames = play_frames(greedy(optimal_policy(env), env), env, 2, 0)
    pictures = list(overlay_pictures(frames, env, None, fps=10))
    assert len(pictures) == 2 * (14 + 10)  # the start, 13 steps, and a second of the end
    for episode in (pictures[:24], pictures[24:]):
        changes = [not np.array_equal(a, b) for a, b in pairwise(episode)]
        assert changes == [True] * 13 + [False] * 10


def test_overlay_is_drawn_beside_the_picture() -> None:
    env = make_rgb_env(SMALL)

    def first_pictures(policy: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        actor = greedy(policy, env)
        overlay = read_value_overlay(actor, env)
        assert overlay is not None
        frame = next(play_frames(actor, env, 1, 0))
        return frame.picture, next(overlay_pictures(iter([frame]), env, overlay, 8))

    picture, both = first_pictures(optimal_policy(env))
    height, width = picture.shape[:2]
    assert both.shape == (height + HEIGHT, 2 * width + 8, 3)
    np.testing.assert_array_equal(both[:height, :width], picture)
    assert (both[:, width : width + 8] == 255).all()
    overlaid = both[:height, width + 8 :]
    assert (overlaid != picture).any(axis=-1).mean() > 0.1  # values and arrows
    _, other = first_pictures(random_policy(env))
    assert (other[:height, width + 8 :] != overlaid).any()  # another policy's values and arrows
    np.testing.assert_array_equal(np.asarray(env.render()), picture)  # the overlay is removed


def test_legend_holds_the_scale_of_the_values_and_the_text_that_fits() -> None:
    """From the lowest value to the highest, the colors are those of the cells."""
    world = parse_world("map:\nS.G")
    overlay = Overlay(np.array([-3.0, 5.0, np.nan]), np.full((3, 4), 0.25))
    wide, narrow = (legend_strip(world, overlay, width, 200) for width in (600, 400))
    assert wide.shape == (HEIGHT, 600, 3)
    np.testing.assert_array_equal(wide[:, :360], narrow[:, :360])  # without the text on arrows
    assert (narrow[:, 385:] == 255).all()
    assert (wide[:, 385:] < 255).any()
    middle = wide[HEIGHT // 2].tolist()
    colors = value_colors(np.linspace(-3, 5, SCALE_WIDTH)).tolist()
    assert any(middle[i : i + SCALE_WIDTH] == colors for i in range(200, 400))
    left = [tuple(pixel) for pixel in middle[:200]]
    assert left.index(AGENT) < left.index(GOAL) < left.index(START)
    assert (legend_strip(world, Overlay(), 600, 200)[:, 200:] == 255).all()


def test_an_end_has_no_value() -> None:
    """An agent takes no action there, so its value is the initial one, which would mislead."""
    env = make_rgb_env(SMALL)
    world = env.unwrapped
    assert isinstance(world, TabularEnv)
    overlay = read_value_overlay(greedy(optimal_policy(env), env), env)
    assert overlay is not None
    ends = [world.world.cell(row, column).end for row, column in world.places.tolist()]
    np.testing.assert_array_equal(np.isnan(np.asarray(overlay.values)), ends)


def test_drawing_without_pygame_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    env = make_rgb_env("FrozenLake")
    env.reset(seed=0)
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(InputError, match=r"pygame-ce: pip install 'gridcade\[window\]'$"):
        render_picture(env)


def test_environment_without_cells_has_no_overlay() -> None:
    env = make_rgb_env("CartPole")
    assert read_value_overlay(greedy(random_policy(env), env), env) is None


@pytest.mark.parametrize("rate", [None, "fast", 0, -3, math.inf, math.nan, 5, 2.5, np.int64(5)])
def test_a_frame_rate_that_is_invalid_is_replaced(rate: Any) -> None:
    env = gym.make("CartPole-v1")
    env.unwrapped.metadata = {"render_fps": rate}
    assert frame_rate(env) == (rate if rate in (5, 2.5) else DEFAULT_FPS)
    env.unwrapped.metadata = None  # type: ignore[assignment]  # as in a user's environment
    assert frame_rate(env) == DEFAULT_FPS
