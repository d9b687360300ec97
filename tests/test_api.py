"""The Python API: every function takes names and objects."""

import ast
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from rlcompleter import Completer
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

import gridcade
from gridcade import agents, api
from gridcade.agents import QLearning, QLearningConfig, Schedule
from gridcade.envs import registry
from gridcade.envs.wrappers import TransparentWrapper
from gridcade.errors import InputError
from gridcade.evaluation.policies import TabularPolicy, UniformPolicy
from gridcade.exact import solver
from gridcade.seeding import episode_seed
from gridcade.shortfall import shortfall
from gridcade.training.run_folder import Run
from gridcade.training.trainer import Progress

SMALL = "RussellNorvig4x3"
MOVES = [0, *[1] * 11, 2]  # up, right, down: along the cliff
KEYS = {
    "env",
    "policy",
    "episodes",
    "steps",
    "confidence",
    "seed",
    "epsilon",
    "stochastic",
    "discount",
    "expected_return",
    "best_return",
    "average_reward",
    "discounted_return",
    "episode_length",
    "truncated",
    "cycles",
    "time_limit",
    "exact",
    "notes",
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("api") / "run"
    return gridcade.train("q-learning", SMALL, steps=20_000, epoch=5_000, seed=2, out=path)


class CloseCounter(TransparentWrapper):
    """A wrapper that counts the calls of `close`."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


class RecurrentPolicy:
    """A policy with one hidden state per environment, which plays a fixed list of actions."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        assert deterministic
        assert len(observation) == len(episode_start)
        if state is None:
            state = (np.zeros(len(observation), dtype=int),)
        count = np.where(episode_start, 0, state[0])
        return np.array(MOVES)[count % len(MOVES)], (count + 1,)


class ConstantPolicy:
    """A policy without a state that derives from no class of ours."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        del episode_start, deterministic
        return np.ones(len(observation), dtype=int), state


def test_package_exports_the_api() -> None:
    text = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    assert set(gridcade.__all__) == set(re.findall(r"^\| `(\w+)` \| .*`.*gridcade\.", text, re.M))
    assert all(callable(getattr(gridcade, name)) for name in gridcade.__all__)
    with pytest.raises(AttributeError, match="evalute"):
        gridcade.evalute  # noqa: B018


def test_completion_shows_the_api_and_nothing_else() -> None:
    shown = Completer({"gridcade": gridcade}).attr_matches("gridcade.")
    names = {name.removeprefix("gridcade.").rstrip("()") for name in shown}
    assert names == set(gridcade.__all__)
    assert gridcade.agents.QLearning is QLearning  # what is not shown can still be used


def test_watch_takes_a_run_and_writes_a_video(trained: Run, tmp_path: Path, capsys: Any) -> None:
    import_module("gridcade.viewing.show")  # no package takes the place of the function
    video = tmp_path / "episode.webp"
    gridcade.watch(trained, video=str(video), episodes=1)
    assert video.stat().st_size > 0
    assert capsys.readouterr().out.endswith(f"video: {video}\n")
    with pytest.raises(InputError, match="'random' needs an environment"):
        gridcade.watch("random")


def test_no_package_has_the_name_of_a_function() -> None:
    modules = {module.name for module in iter_modules(gridcade.__path__)}
    assert not modules & set(gridcade.__all__)


def test_play_returns_the_evaluation_of_the_game(monkeypatch: pytest.MonkeyPatch) -> None:
    played = gridcade.evaluate("random", SMALL, episodes=2)
    game = Mock(return_value=played)
    monkeypatch.setattr("gridcade.viewing.play.play", game)
    assert gridcade.play(SMALL, episodes=2, seed=3) is played
    game.assert_called_once_with(SMALL, 2, 3, 0.95)


def test_make_takes_names_and_arguments() -> None:
    by_name, by_keyword = gridcade.make("Maze?size=9&seed=3"), gridcade.make("Maze", size=9, seed=3)
    assert registry.known_model(by_name) is not None
    first: Any = by_name.unwrapped
    second: Any = by_keyword.unwrapped
    assert first.world == second.world
    assert gridcade.make("FrozenLake").spec is not None
    with pytest.raises(InputError, match="did you mean FourRooms"):
        gridcade.make("FourRoms")


def test_train_creates_a_run_and_reports_progress(tmp_path: Path) -> None:
    seen: list[Progress] = []
    config = QLearningConfig(discount=0.9, epsilon=Schedule(0.3))
    run = gridcade.train(
        "q-learning",
        SMALL,
        steps=3000,
        epoch=1000,
        seed=5,
        hyperparameters=config,
        out=tmp_path / "run",
        report=seen.append,
    )
    assert run.path == tmp_path / "run"
    assert (run.config.seed, run.config.steps, run.last_checkpoint()) == (5, 3000, 3000)
    assert run.config.hyperparameters == config
    assert [p.steps for p in seen if p.metrics is not None] == [1000, 2000, 3000]
    assert [p.steps for p in seen] == sorted(p.steps for p in seen)


def test_hyperparameters_in_a_dict_override_the_preset(tmp_path: Path) -> None:
    run = gridcade.train(
        "q-learning",
        SMALL,
        preset="converging",
        steps=1000,
        hyperparameters={"epsilon": {"final": 0.5}},
        out=tmp_path / "run",
    )
    hyperparameters = run.config.hyperparameters
    assert isinstance(hyperparameters, QLearningConfig)
    assert hyperparameters.epsilon == Schedule(1.0, 0.5, 1_000_000, 0.0)
    assert hyperparameters.step_size.power == 0.7
    with pytest.raises(InputError, match="did you mean epsilon"):
        gridcade.train("q-learning", SMALL, hyperparameters={"epsilom": {}}, out=tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_resume_continues_a_stopped_run(tmp_path: Path) -> None:
    answers = iter([False, True])
    run = gridcade.train(
        "q-learning",
        SMALL,
        steps=2_000_000,
        epoch=1000,
        out=tmp_path / "run",
        stop=lambda: next(answers),
    )
    assert 0 < run.last_checkpoint() < 2_000_000
    run = gridcade.resume(run.path, steps=5000)
    assert run.last_checkpoint() == 5000
    whole = gridcade.train("q-learning", SMALL, steps=5000, epoch=1000, out=tmp_path / "whole")
    first, second = (r.load_checkpoint(5000)[0]["q"] for r in (run, whole))
    np.testing.assert_array_equal(first, second)


def test_policy_can_be_a_run_a_path_a_checkpoint_or_an_object(trained: Run) -> None:
    checkpoint = trained.path / "checkpoints" / str(trained.last_checkpoint())
    results = [
        gridcade.evaluate(policy, episodes=30)
        for policy in (trained, trained.path, str(trained.path), checkpoint)
    ]
    loaded = gridcade.load(trained)
    results.append(gridcade.evaluate(loaded, SMALL, episodes=30))
    results.append(gridcade.evaluate(loaded, gridcade.make(SMALL), episodes=30))
    results.append(gridcade.evaluate(api.find(trained), episodes=30))
    assert isinstance(loaded, QLearning)
    for result in results:
        assert result.expected_return == results[0].expected_return
        assert result.exact == results[0].exact
    assert [r.policy for r in results[:5]] == [str(trained.path)] * 3 + [
        str(checkpoint),
        "QLearning",
    ]


def test_older_checkpoint_is_another_policy(trained: Run) -> None:
    first, last = trained.checkpoints()[0], trained.last_checkpoint()
    tables = []
    for steps in (first, last):
        loaded: Any = gridcade.load(trained.path / "checkpoints" / str(steps))
        np.testing.assert_array_equal(loaded.q, trained.load_checkpoint(steps)[0]["q"])
        tables.append(loaded.q)
    assert not np.array_equal(*tables)


def test_agent_acts_in_another_environment_that_fits(trained: Run) -> None:
    longer = gridcade.evaluate(trained, f"{SMALL}?time_limit=3", episodes=30)
    assert longer.env == f"{SMALL}?time_limit=3"
    assert longer.episode_length is not None
    assert longer.episode_length.mean <= 3
    with pytest.raises(InputError, match="does not fit"):
        gridcade.load(trained, "CliffWalk")


def test_environment_can_be_a_name_or_an_object() -> None:
    for policy in ("random", "optimal"):
        by_name = gridcade.evaluate(policy, SMALL, episodes=40, seed=3)
        by_object = gridcade.evaluate(policy, gridcade.make(SMALL), episodes=40, seed=3)
        assert by_name.expected_return == by_object.expected_return
        assert by_name.exact == by_object.exact
        assert by_name.policy == by_object.policy == policy


def test_a_drawn_world_keeps_the_name_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("first.txt").write_text("S.G\n")
    run = gridcade.train("q-learning", "first.txt", steps=1000, out="run")
    assert run.env == "run/world.txt"
    assert gridcade.evaluate(run, episodes=1).env == "first.txt"
    world = gridcade.make("first.txt")
    assert gridcade.evaluate("random", world, episodes=1).env == "first.txt"
    assert gridcade.solve(world).env_name == "first.txt"
    assert gridcade.evaluate(run, "run/world.txt", episodes=1).steps == 2
    Path("ring.txt").write_text("S.\n")
    ring = gridcade.train("q-learning", "ring.txt", steps=1000, out="ring")
    notes = gridcade.evaluate(ring, steps=1000).notes
    assert any(note.startswith("ring.txt has no end") for note in notes)
    assert not any("world.txt" in note for note in notes)


def test_result_converts_to_json_types() -> None:
    result = gridcade.evaluate("random", SMALL, episodes=20)
    plain = result.as_dict()
    assert set(plain) == KEYS
    for key in ("expected_return", "average_reward", "discounted_return", "episode_length"):
        estimate = getattr(result, key)
        parts = ("mean", "low", "high", "least", "most")
        assert plain[key] == {part: getattr(estimate, part) for part in parts}
    assert result.exact is not None
    assert plain["exact"]["gap_return"] == result.exact.gap_return
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_infinite_return_is_none_in_json() -> None:
    walls = TabularPolicy(np.eye(4)[np.full(38, 3)])  # into the left wall for ever
    result = gridcade.evaluate(walls, "CliffWalk", episodes=3)
    assert result.exact is not None
    assert result.exact.unlimited_return == -np.inf
    plain = result.as_dict()
    assert plain["exact"]["unlimited_return"] is None
    assert plain["truncated"] == 1
    json.dumps(plain, allow_nan=False)


def test_object_with_predict_is_a_policy() -> None:
    result = gridcade.evaluate(ConstantPolicy(), SMALL, episodes=200, seed=1)
    assert result.policy == "ConstantPolicy"
    always_right = gridcade.evaluate(
        TabularPolicy(np.eye(4)[np.ones(11, dtype=int)]), SMALL, episodes=200, seed=1
    )
    assert result.exact == always_right.exact  # its actions in all states are a table
    assert result.exact is not None
    assert result.exact.expected_return is not None
    estimate = result.expected_return
    assert estimate is not None
    assert abs(estimate.mean - result.exact.expected_return) < 2.5 * estimate.half_width


def test_recurrent_policy_receives_its_state_and_episode_starts() -> None:
    """Its list of actions reaches the goal only if no state is lost, swapped or left over."""
    for env in ("CliffWalk", gridcade.make("CliffWalk")):
        result = gridcade.evaluate(RecurrentPolicy(), env, episodes=20)
        assert result.expected_return is not None
        assert (result.expected_return.mean, result.steps) == (-13, 260)
        assert result.exact is None  # the actions depend on more than the observation
        assert any("no exact value" in note for note in result.notes)


def test_environment_object_stays_open() -> None:
    env = CloseCounter(gridcade.make("FourRooms"))
    for policy in ("random", "optimal", UniformPolicy(4), ConstantPolicy()):
        gridcade.evaluate(policy, env, episodes=3)
    gridcade.solve(env, "average-reward")
    assert env.closed == 0
    observation, _ = env.reset(seed=episode_seed(0, "evaluation", 0, 0))
    same, _ = gridcade.make("FourRooms").reset(seed=episode_seed(0, "evaluation", 0, 0))
    assert observation == same
    for _ in range(20):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()


def test_evaluation_reports_progress_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    gridcade.evaluate(
        "random", SMALL, episodes=40, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("criterion", ["return", "discounted", "average-reward", None])
def test_solve_accepts_names_and_objects(criterion: solver.Criterion | None) -> None:
    by_name = gridcade.solve(SMALL, criterion, 0.9)
    by_object = gridcade.solve(gridcade.make(SMALL), criterion, discount=0.9)
    model = registry.known_model(gridcade.make(SMALL))
    assert model is not None
    direct = solver.solve(model, criterion, 0.9)
    for solution in (by_name, by_object):
        assert solution.value == direct.value
        np.testing.assert_array_equal(solution.policy, direct.policy)


CIRCLES_PAY = "time limit: 50\nlegend:\n    o: reward 1\n    G: end\nmap:\nSo.G"


@pytest.mark.parametrize(
    ("env", "steps", "preset", "sentence"),
    [
        ("Maze?size=9", 2000, "watkins", "stuck: it walks in circles and may never end an episode"),
        ("SlipperyLake", 200_000, "watkins", "discounted by 0.99 is 0.2366, the optimum 0.2925"),
        ("CliffWalk", 50_000, "watkins", ""),
        ("circles", 50_000, "watkins", ""),  # no episode ends, and none should
        ("NearAndFar", 50_000, "watkins", ""),
        ("NearAndFar", 5_000, "average-reward", "average reward is 0.25, the optimum 0.275"),
        ("Maze?size=9", 2000, "average-reward", ""),  # every policy's average reward is -1
    ],
)
def test_a_run_that_should_train_longer_says_why(
    env: str, steps: int, preset: str, sentence: str, tmp_path: Path
) -> None:
    if env == "circles":
        (tmp_path / "circles.txt").write_text(CIRCLES_PAY)
        env = str(tmp_path / "circles.txt")
    run = gridcade.train(
        "q-learning", env, steps=steps, epoch=steps, preset=preset, out=tmp_path / "run"
    )
    found = shortfall(run)
    assert sentence in (found.reason if found else "")
    assert bool(found) == bool(sentence)


@pytest.mark.parametrize(
    ("hyperparameters", "longer", "sentence"),
    [
        ({}, True, "the optimum -12.25. With epsilon 0.02, sarsa can reach -13.99, once"),
        (
            {"epsilon": 0.2, "step_size": 0.1},
            False,
            "best while it explores, here with epsilon 0.2. Without exploration its return",
        ),
        (  # walking into the upper wall forever is best there
            {"epsilon": 1.0, "step_size": 0.1},
            False,
            "with epsilon 1. Without exploration its return discounted by 0.99 is -100",
        ),
    ],
)
def test_sarsa_may_reach_what_is_best_while_it_explores_and_not_more(
    hyperparameters: dict[str, float], longer: bool, sentence: str, tmp_path: Path
) -> None:
    """With a fifth of random actions, the best path stays two rows away from the cliff."""
    run = gridcade.train(
        *("sarsa", "CliffWalk"),
        hyperparameters=hyperparameters,
        steps=200_000,
        epoch=200_000,
        out=tmp_path / "run",
    )
    found = shortfall(run)
    assert found is not None
    assert found.longer == longer
    assert sentence in found.reason


@pytest.mark.parametrize(
    ("truncated", "returns", "stuck"),
    [
        (1.0, (-200, -200), True),
        (1.0, (500, 500), False),
        (0.5, (0, 0), False),
        (1.0, (-200, -180), False),
    ],
)
def test_where_no_model_is_known_the_last_evaluation_decides(
    truncated: float, returns: tuple[int, int], stuck: bool, tmp_path: Path
) -> None:
    """CartPole's best policies never end an episode: its rewards are positive."""
    run = gridcade.train("q-learning", SMALL, steps=1000, out=tmp_path / "run")
    entry = {"average_reward_mean": returns[0] / 200, "truncated": truncated, "exact": False}
    low, high = returns
    run.add_metrics({"steps": 1000, "return_low": low, "return_high": high} | entry)
    found = shortfall(run)
    assert ("may be stuck" in found.reason if found else False) == stuck


def test_what_cannot_be_solved_is_an_error() -> None:
    with pytest.raises(InputError, match="'CartPole-v1' is not known"):
        gridcade.solve("CartPole")
    with pytest.raises(InputError, match="'CartPole-v1' is not known"):
        gridcade.solve(gridcade.make("CartPole"))
    with pytest.raises(InputError, match="discount is 1"):
        gridcade.solve(SMALL, discount=1)
    with pytest.raises(InputError, match="continuing"):
        gridcade.solve("RiverSwim", "return")
    wrong: Any = "avarage-reward"
    with pytest.raises(InputError, match="did you mean average-reward"):
        gridcade.solve(SMALL, wrong)


def test_readme_shows_the_output_of_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "95")
    run = gridcade.train("q-learning", "FourRooms", out=tmp_path / "run")
    result = str(gridcade.evaluate(run, episodes=2000))
    printed = [" ".join(line.split()) for line in result.splitlines()]
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    readme = [" ".join(line.split()) for line in text.splitlines()]
    first = readme.index("expected estimate 95 % interval exact")
    lines = printed[printed.index(readme[first]) :]
    assert len(lines) > 8
    assert readme[first : first + len(lines)] == lines


