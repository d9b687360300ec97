"""The commands: every option has its effect, and every number that is printed is correct."""

import io
import json
import os
import re
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tomli_w
from command_line import SMALL, Gridcade, contents, read_json
from rich.console import Console

from gridcade import agents, api
from gridcade.agents import DQNConfig, QLearningConfig, Schedule
from gridcade.agents.base import Policy
from gridcade.agents.probabilities import greedy
from gridcade.cli import output, progress, signals
from gridcade.cli.commands import demo
from gridcade.cli.progress import StudyDisplay
from gridcade.envs import registry
from gridcade.envs.maze import Maze
from gridcade.envs.tabular import TabularEnv
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.study.runner import TaskStatus
from gridcade.training import sessions
from gridcade.training.checkpoints import LoopState, load_tensors, write_checkpoint
from gridcade.training.config import read_toml, to_dict
from gridcade.training.run_folder import Run
from gridcade.training.trainer import Progress
from gridcade.viewing import show

pytest_plugins = ("command_line_fixtures",)

ESTIMATES = ("expected_return", "average_reward", "discounted_return", "episode_length")
EVALUATION_KEYS = [
    "env",
    "policy",
    "episodes",
    "steps",
    "confidence",
    "seed",
    "epsilon",
    "stochastic",
    "discount",
    *ESTIMATES,
    "truncated",
    "cycles",
    "time_limit",
    "exact",
    "best_return",
    "notes",
]
EXACT_KEYS = [
    "expected_return",
    "average_reward",
    "discounted_return",
    "episode_length",
    "unlimited_return",
    "unlimited_average_reward",
    "unlimited_discounted_return",
    "optimal_return",
    "optimal_average_reward",
    "optimal_discounted_return",
    "gap_return",
    "gap_average_reward",
    "gap_discounted_return",
]
SOLUTION_KEYS = ["env", "criterion", "discount", "value", "values", "policy", "average_reward"]


# ---- list


