"""Training: epochs and budgets, and a stopped run that goes on as if it had never stopped."""

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
from gridcade.training.run_folder import Run, find_trained
from gridcade.training.sessions import dry_run, resume, start_from, train
from gridcade.training.trainer import Progress, StepLoop

WALL_CLOCK = ("seconds", "steps_per_second", "epoch_seconds")
Q_LEARNING = agents.find("q-learning")
OPEN = "step reward: -1\ntime limit: none\nmap:\nS...\n....\n...G\n"


def tensors(run: Run) -> dict[str, Any]:
    """The last checkpoint, to the bit, but for the wall clock."""
    agent, loop, state = run.load_checkpoint(run.last_checkpoint())
    bits = {
        f"{part}.{key}": (value.dtype, value.shape, value.tobytes())
        for part, values in (("agent", agent), ("loop", loop))
        for key, value in values.items()
    }
    return bits | {"env_state": state["env_state"], "steps": state["steps"]}


def metrics(run: Run) -> list[dict[str, Any]]:
    """The metrics, but for the wall clock."""
    return [{k: v for k, v in m.items() if k not in WALL_CLOCK} for m in run.metrics()]


def outcome(run: Run) -> dict[str, Any]:
    """All that two equal runs have in common."""
    state = run.load_checkpoint(run.last_checkpoint())[2]
    rest = {k: v for k, v in state.items() if k not in WALL_CLOCK}
    return tensors(run) | rest | {"metrics": metrics(run), "checkpoints": run.checkpoints()}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the lock, which holds nothing, and TensorBoard's."""
    files = (f for f in folder.rglob("*") if f.is_file() and f.name != ".lock")
    files = (f for f in files if f.parent.name != "tensorboard")  # named by the clock
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


def after(asked: int) -> Callable[[], bool]:
    """A `stop` that says so when asked for the n-th time."""
    times = count(1)
    return lambda: next(times) >= asked


