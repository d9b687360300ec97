"""Deep agents learn: minutes, not seconds, so these run with `pytest -m slow`."""

from pathlib import Path
from typing import Any

import pytest

import gridcade

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_dqn_balances_the_pole(tmp_path: Path) -> None:
    """475 is what Gymnasium calls solved, within 60,000 decisions."""
    run = gridcade.train("dqn", "CartPole", out=tmp_path / "run")
    assert run.last_checkpoint() == 60_000
    found = gridcade.evaluate(run, episodes=100, seed=1)
    assert found.expected_return is not None
    assert found.expected_return.mean >= 475


def test_pqn_balances_the_pole(tmp_path: Path) -> None:
    """By its default preset, which takes half a minute."""
    run = gridcade.train("pqn", "CartPole", out=tmp_path / "run")
    found = gridcade.evaluate(run, episodes=100, seed=1)
    assert found.expected_return is not None
    assert found.expected_return.mean >= 475


def test_dqn_finds_the_optimum_of_four_rooms(tmp_path: Path) -> None:
    """By the exact value of what it has learnt, beside the exact optimum."""
    run = gridcade.train(
        "dqn",
        "FourRooms?observation=one_hot",
        steps=40_000,
        epoch=10_000,
        hyperparameters={"epsilon": {"initial": 1.0, "final": 0.1, "decisions": 20_000}},
        out=tmp_path / "run",
    )
    exact = gridcade.evaluate(run, episodes=10).exact
    assert exact is not None
    assert exact.unlimited_average_reward >= 0.98 * exact.optimal_average_reward


def test_pqn_learns_breakout_beyond_chance(tmp_path: Path) -> None:
    """Sixteen emulators, rollouts, both threads, checkpoints."""
    given: dict[str, Any] = {"epsilon": {"initial": 1.0, "final": 0.05, "decisions": 100_000}}
    run = gridcade.train(
        "pqn",
        "Breakout",
        steps=150_000,
        evaluation_every=99,
        evaluation_episodes=10,
        envs=32,
        hyperparameters=given,
        out=tmp_path / "run",
    )
    learnt = gridcade.evaluate(run, episodes=200)
    chance = gridcade.evaluate("random", "Breakout", episodes=200)
    assert learnt.expected_return is not None
    assert chance.expected_return is not None
    assert learnt.expected_return.low > chance.expected_return.high


def test_dqn_learns_breakout_beyond_chance(tmp_path: Path) -> None:
    """The whole loop: emulators, replay of a million frames' form, both threads, checkpoints."""
    small: dict[str, Any] = {"replay_capacity": 40_000, "learn_start": 2_000}
    small |= {"epsilon": {"initial": 1.0, "final": 0.1, "decisions": 20_000}}
    run = gridcade.train(
        "dqn",
        "Breakout",
        steps=60_000,
        evaluation_every=99,
        evaluation_episodes=10,
        hyperparameters=small,
        out=tmp_path / "run",
    )
    learnt = gridcade.evaluate(run, episodes=200)
    chance = gridcade.evaluate("random", "Breakout", episodes=200)
    assert learnt.expected_return is not None
    assert chance.expected_return is not None
    assert learnt.expected_return.low > chance.expected_return.high
