"""The contract: an agent of a few lines trains, resumes, and is evaluated and compared."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

import gridcade
from gridcade import agents
from gridcade.agents.base import Agent
from gridcade.agents.probabilities import greedy
from gridcade.experience.step import Step
from gridcade.seeding import pack, stream, unpack
from gridcade.study.contender import ContenderSpec
from gridcade.study.runner import run_study
from gridcade.study.study import Study

WORLD = "S..G\n"  # three steps to the goal, the last of which pays 1 more


@dataclass(frozen=True)
class ToyConfig:
    step_size: float = 0.5
    """Step size of the values."""


class Toy(Agent):
    """One-step Q-learning that acts at random."""

    def __init__(self, states: int, actions: int, config: ToyConfig, seed: int):
        self.q, self.config, self.steps = np.zeros((states, actions)), config, 0
        self._rng, self._prediction_rng = stream(seed, "agent"), stream(seed, "prediction")

    def act(self, observations: NDArray[Any], masks: Any = None) -> NDArray[Any]:
        del masks
        return self._rng.integers(self.q.shape[1], size=len(observations))

    def observe(self, step: Step) -> None:
        best = np.where(step.terminated, 0, self.q[step.next_observations].max(axis=1))
        s, a = step.observations, step.actions
        self.q[s, a] += self.config.step_size * (step.rewards + best - self.q[s, a])
        self.steps += len(a)

    def probabilities(
        self, observations: Any, deterministic: bool = True, masks: Any = None
    ) -> NDArray[np.float64]:
        del deterministic, masks
        return greedy(self.q[observations])

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return {"q": self.q, "steps": np.array([self.steps]), "stream": pack(self._rng)}

    def load_state_dict(self, tensors: dict[str, NDArray[Any]]) -> None:
        self.q, self.steps = tensors["q"].copy(), int(tensors["steps"][0])
        unpack(self._rng, tensors["stream"])


def make(env: gym.Env[Any, Any], config: ToyConfig, seed: int) -> Toy:
    observations, actions = env.observation_space, env.action_space
    assert isinstance(observations, gym.spaces.Discrete)
    assert isinstance(actions, gym.spaces.Discrete)
    return Toy(int(observations.n), int(actions.n), config, seed)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the agent with Gridcade, and return the name of an environment."""
    module: Any = ModuleType("gridcade.agents.toy")
    module.make, module.ToyConfig = make, ToyConfig
    monkeypatch.setitem(sys.modules, module.__name__, module)
    kind = agents.AgentKind("toy", "an example", "toy", "ToyConfig", default_preset="usual")
    monkeypatch.setitem(agents.AGENTS, "toy", kind)
    monkeypatch.setattr(agents, "PRESETS", tmp_path / "presets")
    (tmp_path / "presets" / "toy").mkdir(parents=True)
    (tmp_path / "presets" / "toy" / "usual.toml").write_text("steps = 2000\nepoch = 500\n")
    (tmp_path / "corridor.txt").write_text(f"step reward: -1\ntime limit: 20\nmap:\n{WORLD}")
    return str(tmp_path / "corridor.txt")


def test_a_toy_agent_trains_and_is_evaluated(world: str, tmp_path: Path) -> None:
    run = gridcade.train("toy", world, out=tmp_path / "run", envs=2)
    result = gridcade.evaluate(run, episodes=10)
    assert result.expected_return is not None
    assert result.exact is not None
    assert result.expected_return.mean == result.exact.optimal_return == -2
    assert run.metrics()[-1]["return_mean"] == pytest.approx(-2)


def test_a_toy_agent_resumes_with_the_same_bits(world: str, tmp_path: Path) -> None:
    whole = gridcade.train("toy", world, out=tmp_path / "whole", seed=3)
    stops = iter([False, False, True])
    out = tmp_path / "stopped"
    stopped = gridcade.train("toy", world, out=out, seed=3, stop=lambda: next(stops))
    assert stopped.last_checkpoint() < 2000
    resumed = gridcade.resume(out)
    for name, tensor in whole.load_agent(2000).items():
        np.testing.assert_array_equal(resumed.load_agent(2000)[name], tensor)


def test_a_toy_agent_is_compared(
    world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study runs in this process, because worker processes do not know the agent."""

    @contextmanager
    def workers(*_: Any) -> Iterator[Callable[[Callable[[Any], None], Sequence[Any]], None]]:
        def run_all(work: Callable[[Any], None], items: Sequence[Any]) -> None:
            for item in items:
                work(item)

        yield run_all

    monkeypatch.setattr("gridcade.study.runner.workers", workers)
    contenders = (ContenderSpec("toy"), ContenderSpec("random"))
    study = Study(contenders, (world,), steps=1000, seeds=2, episodes=10)
    comparison = run_study(study, tmp_path / "study")
    assert not comparison.failures
    scores = {row["contender"]: row["expected_return"] for row in comparison.rows()}
    assert scores["toy"] == -2 > scores["random"]
