"""Agents learn in MiniGrid and MinAtar with the presets of the suites."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn
from training_until import train_until

import gridcade
from gridcade.experience.loop import Experience
from gridcade.experience.vector import make_vector
from gridcade.training.run_folder import Run

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


def assert_nine_tenths(run: Run, stochastic: bool = False) -> None:
    """Assert that the return of new episodes is at least 0.9 of the best possible return."""
    result = gridcade.evaluate(run, episodes=50, stochastic=stochastic)
    assert result.best_return is not None
    assert result.expected_return is not None
    assert result.expected_return.mean >= 0.9 * result.best_return


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_pqn_learns_the_key_and_the_door(tmp_path: Path) -> None:
    """The averaged weights solve it at every late step; the score of the last weights varies."""
    run = gridcade.train("pqn", DOOR_KEY, steps=100_000, evaluation_every=20, out=tmp_path / "run")
    assert_nine_tenths(run)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dqn_learns_the_key_and_the_door(tmp_path: Path) -> None:
    """The greedy policy's score varies, so training ends at the first good evaluation."""
    options = {"evaluation_every": 1, "evaluation_episodes": 50, "out": tmp_path / "run"}
    assert_nine_tenths(train_until("return_mean", 0.94, "dqn", DOOR_KEY, 200_000, **options))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ppo_learns_the_key_and_the_door(tmp_path: Path) -> None:
    """Most seeds begin to learn after 20,000 steps, some after 80,000.

    PPO learns probabilities of actions, so its policy acts by them: the most likely actions alone
    may walk in circles.
    """
    options = {"evaluation_every": 99, "out": tmp_path / "run"}
    run = train_until("training_return_mean", 0.93, "sb3-ppo", DOOR_KEY, 300_000, **options)
    assert_nine_tenths(run, stochastic=True)