# ---- stopped and resumed

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "compiled": ("FourRooms", {"steps": 500_000, "epoch": 250_000}),
    "compiled, toy_text": ("FrozenLake-v1", {"steps": 330_000, "epoch": 150_000}),
    "compiled, average reward": (
        "NearAndFar",
        {"steps": 400_000, "epoch": 170_000, "preset": "average-reward"},
    ),
    "4 lakes": ("FrozenLake-v1", {"steps": 1000, "epoch": 600, "envs": 4}),
    "3 lakes": ("FrozenLake-v1", {"steps": 1000, "epoch": 500, "envs": 3}),
    "2 cliffs": ("CliffWalk", {"steps": 1000, "epoch": 500, "envs": 2}),
    "2 cliffs without a time limit": ("CliffWalking-v1", {"steps": 800, "epoch": 500, "envs": 2}),
    "2 rivers, average reward": (
        "RiverSwim",
        {"steps": 1000, "epoch": 700, "envs": 2, "preset": "average-reward"},
    ),
    "2 lakes, average reward": (
        "FrozenLake-v1",
        {"steps": 800, "epoch": 500, "envs": 2, "preset": "average-reward"},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(name: str, tmp_path: Path) -> None:
    env, options = RUNS[name]
    asked = count()
    whole = train(
        "q-learning", env, out=tmp_path / "whole", stop=lambda: next(asked) < 0, seed=2, **options
    )
    moments = next(asked)
    assert moments >= 4
    for moment in range(1, moments + 1):
        out = tmp_path / str(moment)
        stopped = train("q-learning", env, out=out, stop=after(moment), seed=2, **options)
        assert stopped.last_checkpoint() < options["steps"]
        resumed = resume(out)
        assert tensors(resumed) == tensors(whole)
        assert metrics(resumed) == metrics(whole)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_stopped_at_every_look_at_the_clock_ends_the_same(name: str, tmp_path: Path) -> None:
    env, options = RUNS[name]
    whole = train("q-learning", env, out=tmp_path / "whole", **options)
    run = train("q-learning", env, out=tmp_path / "run", stop=after(1), **options)
    sessions = 1
    while run.last_checkpoint() < options["steps"]:
        run, sessions = resume(run.path, stop=after(1)), sessions + 1
    assert sessions >= 4
    assert tensors(run) == tensors(whole)
    assert metrics(run) == metrics(whole)
    noted = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert len(noted) == sessions


@pytest.mark.parametrize("name", RUNS)
def test_a_run_made_longer_is_a_longer_run(name: str, tmp_path: Path) -> None:
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
def test_a_deep_run_made_longer_is_a_longer_run(agent: str, tmp_path: Path) -> None:
    """PQN in the paper's order; with overlap its last rollout is learned earlier, as it is said."""
    options: dict[str, Any] = {"epoch": 250, "envs": 2, "evaluation_episodes": 1}
    options["hyperparameters"] = (
        {"learn_start": 100, "held_out": 3, "replay_capacity": 1500}
        if agent == "dqn"
        else {"overlap": False, "rollout": 16, "minibatches": 2}
    )
    whole = train(agent, "CartPole", steps=700, out=tmp_path / "whole", **options)
    train(agent, "CartPole", steps=400, out=tmp_path / "run", **options)
    assert tensors(resume(tmp_path / "run", steps=700)) == tensors(whole)


def test_a_pqn_run_resumed_at_its_last_step_learns_its_last_rollout(tmp_path: Path) -> None:
    options: dict[str, Any] = {"envs": 4, "epoch": 10_000, "evaluation_episodes": 1}
    options["hyperparameters"] = {"rollout": 50, "epochs": 2, "minibatches": 2}
    out = tmp_path / "run"
    run = train("pqn", "CartPole", steps=1000, out=out, stop=after(1), **options)
    assert run.last_checkpoint() == 200  # one rollout, and a tick of the loop
    assert not run.load_agent(200)["counters"][1]
    (updates,) = resume(out, steps=200).load_agent(200)["counters"][1:2]
    assert updates == 2 * 2  # epochs x minibatches


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    run = train("q-learning", "FrozenLake-v1", steps=1000, epoch=500, out=tmp_path / "run")
    before = outcome(run)
    assert outcome(resume(run.path)) == before
    assert outcome(resume(run.path, steps=1000)) == before


def test_another_seed_is_another_run(tmp_path: Path) -> None:
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
        (2, 4, [700, 1400, 2100, 2500]),  # stopped just at 700
        (3, 10_000, [702, 1401, 2100, 2502]),  # a step of 3 steps may lead just past
        (3, 3, [702, 1401, 2100, 2502]),
    ],
)
def test_epochs_end_at_multiples_of_their_length(
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
    train("q-learning", "FrozenLake-v1", out=out, report=report, stop=after(stop), **options)
    run = resume(out, report=report)
    assert ends == epochs == [m["steps"] for m in run.metrics()]
    kept = run.checkpoints()
    assert kept[-3:] == epochs[-3:]
    assert set(kept) <= {*epochs[-3:], run.best()}


def test_progress_is_told_often_and_in_order(tmp_path: Path) -> None:
    told: list[Progress] = []
    options: dict[str, Any] = {"steps": 1000, "epoch": 500, "envs": 2}
    train("q-learning", "FrozenLake-v1", out=tmp_path / "run", report=told.append, **options)
    assert [p.steps for p in told] == [200, 400, 500, 500, 700, 900, 1000, 1000]
    assert [p.metrics is not None for p in told] == [False, False, False, True] * 2
    assert all(p.total_steps == 1000 and p.minutes is None for p in told)
    assert [p.seconds for p in told] == sorted(p.seconds for p in told)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by which the loop's every tick takes a second, and writing metrics takes three."""
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
def test_minutes_bound_a_run_over_all_its_sessions(tmp_path: Path) -> None:
    options: dict[str, Any] = {"envs": 2, "epoch": 10_000}
    run = train("q-learning", "FrozenLake-v1", minutes=0.1, out=tmp_path / "run", **options)
    assert run.last_checkpoint() == 6 * StepLoop.tick
    assert resume(run.path).last_checkpoint() == 6 * StepLoop.tick
    longer = resume(run.path, minutes=0.25, stop=after(4))
    assert longer.last_checkpoint() == 10 * StepLoop.tick
    assert longer.config.minutes == 0.25
    assert resume(run.path).last_checkpoint() == 15 * StepLoop.tick
    both = resume(run.path, minutes=1.0, steps=17 * StepLoop.tick)
    assert both.last_checkpoint() == 17 * StepLoop.tick
    assert both.metrics()[-1]["seconds"] == 17.0


@pytest.mark.usefixtures("clock")
def test_evaluations_and_checkpoints_use_up_minutes_too(tmp_path: Path) -> None:
    """Or else a quick learner's ten minutes might take hours."""
    options: dict[str, Any] = {"envs": 2, "minutes": 1.0, "epoch": StepLoop.tick}
    run = train("q-learning", "FrozenLake-v1", out=tmp_path / "run", **options)
    assert run.last_checkpoint() == 15 * StepLoop.tick


@pytest.mark.usefixtures("clock")
def test_the_pace_of_an_epoch_counts_its_own_seconds(tmp_path: Path) -> None:
    options: dict[str, Any] = {"envs": 2, "steps": 2000, "epoch": 1000}
    for stop in (100, 3, 6):  # in one session, and in two
        out = tmp_path / str(stop)
        train("q-learning", "FrozenLake-v1", out=out, stop=after(stop), **options)
        paces = [(m["seconds"], m["steps_per_second"]) for m in resume(out).metrics()]
        assert paces == [(5.0, 200), (13.0, 200)]


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
def test_metrics_are_the_exact_worth_of_the_checkpoints_greedy_policy(
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
        worth = solver.policy_value(model, table, time_limit=time_limit(single))
        entry = entries[steps]
        assert entry["exact"] is True
        for name, value in (
            ("average_reward", worth.average_reward),
            ("return", worth.expected_return),
        ):
            told = {entry.get(f"{name}_{part}") for part in ("mean", "low", "high")}
            assert told == {value if value is not None and np.isfinite(value) else None}


class Scripted(Agent):
    """Takes its actions from a list, and learns nothing."""

    def __init__(self, actions: NDArray[Any]):
        self.actions, self.steps = iter(actions), 0
        self.observed: list[Step] = []

    def act(self, observations: Any) -> NDArray[Any]:
        del observations
        return np.asarray(next(self.actions))

    def observe(self, step: Step) -> None:
        self.observed.append(step)
        self.steps += len(step.actions)

    def probabilities(self, observations: Any, deterministic: bool = True) -> Any:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, tensors: dict[str, Any]) -> None:
        pass


def test_sums_count_each_episode_once_in_the_epoch_where_it_ends() -> None:
    actions = np.random.default_rng(0).integers(4, size=(400, 3))
    name = "FrozenLake-v1?max_episode_steps=9"
    with closing(make_vector(name, 3)) as envs, closing(make_vector(name, 3)) as others:
        loop = StepLoop(Scripted(actions), envs, seed=4)
        sums = [loop.advance(until) for until in (200, 500, 1200)]

        agent = Scripted(actions)
        taken = Experience(others, seed=4).steps(agent)
        running: list[list[float]] = [[], [], []]
        for got, until in zip(sums, (200, 500, 1200), strict=True):
            expected = dict.fromkeys(TOTALS, 0.0)
            while agent.steps < until:
                step = next(taken)
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
            assert got == expected
            assert expected["truncated"] < expected["episodes"]


@pytest.mark.parametrize(("env", "envs"), [("RussellNorvig4x3", 1), ("FrozenLake-v1", 2)])
def test_epochs_share_out_what_one_long_epoch_counts(env: str, envs: int, tmp_path: Path) -> None:
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
    """Six places, two moves, some of which fail; nobody is told the model."""

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


def test_where_no_model_is_known_a_few_episodes_are_played_and_disturb_nothing(
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
        for episodes in (2, 20)
    }
    assert tensors(runs[2]) == tensors(runs[20])
    for few, many in zip(metrics(runs[2]), metrics(runs[20]), strict=True):
        learnt = {k for k in few if k.startswith("training") or k in ("steps", "epsilon")}
        assert {k: few[k] for k in learnt} == {k: many[k] for k in learnt}
        assert few["exact"] is many["exact"] is False
        assert few["return_mean"] != many["return_mean"]
    for episodes, run in runs.items():
        policy = api.load(run)
        measured = evaluate_policy(
            policy, corridor, episodes=episodes, seed=3, purpose="validation"
        )
        assert measured.expected_return is not None
        fresh = api.evaluate(run, episodes=episodes, seed=3)  # other episodes than those that chose
        assert fresh.expected_return is not None
        assert fresh.expected_return.mean != measured.expected_return.mean
        assert run.metrics()[-1]["truncated"] == measured.truncated
        told = [run.metrics()[-1][f"return_{part}"] for part in ("mean", "low", "high")]
        estimate = measured.expected_return
        assert told == [estimate.mean, estimate.low, estimate.high]
        assert run.metrics()[-1]["average_reward_mean"] == measured.average_reward.mean


def test_a_run_without_a_model_goes_on_after_a_stop_too(corridor: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 1100, "epoch": 700, "evaluation_episodes": 3}
    whole = train("q-learning", corridor, out=tmp_path / "whole", **options)
    for moment in (1, 2, 5, 6):
        out = tmp_path / str(moment)
        train("q-learning", corridor, out=out, stop=after(moment), **options)
        assert outcome(resume(out))["metrics"] == metrics(whole)
        assert tensors(Run(out)) == tensors(whole)


# ---- what a run is asked to do


def resolved(
    preset: str = "watkins",
    config: Path | None = None,
    overlay: dict[str, Any] | None = None,
    hyperparameters: QLearningConfig | None = None,
    **options: Any,
) -> RunConfig:
    recipe = read_recipe(Q_LEARNING, preset, config, overlay)
    return resolve_config(recipe, "FourRooms", options, hyperparameters)


def test_layers_lie_over_one_another(tmp_path: Path) -> None:
    preset = tomllib.loads(Q_LEARNING.preset("converging").read_text())
    below = from_dict(preset["hyperparameters"], QLearningConfig, "preset")
    file = tmp_path / "mine.toml"
    file.write_text(
        "seed = 4\nenvs = 2\nepoch = 300\n"
        "[hyperparameters]\ndiscount = 0.5\ninitial_value = 2.0\nepsilon = { initial = 0.3 }\n"
    )
    given = {"discount": 0.25, "step_size": {"power": 0.5}}
    made = resolved("converging", file, given, seed=None, envs=5)
    assert (made.seed, made.envs, made.epoch) == (4, 5, 300)
    assert (made.agent, made.env, made.preset) == ("q-learning", "FourRooms", "converging")
    assert made.steps == preset["steps"]
    hyperparameters = made.hyperparameters
    assert isinstance(hyperparameters, QLearningConfig)
    assert hyperparameters.discount == 0.25  # given > config > preset
    assert hyperparameters.initial_value == 2.0  # config > the field's own
    assert hyperparameters.epsilon == replace(below.epsilon, initial=0.3)  # merged
    assert hyperparameters.step_size == replace(below.step_size, power=0.5)
    assert hyperparameters.criterion == below.criterion


def test_a_whole_config_replaces_all_layers() -> None:
    whole = QLearningConfig(discount=0.125, epsilon=Schedule(0.5))
    assert resolved("converging", hyperparameters=whole).hyperparameters == whole


def test_the_topmost_bound_decides_on_the_budget(tmp_path: Path) -> None:
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


def test_a_runs_config_file_asks_for_the_same_run_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 1500, "envs": 2, "hyperparameters": {"discount": 0.7}}
    run = train("q-learning", "FrozenLake-v1", seed=6, out=tmp_path / "one", **options)
    again = train(
        "q-learning", "FrozenLake-v1", config=run.path / "config.toml", out=tmp_path / "two"
    )
    assert again.config == run.config
    assert outcome(again) == outcome(run)


