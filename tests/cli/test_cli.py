"""The command line, as a person meets it: words in, text and exit codes out."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pexpect
import pytest

from gridcade import agents
from gridcade.agents.probabilities import greedy
from gridcade.cli import demo, main, output
from gridcade.envs import registry
from gridcade.envs.maze import Maze
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.study.runner import TaskStatus
from gridcade.training import sessions
from gridcade.training.config import read_toml, to_dict
from gridcade.training.run_folder import Run, load_tensors

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
    "exact",
    "notes",
]
EXACT_KEYS = [
    "expected_return",
    "average_reward",
    "unlimited_return",
    "unlimited_average_reward",
    "optimal_return",
    "optimal_average_reward",
    "gap_return",
    "gap_average_reward",
]
SOLUTION_KEYS = ["env", "criterion", "discount", "value", "values", "policy", "average_reward"]
HEAVY = ("torch", "numba", "scipy", "ale_py", "stable_baselines3", "matplotlib")
COMMAND = [sys.executable, "-m", "gridcade.cli.main"]
SMALL = "RussellNorvig4x3"


class Said(NamedTuple):
    """What a command came to."""

    code: Any
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, a wide terminal, and no wish for colours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(output.out, "width", 200)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def gridcade(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command, in this process."""

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["gridcade", *map(str, words)])
        capsys.readouterr()
        code: Any = 0
        try:
            main.main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    path = tmp_path_factory.mktemp("trained") / "run"
    sessions.train("q-learning", SMALL, steps=20_000, epoch=5_000, out=path)
    return path


@pytest.fixture
def run(trained: Path, folder: Path) -> Path:
    """A copy of a run folder, to be spoilt."""
    shutil.copytree(trained, folder / "run")
    return folder / "run"


