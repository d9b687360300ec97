"""The best possible return is shown beside the estimate, for exactly the evaluated episodes."""

import numpy as np
import pytest

import gridcade
from gridcade.envs import registry
from gridcade.envs.best_return import find_best_return
from gridcade.seeding import episode_seed

pytest.importorskip("minigrid")


def test_the_best_return_is_the_mean_over_the_evaluated_episodes() -> None:
    name, episodes = "MiniGrid-Empty-Random-5x5?max_episode_steps=4", 37
    result = gridcade.evaluate("random", name, episodes=episodes, seed=5)
    env, best = registry.make(name), []
    layer = find_best_return(env)
    assert layer is not None
    for episode in range(episodes):
        env.reset(seed=episode_seed(5, "evaluation", 0, episode))
        best.append(layer.best_return(4))
    assert 0 in best
    assert len(set(best)) > 2
    assert result.best_return == result.as_dict()["best_return"] == pytest.approx(np.mean(best))


def test_the_table_has_a_column_for_the_best_return() -> None:
    lines = str(gridcade.evaluate("random", "MiniGrid-Empty-5x5", episodes=10)).splitlines()
    assert lines[1].endswith("best possible")
    assert next(line for line in lines if line.startswith("return")).endswith(" 0.955")


def test_a_note_says_why_no_best_return_is_computed() -> None:
    result = gridcade.evaluate("random", "MiniGrid-Dynamic-Obstacles-5x5", episodes=10)
    assert result.best_return is None
    assert "no best possible return: what happens is random" in result.notes


def test_other_environments_have_no_best_return() -> None:
    result = gridcade.evaluate("random", "CartPole", episodes=10)
    assert result.best_return is None
    assert "best" not in str(result)
