"""Gridcade's environments as a VecEnv of stable-baselines3."""

from contextlib import closing
from typing import Any

import numpy as np

from gridcade.agents.sb3_env import SB3VecEnv
from gridcade.experience.loop import Experience
from gridcade.experience.step import Step
from gridcade.experience.vector import make_vector

BREAKOUT = "Breakout?protocol=nature2015"


class Scripted:
    """An agent that takes given actions, and checks the observations."""

    def __init__(self, observations: Any):
        self.expected, self.actions = observations, np.empty(0)

    def act(self, observations: Any, masks: Any = None) -> Any:
        del masks
        np.testing.assert_array_equal(observations, self.expected)
        return self.actions

    def observe(self, step: Step) -> None:
        pass

    def update(self) -> None:
        pass


def test_a_lost_life_ends_an_episode_but_not_the_game() -> None:
    """Rewards, observations and ends equal those of the loop in which Gridcade's agents learn."""
    rng = np.random.default_rng(0)
    with closing(make_vector(BREAKOUT, 2)) as one, closing(make_vector(BREAKOUT, 2)) as other:
        env = SB3VecEnv(Experience(one, 5), clip_rewards=True)
        agent = Scripted(env.reset())
        steps = Experience(other, 5).steps(agent)
        lives = games = 0
        for actions in rng.integers(4, size=(300, 2)):
            observations: Any
            observations, rewards, dones, infos = env.step(actions)
            agent.actions = actions
            step = next(steps)
            assert step.life_lost is not None
            np.testing.assert_array_equal(rewards, np.clip(step.rewards, -1, 1))
            np.testing.assert_array_equal(env.latest.rewards, step.rewards)
            ended = step.terminated | step.truncated
            np.testing.assert_array_equal(dones, ended | step.life_lost)
            lives += int((step.life_lost & ~ended).sum())
            games += int(ended.sum())
            for i, info in enumerate(infos):
                assert bool(info) == dones[i]
                if dones[i]:
                    np.testing.assert_array_equal(
                        info["terminal_observation"], step.next_observations[i]
                    )
                    assert not info["TimeLimit.truncated"]
                if step.life_lost[i] and not ended[i]:  # the game continues
                    np.testing.assert_array_equal(observations[i], step.next_observations[i])
            agent.expected = observations
        assert lives > games > 0


def test_a_time_limit_is_marked_as_a_truncation() -> None:
    with closing(make_vector("CartPole-v1?max_episode_steps=3", 2)) as envs:
        env = SB3VecEnv(Experience(envs, 5), clip_rewards=False)
        env.reset()
        for _ in range(2):
            env.step(np.array([0, 1]))
        _, _, dones, infos = env.step(np.array([0, 1]))
        assert dones.all()
        assert all(info["TimeLimit.truncated"] for info in infos)