def strict(text: str) -> Any:
    """JSON on one line, in its own words: no NaN, no Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert text.endswith("\n")
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=refuse)


def files(path: Path) -> dict[str, bytes | None]:
    """Everything in a folder, contents included; None for folders."""
    return {
        str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in path.rglob("*")
    }


# Commands and their flags


def test_list(gridcade: Call, run: Path, folder: Path) -> None:
    (folder / "runs").mkdir()
    (folder / "runs" / "foreign").mkdir()
    run.rename(folder / "runs" / "[b]mine[red] :smile:")  # no markup
    parts = {  # the first word of each stands in no other
        "envs": ("CliffWalk", "FourRooms", "Maze", "RiverSwim", "104"),
        "agents": ("tabular Q-learning", "q-learning", "watkins"),
        "presets": ("converging", "average-reward", "2,000,000"),
        "runs": ("runs/[b]mine[red] :smile:", SMALL, "20,000", "average reward"),
    }
    everything = gridcade("list")
    assert everything[::2] == (0, "")
    for name, words in parts.items():
        said = gridcade("list", name)
        assert said[::2] == (0, "")
        for word in words:
            assert word in said.out
            assert word in everything.out
        for other in set(parts) - {name}:
            assert parts[other][0] not in said.out
    assert "foreign" not in everything.out


def test_train_heeds_every_flag(gridcade: Call, folder: Path) -> None:
    (folder / "more.toml").write_text("[hyperparameters]\ninitial_value = 2.5\n")
    words = (
        "train q-learning CliffWalk --preset converging --config more.toml --steps 3_000 "
        "--minutes 5 --seed 3 --out here/run --epoch 1000 --envs 2 --evaluation-episodes 7 "
        "--discount 0.9 --epsilon.final=0.25"
    )
    said = gridcade(*words.split())
    assert said.code == 0
    config = read_toml(folder / "here/run/config.toml")
    hyperparameters = config.pop("hyperparameters")
    wanted = {
        "agent": "q-learning",
        "env": "CliffWalk",
        "preset": "converging",
        "seed": 3,
        "steps": 3000,
        "minutes": 5.0,
        "epoch": 1000,
        "evaluation_episodes": 7,
        "envs": 2,
    }
    assert wanted.items() <= config.items()
    assert hyperparameters["discount"] == 0.9
    assert hyperparameters["initial_value"] == 2.5
    assert hyperparameters["epsilon"]["final"] == 0.25
    assert hyperparameters["step_size"]["power"] == 0.7  # the preset's
    assert Run(folder / "here/run").checkpoints() == [1000, 2000, 3000]
    assert "gridcade evaluate here/run" in said.out
    assert "gridcade watch here/run" in said.out


def test_train_makes_a_folder_under_runs_and_never_reuses_one(gridcade: Call) -> None:
    for name in ("FourRooms-q-learning-s5", "FourRooms-q-learning-s5-2"):
        said = gridcade("train", "q-learning", "FourRooms", "--steps", 1000, "--seed", 5)
        assert said.code == 0
        assert f"run folder: runs/{name}\n" in said.out
        assert Run(f"runs/{name}").last_checkpoint() == 1000


def test_minutes_bound_a_training(gridcade: Call) -> None:
    words = "train q-learning FourRooms --minutes 0.001 --epoch 1000 --out run"
    assert gridcade(*words.split()).code == 0
    assert "steps" not in read_toml(Path("run/config.toml"))
    assert Run("run").last_checkpoint() > 0


def test_resume_goes_on_to_a_new_bound(gridcade: Call, run: Path) -> None:
    said = gridcade("resume", run, "--steps", 25_000)
    assert said.code == 0
    assert Run(run).last_checkpoint() == 25_000
    assert [m["steps"] for m in Run(run).metrics()] == [5000, 10000, 15000, 20000, 25000]
    assert gridcade("resume", run, "--minutes", 0.001).code == 0
    assert Run(run).config.minutes == 0.001
    assert Run(run).config.steps is None


def test_evaluate_heeds_every_flag(gridcade: Call, run: Path) -> None:
    def measured(*words: object) -> Any:
        said = gridcade("evaluate", *words, "--json")
        assert said[::2] == (0, "")
        return strict(said.out)

    first = measured(run)
    assert (first["env"], first["policy"]) == (SMALL, str(run))
    assert (first["episodes"], first["seed"], first["confidence"]) == (100, 0, 0.95)
    assert first == measured(run)  # the same episodes again
    assert measured(run, "--seed", 4)["steps"] != first["steps"]
    assert measured(run, "--episodes", 7)["episodes"] == 7
    assert 800 <= measured(run, "--steps", 1000)["steps"] <= 1200
    precise = measured(run, "--precision", 0.02)["expected_return"]
    assert (precise["high"] - precise["low"]) / 2 <= 0.025 * precise["mean"]
    wide, narrow = (measured(run, "--confidence", c)["average_reward"] for c in ("0.99", "0.5"))
    assert wide["low"] < narrow["low"] < narrow["mean"] < narrow["high"] < wide["high"]
    assert measured(run, "--discount", "0")["discounted_return"]["mean"] == pytest.approx(-0.04)
    assert measured(run, "--epsilon", "0.5")["exact"]["gap_return"] > first["exact"]["gap_return"]
    loose = measured(run, "--stochastic")["exact"]["expected_return"]
    assert loose < first["exact"]["expected_return"]  # training's epsilon
    elsewhere = measured("random", "--env", "SlipperyLake", "--episodes", 3)
    assert (elsewhere["env"], elsewhere["policy"]) == ("SlipperyLake", "random")
    kept = [json.loads(f.read_text()) for f in sorted(Path(run, "evaluation").iterdir())]
    assert len(kept) == 11
    assert kept[0] == first


def test_an_evaluation_that_cannot_be_kept_is_shown_all_the_same(gridcade: Call, run: Path) -> None:
    (run / "evaluation").rmdir()
    (run / "evaluation").write_text("not a folder")
    said = gridcade("evaluate", run, "--episodes", 5, "--json")
    assert said.code == 0
    assert strict(said.out)["episodes"] == 5
    assert said.err.startswith("gridcade: not kept with the run: ")


def test_a_checkpoint_is_a_policy(gridcade: Call, run: Path) -> None:
    env = registry.make(SMALL)
    model = registry.known_model(env)
    assert model is not None
    first, gains = run / "checkpoints/10000", set()
    for name, path in (("last", run), ("named", run / "checkpoints/20000"), ("first", first)):
        said = gridcade("evaluate", path, "--episodes", 2, "--json")
        found = strict(said.out)
        assert found["policy"] == str(path), name
        file = (first if name == "first" else run / "checkpoints/20000") / "agent.safetensors"
        table = greedy(load_tensors(file)["q"])  # as it acts
        value = solver.policy_value(model, table, time_limit=registry.time_limit(env))
        assert found["exact"]["average_reward"] == pytest.approx(value.average_reward, rel=1e-9)
        gains.add(value.average_reward)
    assert len(gains) == 2


def test_tables_tell_the_same_numbers(gridcade: Call) -> None:
    words = ("evaluate", "optimal", "--env", "CliffWalk", "--epsilon", 0.1, "--episodes", 50)
    found = strict(gridcade(*words, "--json").out)
    said = gridcade(*words)
    assert said[::2] == (0, "")
    assert "\x1b" not in said.out
    rows = dict(re.findall(r"^(\w[\w ]*\w)  +(.*)$", said.out, re.MULTILINE))
    for name, key in (("average reward", "average_reward"), ("return", "expected_return")):
        unlimited = {"expected_return": "unlimited_return"}.get(key, f"unlimited_{key}")
        assert f"{found['exact'][unlimited]:.4g}" in rows[name]
    assert f"{found['episode_length']['mean']:.4g}" in rows["episode length"]
    assert "optimal on CliffWalk: 50 episodes" in said.out


@pytest.mark.parametrize("kind", ["webp", "gif", "mp4"])
def test_watch_writes_a_video(gridcade: Call, folder: Path, kind: str) -> None:
    words = f"watch optimal --env CliffWalk --video film.{kind} --episodes 1 --fps 20 --seed 2"
    said = gridcade(*words.split(), "--epsilon", 0.05)
    assert said == (0, f"video: film.{kind}\n", "")
    assert list(files(folder)) == [f"film.{kind}"]


def test_the_demo_does_what_it_says(
    gridcade: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "MEASURED", 200)
    monkeypatch.setattr(demo, "EPISODES", 1)
    monkeypatch.setattr(os, "isatty", lambda _: False)
    monkeypatch.setattr(output.out, "width", 80)
    said = gridcade("demo")
    assert said[::2] == (0, "")
    commands = re.findall(r"^\$ gridcade (\w+)", said.out, re.MULTILINE)
    assert commands == ["solve", "train", "evaluate", "watch", "watch"]
    for name in ("watch", "breakout"):
        assert (folder / f"runs/demo/{name}.webp").is_file()
    assert Run("runs/demo").last_checkpoint() == 200_000
    assert len(list((folder / "runs/demo/evaluation").iterdir())) == 1
    lines = [x for x in said.out.splitlines() if "█" not in x and not x.startswith("note: ")]
    assert not [x for x in lines if len(x) > 80 and not re.match(r" *[\d,]+ steps  ", x)]
    gain = solver.solve(registry.make("FourRooms").unwrapped.model, "average-reward").average_reward  # type: ignore[attr-defined]
    assert f"{gain:.4g}" in said.out


# JSON


def test_the_numbers_of_an_evaluation_are_right(gridcade: Call) -> None:
    words = f"evaluate random --env {SMALL} --episodes 2000 --seed 1 --discount 0.9 --json"
    said = gridcade(*words.split())
    assert said[::2] == (0, "")
    found = strict(said.out)
    assert list(found) == EVALUATION_KEYS
    assert list(found["exact"]) == EXACT_KEYS
    env = registry.make(SMALL)
    model = registry.known_model(env)
    assert model is not None
    table = np.full((model.num_states, 4), 0.25)
    limited = solver.policy_value(model, table, 0.9, registry.time_limit(env))
    unlimited = solver.policy_value(model, table, 0.9)
    best = solver.solve(model, "return").value, solver.solve(model, "average-reward").average_reward
    wanted = [
        limited.expected_return,
        limited.average_reward,
        unlimited.expected_return,
        unlimited.average_reward,
        *best,
        best[0] - (unlimited.expected_return or 0),
        best[1] - unlimited.average_reward,
    ]
    assert list(found["exact"].values()) == pytest.approx(wanted, rel=1e-9)
    values = (
        limited.expected_return,
        limited.average_reward,
        limited.discounted_return,
        limited.episode_length,
    )
    for key, value in zip(ESTIMATES, values, strict=True):
        assert list(found[key]) == ["mean", "low", "high"]
        assert found[key]["low"] < found[key]["mean"] < found[key]["high"]
        error = (found[key]["high"] - found[key]["low"]) / 4
        assert abs(found[key]["mean"] - value) < 5 * error
    assert found["episodes"] * found["episode_length"]["mean"] == pytest.approx(found["steps"])
    assert 0 <= found["truncated"] <= 1


def test_a_continuing_world_has_no_return_and_no_episodes(gridcade: Call) -> None:
    said = gridcade("evaluate", "optimal", "--env", "RiverSwim", "--steps", 20_000, "--json")
    found = strict(said.out)
    assert list(found) == EVALUATION_KEYS
    for key in ("episodes", "expected_return", "episode_length", "truncated"):
        assert found[key] is None
    for key in ("expected_return", "unlimited_return", "optimal_return", "gap_return"):
        assert found["exact"][key] is None
    assert found["exact"]["gap_average_reward"] == 0
    gain = found["average_reward"]
    best = found["exact"]["optimal_average_reward"]
    assert abs(gain["mean"] - best) < 5 * (gain["high"] - gain["low"]) / 4


def test_an_unknown_model_has_no_exact_values(gridcade: Call) -> None:
    found = strict(gridcade("evaluate", "random", "--env", "CartPole", "--json").out)
    assert list(found) == EVALUATION_KEYS
    assert found["exact"] is None


@pytest.mark.parametrize("criterion", ["return", "discounted", "average-reward", None])
def test_the_numbers_of_a_solution_are_right(gridcade: Call, criterion: str | None) -> None:
    flags = [] if criterion is None else ["--criterion", criterion]
    said = gridcade("solve", "CliffWalk", *flags, "--discount", 0.9, "--json")
    assert said[::2] == (0, "")
    found = strict(said.out)
    assert list(found) == SOLUTION_KEYS
    assert found["criterion"] == (criterion or "return")
    assert found["discount"] == (0.9 if criterion == "discounted" else None)
    model = registry.known_model(registry.make("CliffWalk"))
    assert model is not None
    value = solver.policy_value(model, np.array(found["policy"]), 0.9)
    assert found["average_reward"] == pytest.approx(value.average_reward)
    known = {"discounted": -(1 - 0.9**13) / 0.1, "average-reward": -1.0}  # 13 moves, each costs 1
    wanted = known.get(criterion or "return", -13.0)
    assert found["value"] == pytest.approx(wanted)
    assert len(found["values"]) == model.num_states
    assert model.start @ np.nan_to_num(np.array(found["values"], float)) == pytest.approx(wanted)


def test_a_solution_is_drawn_whole(gridcade: Call) -> None:
    """However large the world: what is printed scrolls, and in a file lines may be long."""
    maze = registry.make("Maze?size=40&seed=1").unwrapped
    assert isinstance(maze, Maze)
    said = gridcade("solve", "Maze?size=40&seed=1")
    drawn = said.out.splitlines()[-maze.world.height :]
    assert {len(line) for line in drawn} == {2 * maze.world.width}
    assert set(drawn[0]) == set(drawn[-1]) == {"█"}  # its outer walls
    relative = "relative values: how much more"
    assert relative not in said.out
    assert relative in gridcade("solve", "FourRooms", "--criterion", "average-reward").out


def test_an_evaluation_says_what_it_was_measured_with(gridcade: Call) -> None:
    words = ["evaluate", "random", "--env", SMALL, "--episodes", "5"]
    plain = gridcade(*words)
    assert "epsilon" not in plain.out
    assert "discounted by 0.99" in plain.out
    said = gridcade(*words, "--epsilon", "0.25", "--stochastic", "--discount", "0.5")
    assert ", epsilon 0.25, by its probabilities\n" in said.out
    assert "discounted by 0.5" in said.out
    found = strict(gridcade(*words, "--epsilon", "0.25", "--discount", "0.5", "--json").out)
    told = [found[key] for key in ("epsilon", "stochastic", "discount")]
    assert told == [0.25, False, 0.5]


def test_the_time_left_is_that_of_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What learns nothing is soon done, or plays for long: no measure of the others."""
    now = iter([0.0, 10.0, 20.0, 90.0])
    monkeypatch.setattr("gridcade.cli.output.time.monotonic", lambda: next(now))
    display = output.StudyDisplay(lambda: False)

    def left(*shares: float) -> str:
        fixed = [
            TaskStatus("a", "done", 1.0, learns=False),
            TaskStatus("b", "evaluating", 1.0, False),
        ]
        return display._left([*fixed, *(TaskStatus("c", "training", share) for share in shares)])

    assert left(0.0, 0.0) == ""
    assert left(0.0, 0.0) == ""
    assert left(0.1, 0.1) == "0:03:00"
    assert left(1.0, 1.0) == ""  # they are evaluated


