"""The compiled loop records the return and the length of each training episode."""

from contextlib import closing

import numpy as np
import pytest

from gridcade.agents.q_learning import QLearning, QLearningConfig
from gridcade.agents.schedules import Schedule
from gridcade.agents.tabular_loop import TabularLoop
from gridcade.envs import registry

CONFIG = QLearningConfig(discount=1.0, step_size=Schedule(0.5))


def new_loop(env: str, time_limit: int | None, seed: int) -> TabularLoop:
    """Return the compiled loop of a Q-learning agent."""
    with closing(registry.make(env)) as made:
        model = registry.known_model(made)
    assert model is not None
    agent = QLearning(model.num_states, model.num_actions, CONFIG, seed)
    return agent.compiled_loop(model, time_limit, seed)


def episodes_step_by_step(loop: TabularLoop, episodes: int) -> tuple[list[float], list[int]]:
    """Return the return and the length of each episode, from single steps."""
    returns: list[float] = []
    lengths: list[int] = []
    rewards: list[float] = []
    while len(returns) < episodes:
        rewards.append(loop.step().transition.r)
        if loop.elapsed == 0:
            returns.append(sum(rewards))
            lengths.append(len(rewards))
            rewards = []
    return returns, lengths


@pytest.mark.parametrize(("env", "limit"), [("CliffWalk", None), ("SlipperyLake", 20)])
def test_a_record_equals_the_sums_of_single_steps(env: str, limit: int | None) -> None:
    recorded, stepped = (new_loop(env, limit, 3) for _ in range(2))
    recorded.tick = 50  # so that the record is made in many pieces
    returns, lengths = recorded.record_episodes(40)
    expected = episodes_step_by_step(stepped, 40)
    np.testing.assert_array_equal(returns, expected[0])
    np.testing.assert_array_equal(lengths, expected[1])


def test_a_record_ends_with_its_last_episode_and_training_goes_on_from_there() -> None:
    parts, whole, steps = (new_loop("CliffWalk", None, 5) for _ in range(3))
    first, second = parts.record_episodes(7), parts.record_episodes(5)
    assert parts.agent.steps == first[1].sum() + second[1].sum()
    assert parts.elapsed == 0
    returns, _ = whole.record_episodes(12)
    np.testing.assert_array_equal(np.concatenate([first[0], second[0]]), returns)
    totals = steps.advance(whole.agent.steps)
    assert totals["episodes"] == 12
    assert totals["return"] == returns.sum()
    assert isinstance(whole.agent, QLearning)
    assert isinstance(steps.agent, QLearning)
    np.testing.assert_array_equal(whole.agent.q, steps.agent.q)
    assert parts.advance(parts.agent.steps + 100)["reward"] < 0  # nothing is recorded any more
    assert parts.agent.steps == whole.agent.steps + 100


def test_a_check_that_raises_ends_a_record() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    loop = new_loop("FourRooms", None, 0)
    with pytest.raises(KeyboardInterrupt):
        loop.record_episodes(10**9, interrupt)
    assert loop.agent.steps == loop.tick