@pytest.mark.parametrize(
    ("text", "told"),
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
        ("[hyperparameters]\nepsilon = 0.1", r"mine\.toml, hyperparameters: .*\$\.epsilon"),
    ],
)
def test_a_mistake_in_a_config_file_is_told_before_a_folder_is_made(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError, match=told):
        train("q-learning", "FourRooms", config=tmp_path / "mine.toml", out=tmp_path / "run")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"agent": "q-lerning"}, "unknown agent 'q-lerning'; did you mean q-learning?"),
        ({"env": "FourRoms"}, "unknown environment 'FourRoms'; did you mean FourRooms?"),
        ({"env": "CartPole-v1"}, "q-learning requires Discrete observations"),
        ({"env": "no/such/map.txt"}, "cannot read the map no/such/map.txt"),
        ({"preset": "watkin"}, "unknown preset of q-learning 'watkin'; did you mean watkins?"),
        ({"steps": 0}, "config: steps is 0; it must be 1 or more"),
        ({"steps": 1.5}, "config: Expected `int"),
        ({"seed": -1}, "config: seed is -1"),
        ({"hyperparameters": {"discuont": 1}}, "hyperparameters: .*did you mean discount?"),
        ({"hyperparameters": {"discount": 1.5}}, "hyperparameters: discount is 1.5"),
    ],
)
def test_what_does_not_fit_is_told_before_a_folder_is_made(
    options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    usual: dict[str, Any] = {"agent": "q-learning", "env": "FourRooms", "out": tmp_path / "run"}
    with pytest.raises(InputError, match=told):
        train(**usual | options)
    assert not list(tmp_path.iterdir())


# ---- folders


def test_a_folder_of_another_config_is_refused_and_left_alone(tmp_path: Path) -> None:
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
    for asked, told in others:
        with pytest.raises(InputError, match=told):
            train(**options | asked)
        assert contents(tmp_path) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        train("q-learning", "FrozenLake-v1", steps=1000, out=tmp_path / "other")
    assert contents(tmp_path) == before


def test_a_folder_under_runs_is_named_after_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-world.txt").write_text(OPEN)
    named = [
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
    assert [str(path) for path in named] == [
        "runs/FourRooms-q-learning-s0",
        "runs/FourRooms-q-learning-s0-2",
        "runs/FourRooms-q-learning-s3",
        "runs/Maze-size3-seed1-q-learning-s0",
        "runs/CliffWalk-q-learning-s0",
        "runs/my-world-q-learning-s0",
    ]


@pytest.mark.parametrize("envs", [1, 2])
def test_a_run_keeps_the_map_it_was_trained_on(envs: int, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(OPEN)
    options: dict[str, Any] = {"steps": 1500, "epoch": 500, "envs": envs}
    env = f"{file}?time_limit=40"
    whole = train("q-learning", env, out=tmp_path / "whole", **options)
    expected = outcome(whole)
    value = api.evaluate(whole, episodes=5).expected_return
    train("q-learning", env, out=tmp_path / "changed", stop=after(1), **options)
    train("q-learning", env, out=tmp_path / "gone", stop=after(1), **options)

    file.write_text("S.G\n")
    assert outcome(resume(tmp_path / "changed")) == expected
    with pytest.raises(InputError, match="the map differs"):
        train("q-learning", env, out=tmp_path / "changed", **options)
    file.unlink()
    assert outcome(resume(tmp_path / "gone")) == expected
    assert (tmp_path / "gone" / "world.txt").read_text() == OPEN
    moved = shutil.move(tmp_path / "whole", tmp_path / "moved")
    assert api.evaluate(Path(moved), episodes=5).expected_return == value


def spoilt(run: Run, spoil: Callable[[Path], None], told: str) -> None:
    """Spoil a run's last checkpoint: resuming says so, and changes nothing."""
    spoil(run.path / "checkpoints" / str(run.last_checkpoint()))
    before = contents(run.path)
    with pytest.raises(InputError, match=told):
        resume(run.path, steps=9000)
    assert contents(run.path) == before


def rewritten(file: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        state = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(change(state)))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "agent.safetensors").unlink(), "no file .*agent"),
        (lambda folder: (folder / "loop.safetensors").unlink(), "no file .*loop"),
        (lambda folder: (folder / "loop.json").unlink(), "cannot read .*loop.json"),
        (
            lambda folder: (folder / "agent.safetensors").write_bytes(b"what?"),
            "is not a readable checkpoint",
        ),
        (
            lambda folder: shutil.copy(folder / "loop.safetensors", folder / "agent.safetensors"),
            "does not fit this run: it lacks the tensor 'q'",
        ),
        (rewritten("loop.json", lambda _: []), "does not fit this run"),
        (rewritten("loop.json", lambda _: {}), "does not fit this run: 'env_state'"),
        (rewritten("loop.json", lambda s: s | {"env_state": 3}), "does not fit this run"),
        (rewritten("loop.json", lambda s: s | {"env_state": {}}), "does not fit this run"),
        (
            rewritten("loop.json", lambda s: s | {"env_state": {"episodes": [0], "actions": [[]]}}),
            "does not fit this run",
        ),
    ],
)
def test_a_spoilt_checkpoint_is_told_and_left_alone(
    spoil: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    run = train("q-learning", "FrozenLake-v1", steps=500, envs=2, out=tmp_path / "run")
    spoilt(run, spoil, told)


@pytest.mark.parametrize("envs", [1, 2])
def test_a_checkpoint_of_another_world_is_told_and_left_alone(envs: int, tmp_path: Path) -> None:
    run, other = (
        train("q-learning", env, steps=500, envs=envs, out=tmp_path / env)
        for env in ("FrozenLake-v1", "CliffWalk")
    )

    def exchange(folder: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(other.path / "checkpoints" / "500", folder)

    told = r"checkpoints/500 does not fit this run: 'q' has shape \(\d+, 4\), not \(16, 4\)"
    spoilt(run, exchange, told)


def test_a_config_that_was_changed_by_hand_does_not_fit_the_checkpoint(tmp_path: Path) -> None:
    for made, changed in ((1, 2), (2, 1), (2, 3)):
        run = train(
            "q-learning", "FourRooms", steps=500, envs=made, out=tmp_path / f"{made}{changed}"
        )
        file = run.path / "config.toml"
        file.write_text(file.read_text().replace(f"envs = {made}", f"envs = {changed}"))
        before = contents(run.path)
        with pytest.raises(InputError, match="does not fit this run"):
            resume(run.path, steps=9000)
        assert contents(run.path) == before


def test_what_is_no_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
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


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
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


# ---- what it ran with


def test_a_session_notes_what_it_ran_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["/somewhere/bin/gridcade", "train", "q-learning", "my world.txt"]
    monkeypatch.setattr("sys.argv", words)
    run = train("q-learning", "FrozenLake-v1", steps=10, seed=5, out=tmp_path / "run")
    (noted,) = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert noted["gridcade"] == gridcade.__version__
    assert noted["seed"] == 5
    assert shlex.split(noted["command"]) == ["gridcade", *words[1:]]
    assert noted["libraries"]["numpy"] == np.__version__
    assert noted["libraries"]["gymnasium"] == gym.__version__
    assert noted["started"].endswith("+00:00")
    assert all(noted[key] for key in ("python", "platform", "cpu"))
    assert set(noted) >= {"commit", "dirty"}
    assert "precision" not in noted  # of a network's passes


@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("has_units", [True, False])
def test_a_deep_agents_session_notes_its_precision(
    bfloat16: bool, has_units: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a processor without units for bfloat16 is told of, as it is slow for its preset."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: has_units)
    told: list[str] = []
    env = "FourRooms?observation=pixels&pixels=36"
    small = {"bfloat16": bfloat16, "replay_capacity": 100}
    run = train("dqn", env, steps=20, hyperparameters=small, out=tmp_path / "run", note=told.append)
    (noted,) = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert noted["precision"] == ("bfloat16" if bfloat16 and has_units else "float32")
    resume(run.path, steps=30, note=told.append)
    assert len(told) == (2 if bfloat16 and not has_units else 0)
    assert all("this CPU does not support it" in line for line in told)


def test_outside_a_checkout_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        provenance, "__file__", str(tmp_path / "lib" / "gridcade" / "training" / "x.py")
    )
    noted = provenance.provenance(0)
    assert (noted["commit"], noted["dirty"]) == (None, None)
    (tmp_path / ".git").mkdir()  # a broken one
    noted = provenance.provenance(0)
    assert (noted["commit"], noted["dirty"]) == (None, None)
    monkeypatch.setenv("PATH", "")  # a machine without git
    noted = provenance.provenance(0)
    assert (noted["commit"], noted["dirty"]) == (None, None)


@pytest.mark.skipif(shutil.which("git") is None, reason="takes git")
def test_in_a_checkout_the_commit_is_noted_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        person = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", "-C", str(tmp_path), *person, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    git("commit", "--allow-empty", "-m", "x")
    monkeypatch.setattr(
        provenance, "__file__", str(tmp_path / "src" / "gridcade" / "training" / "x.py")
    )
    noted = provenance.provenance(0)
    assert (noted["commit"], noted["dirty"]) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "new.py").touch()
    noted = provenance.provenance(0)
    assert (noted["commit"], noted["dirty"]) == (git("rev-parse", "HEAD"), True)

    (tmp_path / "venv" / "lib").mkdir(parents=True)  # installed inside somebody else's checkout
    file = tmp_path / "venv" / "lib" / "gridcade" / "training" / "x.py"
    monkeypatch.setattr(provenance, "__file__", str(file))
    noted = provenance.provenance(0)
    assert (noted["commit"], noted["dirty"]) == (None, None)


def test_a_bound_below_what_was_done_is_refused(tmp_path: Path) -> None:
    run = train("q-learning", "CliffWalk", steps=3000, out=tmp_path / "run")
    before = (run.path / "config.toml").read_bytes()
    with pytest.raises(InputError, match="steps is 100, but the run has taken 3000 already"):
        resume(run.path, steps=100)
    with pytest.raises(InputError, match=r"steps is 4000\.5; it must be a whole number"):
        resume(run.path, steps=4000.5)  # type: ignore[arg-type]
    assert (run.path / "config.toml").read_bytes() == before


def test_another_game_begins_with_the_layers_of_one_that_comes_trained() -> None:
    """README's transfer: all but the last layer, which has another game's actions."""
    config, agent = dry_run("dqn", "Pong", {"freeze": "conv"}, init_from="breakout-dqn")
    assert start_from(agent, config) == [
        "these layers do not fit and are initialized at random: 7 (Output)"
    ]
    assert isinstance(agent, DeepAgent)
    learnt = find_trained("breakout-dqn")[2]
    weights = {f"q.{k}": w.numpy() for k, w in agent.q.state_dict().items()}
    same = {k for k, w in weights.items() if np.array_equal(w, learnt[k])}
    assert same == {k for k in learnt if not k.startswith("q.7.")}
    frozen = {k.partition(".")[0] for k, w in agent.q.named_parameters() if not w.requires_grad}
    assert frozen == {"0", "2"}


def test_values_that_diverge_are_told_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    wild = {
        "criterion": "average-reward",
        "average_reward_step_ratio": 100.0,
        "step_size": {"initial": 1.0},
    }
    with pytest.raises(InputError, match="the action values have diverged"):
        train("q-learning", "RiverSwim", steps=100_000, hyperparameters=wild, out=tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.load_checkpoint(run.last_checkpoint())[0]["q"].shape == (6, 2)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="memory is asked for by sysconf")
def test_a_replay_that_leaves_too_little_memory_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"SC_PHYS_PAGES": 2_000_000, "SC_PAGE_SIZE": 4096}  # 8 GB
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    sparse = lambda file, at, size: os.ftruncate(file, at + size)  # noqa: E731 - not 10 GB of disk
    monkeypatch.setattr(os, "posix_fallocate", sparse, raising=False)
    for capacity, told in ((1_000_000, 1), (200_000, 0)):
        notes: list[str] = []
        out, end = tmp_path / str(capacity), after(1)
        given = {"replay_capacity": capacity, "hidden": (8,), "network": "mlp"}
        env = "FourRooms?observation=pixels&pixels=52"
        train("dqn", env, out=out, stop=end, steps=10, hyperparameters=given, note=notes.append)
        assert len(notes) == told
        assert all("8.2 GB of memory" in line for line in notes)
    sizes["SC_PHYS_PAGES"] //= 8
    notes = []
    train("q-learning", "FourRooms", steps=10, out=tmp_path / "none", note=notes.append)
    assert notes == []  # it has no replay
