"""Deep agents learn: minutes, not seconds, so these run with `pytest -m slow`.

What is scored is the checkpoint with a run's best evaluation. The last one may be a bad moment: a
policy that balances for 500 steps falls below 200 and recovers, and when it does so depends on
how a processor rounds.
"""

from pathlib import Path
from typing import Any

import pytest

import gridcade
from gridcade.training.run_folder import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # an old processor takes thrice as long


def best(run: Run) -> Path:
    """The checkpoint with the best evaluation."""
    steps = run.best()
    assert steps is not None
    return run.checkpoint(steps)


@pytest.mark.parametrize("agent", ["dqn", "pqn"])
def test_deep_agents_balance_the_pole(agent: str, tmp_path: Path) -> None:
    """475 is what Gymnasium calls solved: DQN within 60,000 steps, PQN within 200,000."""
    run = gridcade.train(agent, "CartPole", out=tmp_path / "run")
    assert run.last_checkpoint() == {"dqn": 60_000, "pqn": 200_000}[agent]
    found = gridcade.evaluate(best(run), episodes=100)
    assert found.expected_return is not None
    assert found.expected_return.mean >= 475


EXPLORING = {"epsilon": {"initial": 1.0, "final": 0.1, "steps": 20_000}}


@pytest.mark.parametrize(
    ("seen", "hyperparameters"),
    [
        ("one_hot", EXPLORING),
        ("pixels&pixels=52", {}),  # by convolutions, to which a cell is a block
    ],
)
def test_dqn_finds_the_optimum_of_four_rooms(
    seen: str, hyperparameters: dict[str, Any], tmp_path: Path
) -> None:
    """By the exact value of what it has learnt, beside the exact optimum."""
    env = f"FourRooms?observation={seen}"
    run = gridcade.train(
        "dqn",
        env,
        steps=40_000,
        epoch=5_000,
        hyperparameters=hyperparameters,
        out=tmp_path / "run",
    )
    exact = gridcade.evaluate(best(run), episodes=10).exact
    assert exact is not None
    assert exact.unlimited_average_reward >= 0.98 * exact.optimal_average_reward


BREAKOUT: dict[str, dict[str, Any]] = {
    "dqn": {
        "steps": 60_000,
        "hyperparameters": {
            "replay_capacity": 40_000,
            "learn_start": 2_000,
            "epsilon": {"initial": 1.0, "final": 0.1, "steps": 20_000},
        },
    },
    "pqn": {
        "steps": 150_000,
        "envs": 32,
        "hyperparameters": {"epsilon": {"initial": 1.0, "final": 0.05, "steps": 100_000}},
    },
}


@pytest.mark.parametrize("agent", BREAKOUT)
def test_breakout_is_learnt_beyond_chance(agent: str, tmp_path: Path) -> None:
    """The whole loop: emulators, frames in files of the run folder, both threads, checkpoints."""
    run = gridcade.train(
        agent,
        "Breakout",
        evaluation_every=99,
        evaluation_episodes=10,
        out=tmp_path / "run",
        **BREAKOUT[agent],
    )
    learnt, chance = (gridcade.evaluate(p, "Breakout", episodes=200) for p in (run, "random"))
    assert learnt.expected_return is not None
    assert chance.expected_return is not None
    assert learnt.expected_return.low > chance.expected_return.high
