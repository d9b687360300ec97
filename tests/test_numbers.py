"""Numbers of NumPy, and whole numbers with an exponent, wherever a number is accepted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gridcade
from gridcade.cli.main import COMMANDS, _parse_command
from gridcade.cli.options import whole_number
from gridcade.plain import plain
from gridcade.training.run_folder import Run

DQN = {
    "hidden": np.array([4]),
    "learn_start": np.int64(50),
    "replay_capacity": np.float64(500),
    "held_out": np.int16(3),
    "epsilon": {"initial": np.float64(1), "final": np.float32(0.5), "steps": np.int64(100)},
}


def test_plain_converts_inside_of_tables_and_lists() -> None:
    value = plain({"a": [np.int8(3), (np.float32(0.5),)], "b": np.bool_(True), "c": "text"})
    assert json.dumps(value) == '{"a": [3, [0.5]], "b": true, "c": "text"}'


@pytest.mark.parametrize(
    ("agent", "env", "hyperparameters"),
    [
        ("q-learning", "FourRooms", {"discount": np.float32(0.5), "epsilon": np.float64(0.1)}),
        ("dqn", "CartPole", DQN),
        ("sb3-a2c", "CartPole", {"n_steps": np.int64(5), "learning_rate": np.float32(0.125)}),
    ],
)
def test_training_takes_numbers_of_numpy(
    agent: str, env: str, hyperparameters: dict[str, Any], tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "steps": np.int64(200),
        "epoch": np.float64(100),
        "seed": np.int64(3),
        "envs": np.int8(1),
        "evaluation_episodes": np.uint8(1),
    }
    run = gridcade.train(
        agent, env, hyperparameters=hyperparameters, out=tmp_path / "run", **options
    )
    plainly: Any = {name: int(value) for name, value in options.items()}
    same = gridcade.train(
        agent,
        env,
        hyperparameters=plain(hyperparameters),
        out=tmp_path / "same",
        **plainly,
    )
    assert Run(run.path).config == same.config
    if agent == "q-learning":
        steps: Any = np.float64(300)
        assert gridcade.resume(run.path, steps=steps).last_checkpoint() == 300


def test_other_functions_take_numbers_of_numpy(tmp_path: Path) -> None:
    options: Any = {"episodes": np.int64(12), "seed": np.int64(1), "discount": np.float32(0.5)}
    result = gridcade.evaluate("random", gridcade.make("Maze", size=np.int64(9)), **options)
    assert json.loads(json.dumps(result.as_dict()))["seed"] == 1
    discount: Any = np.float32(0.5)
    assert json.dumps(gridcade.solve("FourRooms", "discounted", discount).as_dict())
    watch: Any = {"episodes": np.float64(1), "fps": np.float32(5)}
    gridcade.watch("optimal", "FourRooms", video=tmp_path / "v.gif", **watch)


@pytest.mark.parametrize(
    "words",
    [
        "train q-learning FourRooms --steps 1e5 --seed 1e0 --epoch 1e4 --epsilon.steps 1e3",
        "resume run --steps 1e5",
        "evaluate random --env FourRooms --episodes 1e1 --seed 1e0",
        "watch random --env FourRooms --episodes 1e0 --seed 1e0",
        "play FourRooms --episodes 1e0 --seed 1e0",
        "compare random --env FourRooms --steps 1e5 --seeds 2e0 --episodes 1e2 --jobs 1e0",
        "serve --port 8e3",
    ],
)
def test_whole_numbers_of_the_command_line_may_have_an_exponent(words: str) -> None:
    name, *_ = words.split()
    assert name in COMMANDS
    options = [word for word in words.split() if word[0].isdigit()]
    numbers = [str(whole_number(word)) for word in options]
    plainly = words
    for word, number in zip(options, numbers, strict=True):
        plainly = plainly.replace(f" {word}", f" {number}", 1)
    assert str(_parse_command(*words.split())) == str(_parse_command(*plainly.split()))
