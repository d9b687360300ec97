"""Deep agents learn. These tests take minutes and run with `pytest -m slow`."""

from pathlib import Path
from typing import Any

import pytest
from training_until import train_until

import gridcade

# An old CPU takes three times as long.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("agent", ["dqn", "pqn"])
def test_deep_agents_balance_the_pole(agent: str, tmp_path: Path) -> None:
    """Gymnasium's threshold is 475."""
    options = {"evaluation_episodes": 50, "out": tmp_path / "run"}
    run = train_until("return_mean", 495, agent, "CartPole", 200_000, **options)
    result = gridcade.evaluate(run, episodes=100)
    assert result.expected_return is not None
    assert result.expected_return.mean >= 475


EXPLORING = {"epsilon": {"initial": 1.0, "final": 0.1, "steps": 20_000}}


@pytest.mark.parametrize(
    ("observation", "hyperparameters"),
    [
        ("one_hot", EXPLORING),
        ("pixels&pixels=52", {}),  # convolutions with the size of a cell
    ],
)
def test_dqn_finds_the_optimum_of_four_rooms(
    observation: str, hyperparameters: dict[str, Any], tmp_path: Path
) -> None:
    """The exact value of the learned policy is compared with the exact optimum."""
    optimum = gridcade.solve("FourRooms", "average-reward").average_reward
    run = train_until(
        "average_reward_mean",
        0.985 * optimum,
        "dqn",
        f"FourRooms?observation={observation}",
        100_000,
        epoch=5_000,
        hyperparameters=hyperparameters,
        out=tmp_path / "run",
    )
    exact = gridcade.evaluate(run, episodes=10).exact
    assert exact is not None
    assert exact.unlimited_average_reward >= 0.98 * exact.optimal_average_reward


BREAKOUT: dict[str, dict[str, Any]] = {
    "dqn": {
        "steps": 60_000,
        "hyperparameters": {
            "replay_capacity": 40_000,
            "learn_start": 2_000,
            "learning_rate": 3e-4,  # twice the preset's: the run is short
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
def test_breakout_is_played_better_than_at_random(agent: str, tmp_path: Path) -> None:
    """The test covers emulators, replay files in the run folder, overlap and checkpoints."""
    run = gridcade.train(
        agent,
        "Breakout",
        evaluation_every=99,
        evaluation_episodes=10,
        out=tmp_path / "run",
        **BREAKOUT[agent],
    )
    trained, random = (gridcade.evaluate(p, "Breakout", episodes=200) for p in (run, "random"))
    assert trained.expected_return is not None
    assert random.expected_return is not None
    assert trained.expected_return.low > random.expected_return.high
