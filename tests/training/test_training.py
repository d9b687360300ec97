"""Training: epochs, budgets, metrics, configurations, and stopped runs that resume exactly."""

import json
import os
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

import gridcade
from gridcade import agents, api
from gridcade.agents import QLearningConfig, Schedule
from gridcade.agents.base import Agent
from gridcade.agents.deep import DeepAgent
from gridcade.envs.registry import known_model, make, time_limit
from gridcade.errors import InputError, WriteError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.exact import solver
from gridcade.experience.loop import Experience
from gridcade.experience.step import TOTALS, Step
from gridcade.experience.vector import make_vector
from gridcade.training import provenance, trainer
from gridcade.training.config import (
    EPOCH_BY_TIME,
    EPOCHS,
    SHORTEST_EPOCH,
    RunConfig,
    from_dict,
    read_recipe,
    resolve_config,
)
from gridcade.training.find_run import find_trained
from gridcade.training.run_folder import Run
from gridcade.training.sessions import dry_run, resume, start_from, train
from gridcade.training.trainer import Progress, StepLoop

WALL_CLOCK = ("seconds", "steps_per_second", "epoch_seconds", "evaluation_seconds")
Q_LEARNING = agents.find("q-learning")
OPEN = "step reward: -1\ntime limit: none\nmap:\nS...\n....\n...G\n"


def tensors(run: Run) -> dict[str, Any]:
    """Return the exact contents of the last checkpoint, without the wall-clock times."""
    agent, loop, state = run.load_checkpoint(run.last_checkpoint())
    bits = {
        f"{part}.{key}": (value.dtype, value.shape, value.tobytes())
        for part, values in (("agent", agent), ("loop", loop))
        for key, value in values.items()
    }
    return bits | {"env_state": state["env_state"], "steps": state["steps"]}


def metrics(run: Run) -> list[dict[str, Any]]:
    """Return the metrics without the wall-clock times."""
    return [{k: v for k, v in m.items() if k not in WALL_CLOCK} for m in run.metrics()]


def outcome(run: Run) -> dict[str, Any]:
    """Return everything that must be equal in two equal runs."""
    state = run.load_checkpoint(run.last_checkpoint())[2]
    rest = {k: v for k, v in state.items() if k not in WALL_CLOCK}
    return tensors(run) | rest | {"metrics": metrics(run), "checkpoints": run.checkpoints()}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file in a folder, except the lock and TensorBoard's files."""
    files = (f for f in folder.rglob("*") if f.is_file() and f.name != ".lock")
    files = (f for f in files if f.parent.name != "tensorboard")  # their names contain the time
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


def stop_at(call: int) -> Callable[[], bool]:
    """Return a `stop` callback that returns True from its n-th call on."""
    calls = count(1)
    return lambda: next(calls) >= call


