"""Mazes that change at a step of training: in both loops, resumed before and after the change."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gridcade
from gridcade import api, shortfall
from gridcade.agents.q_learning import QLearning, QLearningConfig
from gridcade.agents.schedules import Schedule
from gridcade.agents.tabular_loop import TabularLoop
from gridcade.envs import registry
from gridcade.envs.book.changing_mazes import BlockingMaze, ShortcutMaze
from gridcade.envs.model import Model
from gridcade.envs.rendering import WorldPainter
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError
from gridcade.exact.solver import policy_value
from gridcade.exact.values import policy_table
from gridcade.experience.vector import make_vector
from gridcade.training import evaluator
from gridcade.training.trainer import StepLoop

CHANGE, STEPS = 990, 1500
UP, RIGHT, DOWN, LEFT = range(4)
CONFIG = QLearningConfig(step_size=Schedule(0.5), epsilon=Schedule(0.3), discount=0.95)
NAMES = ("BlockingMaze?change_step=990", "BlockingMaze?change_step=990&time_limit=none")


def make_agent() -> QLearning:
    return QLearning(54, 4, CONFIG, seed=3)


def gymnasium_loop(name: str, envs: int = 1) -> StepLoop:
    return StepLoop(make_agent(), make_vector(name, envs), seed=1)


def compiled_loop(name: str) -> TabularLoop:
    env = registry.make(name)
    model = registry.known_model(env)
    assert model is not None
    return make_agent().compiled_loop(model, registry.time_limit(env), seed=1)


def values(loop: StepLoop | TabularLoop) -> NDArray[np.float64]:
    """What was learned, and how often each action was taken."""
    assert isinstance(loop.agent, QLearning)
    return np.stack([loop.agent.q, loop.agent.visits.astype(np.float64)])


# --- the mazes ---


@pytest.mark.parametrize(
    ("name", "before", "after"), [("BlockingMaze", 10, 16), ("ShortcutMaze", 16, 10)]
)
def test_the_shortest_paths_are_those_of_the_book(name: str, before: int, after: int) -> None:
    for phase, moves in (("before", before), ("after", after)):
        solution = gridcade.solve(f"{name}?phase={phase}", "discounted", 0.95)
        assert solution.value == pytest.approx(0.95 ** (moves - 1))
        assert not registry.make(name, phase=phase).unwrapped.model.change  # type: ignore[attr-defined]
    assert gridcade.solve(name).average_reward == pytest.approx(1 / before)


def test_the_description_names_the_step_of_the_change() -> None:
    assert "At step 2,500 of training" in BlockingMaze(change_step=2500).world.about
    assert "At step 3,000 of training" in ShortcutMaze("after").world.about


def test_a_maze_outside_training_does_not_change() -> None:
    env = BlockingMaze(change_step=1)
    env.reset(seed=0)
    moves = [RIGHT] * 5 + [UP] * 5  # over the cell that closes
    assert [env.step(move)[1:3] for move in moves][-1] == (1.0, True)


def test_a_move_leads_out_of_a_cell_that_has_become_a_wall() -> None:
    env = BlockingMaze(render_mode="ansi")
    env.reset(seed=0)
    states = [env.step(move)[0] for move in [RIGHT] * 5 + [UP, UP]]
    assert states[-2:] == [4 * 9 + 8, 3 * 9 + 8]
    env.enter_step(1000)
    assert str(env.render()).splitlines()[3] == ".#######@"
    assert [env.step(move)[0] for move in (LEFT, RIGHT, UP, DOWN)] == [35, 35, 26, 26]


def test_a_picture_shows_the_present_maze() -> None:
    env = ShortcutMaze(observation="pixels")
    start, _ = env.reset(seed=0)
    env.enter_step(3000)
    later = ShortcutMaze("after")
    expected = WorldPainter(later.world, 84, square=True).draw((5, 3))
    np.testing.assert_array_equal(env.encode(env.state), expected)
    assert not np.array_equal(start, expected)
    env.enter_step(2999)
    np.testing.assert_array_equal(env.encode(env.state), start)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phase": "befor"}, "unknown phase 'befor'; did you mean before?"),
        ({"change_step": 0}, "change_step is 0; it must be an integer, 1 or greater"),
        ({"change_step": 1.5}, "change_step is 1.5"),
    ],
)
def test_invalid_arguments_are_input_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        BlockingMaze(**arguments)
    assert message in str(caught.value)


# --- the loops ---


@pytest.mark.parametrize("name", NAMES)
def test_both_loops_change_the_maze_at_the_same_step(name: str) -> None:
    """The maze and its start are not random, so both loops take the same steps."""
    compiled, plain = compiled_loop(name), gymnasium_loop(name)
    totals = dict.fromkeys(plain.advance(0), 0.0)
    for until in (1, CHANGE, CHANGE + 1, STEPS):
        expected = plain.advance(until)
        assert compiled.advance(until) == expected
        np.testing.assert_array_equal(values(compiled), values(plain))
        totals = {key: totals[key] + value for key, value in expected.items()}
    assert totals["episodes"] > 0
    whole = compiled_loop(name)
    assert whole.advance(STEPS) == pytest.approx(totals)
    np.testing.assert_array_equal(values(whole), values(plain))
    unchanged = compiled_loop(name.replace("990", "5000"))
    unchanged.advance(STEPS)
    assert not np.array_equal(values(unchanged), values(plain))


def test_recorded_episodes_change_the_maze_too() -> None:
    loop, other = compiled_loop(NAMES[0]), compiled_loop(NAMES[0])
    loop.record_episodes(20)
    other.advance(loop.agent.steps)
    assert loop.agent.steps > CHANGE
    np.testing.assert_array_equal(values(loop), values(other))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("envs", [1, 3])
@pytest.mark.parametrize("saved", [CHANGE - 30, CHANGE, CHANGE + 3])
def test_a_resumed_loop_continues_bit_for_bit(name: str, envs: int, saved: int) -> None:
    first = gymnasium_loop(name, envs)
    first.advance(saved)
    agent, loop, state = first.agent.state_dict(), first.state_dict(), first.env_state()
    agent = {key: tensor.copy() for key, tensor in agent.items()}
    loop = {key: tensor.copy() for key, tensor in loop.items()}
    if (envs, state["states"]) == (1, []):  # the running episode began before the change
        assert len(state["actions"][0]) > saved - CHANGE
    expected = first.advance(STEPS)
    second = gymnasium_loop(name, envs)
    second.agent.load_state_dict(agent)
    second.load_state_dict(loop)
    assert second.load_env_state(state) == 0
    assert second.advance(STEPS) == expected
    np.testing.assert_array_equal(values(second), values(first))


@pytest.mark.parametrize("saved", [CHANGE - 30, CHANGE, CHANGE + 3])
def test_a_resumed_compiled_loop_continues_bit_for_bit(saved: int) -> None:
    first, second = compiled_loop(NAMES[0]), compiled_loop(NAMES[0])
    first.advance(saved)
    second.agent.load_state_dict(first.agent.state_dict())  # type: ignore[attr-defined]
    second.load_state_dict(first.state_dict())
    assert second.advance(STEPS) == first.advance(STEPS)
    np.testing.assert_array_equal(values(second), values(first))


def test_evaluations_in_training_are_of_the_present_maze(tmp_path: Path) -> None:
    run = gridcade.train(
        "q-learning",
        "ShortcutMaze?change_step=10000",
        steps=20_000,
        epoch=5_000,
        out=tmp_path / "r",
    )
    mazes = [registry.make("ShortcutMaze", phase=phase) for phase in ("before", "after")]
    rates = []
    for maze in mazes:
        model = registry.known_model(maze)
        assert model is not None
        table = policy_table(gridcade.load(run.path), maze, model)
        assert table is not None
        limit = registry.time_limit(maze)
        rates.append(policy_value(model, table, time_limit=limit).average_reward)
    assert rates[0] != rates[1]
    found = api.find(run.path), api.find(run.path, "ShortcutMaze")
    names = [contender.env_name for contender in found]
    assert names == ["ShortcutMaze?change_step=10000&phase=after", "ShortcutMaze"]
    assert run.metrics()[-1]["average_reward_mean"] == pytest.approx(rates[1])


@pytest.mark.parametrize(("envs", "steps"), [(1, 1000), (3, 1002)])
def test_a_run_that_ends_at_the_change_is_evaluated_in_the_maze_before_it(
    envs: int, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps count from 0: the last one, of all environments together, was before the change."""
    changed: list[bool] = []

    def table(agent: Any, env: Any, model: Model, **options: Any) -> Any:
        changed.append(model.change is None)
        return policy_table(agent, env, model, **options)

    monkeypatch.setattr(evaluator, "policy_table", table)
    monkeypatch.setattr(shortfall, "policy_table", table)
    name = "ShortcutMaze?change_step=1000"
    run = gridcade.train("q-learning", name, steps=steps, epoch=500, envs=envs, out=tmp_path / "r")
    assert run.last_checkpoint() == steps
    assert shortfall.shortfall(run)
    assert len(changed) >= 2
    assert not any(changed)
    assert api.find(run.path).env_name == f"{name}&phase=before"
    run = gridcade.resume(run.path, steps=steps + envs)
    assert shortfall.shortfall(run)
    assert changed[-2:] == [True, True]
    assert api.find(run.path).env_name == f"{name}&phase=after"


@pytest.mark.parametrize("envs", [1, 2])
def test_agents_of_stable_baselines3_meet_the_change_too(
    envs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3")
    step, walls = TabularEnv.step, []

    def recorded(maze: TabularEnv, action: Any) -> Any:
        walls.append(maze.world.rows[3])
        return step(maze, action)

    monkeypatch.setattr(TabularEnv, "step", recorded)
    name = "BlockingMaze?change_step=50"
    gridcade.train(
        "sb3-ppo",
        name,
        hyperparameters={"n_steps": 20, "batch_size": 10},
        steps=80,
        envs=envs,
        out=tmp_path / "run",
    )
    assert walls[:80] == ["########."] * 50 + [".########"] * 30
