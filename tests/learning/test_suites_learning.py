"""Agents learn in MiniGrid and MinAtar with their presets, and all get the same observations."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import gridcade
from gridcade.experience.loop import Experience
from gridcade.experience.vector import make_vector

pytest.importorskip("minigrid")
pytest.importorskip("minatar")

DOOR_KEY = "MiniGrid-DoorKey-5x5-v0"


@pytest.mark.parametrize(
    ("agent", "env", "preset", "steps"),  # a little more than the steps before the first update
    [
        ("dqn", DOOR_KEY, "minigrid", 2_100),
        ("pqn", DOOR_KEY, "minigrid", 1_100),
        ("dqn", "MinAtar/SpaceInvaders-v1", "minatar", 5_100),
        ("pqn", "MinAtar/SpaceInvaders-v1", "minatar", 4_200),
    ],
)
def test_the_preset_of_the_suite_is_the_default(
    agent: str, env: str, preset: str, steps: int, tmp_path: Path
) -> None:
    run = gridcade.train(
        agent, env, steps=steps, epoch=steps, evaluation_episodes=1, out=tmp_path / "run"
    )
    assert run.config.preset == preset
    metrics = run.metrics()[-1]
    assert metrics["updates"] > 0
    assert np.isfinite(metrics["loss"])


def test_stable_baselines3_gets_the_same_observations() -> None:
    from gridcade.agents.sb3_env import SB3VecEnv

    experience = Experience(make_vector(DOOR_KEY, 2), seed=0)
    envs = SB3VecEnv(experience, clip_rewards=False)
    others = Experience(make_vector(DOOR_KEY, 2), seed=0)
    assert envs.observation_space == others.envs.single_observation_space
    given, expected = envs.reset(), others.current
    assert isinstance(given, dict)
    assert isinstance(expected, dict)
    assert given.keys() == expected.keys() == {"image", "direction"}
    for key, values in expected.items():
        np.testing.assert_array_equal(given[key], values)


def test_small_images_in_a_dictionary_go_through_a_convolution() -> None:
    from gridcade import agents

    env = gridcade.make(DOOR_KEY)
    kind = agents.find("dqn")
    agent = kind.make(env, kind.config(), 0)
    modules = agent.q.modules()  # type: ignore[union-attr]  # a DQN
    assert [m.in_channels for m in modules if isinstance(m, nn.Conv2d)] == [21]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("agent", ["dqn", "pqn", "sb3-ppo"])
def test_the_key_and_the_door_are_learned(agent: str, tmp_path: Path) -> None:
    run = gridcade.train(agent, DOOR_KEY, steps=100_000, evaluation_every=20, out=tmp_path / "run")
    result = gridcade.evaluate(run, episodes=50)
    assert result.best_return is not None
    assert result.expected_return is not None
    assert result.expected_return.mean >= 0.9 * result.best_return