# ---- stopped and resumed

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "compiled": ("FourRooms", {"steps": 500_000, "epoch": 250_000}),
    "compiled, Gymnasium's toy text": ("FrozenLake-v1", {"steps": 330_000, "epoch": 150_000}),
    "compiled, average reward": (
        "NearAndFar",
        {"steps": 400_000, "epoch": 170_000, "preset": "average-reward"},
    ),
    "FrozenLake, 4 environments": ("FrozenLake-v1", {"steps": 1000, "epoch": 600, "envs": 4}),
    "FrozenLake, 3 environments": ("FrozenLake-v1", {"steps": 1000, "epoch": 500, "envs": 3}),
    "CliffWalk, 2 environments": ("CliffWalk", {"steps": 1000, "epoch": 500, "envs": 2}),
    "CliffWalking, 2 environments, no time limit": (
        "CliffWalking-v1",
        {"steps": 800, "epoch": 500, "envs": 2},
    ),
    "RiverSwim, 2 environments, average reward": (
        "RiverSwim",
        {"steps": 1000, "epoch": 700, "envs": 2, "preset": "average-reward"},
    ),
    "FrozenLake, 2 environments, average reward": (
        "FrozenLake-v1",
        {"steps": 800, "epoch": 500, "envs": 2, "preset": "average-reward"},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_equals_an_uninterrupted_run(name: str, tmp_path: Path) -> None:
    env, options = RUNS[name]
    calls = count()
    whole = train(
        "q-learning", env, out=tmp_path / "whole", stop=lambda: next(calls) < 0, seed=2, **options
    )
    num_calls = next(calls)
    assert num_calls >= 4
    for call in range(1, num_calls + 1):
        out = tmp_path / str(call)
        stopped = train("q-learning", env, out=out, stop=stop_at(call), seed=2, **options)
        assert stopped.last_checkpoint() < options["steps"]
        resumed = resume(out)
        assert tensors(resumed) == tensors(whole)
        assert metrics(resumed) == metrics(whole)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_stopped_at_every_opportunity_equals_an_uninterrupted_run(
    name: str, tmp_path: Path
) -> None:
    env, options = RUNS[name]
    whole = train("q-learning", env, out=tmp_path / "whole", **options)
    run = train("q-learning", env, out=tmp_path / "run", stop=stop_at(1), **options)
    sessions = 1
    while run.last_checkpoint() < options["steps"]:
        run, sessions = resume(run.path, stop=stop_at(1)), sessions + 1
    assert sessions >= 4
    assert tensors(run) == tensors(whole)
    assert metrics(run) == metrics(whole)
    recorded = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert len(recorded) == sessions


@pytest.mark.parametrize("name", RUNS)
def test_an_extended_run_equals_a_longer_run(name: str, tmp_path: Path) -> None:
    env, options = RUNS[name]
    steps = options["steps"] + options["epoch"] // 2 + 7
    whole = train("q-learning", env, out=tmp_path / "whole", **options | {"steps": steps})
    train("q-learning", env, out=tmp_path / "run", **options)
    longer = resume(tmp_path / "run", steps=steps)
    assert tensors(longer) == tensors(whole)
    assert longer.config == whole.config
    assert Run(longer.path).config == whole.config
    assert longer.metrics()[-1]["steps"] == whole.metrics()[-1]["steps"] >= steps


@pytest.mark.parametrize("agent", ["dqn", "pqn"])
def test_an_extended_deep_run_equals_a_longer_run(agent: str, tmp_path: Path) -> None:
    """PQN runs without overlap, because overlap changes when the last rollout is learned from."""
    options: dict[str, Any] = {"epoch": 250, "envs": 2, "evaluation_episodes": 1}
    options["hyperparameters"] = (
        {"learn_start": 100, "held_out": 3, "replay_capacity": 1500}
        if agent == "dqn"
        else {"overlap": False, "rollout": 16, "minibatches": 2}
    )
    whole = train(agent, "CartPole", steps=700, out=tmp_path / "whole", **options)
    train(agent, "CartPole", steps=400, out=tmp_path / "run", **options)
    assert tensors(resume(tmp_path / "run", steps=700)) == tensors(whole)


def test_a_pqn_run_resumed_at_its_last_step_learns_from_its_last_rollout(tmp_path: Path) -> None:
    options: dict[str, Any] = {"envs": 4, "epoch": 10_000, "evaluation_episodes": 1}
    options["hyperparameters"] = {"rollout": 50, "epochs": 2, "minibatches": 2}
    out = tmp_path / "run"
    run = train("pqn", "CartPole", steps=1000, out=out, stop=stop_at(1), **options)
    assert run.last_checkpoint() == 200  # one rollout, which is also one tick of the loop
    assert not run.load_agent(200)["counters"][1]
    (updates,) = resume(out, steps=200).load_agent(200)["counters"][1:2]
    assert updates == 2 * 2  # epochs x minibatches


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    run = train("q-learning", "FrozenLake-v1", steps=1000, epoch=500, out=tmp_path / "run")
    before = outcome(run)
    assert outcome(resume(run.path)) == before
    assert outcome(resume(run.path, steps=1000)) == before


def test_different_seeds_give_different_runs(tmp_path: Path) -> None:
    for env, envs in (("FourRooms", 1), ("FrozenLake-v1", 2)):
        runs = [
            train("q-learning", env, steps=2000, envs=envs, seed=s, out=tmp_path / f"{env}{s}")
            for s in (0, 1)
        ]
        assert tensors(runs[0]) != tensors(runs[1])


# ---- epochs and budgets


@pytest.mark.parametrize(
    ("envs", "stop", "epochs"),
    [
        (1, 10_000, [700, 1400, 2100, 2500]),
        (2, 10_000, [700, 1400, 2100, 2500]),
        (2, 2, [700, 1400, 2100, 2500]),  # stopped at 400
        (2, 5, [700, 1400, 2100, 2500]),  # stopped at 900
        (2, 4, [700, 1400, 2100, 2500]),  # stopped exactly at 700
        (3, 10_000, [702, 1401, 2100, 2502]),  # 3 environments may step past the multiple
        (3, 3, [702, 1401, 2100, 2502]),
    ],
)
def test_epochs_end_at_multiples_of_the_epoch_length(
    envs: int, stop: int, epochs: list[int], tmp_path: Path
) -> None:
    ends: list[int] = []

    def report(progress: Progress) -> None:
        if progress.metrics is not None:
            ends.append(progress.steps)
            assert progress.metrics["steps"] == progress.steps
            assert Run(tmp_path / "run").last_checkpoint() == progress.steps
            assert Run(tmp_path / "run").metrics()[-1] == progress.metrics

    options: dict[str, Any] = {"steps": 2500, "epoch": 700, "envs": envs}
    out = tmp_path / "run"
    train("q-learning", "FrozenLake-v1", out=out, report=report, stop=stop_at(stop), **options)
    run = resume(out, report=report)
    assert ends == epochs == [m["steps"] for m in run.metrics()]
    checkpoints = run.checkpoints()
    assert checkpoints[-3:] == epochs[-3:]
    assert set(checkpoints) <= {*epochs[-3:], run.best()}


def test_progress_is_reported_often_and_in_order(tmp_path: Path) -> None:
    reports: list[Progress] = []
    options: dict[str, Any] = {"steps": 1000, "epoch": 500, "envs": 2}
    train("q-learning", "FrozenLake-v1", out=tmp_path / "run", report=reports.append, **options)
    assert [p.steps for p in reports] == [200, 400, 500, 500, 700, 900, 1000, 1000]
    assert [p.metrics is not None for p in reports] == [False, False, False, True] * 2
    assert all(p.total_steps == 1000 and p.minutes is None for p in reports)
    assert [p.seconds for p in reports] == sorted(p.seconds for p in reports)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the clock: each tick of the loop takes 1 second, and writing metrics takes 3."""
    now = [1000.0]

    def timed(work: Callable[..., Any], seconds: float) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            now[0] += seconds
            return work(*arguments)

        return call

    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(StepLoop, "advance", timed(StepLoop.advance, 1.0))
    monkeypatch.setattr(Run, "add_metrics", timed(Run.add_metrics, 3.0))


@pytest.mark.usefixtures("clock")
def test_minutes_limit_the_total_time_of_all_sessions(tmp_path: Path) -> None:
    options: dict[str, Any] = {"envs": 2, "epoch": 10_000}
    run = train("q-learning", "FrozenLake-v1", minutes=0.1, out=tmp_path / "run", **options)
    assert run.last_checkpoint() == 6 * StepLoop.tick
    assert resume(run.path).last_checkpoint() == 6 * StepLoop.tick
    longer = resume(run.path, minutes=0.25, stop=stop_at(4))
    assert longer.last_checkpoint() == 10 * StepLoop.tick
    assert longer.config.minutes == 0.25
    assert resume(run.path).last_checkpoint() == 15 * StepLoop.tick
    both = resume(run.path, minutes=1.0, steps=17 * StepLoop.tick)
    assert both.last_checkpoint() == 17 * StepLoop.tick
    assert both.metrics()[-1]["seconds"] == 17.0


@pytest.mark.usefixtures("clock")
def test_evaluations_and_checkpoints_count_towards_minutes(tmp_path: Path) -> None:
    """Otherwise a fast agent with frequent evaluations could exceed its limit by hours."""
    options: dict[str, Any] = {"envs": 2, "minutes": 1.0, "epoch": StepLoop.tick}
    run = train("q-learning", "FrozenLake-v1", out=tmp_path / "run", **options)
    assert run.last_checkpoint() == 15 * StepLoop.tick


@pytest.mark.usefixtures("clock")
def test_steps_per_second_uses_only_the_seconds_of_its_epoch(tmp_path: Path) -> None:
    options: dict[str, Any] = {"envs": 2, "steps": 2000, "epoch": 1000}
    for stop in (100, 3, 6):  # one session, then two
        out = tmp_path / str(stop)
        train("q-learning", "FrozenLake-v1", out=out, stop=stop_at(stop), **options)
        speeds = [(m["seconds"], m["steps_per_second"]) for m in resume(out).metrics()]
        assert speeds == [(5.0, 200), (13.0, 200)]


# ---- metrics


@pytest.mark.parametrize(
    ("env", "envs", "preset"),
    [
        ("FourRooms", 1, "watkins"),
        ("RussellNorvig4x3", 1, "watkins"),
        ("FrozenLake-v1", 2, "watkins"),
        ("NearAndFar", 1, "average-reward"),
        ("CliffWalking-v1", 1, "watkins"),
    ],
)
def test_metrics_are_the_exact_value_of_the_greedy_policy(
    env: str, envs: int, preset: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"steps": 3000, "epoch": 1000, "envs": envs, "preset": preset}
    run = train("q-learning", env, out=tmp_path / "run", **options)
    single = make(env)
    model = known_model(single)
    assert model is not None
    entries = {m["steps"]: m for m in run.metrics()}
    for steps in (1000, 2000, 3000):
        q = run.load_checkpoint(steps)[0]["q"]
        best = q == q.max(axis=1, keepdims=True)
        table = best / best.sum(axis=1, keepdims=True)  # ties shared evenly
        exact = solver.policy_value(model, table, time_limit=time_limit(single))
        entry = entries[steps]
        assert entry["exact"] is True
        for name, value in (
            ("average_reward", exact.average_reward),
            ("return", exact.expected_return),
        ):
            reported = {entry.get(f"{name}_{part}") for part in ("mean", "low", "high")}
            assert reported == {value if value is not None and np.isfinite(value) else None}


class Scripted(Agent):
    """An agent that takes its actions from a list and does not learn."""

    def __init__(self, actions: NDArray[Any]):
        self.actions, self.steps = iter(actions), 0
        self.observed: list[Step] = []

    def act(self, observations: Any, masks: Any = None) -> NDArray[Any]:
        del masks
        del observations
        return np.asarray(next(self.actions))

    def observe(self, step: Step) -> None:
        self.observed.append(step)
        self.steps += len(step.actions)

    def probabilities(
        self, observations: Any, deterministic: bool = True, masks: Any = None
    ) -> Any:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, tensors: dict[str, Any]) -> None:
        pass


def test_totals_count_each_episode_once_in_the_epoch_where_it_ends() -> None:
    actions = np.random.default_rng(0).integers(4, size=(400, 3))
    name = "FrozenLake-v1?max_episode_steps=9"
    with closing(make_vector(name, 3)) as envs, closing(make_vector(name, 3)) as others:
        loop = StepLoop(Scripted(actions), envs, seed=4)
        totals = [loop.advance(until) for until in (200, 500, 1200)]

        agent = Scripted(actions)
        steps = Experience(others, seed=4).steps(agent)
        running: list[list[float]] = [[], [], []]
        for actual, until in zip(totals, (200, 500, 1200), strict=True):
            expected = dict.fromkeys(TOTALS, 0.0)
            while agent.steps < until:
                step = next(steps)
                for env, rewards in enumerate(running):
                    rewards.append(float(step.rewards[env]))
                    expected["reward"] += rewards[-1]
                    if not (step.terminated[env] or step.truncated[env]):
                        continue
                    expected["episodes"] += 1
                    expected["return"] += sum(rewards)
                    expected["squared_return"] += sum(rewards) ** 2
                    expected["length"] += len(rewards)
                    expected["truncated"] += not step.terminated[env]
                    rewards.clear()
            assert actual == expected
            assert expected["truncated"] < expected["episodes"]


@pytest.mark.parametrize(("env", "envs"), [("RussellNorvig4x3", 1), ("FrozenLake-v1", 2)])
def test_metrics_of_short_epochs_add_up_to_those_of_one_long_epoch(
    env: str, envs: int, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"steps": 4000, "envs": envs}
    (long,) = train("q-learning", env, epoch=4000, out=tmp_path / "long", **options).metrics()
    short = train("q-learning", env, epoch=500, out=tmp_path / "short", **options).metrics()
    assert len(short) == 8
    episodes = [m["episodes"] for m in short]
    assert sum(episodes) == long["episodes"]
    rewards = [m["training_average_reward"] for m in short]
    assert np.mean(rewards) == pytest.approx(long["training_average_reward"], abs=1e-12)
    for name in ("return_mean", "length_mean", "truncated"):
        values = [m[f"training_{name}"] for m in short]
        assert np.average(values, weights=episodes) == pytest.approx(long[f"training_{name}"])


class Corridor(gym.Env[Any, Any]):
    """A corridor of six states with two actions that fail at random; its model is unknown."""

    observation_space = gym.spaces.Discrete(6)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.place = int(self.np_random.integers(3))
        return self.place, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        move = 2 * int(action) - 1 if self.np_random.random() < 0.7 else 0
        self.place = max(self.place + move, 0)
        return self.place, -0.1, self.place == 5, False, {}


@pytest.fixture
def corridor() -> Iterator[str]:
    gym.register("tests/Corridor-v0", lambda **options: Corridor(**options), max_episode_steps=25)
    yield "tests/Corridor-v0"
    del gym.registry["tests/Corridor-v0"]


def test_without_a_model_evaluation_plays_episodes_and_does_not_affect_training(
    corridor: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"steps": 2000, "epoch": 500, "envs": 2, "seed": 3}
    runs = {
        episodes: train(
            "q-learning",
            corridor,
            evaluation_episodes=episodes,
            out=tmp_path / str(episodes),
            **options,
        )
        for episodes in (12, 20)
    }
    assert tensors(runs[12]) == tensors(runs[20])
    for few, many in zip(metrics(runs[12]), metrics(runs[20]), strict=True):
        training = {k for k in few if k.startswith("training") or k in ("steps", "epsilon")}
        assert {k: few[k] for k in training} == {k: many[k] for k in training}
        assert few["exact"] is many["exact"] is False
        assert few["return_mean"] != many["return_mean"]
    for episodes, run in runs.items():
        policy = api.load(run)
        measured = evaluate_policy(
            policy, corridor, episodes=episodes, seed=3, purpose="validation"
        )
        assert measured.expected_return is not None
        # The evaluation does not use the episodes that selected the checkpoint.
        fresh = api.evaluate(run, episodes=episodes, seed=3)
        assert fresh.expected_return is not None
        assert fresh.expected_return.mean != measured.expected_return.mean
        assert run.metrics()[-1]["truncated"] == measured.truncated
        reported = [run.metrics()[-1][f"return_{part}"] for part in ("mean", "low", "high")]
        estimate = measured.expected_return
        assert reported == [estimate.mean, estimate.low, estimate.high]
        assert run.metrics()[-1]["average_reward_mean"] == measured.average_reward.mean


def test_a_resumed_run_without_a_model_equals_an_uninterrupted_run(
    corridor: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"steps": 1100, "epoch": 700, "evaluation_episodes": 3}
    whole = train("q-learning", corridor, out=tmp_path / "whole", **options)
    for call in (1, 2, 5, 6):
        out = tmp_path / str(call)
        train("q-learning", corridor, out=out, stop=stop_at(call), **options)
        assert outcome(resume(out))["metrics"] == metrics(whole)
        assert tensors(Run(out)) == tensors(whole)


# ---- configurations


def resolved(
    preset: str = "watkins",
    config: Path | None = None,
    overlay: dict[str, Any] | None = None,
    hyperparameters: QLearningConfig | None = None,
    **options: Any,
) -> RunConfig:
    recipe = read_recipe(Q_LEARNING, preset, config, overlay)
    return resolve_config(recipe, "FourRooms", options, hyperparameters)


def test_options_override_the_config_file_which_overrides_the_preset(tmp_path: Path) -> None:
    preset = tomllib.loads(Q_LEARNING.preset("converging").read_text())
    base = from_dict(preset["hyperparameters"], QLearningConfig, "preset")
    file = tmp_path / "mine.toml"
    file.write_text(
        "seed = 4\nenvs = 2\nepoch = 300\n"
        "[hyperparameters]\ndiscount = 0.5\ninitial_value = 2.0\nepsilon = { initial = 0.3 }\n"
    )
    overlay = {"discount": 0.25, "step_size": {"power": 0.5}}
    config = resolved("converging", file, overlay, seed=None, envs=5)
    assert (config.seed, config.envs, config.epoch) == (4, 5, 300)
    assert (config.agent, config.env, config.preset) == ("q-learning", "FourRooms", "converging")
    assert config.steps == preset["steps"]
    hyperparameters = config.hyperparameters
    assert isinstance(hyperparameters, QLearningConfig)
    assert hyperparameters.discount == 0.25  # options > config > preset
    assert hyperparameters.initial_value == 2.0  # config > the field's default
    assert hyperparameters.epsilon == replace(base.epsilon, initial=0.3)  # merged
    assert hyperparameters.step_size == replace(base.step_size, power=0.5)
    assert hyperparameters.criterion == base.criterion


def test_a_number_is_a_constant_schedule_in_every_layer(tmp_path: Path) -> None:
    def schedule(file: Path | None, overlay: dict[str, Any]) -> Schedule:
        hyperparameters = resolved("watkins", file, overlay).hyperparameters
        assert isinstance(hyperparameters, QLearningConfig)
        return hyperparameters.epsilon

    file = tmp_path / "mine.toml"
    file.write_text("[hyperparameters]\nepsilon = 0.25\n")
    assert schedule(None, {"epsilon": 0.1}) == Schedule.constant(0.1)
    assert schedule(None, {"epsilon": Schedule(0.5, 0.1, 9)}) == Schedule(0.5, 0.1, 9)
    assert schedule(file, {}) == Schedule.constant(0.25)
    assert schedule(file, {"epsilon": 1}) == Schedule.constant(1.0)
    assert schedule(file, {"epsilon": {"final": 0.05, "steps": 7}}) == Schedule(0.25, 0.05, 7)
    assert {schedule(file, {}).at(step) for step in (0, 1, 10**9)} == {0.25}
    assert schedule(None, {"epsilon": {"final": 0.05}}) == Schedule(1.0, 0.05, 100_000)


def test_a_whole_number_may_have_an_exponent(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("steps = 1e5\nseed = 3.0\n[hyperparameters.epsilon]\nsteps = 2e3\n")
    config = resolved("watkins", file)
    assert isinstance(config.hyperparameters, QLearningConfig)
    numbers = (config.steps, config.seed, config.hyperparameters.epsilon.steps)
    assert numbers == (100_000, 3, 2000)
    assert {type(number) for number in numbers} == {int}


def test_hyperparameters_given_as_a_dataclass_replace_all_others() -> None:
    whole = QLearningConfig(discount=0.125, epsilon=Schedule(0.5))
    assert resolved("converging", hyperparameters=whole).hyperparameters == whole


def test_the_budget_with_the_highest_precedence_applies(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("minutes = 3.0\n")
    steps = tomllib.loads(Q_LEARNING.preset("converging").read_text())["steps"]

    def budget(config: RunConfig) -> tuple[int | None, float | None]:
        return config.steps, config.minutes

    assert budget(resolved("converging")) == (steps, None)
    assert budget(resolved("converging", file)) == (None, 3.0)
    assert budget(resolved("converging", file, steps=70)) == (70, None)
    assert budget(resolved("converging", file, steps=70, minutes=1.0)) == (70, 1.0)
    assert resolved("converging").epoch == steps // EPOCHS
    assert resolved("converging", file).epoch == EPOCH_BY_TIME
    assert resolved(steps=70).epoch == SHORTEST_EPOCH
    assert resolved(steps=70, epoch=9).epoch == 9


def test_the_config_file_of_a_run_reproduces_the_run(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 1500, "envs": 2, "hyperparameters": {"discount": 0.7}}
    run = train("q-learning", "FrozenLake-v1", seed=6, out=tmp_path / "one", **options)
    again = train(
        "q-learning", "FrozenLake-v1", config=run.path / "config.toml", out=tmp_path / "two"
    )
    assert again.config == run.config
    assert outcome(again) == outcome(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agent = 'dqn'", r"mine\.toml is for the agent dqn, not for q-learning"),
        ("stesp = 5", r"mine\.toml: unknown field 'stesp'; did you mean steps\?"),
        ("steps = 'many'", r"mine\.toml: Expected `int \| null`, got `str` - at `\$\.steps`"),
        ("steps = 0", r"mine\.toml: steps is 0; it must be 1 or more"),
        ("minutes = nan", r"mine\.toml: minutes is nan; it must be more than 0"),
        ("steps = ", r"mine\.toml: Invalid value \(at"),
        ("hyperparameters = 3", r"mine\.toml: hyperparameters is 3; it must be a table"),
        ("[hyperparameters]\ndiscuont = 1", r"mine\.toml, hyperparameters: .* discount\?"),
        ("[hyperparameters]\ndiscount = 2", r"mine\.toml, hyperparameters: discount is 2"),
        ("[hyperparameters.epsilon]\nfinel = 1", r"mine\.toml, hyperparameters, epsilon: .*final"),
        ("[hyperparameters.epsilon]\nfinal = 2", r"mine\.toml, .* epsilon\.final is 2"),
        ("[hyperparameters]\nepsilon = 2", r"mine\.toml, hyperparameters: epsilon\.initial is 2"),
        ("steps = 1.5", r"mine\.toml: steps is 1\.5; it must be a whole number"),
        ("[hyperparameters]\ngamma = 0.9", r"hyperparameters: .*; q-learning calls it discount$"),
        ("[hyperparameters.alpha]\nfinal = 0", r"'alpha'; q-learning calls it step_size$"),
        ("[hyperparameters.epsilon]\nend = 0", r"epsilon: unknown field 'end'; .* calls it final$"),
        (
            "discount = 0.9",
            r"mine\.toml: 'discount' is a hyperparameter of q-learning: it belongs under \[hyp",
        ),
        ("gamma = 0.9", r"unknown field 'gamma'; perhaps 'discount', which is a hyperparameter"),
        (
            "[hyperparameters]\nsteps = 5",
            "hyperparameters: 'steps' is a setting of the run: it belongs outside hyperparameters",
        ),
        ("[hyperparameters]\nn_envs = 5", "perhaps 'envs', which is a setting of the run"),
        ("n_envs = 5", "unknown field 'n_envs'; Gridcade calls it envs$"),
    ],
)
def test_a_mistake_in_a_config_file_is_an_error_before_a_folder_is_created(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        train("q-learning", "FourRooms", config=tmp_path / "mine.toml", out=tmp_path / "run")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"agent": "q-lerning"}, "unknown agent 'q-lerning'; did you mean q-learning?"),
        ({"env": "FourRoms"}, "unknown environment 'FourRoms'; did you mean FourRooms?"),
        ({"env": "CartPole-v1"}, "q-learning needs finitely many observations"),
        ({"env": "no/such/map.txt"}, "cannot read the map no/such/map.txt"),
        ({"preset": "watkin"}, "unknown preset of q-learning 'watkin'; did you mean watkins?"),
        (
            {"agent": "q-lambda", "preset": "average-reward"},
            r"'average-reward' \(a preset of sarsa, q-learning\); known: annealed, annealed-large",
        ),
        ({"steps": 0}, "config: steps is 0; it must be 1 or more"),
        ({"steps": 1.5}, "config: steps is 1.5; it must be a whole number"),
        ({"hyperparameters": {"gamma": 1}}, "hyperparameters: .*'gamma'; .* calls it discount"),
        ({"gamma": 1}, "config: unknown field 'gamma'; perhaps 'discount'"),
        ({"seed": -1}, "config: seed is -1"),
        ({"hyperparameters": {"discuont": 1}}, "hyperparameters: .*did you mean discount?"),
        ({"hyperparameters": {"discount": 1.5}}, "hyperparameters: discount is 1.5"),
    ],
)
def test_an_invalid_option_is_an_error_before_a_folder_is_created(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    valid: dict[str, Any] = {"agent": "q-learning", "env": "FourRooms", "out": tmp_path / "run"}
    with pytest.raises(InputError, match=message):
        train(**valid | options)
    assert not list(tmp_path.iterdir())


# ---- folders


def test_a_folder_with_another_config_is_an_error_and_stays_unchanged(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 1000, "out": tmp_path / "run"}
    options |= {"agent": "q-learning", "env": "FrozenLake-v1"}
    train(**options)
    before = contents(tmp_path)
    others: list[tuple[dict[str, Any], str]] = [
        ({"seed": 1}, r"seed: 0 -> 1\): choose another --out"),
        ({"steps": 2000}, r"steps: 1000 -> 2000\)"),
        ({"hyperparameters": {"discount": 0.5}}, r"hyperparameters\.discount: 0\.99 -> 0\.5\)"),
        ({"env": "FourRooms"}, r"env: FrozenLake-v1 -> FourRooms\)"),
        ({}, "holds a run with this config already; continue it: gridcade resume .*run"),
    ]
    for change, message in others:
        with pytest.raises(InputError, match=message):
            train(**options | change)
        assert contents(tmp_path) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        train("q-learning", "FrozenLake-v1", steps=1000, out=tmp_path / "other")
    assert contents(tmp_path) == before


def test_a_folder_under_runs_is_named_after_environment_agent_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-world.txt").write_text(OPEN)
    paths = [
        train("q-learning", env, steps=10, seed=seed).path
        for env, seed in (
            ("FourRooms", 0),
            ("FourRooms", 0),
            ("FourRooms", 3),
            ("Maze?size=3&seed=1", 0),
            ("gridcade/CliffWalk-v0", 0),
            ("my-world.txt", 0),
        )
    ]
    assert [str(path) for path in paths] == [
        "runs/FourRooms-q-learning-s0",
        "runs/FourRooms-q-learning-s0-2",
        "runs/FourRooms-q-learning-s3",
        "runs/Maze-size3-seed1-q-learning-s0",
        "runs/CliffWalk-q-learning-s0",
        "runs/my-world-q-learning-s0",
    ]


@pytest.mark.parametrize("envs", [1, 2])
def test_a_run_folder_stores_the_map_of_its_environment(envs: int, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(OPEN)
    options: dict[str, Any] = {"steps": 1500, "epoch": 500, "envs": envs}
    env = f"{file}?time_limit=40"
    whole = train("q-learning", env, out=tmp_path / "whole", **options)
    expected = outcome(whole)
    value = api.evaluate(whole, episodes=5).expected_return
    train("q-learning", env, out=tmp_path / "changed", stop=stop_at(1), **options)
    train("q-learning", env, out=tmp_path / "deleted", stop=stop_at(1), **options)

    file.write_text("S.G\n")
    assert outcome(resume(tmp_path / "changed")) == expected
    with pytest.raises(InputError, match="the map differs"):
        train("q-learning", env, out=tmp_path / "changed", **options)
    file.unlink()
    assert outcome(resume(tmp_path / "deleted")) == expected
    assert (tmp_path / "deleted" / "world.txt").read_text() == OPEN
    moved = shutil.move(tmp_path / "whole", tmp_path / "moved")
    assert api.evaluate(Path(moved), episodes=5).expected_return == value


def assert_damage_is_an_error(run: Run, damage: Callable[[Path], None], message: str) -> None:
    """Damage a run's last checkpoint; assert that resuming raises an error and changes nothing."""
    damage(run.path / "checkpoints" / str(run.last_checkpoint()))
    before = contents(run.path)
    with pytest.raises(InputError, match=message):
        resume(run.path, steps=9000)
    assert contents(run.path) == before


def rewrite(file: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        state = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(change(state)))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: shutil.copy(folder / "loop.safetensors", folder / "agent.safetensors"),
            "does not fit this run: it lacks the tensor 'q'",
        ),
        (rewrite("loop.json", lambda s: s | {"env_state": 3}), "does not fit this run"),
        (rewrite("loop.json", lambda s: s | {"env_state": {}}), "does not fit this run"),
        (
            rewrite("loop.json", lambda s: s | {"env_state": {"episodes": [0], "actions": [[]]}}),
            "does not fit this run",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_an_error_and_stays_unchanged(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    run = train("q-learning", "FrozenLake-v1", steps=500, envs=2, out=tmp_path / "run")
    assert_damage_is_an_error(run, damage, message)


@pytest.mark.parametrize("envs", [1, 2])
def test_a_checkpoint_of_another_environment_is_an_error_and_stays_unchanged(
    envs: int, tmp_path: Path
) -> None:
    run, other = (
        train("q-learning", env, steps=500, envs=envs, out=tmp_path / env)
        for env in ("FrozenLake-v1", "CliffWalk")
    )

    def exchange(folder: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(other.path / "checkpoints" / "500", folder)

    message = r"checkpoints/500 does not fit this run: 'q' has shape \(\d+, 4\), not \(16, 4\)"
    assert_damage_is_an_error(run, exchange, message)


def test_a_config_that_does_not_fit_the_checkpoint_is_an_error(tmp_path: Path) -> None:
    for original, changed in ((1, 2), (2, 1), (2, 3)):
        run = train(
            "q-learning",
            "FourRooms",
            steps=500,
            envs=original,
            out=tmp_path / f"{original}{changed}",
        )
        file = run.path / "config.toml"
        file.write_text(file.read_text().replace(f"envs = {original}", f"envs = {changed}"))
        before = contents(run.path)
        with pytest.raises(InputError, match="does not fit this run"):
            resume(run.path, steps=9000)
        assert contents(run.path) == before


def test_a_folder_that_cannot_be_resumed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run folder"):
        resume(tmp_path / "none")
    run = train("q-learning", "FrozenLake-v1", steps=500, out=tmp_path / "run")
    with pytest.raises(InputError, match="steps is 0"):
        resume(run.path, steps=0)
    with run.locked(), pytest.raises(InputError, match="another process is training in"):
        resume(run.path)
    (run.path / ".lock").unlink()
    (run.path / ".lock").mkdir()
    with pytest.raises(WriteError, match=r"cannot write in .*run'"):
        resume(run.path)


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 1000, "epoch": 500}
    whole = train("q-learning", "FrozenLake-v1", out=tmp_path / "whole", **options)
    run = Run.create(tmp_path / "run", whole.config, None)
    assert outcome(resume(run.path)) == outcome(whole)


@pytest.mark.parametrize("torn", ["", '{"steps": 25'])
def test_a_run_killed_between_metrics_and_checkpoint_counts_the_epoch_once(
    torn: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"steps": 2000, "epoch": 500, "envs": 2}
    whole = train("q-learning", "FrozenLake-v1", out=tmp_path / "whole", **options)
    run = train("q-learning", "FrozenLake-v1", out=tmp_path / "run", **options)
    shutil.rmtree(run.path / "checkpoints" / "2000")
    (run.path / "checkpoints" / ".new-x").mkdir()
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    assert outcome(resume(run.path)) == outcome(whole)
    assert set(contents(run.path)) == set(contents(whole.path))
    assert not (run.path / "checkpoints" / ".new-x").exists()


# ---- provenance


def test_a_session_records_its_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["/somewhere/bin/gridcade", "train", "q-learning", "my world.txt"]
    monkeypatch.setattr("sys.argv", argv)
    run = train("q-learning", "FrozenLake-v1", steps=10, seed=5, out=tmp_path / "run")
    (session,) = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert session["gridcade"] == gridcade.__version__
    assert session["seed"] == 5
    assert shlex.split(session["command"]) == ["gridcade", *argv[1:]]
    assert session["libraries"]["numpy"] == np.__version__
    assert session["libraries"]["gymnasium"] == gym.__version__
    assert session["started"].endswith("+00:00")
    assert all(session[key] for key in ("python", "platform", "cpu"))
    assert set(session) >= {"commit", "dirty"}
    assert "precision" not in session  # Q-learning has no network


@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("supported", [True, False])
def test_a_session_of_a_deep_agent_records_its_precision(
    bfloat16: bool, supported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note warns if bfloat16 was requested and the CPU does not support it."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: supported)
    notes: list[str] = []
    env = "FourRooms?observation=pixels&pixels=36"
    hyperparameters = {"bfloat16": bfloat16, "replay_capacity": 100}
    run = train(
        "dqn",
        env,
        steps=20,
        hyperparameters=hyperparameters,
        out=tmp_path / "run",
        note=notes.append,
    )
    (session,) = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert session["precision"] == ("bfloat16" if bfloat16 and supported else "float32")
    resume(run.path, steps=30, note=notes.append)
    assert len(notes) == (2 if bfloat16 and not supported else 0)
    assert all("this CPU does not support it" in line for line in notes)


def test_outside_a_checkout_the_commit_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        provenance, "__file__", str(tmp_path / "lib" / "gridcade" / "training" / "x.py")
    )
    record = provenance.provenance(0)
    assert (record["commit"], record["dirty"]) == (None, None)
    (tmp_path / ".git").mkdir()  # not a repository
    record = provenance.provenance(0)
    assert (record["commit"], record["dirty"]) == (None, None)
    monkeypatch.setenv("PATH", "")  # a machine without git
    record = provenance.provenance(0)
    assert (record["commit"], record["dirty"]) == (None, None)


@pytest.mark.skipif(shutil.which("git") is None, reason="requires git")
def test_in_a_checkout_the_commit_and_uncommitted_changes_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    git("commit", "--allow-empty", "-m", "x")
    monkeypatch.setattr(
        provenance, "__file__", str(tmp_path / "src" / "gridcade" / "training" / "x.py")
    )
    record = provenance.provenance(0)
    assert (record["commit"], record["dirty"]) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "new.py").touch()
    record = provenance.provenance(0)
    assert (record["commit"], record["dirty"]) == (git("rev-parse", "HEAD"), True)

    (tmp_path / "venv" / "lib").mkdir(parents=True)  # installed inside an unrelated checkout
    file = tmp_path / "venv" / "lib" / "gridcade" / "training" / "x.py"
    monkeypatch.setattr(provenance, "__file__", str(file))
    record = provenance.provenance(0)
    assert (record["commit"], record["dirty"]) == (None, None)


def test_a_budget_below_the_steps_taken_is_an_error(tmp_path: Path) -> None:
    run = train("q-learning", "CliffWalk", steps=3000, out=tmp_path / "run")
    before = (run.path / "config.toml").read_bytes()
    with pytest.raises(InputError, match="steps is 100, but the run has taken 3000 already"):
        resume(run.path, steps=100)
    with pytest.raises(InputError, match=r"steps is 4000\.5; it must be a whole number"):
        resume(run.path, steps=4000.5)  # type: ignore[arg-type]
    assert (run.path / "config.toml").read_bytes() == before


def test_init_from_copies_the_layers_that_fit() -> None:
    """README's transfer: all layers but the output layer, whose number of actions differs."""
    config, agent = dry_run("dqn", "Pong", {"freeze": "conv"}, init_from="breakout-dqn")
    assert start_from(agent, config) == [
        "these layers do not fit and are initialized at random: 7 (Output)"
    ]
    assert isinstance(agent, DeepAgent)
    pretrained = find_trained("breakout-dqn")[2]
    weights = {f"q.{k}": w.numpy() for k, w in agent.q.state_dict().items()}
    same = {k for k, w in weights.items() if np.array_equal(w, pretrained[k])}
    assert same == {k for k in pretrained if not k.startswith("q.7.")}
    frozen = {k.partition(".")[0] for k, w in agent.q.named_parameters() if not w.requires_grad}
    assert frozen == {"0", "2"}


def test_diverging_values_are_an_error_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    diverging = {
        "criterion": "average-reward",
        "average_reward_step_ratio": 100.0,
        "step_size": {"initial": 1.0},
    }
    with pytest.raises(InputError, match="the action values have diverged"):
        train(
            "q-learning",
            "RiverSwim",
            steps=100_000,
            hyperparameters=diverging,
            out=tmp_path / "run",
        )
    run = Run(tmp_path / "run")
    assert run.load_checkpoint(run.last_checkpoint())[0]["q"].shape == (6, 2)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="the memory size comes from sysconf")
def test_a_replay_that_leaves_too_little_memory_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"SC_PHYS_PAGES": 2_000_000, "SC_PAGE_SIZE": 4096}  # 8 GB
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    sparse = lambda file, at, size: os.ftruncate(file, at + size)  # noqa: E731 - saves 10 GB of disk
    monkeypatch.setattr(os, "posix_fallocate", sparse, raising=False)
    for capacity, num_notes in ((1_000_000, 1), (200_000, 0)):
        notes: list[str] = []
        out, stop = tmp_path / str(capacity), stop_at(1)
        hyperparameters = {"replay_capacity": capacity, "hidden": (8,), "network": "mlp"}
        env = "FourRooms?observation=pixels&pixels=52"
        train(
            "dqn",
            env,
            out=out,
            stop=stop,
            steps=10,
            hyperparameters=hyperparameters,
            note=notes.append,
        )
        assert len(notes) == num_notes
        assert all("8.2 GB of memory" in line for line in notes)
    sizes["SC_PHYS_PAGES"] //= 8
    notes = []
    train("q-learning", "FourRooms", steps=10, out=tmp_path / "none", note=notes.append)
    assert notes == []  # Q-learning has no replay