def test_json_is_all_there_is_on_stdout() -> None:
    words = ["evaluate", "optimal", "--env", SMALL, "--episodes", "5", "--json"]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(strict(done.stdout)) == EVALUATION_KEYS


# Names of worlds


def test_three_ways_to_name_a_world(gridcade: Call, folder: Path) -> None:
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
    solved, measured = [], []
    for name in names:
        solution = strict(gridcade("solve", *name, "--json").out)
        result = strict(
            gridcade("evaluate", "random", "--env", *name, "--episodes", 4, "--json").out
        )
        assert solution.pop("env") == result.pop("env")
        solved.append(solution)
        measured.append(result)
    assert all(s == solved[0] for s in solved)
    assert all(m == measured[0] for m in measured)
    assert len(solved[0]["values"]) == maze.model.num_states
    other = strict(gridcade("solve", "Maze?size=9&seed=4", "--json").out)
    assert other["values"] != solved[0]["values"]


def test_a_run_keeps_the_map_it_was_trained_on(gridcade: Call, folder: Path) -> None:
    (folder / "my.txt").write_text("#####\n#S.G#\n#####\n")
    assert gridcade("train", "q-learning", "my.txt", "--steps", 2000, "--out", "run").code == 0
    (folder / "my.txt").unlink()
    found = strict(gridcade("evaluate", "run", "--episodes", 3, "--json").out)
    assert found["episode_length"]["mean"] == 2
    assert gridcade("resume", "run", "--steps", 3000).code == 0