def test_list_has_one_line_per_entry_and_sections_have_whole_texts(
    gridcade: Gridcade, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("runs/empty").mkdir(parents=True)
    run.rename("runs/[b]mine[red] :smile:")  # names can look like markup
    monkeypatch.setattr(output.out, "width", 80)
    entries = {
        "envs": ("CliffWalk", "FourRooms", "Maze", "RiverSwim", "104"),
        "agents": ("tabular Q-learning", "shipped agent: pqn", "watkins"),
        "presets": ("converging", "average-reward", "2,000,000"),
        "runs": ("runs/[b]mine[red] :smile:", f"q-learning on {SMALL}", "20,000", "average"),
    }
    everything = gridcade("list")
    assert everything[::2] == (0, "")
    assert max(map(len, everything.out.splitlines())) == 80
    presets = sum(len(kind.presets()) for kind in agents.AGENTS.values())
    others = len(agents.AGENTS) + len(agents.trained()) + len(registry.our_worlds())
    assert presets + others < len(everything.out.splitlines()) < presets + others + 30
    for section, texts in entries.items():
        result = gridcade("list", section)
        assert result[::2] == (0, "")
        for text in texts:
            assert text in result.out
            assert text in everything.out
        for other in set(entries) - {section}:
            assert entries[other][0] not in result.out
    cliff_walk = registry.make("CliffWalk").unwrapped
    assert isinstance(cliff_walk, TabularEnv)
    assert cliff_walk.world.about in " ".join(gridcade("list", "envs").out.split())
    assert cliff_walk.world.about not in everything.out
    assert "runs/empty" not in everything.out


def test_list_presets_of_an_agent(gridcade: Gridcade) -> None:
    result = gridcade("list", "presets", "q-learning")
    assert result[::2] == (0, "")
    assert "so every state and action is visited." in " ".join(result.out.split())
    assert "dqn" not in result.out


def test_list_runs_names_folders_that_it_cannot_read(gridcade: Gridcade, run: Path) -> None:
    for name in ("old", "empty"):
        shutil.copytree(run, f"runs/{name}")
    run.rename("runs/whole")
    old = Path("runs/old/config.toml")
    old.write_text(old.read_text().replace("format = 2\n", ""))
    shutil.rmtree("runs/empty/checkpoints")
    result = gridcade("list", "runs")
    assert result.code == 0
    assert "runs/whole" in result.out
    assert "runs/old" not in result.out
    assert result.err.count("\n") == 2
    assert "'runs/old' was written by another version of Gridcade" in result.err
    assert "'runs/empty' has no checkpoint" in result.err


def write_run(
    name: str, metrics: dict[str, Any], settings: dict[str, Any], **hyperparameters: Any
) -> None:
    """Write the files of a run folder that the list reads; later runs have later checkpoints."""
    path = Path("runs") / name
    steps = metrics["steps"]
    (path / "checkpoints").mkdir(parents=True)
    state: Any = dict.fromkeys(LoopState.__annotations__) | {"seconds": 1.0}
    write_checkpoint(path / f"checkpoints/{steps}", {}, {}, state)
    when = 1_800_014_400 + 86_400 * len(list(Path("runs").iterdir()))
    os.utime(path / f"checkpoints/{steps}", (when, when))
    (path / "metrics.jsonl").write_text(json.dumps(metrics) + '\n{"steps": 99999999}\n')
    table = {"agent": "q-learning", "env": "FourRooms", "format": 2, "preset": "watkins"}
    table |= {"steps": steps} | settings
    schedule = {"initial": 1.0, "final": 0.1, "steps": 100_000, "power": 0.0}
    base = {"discount": 0.99, "epsilon": schedule, "step_size": {"initial": 0.5, "power": 0.7}}
    table["hyperparameters"] = base | hyperparameters
    (path / "config.toml").write_text(tomli_w.dumps(table))


def test_list_runs_shows_scores_and_differences_in_80_columns(
    gridcade: Gridcade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.out, "width", 80)
    low = {"return_mean": 1.0000000000000007, "average_reward_mean": 0.01}
    high = {"return_mean": 1.0, "average_reward_mean": 0.04}
    constant = {"initial": 0.2, "final": 0.2, "steps": 0, "power": 0.0}
    write_run("FourRooms-q-learning-s0", {"steps": 2000} | low, {"seed": 0})
    write_run("FourRooms-q-learning-s0-2", {"steps": 1000} | high, {"seed": 0}, discount=0.9)
    write_run("FourRooms-q-learning-s3", {"steps": 3000}, {"seed": 3}, epsilon=constant)
    write_run("mine", {"steps": 4000} | low, {"seed": 3, "preset": "converging"})
    write_run("alone", {"steps": 9} | low, {"env": "Maze?size=9&seed=3", "seed": 7})

    def listed(*words: str) -> list[str]:
        result = gridcade("list", "runs", *words)
        assert result[::2] == (0, "")
        lines = [line.rstrip() for line in result.out.splitlines()]
        assert max(map(len, lines)) <= 80
        return lines

    text = " ".join(" ".join(listed()).split())
    watkins, schedule = "preset watkins, discount", "epsilon 1 to 0.1 in 100,000 steps"
    for line in (
        f"runs/FourRooms-q-learning-s0 2027-01-16 2,000 1 0.01 {watkins} 0.99, {schedule}",
        f"runs/FourRooms-q-learning-s0-2 2027-01-17 1,000 1 0.04 {watkins} 0.9, {schedule} runs/",
        f"runs/FourRooms-q-learning-s3 2027-01-18 3,000 - - {watkins} 0.99, epsilon 0.2 runs/",
        "runs/mine 2027-01-19 4,000 1 0.01 preset converging, seed 3 runs/FourRooms",
        "q-learning on Maze?size=9&seed=3 runs/alone 2027-01-20 9 1 0.01 q-learning on FourRooms",
    ):
        assert line in text

    def order(key: str) -> str:
        names = [line.split()[0] for line in listed("--sort", key) if line.startswith("runs/")]
        return " ".join(name.removeprefix("runs/FourRooms-q-learning-") for name in names)

    assert order("date") == "runs/alone runs/mine s3 s0-2 s0"
    assert order("name") == "s0 s0-2 s3 runs/mine runs/alone"
    assert order("score") == "s0-2 runs/mine s0 s3 runs/alone"  # equal returns, then the newest
    assert order("steps") == "runs/mine s3 s0 s0-2 runs/alone"
    assert "gridcade list runs --sort" in gridcade("list", "--sort", "name").err


def test_list_runs_indents_differences_in_a_narrow_terminal(
    gridcade: Gridcade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.out, "width", 64)
    for seed in range(2):
        write_run(
            f"FourRooms-q-learning-{seed}", {"steps": 2000, "return_mean": 1.0}, {"seed": seed}
        )
    write_run("FourRooms-q-learning-2", {"steps": 2000}, {"seed": 9}, discount=0.9, memory=0.123456)
    lines = gridcade("list", "runs").out.splitlines()
    names = [i for i, line in enumerate(lines) if line.startswith("runs/")]
    details = lines[names[0] + 1 : names[1]]
    assert len(details) > 1
    assert all(line[:2] == "  " and line[2] != " " for line in details)


# ---- train and resume


def test_every_option_of_train_has_its_effect(gridcade: Gridcade, folder: Path) -> None:
    (folder / "more.toml").write_text("[hyperparameters]\ninitial_value = 2.5\n")
    words = (
        "train q-learning CliffWalk --preset converging --config more.toml --steps 3_000 "
        "--minutes 5 --seed 3 --out here/run --epoch 1000 --envs 2 --evaluation-episodes 7 "
        "--evaluation-every 2 --discount 0.9 --epsilon.final=0.25 --tensorboard"
    )
    result = gridcade(*words.split())
    assert result.code == 0
    config = read_toml(folder / "here/run/config.toml")
    hyperparameters = config.pop("hyperparameters")
    assert config == {
        "agent": "q-learning",
        "env": "CliffWalk",
        "env_source": "name",
        "tensorboard": True,
        "format": 2,
        "preset": "converging",
        "seed": 3,
        "steps": 3000,
        "minutes": 5.0,
        "epoch": 1000,
        "evaluation_episodes": 7,
        "evaluation_every": 2,
        "envs": 2,
        "init_from": "",
    }
    assert hyperparameters["discount"] == 0.9
    assert hyperparameters["initial_value"] == 2.5
    assert hyperparameters["epsilon"]["final"] == 0.25
    assert hyperparameters["step_size"]["power"] == 0.7  # the preset's
    assert Run(folder / "here/run").checkpoints() == [1000, 2000, 3000]
    assert "gridcade evaluate here/run" in result.out
    assert "gridcade watch here/run" in result.out


def test_a_number_is_a_constant_schedule(gridcade: Gridcade, folder: Path) -> None:
    def schedules(*words: object) -> tuple[dict[str, float], dict[str, float]]:
        result = gridcade("train", "q-learning", SMALL, "--steps", 10, "--out", "run", *words)
        assert result.code == 0, result.err
        hyperparameters = read_toml(folder / "run/config.toml")["hyperparameters"]
        shutil.rmtree("run")
        return hyperparameters["epsilon"], hyperparameters["step_size"]

    preset = schedules()
    assert preset[0] == {"initial": 1.0, "final": 0.1, "steps": 100_000, "power": 0.0}
    constant = {"initial": 0.25, "final": 0.25, "steps": 0, "power": 0.0}
    assert schedules("--epsilon", 0.25) == (constant, preset[1])
    assert schedules("--step-size=0.25", "--epsilon", 0.25) == (constant, constant)
    assert schedules("--epsilon.final", 0.05) == (preset[0] | {"final": 0.05}, preset[1])
    decay = constant | {"final": 0.05, "steps": 100_000}
    assert schedules("--epsilon.final", 0.05, "--epsilon", 0.25, "--epsilon.steps", "1e5") == (
        decay,
        preset[1],
    )


def test_a_whole_number_may_have_an_exponent_or_underscores(gridcade: Gridcade) -> None:
    words = f"train q-learning {SMALL} --steps 2e3 --epoch 1_000 --seed 1e1 --out run"
    assert gridcade(*words.split(), "--envs", "1.0").code == 0
    settings = Run("run").settings
    assert (settings.steps, settings.epoch, settings.seed, settings.envs) == (2000, 1000, 10, 1)
    assert gridcade("resume", "run", "--steps", "3e3").code == 0
    assert Run("run").last_checkpoint() == 3000
    result = read_json(gridcade("evaluate", "run", "--episodes", "1e1", "--json").out)
    assert result["episodes"] == 10
    words = "train dqn CartPole --steps 1e2 --learn-start 5e1 --hidden 8 1e1 --held-out 1e0"
    assert gridcade(*words.split(), "--out", "deep").code == 0
    hyperparameters = Run("deep").config.hyperparameters
    assert isinstance(hyperparameters, DQNConfig)
    assert (hyperparameters.learn_start, hyperparameters.hidden) == (50, (8, 10))


def test_train_creates_a_new_folder_under_runs(gridcade: Gridcade) -> None:
    for name in ("FourRooms-q-learning-s5", "FourRooms-q-learning-s5-2"):
        result = gridcade("train", "q-learning", "FourRooms", "--steps", 1000, "--seed", 5)
        assert result.code == 0
        assert f"run folder: runs/{name}\n" in result.out
        older = "gridcade: runs/FourRooms-q-learning-s5 already exists; this run is saved in runs/"
        assert result.err.startswith(f"{older}{name}\n" if name.endswith("-2") else "")
        assert (older in result.err) == name.endswith("-2")
        assert Run(f"runs/{name}").last_checkpoint() == 1000


def test_minutes_alone_are_a_budget(gridcade: Gridcade) -> None:
    # Long enough for a slow machine to write the first checkpoint and to begin training.
    words = "train q-learning FourRooms --minutes 0.02 --epoch 1000 --out run"
    assert gridcade(*words.split()).code == 0
    assert "steps" not in read_toml(Path("run/config.toml"))
    assert Run("run").last_checkpoint() > 0


def test_resume_replaces_the_budget(gridcade: Gridcade, run: Path) -> None:
    assert gridcade("resume", run, "--steps", 25_000).code == 0
    assert Run(run).last_checkpoint() == 25_000
    assert [m["steps"] for m in Run(run).metrics()] == [5000, 10000, 15000, 20000, 25000]
    assert gridcade("resume", run, "--minutes", 0.001).code == 0
    assert Run(run).config.minutes == 0.001
    assert Run(run).config.steps is None


def test_resume_of_a_finished_run_says_how_to_train_longer(gridcade: Gridcade, run: Path) -> None:
    before = contents(run)
    longer = "to train longer: gridcade resume run --steps 40_000\n"
    assert gridcade("resume", "run") == (0, f"run is finished (20,000 steps); {longer}", "")
    assert contents(run) == before


def test_resume_without_checkpoints_starts_from_the_beginning(
    gridcade: Gridcade, run: Path
) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    assert gridcade("resume", run).code == 0
    assert Run(run).last_checkpoint() == 20_000


def test_each_layer_of_options_overrides_the_one_below(gridcade: Gridcade, folder: Path) -> None:
    (folder / "layer.toml").write_text(
        "seed = 7\nsteps = 5000\n[hyperparameters]\ndiscount = 0.8\nepsilon = {final = 0.3}\n"
    )
    words = "train q-learning FourRooms --preset converging --config layer.toml --steps 2000"
    assert gridcade(*words.split(), "--epsilon.initial", 0.9, "--out", "run").code == 0
    config = Run("run").config
    assert (config.seed, config.steps) == (7, 2000)
    hyperparameters = config.hyperparameters
    assert isinstance(hyperparameters, QLearningConfig)
    assert hyperparameters.initial_value == 0.0  # set nowhere: the default
    assert hyperparameters.step_size == Schedule(1.0, power=0.7)  # preset
    assert hyperparameters.discount == 0.8  # config file, over the preset's 0.99
    # initial: option, final: config file, steps: preset, power: default
    assert hyperparameters.epsilon == Schedule(0.9, 0.3, 1_000_000, 0.0)


def test_config_of_a_run_is_a_config_file(gridcade: Gridcade) -> None:
    words = "train q-learning FourRooms --steps 2000 --epoch 1000 --discount 0.7 --out one"
    assert gridcade(*words.split()).code == 0
    words = "train q-learning FourRooms --config one/config.toml --out two"
    assert gridcade(*words.split()).code == 0
    assert Run("one").config == Run("two").config
    last = [load_tensors(Path(p, "checkpoints/2000/agent.safetensors")) for p in ("one", "two")]
    assert np.array_equal(last[0]["q"], last[1]["q"])


@pytest.mark.parametrize(
    ("words", "preset"),
    [
        ("dqn FourRooms?observation=pixels", "pixels"),
        ("dqn FourRooms --env.observation pixels", "pixels"),
        ("dqn --bfloat16 FourRooms?observation=pixels", "pixels"),
        ("dqn --no-bfloat16 Breakout", "two-core"),
        ("dqn FourRooms?observation=one_hot", "vector"),
        ("dqn FourRooms?observation=pixels --preset vector", "vector"),
    ],
)
def test_default_preset_depends_on_the_observations(
    gridcade: Gridcade, monkeypatch: pytest.MonkeyPatch, words: str, preset: str
) -> None:
    received: dict[str, Any] = {}

    def train(agent: str, env: str, **options: Any) -> None:
        received.update(options, agent=agent, env=env)
        raise InputError("enough")

    monkeypatch.setattr(sessions, "train", train)
    assert gridcade("train", *words.split(), "--batch-size", 64).err == "gridcade: enough\n"
    file = agents.find("dqn").preset(preset)
    expected = {"network": "mlp", "bfloat16": False}
    expected |= read_toml(file)["hyperparameters"] | {"batch_size": 64}
    switches = {"--no-bfloat16": False, "--bfloat16": True}
    for switch in switches.keys() & words.split():
        expected["bfloat16"] = switches[switch]
    hyperparameters = to_dict(received["hyperparameters"])
    for key in ("network", "replay_capacity", "batch_size", "bfloat16"):
        assert hyperparameters[key] == expected[key]


@pytest.mark.parametrize(("size", "preset"), [(8, "watkins"), (9, "watkins-large")])
def test_default_preset_depends_on_the_number_of_states(
    gridcade: Gridcade, size: int, preset: str
) -> None:
    """An option changes one hyperparameter of that preset."""
    words = ["--env.size", size, "--steps", 1000, "--epsilon.final", 0.3, "--out", "run"]
    assert gridcade("train", "q-learning", "Maze", *words).code == 0
    config = Run("run").config
    assert config.preset == preset
    expected = read_toml(agents.find("q-learning").preset(preset))["hyperparameters"]
    expected["epsilon"]["final"] = 0.3
    hyperparameters = to_dict(config.hyperparameters)
    for name in ("step_size", "epsilon"):
        assert expected[name].items() <= hyperparameters[name].items()


def test_training_prints_plain_lines_without_a_terminal(
    gridcade: Gridcade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(progress, "LINE_INTERVAL", float("inf"))  # no further lines if it is slow
    result = gridcade("train", "q-learning", "CliffWalk", "--steps", 50_000)
    assert (result.code, result.err) == (0, "")
    assert "\x1b" not in result.out
    assert "\r" not in result.out
    lines = [line for line in result.out.splitlines() if re.match(r" *[\d,]+ steps  ", line)]
    assert 8 <= len(lines) <= 12  # one per tenth of the budget, not one per epoch
    assert "greedy: return -13  average reward -1" in lines[-1]


def test_a_terminal_keeps_some_evaluations_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the first of 50 evaluations and ten more, each no wider than the terminal."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(progress, "err", screen)
    with progress.TrainingDisplay() as display:
        for epoch in range(1, 51):
            metrics: dict[str, Any] = {"training_return_mean": -7990.0 / epoch}
            if epoch % 2 == 0:
                metrics |= {"return_mean": -8000.0 / epoch, "average_reward_mean": -1.0}
            display.report(Progress(200_000 * epoch, 10_000_000, 0.1 * epoch, None, metrics))
    assert isinstance(screen.file, io.StringIO)
    plain = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", screen.file.getvalue())
    lines = [line for line in plain.splitlines() if re.match(r" *[\d,]+ steps  while", line)]
    assert len(lines) == 11
    assert lines[-1] == " 10,000,000 steps  while exploring: return -159.8    greedy: return -160"
    assert max(map(len, lines)) <= 80


def test_a_policy_that_walks_in_circles_is_trained_longer(gridcade: Gridcade) -> None:
    """The printed command works: afterwards, the policy is optimal."""
    words = ["q-learning", "Maze", "--env.size", 9, "--preset", "watkins", "--steps", 100_000]
    printed = gridcade("train", *words).out
    assert "The greedy policy is stuck: it walks in circles and may never end" in printed
    command = printed.splitlines()[-1].split()
    assert command[:2] == ["gridcade", "resume"]
    assert command[-2:] == ["--steps", "1_000_000"]
    longer = gridcade(*command[1:]).out
    assert "greedy: return -100" in longer
    assert "Train longer" not in longer


DQN = (
    "train dqn CartPole --steps 400 --epoch 200 --learn-start 100 --replay-capacity 500 "
    "--hidden 200 --evaluation-every 99"
)


def test_agent_starts_from_the_layers_of_another_agent(gridcade: Gridcade) -> None:
    """Layers that fit are copied, and the others are named."""
    assert gridcade(*DQN.split(), "--out", "first").code == 0
    words = [*DQN.split(), "--init-from", "first", "--learn-start", 10_000]
    source = load_tensors(Path("first/checkpoints/400/agent.safetensors"))
    assert gridcade(*words, "--out", "all")[::2] == (0, "")
    started = load_tensors(Path("all/checkpoints/400/agent.safetensors"))
    for name in ("q.1.weight", "q.3.bias", "q_target.1.weight"):
        np.testing.assert_array_equal(started[name], source[name.replace("q_target", "q")])

    result = gridcade(*words, "--hidden", 200, 5, "--out", "some")
    left_out = "3 (Linear), 5 (Linear)"
    assert result.err == (
        f"gridcade: these layers do not fit and are initialized at random: {left_out}\n"
    )
    started = load_tensors(Path("some/checkpoints/400/agent.safetensors"))
    np.testing.assert_array_equal(started["q.1.weight"], source["q.1.weight"])

    words[2] = "Acrobot"
    result = gridcade(*words, "--out", "none")
    assert result[::2] == (2, "gridcade: cannot start from 'first': no layer fits\n")
    assert not Path("none").exists()


# ---- evaluate


def test_every_option_of_evaluate_has_its_effect(gridcade: Gridcade, run: Path) -> None:
    def evaluate(*words: object) -> Any:
        result = gridcade("evaluate", *words, "--json")
        assert result[::2] == (0, "")
        return read_json(result.out)

    first = evaluate(run)
    assert (first["env"], first["policy"]) == (SMALL, str(run))
    assert (first["episodes"], first["seed"], first["confidence"]) == (100, 0, 0.95)
    assert first == evaluate(run)  # the same episodes
    assert evaluate(run, "--seed", 4)["steps"] != first["steps"]
    assert evaluate(run, "--episodes", 7)["episodes"] == 7
    assert 800 <= evaluate(run, "--steps", 1000)["steps"] <= 1200
    precise = evaluate(run, "--precision", 0.05)["expected_return"]
    assert (precise["high"] - precise["low"]) / 2 <= 0.0625 * precise["mean"]
    wide, narrow = (evaluate(run, "--confidence", c)["average_reward"] for c in ("0.99", "0.5"))
    assert wide["low"] < narrow["low"] < narrow["mean"] < narrow["high"] < wide["high"]
    assert evaluate(run, "--discount", "0")["discounted_return"]["mean"] == pytest.approx(-0.04)
    assert evaluate(run, "--epsilon", "0.5")["exact"]["gap_return"] > first["exact"]["gap_return"]
    stochastic = evaluate(run, "--stochastic")["exact"]["expected_return"]
    assert stochastic < first["exact"]["expected_return"]  # with training's epsilon
    other = evaluate("random", "--env", "SlipperyLake", "--episodes", 3)
    assert (other["env"], other["policy"]) == ("SlipperyLake", "random")
    saved = [json.loads(f.read_text()) for f in sorted(Path(run, "evaluation").iterdir())]
    assert len(saved) == 11
    assert saved[0] == first


def test_evaluation_that_cannot_be_saved_is_printed(gridcade: Gridcade, run: Path) -> None:
    (run / "evaluation").rmdir()
    (run / "evaluation").write_text("not a folder")
    result = gridcade("evaluate", run, "--episodes", 5, "--json")
    assert result.code == 0
    assert read_json(result.out)["episodes"] == 5
    assert result.err.startswith(f"gridcade: cannot save the result in {run}: ")
    assert result.err.count("\n") == 1


def test_checkpoint_is_a_policy(gridcade: Gridcade, run: Path) -> None:
    env = registry.make(SMALL)
    model = registry.known_model(env)
    assert model is not None
    exact = {}
    for path, steps in ((run, 20_000), (run / "checkpoints/10000", 10_000)):
        result = read_json(gridcade("evaluate", path, "--episodes", 2, "--json").out)
        assert result["policy"] == str(path)
        table = greedy(load_tensors(run / f"checkpoints/{steps}/agent.safetensors")["q"])
        value = solver.policy_value(model, table, time_limit=registry.time_limit(env))
        exact[steps] = result["exact"]["average_reward"]
        assert exact[steps] == pytest.approx(value.average_reward, rel=1e-9)
    assert exact[10_000] != exact[20_000]


def test_the_table_of_an_evaluation_has_the_numbers_of_its_json(gridcade: Gridcade) -> None:
    words = ("evaluate", "optimal", "--env", "CliffWalk", "--epsilon", 0.1, "--episodes", 50)
    found = read_json(gridcade(*words, "--json").out)
    result = gridcade(*words)
    assert result[::2] == (0, "")
    assert "\x1b" not in result.out
    rows = dict(re.findall(r"^(\w[\w ]*\w)  +(.*)$", result.out, re.MULTILINE))
    for name, key in (
        ("average reward", "unlimited_average_reward"),
        ("return", "unlimited_return"),
    ):
        assert f"{found['exact'][key]:.4g}" in rows[name]
    assert f"{found['episode_length']['mean']:.4g}" in rows["episode length"]
    assert "optimal on CliffWalk: 50 episodes" in result.out


def test_evaluation_names_its_options(gridcade: Gridcade) -> None:
    words = ["evaluate", "random", "--env", SMALL, "--episodes", "5"]
    default = gridcade(*words)
    assert "epsilon" not in default.out
    assert "discounted by 0.99" in default.out
    words += ["--epsilon", "0.25", "--stochastic", "--discount", "0.5"]
    result = gridcade(*words)
    assert ", epsilon 0.25, stochastic\n" in result.out
    assert "discounted by 0.5" in result.out
    found = read_json(gridcade(*words, "--json").out)
    assert [found[key] for key in ("epsilon", "stochastic", "discount")] == [0.25, True, 0.5]


def test_numbers_of_an_evaluation_agree_with_exact_values(gridcade: Gridcade) -> None:
    words = f"evaluate random --env {SMALL} --episodes 2000 --seed 1 --discount 0.9 --json"
    found = read_json(gridcade(*words.split()).out)
    assert list(found) == EVALUATION_KEYS
    assert list(found["exact"]) == EXACT_KEYS
    env = registry.make(SMALL)
    model = registry.known_model(env)
    assert model is not None
    table = np.full((model.num_states, 4), 0.25)
    limited = solver.policy_value(model, table, 0.9, registry.time_limit(env))
    unlimited = solver.policy_value(model, table, 0.9)
    best = (
        solver.solve(model, "return").value,
        solver.solve(model, "average-reward").average_reward,
        solver.solve(model, "discounted", 0.9).value,
    )
    own = (
        unlimited.expected_return or 0.0,
        unlimited.average_reward,
        unlimited.discounted_return,
    )
    expected = [
        limited.expected_return,
        limited.average_reward,
        limited.discounted_return,
        limited.episode_length,
        *own,
        *best,
        *(optimum - value for optimum, value in zip(best, own, strict=True)),
    ]
    assert list(found["exact"].values()) == pytest.approx(expected, rel=1e-9)
    values = (
        limited.expected_return,
        limited.average_reward,
        limited.discounted_return,
        limited.episode_length,
    )
    for key, value in zip(ESTIMATES, values, strict=True):
        assert list(found[key]) == ["mean", "low", "high", "least", "most"]
        assert found[key]["low"] < found[key]["mean"] < found[key]["high"]
        error = (found[key]["high"] - found[key]["low"]) / 4
        assert abs(found[key]["mean"] - value) < 5 * error
    assert found["episodes"] * found["episode_length"]["mean"] == pytest.approx(found["steps"])
    assert 0 <= found["truncated"] <= 1


def test_continuing_task_has_no_return_and_no_episodes(gridcade: Gridcade) -> None:
    words = "evaluate optimal --env RiverSwim --steps 20_000 --json"
    found = read_json(gridcade(*words.split()).out)
    assert list(found) == EVALUATION_KEYS
    for key in ("episodes", "expected_return", "episode_length", "truncated"):
        assert found[key] is None
    for key in ("expected_return", "unlimited_return", "optimal_return", "gap_return"):
        assert found["exact"][key] is None
    assert found["exact"]["gap_average_reward"] == 0
    estimate = found["average_reward"]
    optimum = found["exact"]["optimal_average_reward"]
    assert abs(estimate["mean"] - optimum) < 5 * (estimate["high"] - estimate["low"]) / 4


def test_a_world_without_an_end_is_called_a_continuing_task(
    gridcade: Gridcade, folder: Path
) -> None:
    (folder / "mine.txt").write_text("step reward: -1\nmap:\nS..\n")
    no_end = "mine.txt has no end, so it is a continuing task"
    forgotten = "for episodes, draw an end such as G"
    trained = gridcade("train", "q-learning", "mine.txt", "--steps", "1000")
    assert trained.code == 0
    assert f"{no_end}, scored by the average reward per step; {forgotten}\n" in trained.err
    assert "--preset average-reward maximizes the average reward" in trained.err
    solved = gridcade("solve", "mine.txt")
    assert (solved.code, no_end in solved.err, forgotten in solved.err) == (0, True, True)
    discounted = gridcade("solve", "mine.txt", "--criterion", "discounted")
    assert (discounted.code, discounted.err) == (0, f"gridcade: {no_end}; {forgotten}\n")
    evaluated = gridcade("evaluate", "random", "--env", "mine.txt", "--steps", "1000")
    assert f"{no_end}: it has no return" in " ".join(evaluated.out.split())

    fitting = ("--preset", "average-reward", "--steps", "1000")
    shipped = gridcade("train", "q-learning", "NearAndFar", *fitting)
    assert "NearAndFar has no end" in shipped.err
    assert forgotten not in shipped.err
    assert "--preset" not in shipped.err


def test_notes_on_a_map_are_printed(gridcade: Gridcade, folder: Path) -> None:
    (folder / "mine.txt").write_text("S.G\n###\n..S\n")
    note = "mine.txt, line 3, column 3: from this start no end can be reached"
    assert note in gridcade("train", "q-learning", "mine.txt", "--steps", "1000").err
    assert note in gridcade("solve", "mine.txt").err
    evaluated = gridcade("evaluate", "random", "--env", "mine.txt", "--episodes", "5")
    assert note in " ".join(evaluated.out.split())


def test_unknown_model_has_no_exact_values(gridcade: Gridcade) -> None:
    words = "evaluate random --env CartPole --episodes 5 --json"
    found = read_json(gridcade(*words.split()).out)
    assert list(found) == EVALUATION_KEYS
    assert found["exact"] is None


# ---- solve


@pytest.mark.parametrize("criterion", ["return", "discounted", "average-reward", None])
def test_numbers_of_a_solution_are_correct(gridcade: Gridcade, criterion: str | None) -> None:
    option = [] if criterion is None else ["--criterion", criterion]
    result = gridcade("solve", "CliffWalk", *option, "--discount", 0.9, "--json")
    assert result[::2] == (0, "")
    found = read_json(result.out)
    assert list(found) == SOLUTION_KEYS
    assert found["criterion"] == (criterion or "return")
    assert found["discount"] == (0.9 if criterion == "discounted" else None)
    model = registry.known_model(registry.make("CliffWalk"))
    assert model is not None
    value = solver.policy_value(model, np.array(found["policy"]), 0.9)
    assert found["average_reward"] == pytest.approx(value.average_reward)
    known = {"discounted": -(1 - 0.9**13) / 0.1, "average-reward": -1.0}  # 13 moves, each costs 1
    expected = known.get(criterion or "return", -13.0)
    assert found["value"] == pytest.approx(expected)
    assert len(found["values"]) == model.num_states
    values = np.nan_to_num(np.array(found["values"], float))
    assert model.start @ values == pytest.approx(expected)


def test_solution_is_drawn_whole(gridcade: Gridcade) -> None:
    """A drawing is never cut: a terminal scrolls, and a file may have long lines."""
    maze = registry.make("Maze?size=40&seed=1").unwrapped
    assert isinstance(maze, Maze)
    result = gridcade("solve", "Maze?size=40&seed=1")
    drawing = result.out.splitlines()[-maze.world.height :]
    assert {len(line) for line in drawing} == {2 * maze.world.width}
    assert set(drawing[0]) == set(drawing[-1]) == {"█"}  # its outer walls
    words = ("--criterion", "average-reward")
    relative = "still to come from a cell,\n         compared with the cell marked 0.00\n"
    numbers = gridcade("solve", "FourRooms", *words).out
    assert (" 0.00 " in numbers, relative in numbers) == (True, True)
    arrows = gridcade("solve", "Maze?size=40&seed=1", *words).out  # too large for numbers
    assert ("0.00" in arrows, "numbers: " in arrows) == (False, False)
    assert "numbers: " not in result.out
    assert "compared with the state with 0" in gridcade("solve", "FrozenLake", *words).out


def test_a_note_says_that_a_discount_without_its_criterion_has_no_effect(
    gridcade: Gridcade,
) -> None:
    note = "note: --discount has no effect on the return; add --criterion discounted"
    solved = gridcade("solve", "FourRooms", "--discount", 0.9).out
    assert note in solved
    assert note not in gridcade("solve", "FourRooms").out
    discounted = gridcade("solve", "FourRooms", "--discount", 0.9, "--criterion", "discounted").out
    assert note not in discounted


def test_environment_has_several_names(gridcade: Gridcade, folder: Path) -> None:
    maze = registry.make("Maze", size=9, seed=3).unwrapped
    assert isinstance(maze, Maze)
    (folder / "drawn.txt").write_text(
        f"step reward: -1\ntime limit: {maze.time_limit}\nlegend:\n    G: end\nmap:\n"
        + "\n".join(maze.world.rows)
    )
    names: list[tuple[object, ...]] = [
        ("Maze?size=9&seed=3",),
        ("Maze", "--env.size", 9, "--env.seed", 3),
        ("Maze?size=9", "--env.seed=3"),
        ("gridcade/Maze-v0", "--env.seed", 3, "--env.size", 9),
        ("drawn.txt",),
        (folder / "drawn.txt",),
    ]
    solutions, evaluations = [], []
    for name in names:
        solution = read_json(gridcade("solve", *name, "--json").out)
        words = ("evaluate", "random", "--env", *name, "--episodes", 4, "--json")
        evaluation = read_json(gridcade(*words).out)
        assert solution.pop("env") == evaluation.pop("env")
        solutions.append(solution)
        evaluations.append(evaluation)
    assert all(solution == solutions[0] for solution in solutions)
    assert all(evaluation == evaluations[0] for evaluation in evaluations)
    assert len(solutions[0]["values"]) == maze.model.num_states
    other = read_json(gridcade("solve", "Maze?size=9&seed=4", "--json").out)
    assert other["values"] != solutions[0]["values"]


# ---- watch, demo, compare


@pytest.mark.parametrize("kind", ["webp", "gif", "mp4"])
def test_watch_writes_a_video(gridcade: Gridcade, folder: Path, kind: str) -> None:
    words = f"watch optimal --env CliffWalk --video film.{kind} --episodes 1 --fps 20 --seed 2"
    result = gridcade(*words.split(), "--epsilon", 0.05)
    assert (result.code, result.err) == (0, "")
    score, video = result.out.splitlines()
    assert re.fullmatch(r"episode 1: return -\d+ in \d+ steps, terminated", score)
    assert video == f"video: film.{kind}"
    assert list(contents(folder)) == [f"film.{kind}"]


def test_demo_runs_the_commands_that_it_prints(
    gridcade: Gridcade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "EVALUATION_EPISODES", 200)
    monkeypatch.setattr(demo, "WATCH_EPISODES", 1)
    monkeypatch.setattr(output.out, "width", 80)
    watched = []

    def watch(policy: Policy, env: str, **options: Any) -> None:
        watched.append((env, options["video"]))
        if env == "FourRooms":  # a game of Breakout takes ten seconds
            show_watch(policy, env, **options)

    show_watch = show.watch
    monkeypatch.setattr(show, "watch", watch)
    result = gridcade("demo")
    assert result[::2] == (0, "")
    commands = re.findall(r"^\$ gridcade (\w+)", result.out, re.MULTILINE)
    assert commands == ["solve", "train", "evaluate", "watch", "watch"]
    videos = [Path("runs/demo/watch.webp"), Path("runs/demo/breakout.webp")]
    assert watched == [("FourRooms", videos[0]), ("Breakout", videos[1])]
    assert videos[0].is_file()
    assert Run("runs/demo").last_checkpoint() == 200_000
    assert len(list(Path("runs/demo/evaluation").iterdir())) == 1
    lines = [x for x in result.out.splitlines() if "█" not in x and not x.startswith("note: ")]
    assert not [x for x in lines if len(x) > 80 and not re.match(r" *[\d,]+ steps  ", x)]
    model = registry.known_model(registry.make("FourRooms"))
    assert model is not None
    assert f"{solver.solve(model, 'average-reward').average_reward:.4g}" in result.out


def test_time_left_ignores_tasks_without_training(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 20.0, 90.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(now)))
    display = StudyDisplay(lambda: False)
    policies = [
        TaskStatus("a", "done", 1.0, learns=False),
        TaskStatus("b", "evaluating", 1.0, False),
    ]

    def time_left(*shares: float) -> str:
        agents = [TaskStatus("c", "training", share) for share in shares]
        return display.time_left([*policies, *agents])

    assert time_left(0.0, 0.0) == ""
    assert time_left(0.0, 0.0) == ""
    assert time_left(0.1, 0.1) == "0:03:00"
    assert time_left(1.0, 1.0) == ""  # the agents are evaluated


# ---- signals


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("gridcade")  # restores the handlers
def test_second_signal_interrupts_immediately(signal_: signal.Signals) -> None:
    stop = signals.stop_on_signal()
    assert not stop()
    signal.raise_signal(signal_)
    assert stop()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal_)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_an_evaluation(
    gridcade: Gridcade, monkeypatch: pytest.MonkeyPatch, signal_: signal.Signals
) -> None:
    monkeypatch.setattr(api, "evaluate", lambda *_, **__: signal.raise_signal(signal_))
    result = gridcade("evaluate", "random", "--env", "FourRooms")
    assert result == (130, "", "gridcade: interrupted\n")


def test_the_version_is_printed(gridcade: Gridcade) -> None:
    result = gridcade("--version")
    assert re.fullmatch(r"gridcade \d+\.\S+\n", result.out)
    assert result[::2] == (0, "")
