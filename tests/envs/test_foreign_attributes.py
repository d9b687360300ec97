"""Gridcade gives no meaning to attributes of other people's environments, whatever their names."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import gridcade
from gridcade.envs import registry
from gridcade.envs.action_names import action_names
from gridcade.envs.known_models import known_model

FIRST_REWARD = 1.0
LENGTH = 40


class Many(gym.Env[Any, Any]):
    """Pays 1 in each of 40 steps, and has attributes with the names of Gridcade's own."""

    action_space = gym.spaces.Discrete(2)
    time_limit = 10.0  # seconds
    stack = ("7H",)
    notes = "calibrated in May"
    frame_skip = "none"
    model = "steel"
    P = 101_325.0  # pascal
    initial_state_distrib = "flat"
    world = places = moves = overlay = elapsed = state = encode = None
    protocol = "tcp"
    fickle_passenger = True

    def __init__(self, vector: bool = False):
        low, high = np.zeros(2, np.float32), np.full(2, LENGTH, np.float32)
        box = gym.spaces.Box(low, high)
        self.observation_space = box if vector else gym.spaces.Discrete(LENGTH + 1)
        self.vector, self.steps = vector, 0

    def get_state(self) -> Any:
        return np.zeros(3)

    def set_state(self, state: Any) -> None:
        raise RuntimeError(f"nobody should set {state}")

    def get_action_meanings(self) -> int:
        return 7

    def best_return(self) -> str:
        return "unknown"

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed, options=options)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        del action
        self.steps += 1
        return self._observe(), FIRST_REWARD, self.steps == LENGTH, False, {}

    def _observe(self) -> Any:
        return np.full(2, self.steps, np.float32) if self.vector else self.steps


class ManyVectors(Many):
    """The same environment with arrays as observations."""

    def __init__(self) -> None:
        super().__init__(vector=True)


def test_nothing_is_read_from_the_environment() -> None:
    env = registry.make(f"{__file__}:Many")
    assert registry.time_limit(env) is None
    assert known_model(env) is None
    assert action_names(env) == ()
    assert registry.notes_on_world("mine", env) == []


@pytest.mark.parametrize(
    ("agent", "kind", "settings"),
    [
        ("q-learning", "Many", {}),
        ("q-learning", "Many", {"envs": 3}),
        ("dqn", "ManyVectors", {"hyperparameters": {"hidden": [4], "learn_start": 100}}),
    ],
)
def test_agents_learn_resume_and_are_evaluated(
    agent: str, kind: str, settings: Any, tmp_path: Path
) -> None:
    notes: list[str] = []
    name = f"{__file__}:{kind}"
    run = gridcade.train(
        agent, name, steps=400, epoch=200, out=tmp_path / "run", note=notes.append, **settings
    )
    gridcade.resume(run.path, steps=700, note=notes.append)
    result = gridcade.evaluate(run, episodes=3)
    assert result.expected_return is not None
    assert result.expected_return.mean == LENGTH
    assert result.truncated == 0
    assert not any("calibrated" in text for text in (*notes, *result.notes))