def test_the_page_on_intervals_shows_a_row_outside_its_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "95")
    result = gridcade.evaluate("optimal", "RiverSwim")
    assert result.exact is not None
    assert not result.average_reward.covers(result.exact.average_reward)
    text = (Path(__file__).parents[1] / "docs/intervals.md").read_text(encoding="utf-8")
    for line in str(result).splitlines()[:5]:
        assert f"    {line}\n" in text


@pytest.mark.parametrize(
    ("policy", "env", "message"),
    [
        ("random", None, "'random' needs an environment"),
        (UniformPolicy(4), None, "needs an environment"),
        (object(), SMALL, "a policy has predict"),
        ("optimal", "CartPole", "model is known"),
        ("optiml", SMALL, "did you mean optimal"),
        ("nowhere", SMALL, "no policy 'nowhere'"),
        ("x" * 300, SMALL, "no policy 'xxx"),
        ("x" * 300 + "/y", SMALL, "no policy 'xxx"),
        ("x" * 300 + "/checkpoints/7", SMALL, "no run folder 'xxx"),
    ],
)
def test_wrong_policy_is_an_error(policy: Any, env: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gridcade.evaluate(policy, env)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda **o: gridcade.evaluate("random", SMALL, **o), "'n' of evaluate; .* it episodes"),
        (lambda **o: gridcade.compare(["random"], SMALL, **o), "'step' of compare; .*mean steps"),
        (lambda **o: gridcade.watch("random", SMALL, **o), "'vidoe' of watch; .*mean video"),
        (lambda **o: gridcade.train("dqn", SMALL, **o), "'foo' of train; known: agent, config"),
        (lambda **o: gridcade.train("dqn", SMALL, **o), "'total_timesteps' of train; .*it steps"),
        (lambda **o: gridcade.resume("run", **o), "'step' of resume; did you mean steps"),
    ],
)
def test_unknown_option_is_an_error_with_the_right_name(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^unknown option {message}"):
        call(**{message.split("'")[1]: 1})


def test_errors_name_the_option_and_the_python_argument(tmp_path: Path) -> None:
    model = tmp_path / "model.zip"
    model.touch()
    for call, in_python in (
        (lambda: gridcade.evaluate("optimal"), "--env FourRooms (Python: env='FourRooms')"),
        (lambda: gridcade.watch("random", SMALL), "--video run.mp4 (Python: video='run.mp4')"),
        (lambda: gridcade.compare(["random"]), "--env FourRooms (Python: envs='FourRooms')"),
        (lambda: gridcade.load(model), "--trust (Python: trust=True)"),
    ):
        with pytest.raises(InputError, match=re.escape(in_python)):
            call()


def test_documented_attributes_and_hyperparameters_exist(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs/reference.md").read_text(encoding="utf-8")
    assert "result.expected_return.covers(result.exact.expected_return)" in text
    changes = re.search(r"hyperparameters=(\{.*\})\)", text)
    assert changes is not None
    hyperparameters = ast.literal_eval(changes[1])
    run = gridcade.train(
        "q-learning", SMALL, steps=1000, out=tmp_path / "run", hyperparameters=hyperparameters
    )
    config: Any = run.config.hyperparameters
    assert (config.discount, config.epsilon.initial, config.epsilon.final) == (0.9, 0.1, 0.1)
    result = gridcade.evaluate("random", SMALL, episodes=100)
    assert result.expected_return is not None
    assert result.exact is not None
    assert result.exact.expected_return is not None
    assert result.expected_return.covers(result.exact.expected_return)
    assert result.expected_return.covers(result.expected_return.mean)
    assert hasattr(result.expected_return, "least")
    assert hasattr(result.expected_return, "most")


def test_missing_run_is_an_error_with_the_nearest_name(trained: Run) -> None:
    with pytest.raises(InputError, match=r"did you mean .*run\?"):
        gridcade.load(trained.path.with_name("runn"))


def test_evaluation_is_saved_in_the_run_folder(tmp_path: Path) -> None:
    run = gridcade.train("q-learning", SMALL, steps=1000, out=tmp_path / "run")
    results = [gridcade.evaluate(run, episodes=5, seed=seed) for seed in (0, 1)]
    files = [api.save_evaluation(run, result) for result in results]
    assert files == sorted((run.path / "evaluation").iterdir())
    assert [json.loads(f.read_text()) for f in files] == [r.as_dict() for r in results]


def test_import_registers_environments_and_loads_no_numerical_library() -> None:
    """In a new process, because here everything is imported already."""
    code = (
        "import gridcade, gymnasium, sys; gymnasium.make('gridcade/FourRooms-v0'); "
        "heavy = {'torch', 'numba', 'scipy'} & set(sys.modules); assert not heavy, heavy; "
        "gridcade.agents.QLearning; gridcade.agents.QLearningConfig"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_wrong_environment_is_an_error() -> None:
    nothing: Any = 5
    with pytest.raises(InputError, match="or a function that makes one, not 5"):
        gridcade.evaluate("random", nothing)


SHIPPED = pytest.mark.parametrize("name", agents.trained())


@SHIPPED
def test_shipped_agent_plays_breakout(name: str) -> None:
    """It needs no training, accepts Mnih's observations, and scores far better than chance."""
    policy: Any = gridcade.load(name)
    frames = np.zeros((3, 4, 84, 84), np.uint8)
    assert policy.predict(frames)[0].shape == (3,)
    assert np.ndim(policy.predict(frames[0])[0]) == 0
    exploring = policy.probabilities(frames, deterministic=False).min(axis=1)
    np.testing.assert_allclose(exploring, policy.config.epsilon.final / 4)  # as after training
    env = api.find(name).env
    assert env == ("Breakout?sticky=0.25" if name == "breakout-sticky" else "Breakout")
    assert isinstance(env, str)
    game = TimeLimit(gridcade.make(env), 600)
    learned = gridcade.evaluate(policy, game, episodes=1).expected_return
    chance = gridcade.evaluate("random", game, episodes=1).expected_return
    assert learned is not None
    assert chance is not None
    assert learned.mean > 5 * max(chance.mean, 2)
    assert (agents.TRAINED / name / "README.md").is_file()  # its model card


@pytest.mark.slow
@SHIPPED
def test_shipped_agent_scores_ten_times_more_than_chance(name: str) -> None:
    learned = gridcade.evaluate(name, episodes=3)
    chance = gridcade.evaluate("random", learned.env, episodes=3)
    assert learned.expected_return is not None
    assert chance.expected_return is not None
    assert learned.expected_return.mean > 10 * chance.expected_return.mean


def test_agent_keeps_its_actions_under_another_protocol() -> None:
    """The agent has 4 of the 18 actions, and a note of the evaluation says so."""
    contender = api.find("breakout", "Breakout?protocol=machado2018")
    assert contender.env == "Breakout?protocol=machado2018&actions=minimal"
    assert isinstance(contender.env, str)
    game = gridcade.make(contender.env)
    assert game.action_space.n == 4  # type: ignore[attr-defined]
    result = gridcade.evaluate("random", contender.env, episodes=1)
    assert "played with 4 actions; machado2018 has 18" in result.notes
    with pytest.raises(InputError, match=r"does not fit here: .*10 \(Output\)"):
        gridcade.load("breakout", "Pong")