# Default < preset < config file < flags


def test_each_layer_overrides_those_below(gridcade: Call, folder: Path) -> None:
    (folder / "layer.toml").write_text(
        "seed = 7\nsteps = 5000\n[hyperparameters]\ndiscount = 0.8\nepsilon = {final = 0.3}\n"
    )
    words = "train q-learning FourRooms --preset converging --config layer.toml --steps 2000"
    said = gridcade(*words.split(), "--epsilon.initial", 0.9, "--out", "run")
    assert said.code == 0
    config = Run("run").config
    assert (config.seed, config.steps) == (7, 2000)
    hyperparameters = config.hyperparameters
    assert hyperparameters["initial_value"] == 0.0  # nobody's: the default
    assert hyperparameters["step_size"] == {"initial": 1.0, "steps": 0, "power": 0.7}  # preset
    assert hyperparameters["discount"] == 0.8  # config file, over the preset's 0.99
    epsilon = {"initial": 0.9, "final": 0.3, "steps": 1_000_000, "power": 0.0}
    assert hyperparameters["epsilon"] == epsilon  # flag, config file, preset, default


def test_a_run_s_config_is_a_config_file(gridcade: Call) -> None:
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
        ("dqn Breakout", "two-core"),
        ("dqn --no-bfloat16 Breakout", "two-core"),
        ("dqn FourRooms?observation=one_hot", "vector"),
        ("dqn FourRooms?observation=pixels --preset vector", "vector"),
    ],
)
def test_an_environment_seen_as_images_has_its_own_preset(
    gridcade: Call, monkeypatch: pytest.MonkeyPatch, words: str, preset: str
) -> None:
    handed: dict[str, Any] = {}

    def train(agent: str, env: str, **options: Any) -> None:
        handed.update(options, agent=agent, env=env)
        raise InputError("enough")

    monkeypatch.setattr(sessions, "train", train)
    assert gridcade("train", *words.split(), "--batch-size", 64).err == "gridcade: enough\n"
    file = agents.find("dqn").preset(preset)
    wanted = {"network": "mlp", "bfloat16": False}
    wanted |= read_toml(file)["hyperparameters"] | {"batch_size": 64}
    switches = {"--no-bfloat16": False, "--bfloat16": True}
    for switch in switches.keys() & words.split():
        wanted["bfloat16"] = switches[switch]
    found = to_dict(handed["hyperparameters"])
    keys = ("network", "replay_capacity", "batch_size", "bfloat16")
    assert {key: found[key] for key in keys} == {key: wanted[key] for key in keys}


# Help


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom gridcade import cli\nsys.argv = ['gridcade', '--help']\n"
        "try:\n    main.main()\nfinally:\n"
        f"    print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    seconds, numpy_alone = [], []
    for _ in range(20):  # a busy machine gets more than the five chances of an idle one
        done, taken = timed(program)
        assert (done.returncode, done.stderr) == (0, "[]\n")
        assert all(f"• {name} " in done.stdout for name in main.COMMANDS)
        seconds.append(taken)
        numpy_alone.append(timed("import numpy")[1])  # on an old processor this is slow too
        if len(seconds) >= 5 and min(seconds) < max(0.5, 4 * min(numpy_alone)):
            return
    pytest.fail(f"--help took {min(seconds):.2f} s at best, NumPy alone {min(numpy_alone):.2f}")


