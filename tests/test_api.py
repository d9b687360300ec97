"""The same from Python: objects or names."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gridcade
from gridcade import agents, api
from gridcade.agents import QLearning, QLearningConfig, Schedule
from gridcade.cli.output import show_evaluation
from gridcade.envs import registry
from gridcade.envs.wrappers import TransparentWrapper
from gridcade.errors import InputError
from gridcade.evaluation.policies import TabularPolicy, UniformPolicy
from gridcade.exact import solver
from gridcade.seeding import episode_seed
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
    "average_reward",
    "discounted_return",
    "episode_length",
    "truncated",
    "exact",
    "notes",
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("api") / "run"
    return gridcade.train("q-learning", SMALL, steps=20_000, epoch=5_000, seed=2, out=path)


class Counting(TransparentWrapper):
    """An environment that knows how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


class Memorised:
    """SB3's shape of a recurrent policy: one hidden state an environment, moves by heart."""

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


class Still:
    """SB3's shape of a policy without a state, which is none of our classes."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        del episode_start, deterministic
        return np.ones(len(observation), dtype=int), state


def test_everything_is_at_the_top() -> None:
    assert {"make", "load", "evaluate", "solve", "train", "resume"} <= set(gridcade.__all__)
    assert all(callable(getattr(gridcade, name)) for name in gridcade.__all__)
    with pytest.raises(AttributeError, match="evalute"):
        gridcade.evalute  # noqa: B018


def test_make_takes_names_and_arguments() -> None:
    by_name, by_keyword = gridcade.make("Maze?size=9&seed=3"), gridcade.make("Maze", size=9, seed=3)
    assert registry.known_model(by_name) is not None
    first: Any = by_name.unwrapped
    second: Any = by_keyword.unwrapped
    assert first.world == second.world
    assert gridcade.make("FrozenLake").spec is not None
    with pytest.raises(InputError, match="did you mean FourRooms"):
        gridcade.make("FourRoms")


def test_train_makes_a_run_and_tells_how_far_it_is(tmp_path: Path) -> None:
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
    assert run.config.hyperparameters["epsilon"]["initial"] == 0.3
    assert [p.steps for p in seen if p.metrics is not None] == [1000, 2000, 3000]
    assert [p.steps for p in seen] == sorted(p.steps for p in seen)
    with pytest.raises(InputError, match="resume"):
        gridcade.train(
            "q-learning",
            SMALL,
            steps=3000,
            epoch=1000,
            seed=5,
            hyperparameters=config,
            out=tmp_path / "run",
        )


def test_hyperparameters_given_as_a_mapping_lie_over_the_preset(tmp_path: Path) -> None:
    run = gridcade.train(
        "q-learning",
        SMALL,
        preset="converging",
        steps=1000,
        hyperparameters={"epsilon": {"final": 0.5}},
        out=tmp_path / "run",
    )
    epsilon = {"initial": 1.0, "final": 0.5, "steps": 1_000_000, "power": 0.0}
    assert run.config.hyperparameters["epsilon"] == epsilon
    assert run.config.hyperparameters["step_size"]["power"] == 0.7
    with pytest.raises(InputError, match="did you mean epsilon"):
        gridcade.train("q-learning", SMALL, hyperparameters={"epsilom": {}}, out=tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_resume_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    asked = iter([False, True])
    run = gridcade.train(
        "q-learning",
        SMALL,
        steps=2_000_000,
        epoch=1000,
        out=tmp_path / "run",
        stop=lambda: next(asked),
    )
    assert 0 < run.last_checkpoint() < 2_000_000
    run = gridcade.resume(run.path, steps=5000)
    assert run.last_checkpoint() == 5000
    whole = gridcade.train("q-learning", SMALL, steps=5000, epoch=1000, out=tmp_path / "whole")
    first, second = (r.load_checkpoint(5000)[0]["q"] for r in (run, whole))
    np.testing.assert_array_equal(first, second)


def test_a_policy_is_named_in_many_ways(trained: Run) -> None:
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


def test_an_older_checkpoint_is_another_policy(trained: Run) -> None:
    first, last = trained.checkpoints()[0], trained.last_checkpoint()
    tables = []
    for steps in (first, last):
        loaded: Any = gridcade.load(trained.path / "checkpoints" / str(steps))
        np.testing.assert_array_equal(loaded.q, trained.load_checkpoint(steps)[0]["q"])
        tables.append(loaded.q)
    assert not np.array_equal(*tables)


def test_loading_takes_another_environment_that_fits(trained: Run) -> None:
    longer = gridcade.evaluate(trained, f"{SMALL}?time_limit=3", episodes=30)
    assert longer.env == f"{SMALL}?time_limit=3"
    assert longer.episode_length is not None
    assert longer.episode_length.mean <= 3
    with pytest.raises(InputError, match="does not fit"):
        gridcade.load(trained, "CliffWalk")


def test_names_and_objects_of_environments_give_the_same() -> None:
    for policy in ("random", "optimal"):
        by_name = gridcade.evaluate(policy, SMALL, episodes=40, seed=3)
        by_object = gridcade.evaluate(policy, gridcade.make(SMALL), episodes=40, seed=3)
        assert by_name.expected_return == by_object.expected_return
        assert by_name.exact == by_object.exact
        assert by_name.policy == by_object.policy == policy


def test_a_result_is_a_dict_of_plain_numbers() -> None:
    result = gridcade.evaluate("random", SMALL, episodes=20)
    plain = result.as_dict()
    assert set(plain) == KEYS
    for key in ("expected_return", "average_reward", "discounted_return", "episode_length"):
        estimate = getattr(result, key)
        assert plain[key] == {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    assert result.exact is not None
    assert plain["exact"]["gap_return"] == result.exact.gap_return
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_an_episode_that_may_never_end_has_no_infinite_numbers() -> None:
    walls = TabularPolicy(np.eye(4)[np.full(38, 3)])  # into the left wall for ever
    result = gridcade.evaluate(walls, "CliffWalk", episodes=3)
    assert result.exact is not None
    assert result.exact.unlimited_return == -np.inf
    plain = result.as_dict()
    assert plain["exact"]["unlimited_return"] is None
    assert plain["truncated"] == 1
    json.dumps(plain, allow_nan=False)


def test_anything_that_predicts_is_a_policy() -> None:
    result = gridcade.evaluate(Still(), SMALL, episodes=200, seed=1)
    assert result.policy == "Still"
    always_right = gridcade.evaluate(
        TabularPolicy(np.eye(4)[np.ones(11, dtype=int)]), SMALL, episodes=200, seed=1
    )
    assert result.exact == always_right.exact  # asked in every state, it tells a table
    assert result.exact is not None
    assert result.exact.expected_return is not None
    estimate = result.expected_return
    assert estimate is not None
    assert abs(estimate.mean - result.exact.expected_return) < 2.5 * estimate.half_width


def test_a_recurrent_policy_has_its_state_and_is_told_of_starts() -> None:
    """The moves by heart reach the goal only if no state is lost, mixed up or left over."""
    for env in ("CliffWalk", gridcade.make("CliffWalk")):
        result = gridcade.evaluate(Memorised(), env, episodes=20)
        assert result.expected_return is not None
        assert (result.expected_return.mean, result.steps) == (-13, 260)
        assert result.exact is None  # what it does depends on more than the state of the world
        assert any("no exact value" in note for note in result.notes)


def test_an_environment_object_is_left_open_and_usable() -> None:
    env = Counting(gridcade.make("FourRooms"))
    for policy in ("random", "optimal", UniformPolicy(4), Still()):
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


def test_progress_is_reported_up_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    gridcade.evaluate(
        "random", SMALL, episodes=40, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("criterion", ["return", "discounted", "average-reward", None])
def test_solve_takes_names_and_objects(criterion: solver.Criterion | None) -> None:
    by_name = gridcade.solve(SMALL, criterion, 0.9)
    by_object = gridcade.solve(gridcade.make(SMALL), criterion, discount=0.9)
    model = registry.known_model(gridcade.make(SMALL))
    assert model is not None
    direct = solver.solve(model, criterion, 0.9)
    for solution in (by_name, by_object):
        assert solution.value == direct.value
        np.testing.assert_array_equal(solution.policy, direct.policy)


def test_solve_says_what_it_cannot() -> None:
    with pytest.raises(InputError, match="'CartPole-v1' is not known"):
        gridcade.solve("CartPole")
    with pytest.raises(InputError, match="'CartPole-v1' is not known"):
        gridcade.solve(gridcade.make("CartPole"))
    with pytest.raises(InputError, match="discount is 1"):
        gridcade.solve(SMALL, discount=1)
    with pytest.raises(InputError, match="continuing"):
        gridcade.solve("RiverSwim", "return")
    wrong: Any = "gian"
    with pytest.raises(InputError, match="did you mean average-reward"):
        gridcade.solve(SMALL, wrong)


def test_readmes_numbers_are_those_of_its_commands(tmp_path: Path, capsys: Any) -> None:
    run = gridcade.train("q-learning", "FourRooms", out=tmp_path / "run")
    show_evaluation(gridcade.evaluate(run, episodes=2000))
    said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    told = [" ".join(line.split()) for line in readme.splitlines()]
    at = told.index("expected estimate 95 % interval exact")
    lines = said[said.index(told[at]) :]
    assert len(lines) > 8
    assert told[at : at + len(lines)] == lines


@pytest.mark.parametrize(
    ("policy", "env", "message"),
    [
        ("random", None, "'random' needs an environment"),
        (UniformPolicy(4), None, "needs an environment"),
        (object(), SMALL, "a policy has predict"),
        ("optimal", "CartPole", "model is known"),
        ("optiml", SMALL, "did you mean optimal"),
        ("nowhere", SMALL, "there is no policy 'nowhere'"),
        ("x" * 300, SMALL, "there is no policy 'xxx"),
        ("x" * 300 + "/y", SMALL, "there is no policy 'xxx"),
        ("x" * 300 + "/checkpoints/7", SMALL, "there is no checkpoint 'xxx"),
    ],
)
def test_what_is_no_policy_is_told(policy: Any, env: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gridcade.evaluate(policy, env)


def test_a_missing_run_is_told_with_the_nearest_one(trained: Run) -> None:
    with pytest.raises(InputError, match=r"did you mean .*run\?"):
        gridcade.load(trained.path.with_name("runn"))


def test_evaluations_are_kept_with_the_run(tmp_path: Path) -> None:
    run = gridcade.train("q-learning", SMALL, steps=1000, out=tmp_path / "run")
    results = [gridcade.evaluate(run, episodes=5, seed=seed) for seed in (0, 1)]
    files = [api.keep(run, result) for result in results]
    assert files == sorted((run.path / "evaluation").iterdir())
    assert [json.loads(f.read_text()) for f in files] == [r.as_dict() for r in results]


def test_gridcade_alone_registers_worlds_and_names_agents() -> None:
    """In a fresh process, since here everything is loaded already."""
    code = (
        "import gridcade, gymnasium, sys; gymnasium.make('gridcade/FourRooms-v0'); "
        "heavy = {'torch', 'numba', 'scipy'} & set(sys.modules); assert not heavy, heavy; "
        "gridcade.agents.QLearning; gridcade.agents.QLearningConfig"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_no_environment_is_told() -> None:
    nothing: Any = 5
    with pytest.raises(InputError, match="a name or a Gymnasium environment, not 5"):
        gridcade.evaluate("random", nothing)


@pytest.mark.parametrize("name", agents.trained())
def test_agents_that_come_trained_play_breakout(name: str) -> None:
    """By their names, without training, on frames of their form; better by far than chance."""
    policy: Any = gridcade.load(name)
    frames = np.zeros((3, 4, 84, 84), np.uint8)
    assert policy.predict(frames)[0].shape == (3,)
    assert np.ndim(policy.predict(frames[0])[0]) == 0
    explored = policy.probabilities(frames, deterministic=False).min(axis=1)
    np.testing.assert_allclose(explored, policy.config.epsilon.final / 4)  # as when it had learnt
    learnt = gridcade.evaluate(name, episodes=3)
    chance = gridcade.evaluate("random", learnt.env, episodes=3)
    assert learnt.expected_return is not None
    assert chance.expected_return is not None
    assert learnt.expected_return.mean > 10 * chance.expected_return.mean
    assert learnt.env == ("Breakout?sticky=0.25" if name == "breakout-sticky" else "Breakout")
    assert (agents.TRAINED / name / "README.md").is_file()  # its card


def test_an_agent_keeps_its_actions_on_another_protocol() -> None:
    """Four of the eighteen, and the evaluation says so."""
    contender = api.find("breakout", "Breakout?protocol=machado2018")
    assert contender.env == "Breakout?protocol=machado2018&actions=minimal"
    assert isinstance(contender.env, str)
    games = gridcade.make(contender.env)
    assert games.action_space.n == 4  # type: ignore[attr-defined]
    found = gridcade.evaluate(contender, episodes=1, steps=None)
    assert "played with 4 actions; machado2018 has 18" in found.notes
    with pytest.raises(InputError, match=r"does not fit here: .*10 \(Output\)"):
        gridcade.load("breakout", "Pong")
