"""Runs in environments whose randomness no seed sets are resumed, and a note says what was lost."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gridcade.agents.base import in_memory
from gridcade.agents.pqn import PQN
from gridcade.agents.replay import LAST
from gridcade.training import sessions

NAME = "tests/Unseeded-v0"
SMALL: dict[str, dict[str, Any]] = {
    "q-learning": {},
    "dqn": {"learn_start": 50, "replay_capacity": 500, "hidden": [4], "held_out": 3},
    "pqn": {"rollout": 16, "minibatches": 1, "hidden": [4]},
}


class Unseeded(gym.Env[Any, Any]):
    """A walk whose length is drawn from a generator that the seed does not set."""

    action_space = gym.spaces.Discrete(2)
    generator = np.random.default_rng(0)

    def __init__(self, discrete: bool = False):
        self.discrete = discrete
        box = gym.spaces.Box(0, 1e9, (1,), np.float64)
        self.observation_space = gym.spaces.Discrete(901) if discrete else box

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.place = 0.0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += self.generator.random() + float(action)
        return self._observation(), 1.0, self.place > 8, False, {}

    def _observation(self) -> Any:
        return int(min(100 * self.place, 900)) if self.discrete else np.array([self.place])


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    Unseeded.generator = np.random.default_rng(0)
    gym.register(NAME, lambda **options: Unseeded(**options))
    yield
    del gym.registry[NAME]


@pytest.mark.parametrize("agent", SMALL)
def test_a_run_with_unseeded_randomness_is_resumed_with_a_note(agent: str, tmp_path: Path) -> None:
    calls, notes = count(1), list[str]()
    env = f"{NAME}?discrete=true" if agent == "q-learning" else NAME
    options: Any = {"steps": 600, "epoch": 300, "evaluation_episodes": 2, "envs": 4}
    run = sessions.train(
        agent,
        env,
        hyperparameters=SMALL[agent],
        out=tmp_path / "run",
        stop=lambda: next(calls) >= 2,
        **options,
    )
    assert not run.finished
    resumed = sessions.resume(run.path, note=notes.append)
    assert resumed.finished
    assert any("cannot be continued" in note and "of 4 running" in note for note in notes)


def test_a_replay_ends_the_lost_episode_without_a_false_transition(tmp_path: Path) -> None:
    """No transition leads from the last observation before the stop to the first one after it."""
    calls = count(1)
    options: Any = {"steps": 600, "epoch": 300, "evaluation_episodes": 1, "out": tmp_path / "run"}
    run = sessions.train(
        "dqn", NAME, hyperparameters=SMALL["dqn"], stop=lambda: next(calls) >= 2, **options
    )
    loop_state = run.load_loop_state(run.last_checkpoint())
    assert loop_state["env_state"] is not None
    assert loop_state["env_state"]["actions"] != [[]]
    written = int(run.load_agent(run.last_checkpoint())["replay.written"][0])
    sessions.resume(run.path)
    flags = np.fromfile(run.path / "replay" / "flags.bin", np.uint8)
    frames = np.fromfile(run.path / "replay" / "frames.bin", np.float64)
    assert flags[written - 1] == LAST
    assert frames[written] == 0.0  # the first observation of the next episode


def test_a_rollout_truncates_the_lost_episode() -> None:
    from gridcade import agents
    from gridcade.experience.loop import Experience
    from gridcade.experience.vector import make_vector

    config = agents.find("pqn").config(**SMALL["pqn"] | {"hidden": (4,)})
    agent = agents.find("pqn").make(Unseeded(), config, 0)
    assert isinstance(agent, PQN)
    agent.allocate(2, 100, in_memory)
    steps = Experience(make_vector(NAME, 2), 0).steps(agent)
    last = [next(steps) for _ in range(3)][-1]
    agent.restart_episodes(np.array([False, True]), np.zeros((2, 1)))
    assert agent.played.truncated[2].tolist() == [False, True]
    value = agent.backend.values(agent.backend.preprocess(last.next_observations)).max(axis=1)[1]
    assert agent.played.next_values[2, 1] == value