def timed(program: str) -> tuple["subprocess.CompletedProcess[str]", float]:
    """A Python program, and the seconds that it took: of a busy machine those it computed."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    passed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    computed = after.ru_utime - used.ru_utime + after.ru_stime - used.ru_stime
    return done, computed if busy else passed


@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_fits_the_terminal(
    gridcade: Call, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for words in ([], *([name] for name in main.COMMANDS), ["train", "q-learning", "FourRooms"]):
        said = gridcade(*words, "--help")
        assert said[::2] == (0, "")
        text = [x for x in said.out.splitlines() if "$ gridcade" not in x and "usage:" not in x]
        assert max(map(len, text)) <= width
        assert "$ gridcade" in said.out or words[:1] in (["list"], ["demo"])  # help that teaches


def test_no_words_are_a_call_for_help(gridcade: Call) -> None:
    assert gridcade() == gridcade("--help") == gridcade("-h")


def test_version(gridcade: Call) -> None:
    said = gridcade("--version")
    assert re.fullmatch(r"gridcade \d+\.\S+\n", said.out)
    assert said[::2] == (0, "")


def test_help_shows_the_agent_s_fields_as_the_preset_and_the_config_set_them(
    gridcade: Call, folder: Path
) -> None:
    def shown(*words: object) -> dict[str, str]:
        said = gridcade("train", *words, "--help")
        assert said[::2] == (0, "")
        assert "AGENT" in said.out
        assert "ENV" in said.out
        text = " ".join(said.out.replace("│", " ").split())
        fields = (field.partition(" ") for field in text.split("--")[1:])
        defaults = {name: re.search(r"\(default: (\S+)\)", rest) for name, _, rest in fields}
        return {name: found[1] for name, found in defaults.items() if found}

    assert "step-size.initial" not in shown()
    default = shown("q-learning")
    assert default["step-size.initial"] == "0.5"
    assert default["initial-value"] == "1.0"
    assert shown("q-learning", "FourRooms", "--preset", "watkins") == default
    other = shown("q-learning", "FourRooms", "--preset=converging")
    assert (other["step-size.initial"], other["step-size.power"]) == ("1.0", "0.7")
    (folder / "my.toml").write_text("[hyperparameters]\nstep_size = {initial = 0.125}\n")
    mine = shown("q-learning", "--config", "my.toml")
    assert (mine["step-size.initial"], mine["step-size.power"]) == ("0.125", "0.0")


# Bad input

BROKEN_MAP = "slip: 0.1\nmap:\n####\n#SX#\n####\n"
BAD: list[tuple[str, str]] = [  # words, and what the message must contain, parts apart by |
    ("frobnicate", "unknown command 'frobnicate'|train"),
    ("evalaute random", "'evalaute'|did you mean evaluate?"),
    ("--frobnicate", "--frobnicate"),
    ("list agent", "'agent'|'agents'"),
    ("train", "AGENT|ENV"),
    ("train q-learning", "ENV"),
    ("train qlearning FourRooms", "unknown agent 'qlearning'|did you mean q-learning?"),
    ("train q-learning FourRoms", "unknown environment 'FourRoms'|did you mean FourRooms?"),
    ("train q-learning gridcade/FourRooms-v9", "FourRooms-v9|gridcade/FourRooms-v0"),
    ("train q-learning FourRooms --preset watkin", "preset|'watkin'|did you mean watkins?"),
    ("train q-learning FourRooms --stpes 5", "--stpes|--steps"),
    ("train q-learning FourRooms --epsilon.finale 0.5", "--epsilon.finale|--epsilon.final"),
    ("train q-learning FourRooms CliffWalk", "CliffWalk"),
    ("train q-learning FourRooms --steps", "--steps"),
    ("train q-learning FourRooms --steps ten", "--steps|'ten'"),
    ("train q-learning FourRooms --steps -5", "steps is -5"),
    ("train q-learning FourRooms --steps 0", "steps is 0"),
    ("train q-learning FourRooms --minutes -1", "minutes is -1"),
    ("train q-learning FourRooms --minutes nan", "minutes is nan"),
    ("train q-learning FourRooms --seed -1", "seed is -1"),
    ("train q-learning FourRooms --epoch 0", "epoch is 0"),
    ("train q-learning FourRooms --envs 0", "envs is 0"),
    ("train q-learning FourRooms --discount 1.5", "discount is 1.5"),
    ("train q-learning FourRooms --discount nan", "discount is nan"),
    ("train q-learning FourRooms --epsilon.initial 1.5", "epsilon.initial is 1.5"),
    ("train q-learning FourRooms --step-size.initial -0.1", "step_size.initial is -0.1"),
    ("train q-learning FourRooms --criterion mean", "'mean'|'average'"),
    ("train q-learning CartPole", "Discrete observations|Box"),
    ("train q-learning Pendulum", "Discrete observations|Box"),
    ("train q-learning FourRooms?observation=pixels", "Discrete observations|Box"),
    ("train q-learning Maze?sise=9", "argument of Maze 'sise'|did you mean size?"),
    ("train q-learning Maze --env.sise 9", "argument of Maze 'sise'|did you mean size?"),
    ("train q-learning Maze --env.size", "--env.size needs a value"),
    ("train q-learning Maze --env.size --steps 5", "--env.size needs a value"),
    ("train q-learning Maze --env.size 1", "size is 1"),
    ("train q-learning Maze --env.size nine", "size is nine"),
    ("train q-learning Maze --env. 9", "argument of Maze ''"),
    ("train q-learning --env.size 9", "ENV"),
    ("evaluate run --env.size 9", "--env.NAME VALUE|environment's name"),
    ("train q-learning broken.txt", "broken.txt, line 4, column 3|'X'"),
    ("train q-learning missing.txt", "missing.txt"),
    ("train q-learning folder.txt", "folder.txt"),
    ("train q-learning FourRooms --config missing.toml", "missing.toml"),
    ("train q-learning FourRooms --config broken.toml", "broken.toml|line 2"),
    ("train q-learning FourRooms --config wrong.toml", "wrong.toml|'stpes'|did you mean steps?"),
    ("train q-learning FourRooms --config deep.toml", "deep.toml|'inital'|did you mean initial?"),
    ("train q-learning FourRooms --out broken.txt", "'broken.txt'"),
    ("train q-learning FourRooms --out folder.txt", "'folder.txt'"),
    ("train q-learning FourRooms --out broken.txt/run", "broken.txt/run"),
    ("train q-learning FourRooms --out /proc/run", "/proc/run"),
    ("train q-learning FourRooms --out run", "'run'|another config|env: RussellNorvig4x3 -> Four"),
    (f"train q-learning {SMALL} --config run/config.toml --out run", "gridcade resume run"),
    ("resume", "RUN"),
    ("resume missing", "'missing'"),
    ("resume folder.txt", "'folder.txt'"),
    ("resume broken.txt", "'broken.txt'"),
    ("resume run --steps -3", "steps is -3"),
    ("resume run --minutes 0", "minutes is 0"),
    ("resume truncated --steps 30000", "truncated/checkpoints/20000"),
    ("resume foreign --steps 30000", "foreign/checkpoints/20000"),
    ("evaluate", "POLICY"),
    ("evaluate random", "'random'|--env"),
    ("evaluate optiml --env FourRooms", "'optiml'|did you mean optimal?"),
    ("evaluate rum", "'rum'|did you mean run?"),
    ("evaluate missing", "'missing'|random|optimal|run folder|checkpoint"),
    ("evaluate folder.txt", "'folder.txt'"),
    ("evaluate truncated", "truncated/checkpoints/20000"),
    ("evaluate foreign", "foreign/checkpoints/20000"),
    ("evaluate hollow", "hollow"),
    ("evaluate run/checkpoints/7", "run/checkpoints/7"),
    ("evaluate run --env CliffWalk", "run|does not fit"),
    ("evaluate run --env CartPole", "Discrete"),
    ("evaluate run --env FourRoms", "'FourRoms'|FourRooms"),
    ("evaluate optimal --env CartPole", "'optimal'|model"),
    ("evaluate optimal --env FourRooms?observation=pixels", "'optimal'|observation=state"),
    ("evaluate run --episodes 0", "episodes is 0"),
    ("evaluate run --episodes -2", "episodes is -2"),
    ("evaluate run --steps -2", "steps is -2"),
    ("evaluate run --precision 0", "precision is 0"),
    ("evaluate run --precision 1.5", "precision is 1.5"),
    ("evaluate run --precision nan", "precision is nan"),
    ("evaluate run --episodes 3 --steps 9", "episodes, steps and precision"),
    ("evaluate run --precision 0.1 --steps 9", "episodes, steps and precision"),
    ("evaluate run --episodes 3 --precision 0.1", "episodes, steps and precision"),
    ("evaluate run --seed -1", "seed is -1"),
    ("evaluate run --epsilon 1.1", "epsilon is 1.1"),
    ("evaluate run --epsilon -0.1", "epsilon is -0.1"),
    ("evaluate run --epsilon nan", "epsilon is nan"),
    ("evaluate random --env Pendulum --epsilon 0.1", "epsilon|discrete"),
    ("evaluate run --confidence 1", "confidence is 1"),
    ("evaluate run --confidence 0", "confidence is 0"),
    ("evaluate run --discount 1", "discount is 1"),
    ("evaluate run --discount -0.5", "discount is -0.5"),
    ("evaluate random --env NearAndFar --episodes 3", "NearAndFar|--steps"),
    ("evaluate random --env RiverSwim --precision 0.1", "RiverSwim|--steps"),
    ("evaluate random --env RiverSwim --steps 5", "too few"),
    ("evaluate random --env RiverSwim?max_episode_steps=9", "RiverSwim|time limit"),
    ("solve CartPole", "'CartPole-v1'|not known"),
    ("solve FourRoms", "'FourRoms'|did you mean FourRooms?"),
    ("solve FourRooms --criterion avarage", "'avarage'|average-reward"),
    ("solve FourRooms --discount 1", "discount is 1"),
    ("solve FourRooms --criterion discounted --discount 2", "discount is 2"),
    ("solve NearAndFar --criterion return", "continuing|average reward"),
    ("solve broken.txt", "broken.txt, line 4, column 3"),
    ("solve walled.txt", "no policy|end"),
    ("watch random", "'random'|--env"),
    ("watch run", "no terminal to watch in|--video"),
    ("watch run --in terminal --video film.webp", "no terminal to watch in"),
    ("watch run --in widow", "'widow'|'window'"),
    ("watch run --video film.avi", "'film.avi'|.mp4, .webp, .gif"),
    ("watch run --video film", "'film'|.mp4, .webp, .gif"),
    ("watch run --video missing/film.webp", "missing"),
    ("watch run --video folder.webp", "folder.webp"),
    ("watch run --video film.webp --fps 0", "fps is 0"),
    ("watch run --video film.webp --fps nan", "fps is nan"),
    ("watch run --video film.webp --fps inf", "fps is inf"),
    ("watch run --video film.webp --fps 0.01", "fps is 0.01"),
    ("watch run --video film.webp --episodes 0", "episodes is 0"),
    ("watch run --video film.webp --seed -1", "seed is -1"),
    ("watch run --video film.webp --epsilon 7", "epsilon is 7"),
    ("watch run --video film.webp --env CliffWalk", "does not fit"),
    ("play FourRooms", "no terminal to play in"),
    ("play FourRoms", "'FourRoms'|did you mean FourRooms?"),
    ("play Pendulum", "discrete"),
    ("compare random --env broken.txt --steps 9", "broken.txt, line 4, column 3"),
    ("compare random --env latin.txt --steps 9", "latin.txt|not a text file"),
    (
        f"compare random --env FourRooms --steps 9 --out {'x' * 300}",
        "cannot write in|xxx': File name too long",
    ),
    (f"watch run --video {'x' * 300}.webp", "xxx.webp"),
    ("demo --out run", "'run'"),
    ("demo --out broken.txt", "'broken.txt'"),
    ("demo --out /proc/run", "/proc/run"),
]


@pytest.fixture
def museum(run: Path, folder: Path) -> Path:
    """A folder with everything that can be wrong with a file."""
    (folder / "broken.txt").write_text(BROKEN_MAP)
    (folder / "walled.txt").write_text("#####\n#S#G#\n#####\n")
    (folder / "latin.txt").write_bytes("title: Café\nmap:\nS.G\n".encode("latin-1"))
    (folder / "folder.txt").mkdir()
    (folder / "folder.txt" / "full").write_text("of other things")
    (folder / "folder.webp").mkdir()
    (folder / "broken.toml").write_text("steps = 5\nseed = = 3\n")
    (folder / "wrong.toml").write_text("stpes = 5\n")
    (folder / "deep.toml").write_text("[hyperparameters.epsilon]\ninital = 0.5\n")
    for name in ("truncated", "foreign", "hollow"):
        shutil.copytree(run, folder / name)
    file = folder / "truncated/checkpoints/20000/agent.safetensors"
    file.write_bytes(file.read_bytes()[:-20])
    (folder / "foreign/checkpoints/20000/agent.safetensors").write_bytes(b"PK\x03\x04 a zip")
    shutil.rmtree(folder / "hollow/checkpoints")
    (folder / "hollow/checkpoints").mkdir()
    return folder


def test_bad_input_is_told_and_nothing_is_done(
    gridcade: Call, museum: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: False)
    wrong = []
    for words, parts in BAD:
        before = files(museum)
        said = gridcade(*words.split())
        told = " ".join(said.err.replace("│", " ").split())
        kept = files(museum) == before
        right = (said.code, said.out, kept) == (2, "", True) and "Traceback" not in told
        if not right or any(part not in told for part in parts.split("|")):
            wrong.append((words, said, kept))
    assert not wrong, "\n\n".join(map(str, wrong))


def test_a_resumed_run_without_checkpoints_begins_anew(gridcade: Call, run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    assert gridcade("resume", run).code == 0
    assert Run(run).last_checkpoint() == 20_000


DQN = (
    "dqn CartPole --steps 600 --epoch 200 --learn-start 100 --replay-capacity 500 --hidden 200 "
    "--evaluation-every 99 --out run"
)


@pytest.fixture
def deep(gridcade: Call) -> Run:
    """A DQN that was stopped halfway."""
    assert gridcade("train", *DQN.replace("--steps 600", "--steps 400").split()).code == 0
    return Run("run")


def told_and_kept(said: Said, run: Run, *words: str) -> None:
    """One line on stderr that has these words; the last checkpoint is there, and is readable."""
    assert said.code == 2
    assert said.err.count("\n") == 1
    for word in words:
        assert word in said.err
    assert run.last_checkpoint() == 400
    run.load_checkpoint(400)


def test_a_replay_file_that_was_cut_is_told(gridcade: Call, deep: Run) -> None:
    file = deep.path / "replay" / "rewards.bin"
    os.truncate(file, file.stat().st_size // 2)
    told_and_kept(gridcade("resume", "run", "--steps", 600), deep, "rewards.bin", "was changed")


def test_a_checkpoint_of_another_network_is_told(gridcade: Call, deep: Run) -> None:
    other = DQN.replace("--hidden 200", "--hidden 201").replace("--out run", "--out other")
    assert gridcade("train", *other.replace("--steps 600", "--steps 400").split()).code == 0
    name = "checkpoints/400/agent.safetensors"
    shutil.copy(Path("other") / name, deep.path / name)
    said = gridcade("resume", "run", "--steps", 600)
    told_and_kept(said, deep, "does not fit this run", "has shape (201, 4), not (200, 4)")


def test_a_loss_that_is_no_number_ends_a_training(gridcade: Call, deep: Run) -> None:
    file = deep.path / "config.toml"
    changed = re.sub("learning_rate = .*", "learning_rate = 1e300", file.read_text())
    file.write_text(changed)
    said = gridcade("resume", "run", "--steps", 600)
    told_and_kept(said, deep, "the loss is", "it has diverged")


@pytest.mark.parametrize(
    ("most", "told"),
    [
        (16_384, ["run/checkpoints/", "the last one is kept"]),
        (900, ["run/metrics.jsonl"]),
        (100, ["run/config.toml"]),
    ],
)
def test_a_full_disk_is_told_and_the_last_checkpoint_kept(
    deep: Run, most: int, told: list[str]
) -> None:
    """The kernel refuses files of so many bytes, as it refuses any on a full disk."""
    words = [*COMMAND, "resume", "run", "--steps", "600"]
    limited = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    said = Said(limited.returncode, limited.stdout, limited.stderr)
    told_and_kept(said, deep, "cannot write", *told)
    assert not list(deep.path.glob(".*.tmp"))


def test_a_replay_larger_than_the_disk_is_told(gridcade: Call) -> None:
    words = DQN.replace("--replay-capacity 500", "--replay-capacity 100_000_000_000_000")
    said = gridcade("train", *words.split())
    assert said.code == 2
    assert "cannot reserve" in said.err
    assert "GB are needed" in said.err


@pytest.mark.usefixtures("deep")
def test_an_agent_starts_from_another_ones_layers(gridcade: Call) -> None:
    """Those that fit, the rest is named; where none fits, no folder is made."""

    def train(env: str, out: str, *words: Any) -> Said:
        given = DQN.replace("CartPole", env).replace("--out run", f"--out {out}").split()
        return gridcade("train", *given, "--init-from", "run", "--learn-start", 10_000, *words)

    kept = load_tensors(Path("run/checkpoints/400/agent.safetensors"))
    assert train("CartPole", "all")[::2] == (0, "")
    begun = load_tensors(Path("all/checkpoints/600/agent.safetensors"))
    for name in ("q.1.weight", "q.3.bias", "q_target.1.weight"):
        np.testing.assert_array_equal(begun[name], kept[name.replace("q_target", "q")])

    said = train("CartPole", "some", "--hidden", 200, 5)
    assert (
        said.err == "gridcade: layers that do not fit, and start afresh: 3 (Linear), 5 (Output)\n"
    )
    begun = load_tensors(Path("some/checkpoints/600/agent.safetensors"))
    np.testing.assert_array_equal(begun["q.1.weight"], kept["q.1.weight"])

    assert train("Acrobot", "none")[::2] == (2, "gridcade: no layer of 'run' fits\n")
    said = gridcade("train", *DQN.replace("--out run", "--out none").split(), "--freeze", "conv")
    assert said.err == "gridcade: freeze is conv; this network has no convolutions\n"
    breakout = ["train", "dqn", "Breakout", "--freeze", "conv", "--out", "none"]
    assert "give --init-from RUN as well" in gridcade(*breakout).err
    assert not Path("none").exists()
    said = gridcade("train", "q-learning", SMALL, "--init-from", "run", "--out", "none")
    assert said.err == "gridcade: q-learning cannot start from 'run', which is dqn\n"


def without_screen() -> dict[str, str]:
    """The variables of this process, but for those that tell of a screen."""
    screens = ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")
    return {key: value for key, value in os.environ.items() if key not in screens}


def test_a_picture_needs_no_screen(folder: Path) -> None:
    pytest.importorskip("pygame")
    words = ["watch", "random", "--env", "CartPole", "--video", "film.webp", "--episodes", "1"]
    env = without_screen()
    done = subprocess.run([*COMMAND, *words], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "film.webp").is_file()


@pytest.mark.parametrize("driver", ["nonsense", None])
def test_a_window_needs_a_screen(driver: str | None, folder: Path) -> None:
    pytest.importorskip("pygame")
    env = without_screen() | ({} if driver is None else {"SDL_VIDEODRIVER": driver})
    words = ["watch", "random", "--env", "FourRooms", "--in", "window", "--video", "film.webp"]
    done = subprocess.run([*COMMAND, *words], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "gridcade: " in done.stderr
    assert "open a window" in done.stderr
    assert not files(folder)


# Ctrl-C, pipes and terminals


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, stdout: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        command = [*COMMAND, *words]
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_run_that_can_be_resumed(
    signal_: signal.Signals, start: Callable[..., "subprocess.Popen[str]"], gridcade: Call
) -> None:
    """And so does SIGTERM, which a cluster sends before it kills."""
    words = f"train q-learning {SMALL} --steps 20_000 --epoch 1000 --envs 2 --out run"
    process = start(*words.split())
    while process.poll() is None and len(list(Path("run").glob("checkpoints/*000"))) < 2:
        time.sleep(0.02)
    process.send_signal(signal_)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "go on with:  gridcade resume run\n" in out
    stopped = Run("run").last_checkpoint()
    assert 0 < stopped < 20_000
    assert f"stopped after {stopped:,} steps" in out
    said = gridcade("resume", "run")
    assert said[::2] == (0, "")
    assert Run("run").last_checkpoint() == 20_000
    metrics = [m["steps"] for m in Run("run").metrics()]
    assert metrics == list(range(1000, 20_001, 1000))


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_pressed_once_more_ctrl_c_interrupts_at_once(signal_: signal.Signals) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = main._interrupt()
        assert not stop()
        signal.raise_signal(signal_)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal_)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_ctrl_c_ends_an_evaluation_without_a_traceback() -> None:
    words = ["evaluate", "random", "--env", "FourRooms", "--episodes", "1_000_000"]
    child: Any = pexpect.spawn(
        sys.executable, [*COMMAND[1:], *words], encoding="utf-8", dimensions=(24, 80), timeout=60
    )
    child.expect("evaluating")
    child.expect(r"\d+/1000000")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in child.before
    assert "gridcade: interrupted" in child.before


@pytest.mark.parametrize("words", ["--version", "list agents"])
def test_a_closed_pipe_is_no_error(
    start: Callable[..., "subprocess.Popen[str]"], words: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as `head` does, which has seen enough
    process = start(*words.split(), stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")


def test_training_prints_plain_lines_where_there_is_no_terminal(
    gridcade: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    said = gridcade("train", "q-learning", "CliffWalk", "--steps", 50_000)
    assert (said.code, said.err) == (0, "")
    assert "\x1b" not in said.out
    assert "\r" not in said.out
    lines = [line for line in said.out.splitlines() if re.match(r" *[\d,]+ steps  ", line)]
    assert 8 <= len(lines) <= 12  # a tenth each, not an epoch each
    assert "evaluated: return -13  average reward -1" in lines[-1]


def test_training_shows_a_bar_on_a_terminal() -> None:
    words = f"train q-learning {SMALL} --steps 40_000 --epoch 1000 --envs 2 --out run"
    env = {**os.environ, "TERM": "xterm-256color"}
    env.pop("COLUMNS")
    child: Any = pexpect.spawn(
        sys.executable,
        [*COMMAND[1:], *words.split()],
        encoding="utf-8",
        dimensions=(24, 80),
        timeout=60,
        env=env,
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", child.before)
    bars = [line.strip() for line in re.split(r"[\r\n]+", plain) if "━" in line]
    shown = [
        re.fullmatch(
            r"[━╸╺]+ +(\d+)% ([\d.]+)k steps  ([\d.]+)k/s (\d\d:\d\d|--:--)"
            r" return (\S+)",
            bar,
        )
        for bar in bars
    ]
    told = [match.groups() for match in shown if match]
    assert len(told) > 5
    assert max(map(len, bars)) <= 80
    assert not [bar for bar in bars if "…" in bar]  # nothing was cut off
    percents = [int(groups[0]) for groups in told]
    assert percents == sorted(percents)
    for percent, steps, rate, _, _ in told:
        assert float(steps) == pytest.approx(0.4 * int(percent), abs=0.4)
        assert float(rate) > 0.1
    assert any(groups[3] != "--:--" for groups in told)
    rest = plain[plain.rindex("━") :]
    assert f"q-learning on {SMALL}: 40,000 steps" in rest
