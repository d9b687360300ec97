"""The registry: names, arguments, map files, exact models and time limits."""

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcade.envs import registry
from gridcade.envs.maps import MAPS
from gridcade.envs.maze import Maze
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.wrappers import TransparentWrapper
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.policies import UniformPolicy

DRAWING = "title: Mine\nmap:\nS.G\n"


def make_tabular(name: str, **arguments: Any) -> TabularEnv:
    env = registry.make(name, **arguments).unwrapped
    assert isinstance(env, TabularEnv)
    return env


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("FourRooms", "gridcade/FourRooms-v0"),
        ("gridcade/FourRooms", "gridcade/FourRooms-v0"),
        ("gridcade/FourRooms-v0", "gridcade/FourRooms-v0"),
        ("FrozenLake", "FrozenLake-v1"),
        ("CartPole", "CartPole-v1"),  # the newest version
        ("CartPole-v0", "CartPole-v0"),
        ("Maze?", "gridcade/Maze-v0"),
    ],
)
def test_short_names_and_ids_are_parsed(name: str, id_: str) -> None:
    assert registry.parse(name) == (id_, {})


def test_each_of_our_environments_has_a_short_name() -> None:
    ours = [spec for spec in gym.registry.values() if spec.namespace == "gridcade"]
    assert len(ours) == len(list(MAPS.glob("*.txt"))) + 9
    shorts = registry.short_names()
    for spec in ours:
        assert shorts[spec.name] == shorts[f"gridcade/{spec.name}"] == spec.id
        assert make_tabular(spec.name).world == gym.make(spec.id).unwrapped.world  # type: ignore[attr-defined]


def test_arguments_in_a_name_are_parsed_by_type() -> None:
    text = "Maze?size=9&loops=0.5&time_limit=none&observation=one_hot"
    given = {"size": 9, "loops": 0.5, "time_limit": None, "observation": "one_hot"}
    assert registry.parse(text) == ("gridcade/Maze-v0", given)
    env, expected = make_tabular(text), Maze(size=9, loops=0.5, observation="one_hot")
    assert env.world == expected.world
    assert env.observation_space == expected.observation_space
    _, given = registry.parse("FrozenLake?is_slippery=False&desc=['SG']")
    assert given == {"is_slippery": False, "desc": ["SG"]}


def test_keywords_replace_arguments_in_the_name() -> None:
    assert registry.parse("Maze?size=9&seed=1", size=4)[1] == {"size": 4, "seed": 1}


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "size": st.integers(2, 5),
            "loops": st.floats(0, 1),
            "observation": st.sampled_from(["state", "pixels"]),
            "time_limit": st.none() | st.integers(1, 9),
        },
    )
)
def test_arguments_put_into_a_name_are_parsed_again(arguments: dict[str, Any]) -> None:
    name = registry.with_arguments("Maze?seed=3", arguments)
    assert registry.parse(name) == ("gridcade/Maze-v0", {"seed": 3, **arguments})


def test_a_map_file_is_an_environment(tmp_path: Path) -> None:
    for file in (tmp_path / "mine.txt", tmp_path / "without_suffix"):
        file.write_text(DRAWING, encoding="utf-8")
        env = make_tabular(f"{file}?time_limit=7")
        assert env.world.title == "Mine"
        assert env.time_limit == 7
        assert registry.map_file(f"{file}?time_limit=7") == file
    assert registry.map_file("FourRooms") is None


def test_the_name_of_an_environment_makes_it_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(DRAWING, encoding="utf-8")
    names = ("FourRooms", "Maze?size=9&seed=3", "CartPole", "FrozenLake", f"{file}?time_limit=7")
    for name in names:
        assert registry.name_of(registry.make(name, render_mode="rgb_array")) == name


def test_environments_are_distinguished_from_other_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(DRAWING, encoding="utf-8")
    for name in ("FourRooms", "FrozenLake-v1", "Maze?size=9", str(file)):
        assert registry.is_environment(name)
    for name in ("random", "q-learning", "Maze?sise=9", str(tmp_path), f"{file}.toml", "no.txt"):
        assert not registry.is_environment(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FourRoms", "unknown environment 'FourRoms'; did you mean FourRooms?"),
        ("tests/", "'tests/' is a folder, not a map file"),
        ("maze", "unknown environment 'maze'; did you mean Maze?"),
        ("CartPoel", "unknown environment 'CartPoel'; did you mean CartPole?"),
        (
            "qqqqqqqq",
            "known: BlockingMaze, CliffWalk, DeepSea, DynaMaze, FourRooms, GamblersProblem,",
        ),
        ("", "unknown environment ''; known: BlockingMaze"),
        ("x" * 5000, "unknown environment"),
        ("Maze?sise=9", "unknown argument of Maze 'sise'; did you mean size?"),
        ("Maze?render_mode=human", "unknown argument of Maze 'render_mode'"),
        ("FourRooms?world=Maze", "unknown argument of FourRooms 'world'"),
        ("FrozenLake?map_nam=8x8", "unknown argument of FrozenLake 'map_nam'; did you mean map_"),
        ("Maze?size=1", "size is 1; it must be an integer, 2 or greater"),
        ("Maze?size", "size is ; it must be an integer"),
        ("Maze?size={[]}", "size is {[]}; it must be an integer"),
        ("Maze?size=" + "-" * 9000 + "1", "it must be an integer, 2 or greater"),
        ("RiverSwim?length=2_500_001", "it must be 2,500,000 or less, because a model may have at"),
        ("GamblersProblem?goal=1e300", "it must be 3,161 or less"),
        ("JacksCarRental?capacity=30", "capacity is 30; it must be 29 or less"),
        ("MaximizationBias?actions=2_500_001", "it must be 2,500,000 or less"),
        ("DeepSea?size=3161", "size is 3161; it must be 3,160 or less"),
        ("DeepSea?size=true", "size is True; it must be an integer, 1 or greater"),
        ("DeepSea?seed=true", "seed is True; it must be none, or an integer"),
        ("DeepSea?move_cost=true", "move_cost is True; it must be a number"),
        ("Maze?loops=true", "loops is True; it must be a number from 0 to 1"),
        ("FourRooms?time_limit=true", "time_limit is True; it must be an integer"),
        ("BlockingMaze?change_step=true", "change_step is True; it must be an integer"),
        ("RiverSwim?time_limit=9", "a continuing task"),
        ("FrozenLake?map_name=9x9", "cannot make the environment 'FrozenLake?map_name=9x9'"),
        ("FrozenLake?desc=3", "cannot make the environment"),
        ("Maze?max_episode_steps=x", "cannot make the environment"),
        ("GridWorld?world=FourRoms", "unknown world 'FourRoms'; did you mean FourRooms?"),
        ("nowhere.txt", "cannot read the map nowhere.txt"),
    ],
)
def test_an_invalid_name_or_argument_is_an_input_error(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])  # a directory with the folder tests/
    with pytest.raises(InputError) as caught:
        registry.make(name)
    assert message in str(caught.value)


def test_a_mistake_in_a_map_file_is_reported_with_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("S.?G", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.txt, line 1, column 3: '\?' is not in the legend"):
        registry.make(str(file))


def test_a_memory_error_without_a_text_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gridcade.envs.maze.draw_maze", no_memory)
    with pytest.raises(InputError, match=r"cannot make the environment 'Maze': out of memory"):
        registry.make("Maze")


@pytest.mark.parametrize("name", ["LunarLander", "LunarLander?gravity=-9"])
def test_a_missing_package_is_an_input_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d", raising=False)
    monkeypatch.setitem(sys.modules, "Box2D", None)
    with pytest.raises(InputError, match=r"cannot make the environment 'LunarLander.*Box2D"):
        registry.make(name)


@pytest.mark.parametrize("name", ["FrozenLake", "CliffWalking", "Taxi", "FrozenLake?map_name=8x8"])
def test_the_model_of_a_toy_text_environment_is_its_table(name: str) -> None:
    env = registry.make(name)
    model = registry.known_model(env)
    assert model is not None
    bare: Any = env.unwrapped
    np.testing.assert_allclose(model.start, bare.initial_state_distrib)
    for s, row in model.table().items():
        for a, outcomes in row.items():
            theirs: dict[Any, float] = {}
            for p, s_next, reward, terminated in bare.P[s][a]:
                outcome = (int(s_next), float(reward), bool(terminated))
                theirs[outcome] = theirs.get(outcome, 0.0) + p
            assert {(s_next, r, end): p for p, s_next, r, end in outcomes} == theirs


def test_the_model_of_a_tabular_environment_is_its_own() -> None:
    env = registry.make("FourRooms")
    assert registry.known_model(env) is env.unwrapped.model  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["CartPole", "Blackjack"])
def test_an_environment_without_a_table_has_no_known_model(name: str) -> None:
    assert registry.known_model(registry.make(name)) is None


def test_an_invalid_table_is_an_input_error() -> None:
    env = registry.make("FrozenLake")
    bare: Any = env.unwrapped
    bare.P[3][1] = [(0.5, 0, 0.0, False)]
    with pytest.raises(
        InputError, match="not a valid model: state 3, action 1: the probabilities sum"
    ):
        registry.known_model(env)


@pytest.mark.parametrize("limit", [7, 300])
def test_the_shortest_time_limit_of_environment_and_wrapper_counts(limit: int) -> None:
    """For an environment without a spec, and for an environment with a limit of its own."""
    for inner in (Maze(size=3), gym.make("FrozenLake-v1")):
        env = TimeLimit(inner, limit)
        shortest = min(limit, known) if (known := registry.time_limit(inner)) else limit
        assert registry.time_limit(env) == shortest
        assert registry.time_limit(env.unwrapped) == getattr(env.unwrapped, "time_limit", None)


def test_an_attribute_time_limit_of_another_environment_is_ignored() -> None:
    """In other people's environments, the attribute need not be a number of steps."""
    env = gym.make("FrozenLake-v1", max_episode_steps=20)
    for theirs in (5.0, "5 minutes"):
        setattr(env.unwrapped, "time_limit", theirs)  # noqa: B010 - the type has no such attribute
        assert registry.time_limit(env) == 20


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("FourRooms", 500),
        ("FourRooms?time_limit=7", 7),
        ("FourRooms?max_episode_steps=7", 7),
        ("FourRooms?max_episode_steps=7&time_limit=5", 5),
        ("FourRooms?max_episode_steps=600", 500),
        ("FrozenLake", 100),
        ("FrozenLake?max_episode_steps=7", 7),
        ("FrozenLake?max_episode_steps=-1", None),
        ("RiverSwim", None),
    ],
)
def test_time_limit_is_the_step_in_which_an_episode_is_truncated(
    name: str, limit: int | None
) -> None:
    env = registry.make(name)
    assert registry.time_limit(env) == limit
    if name.startswith(("FourRooms", "RiverSwim")) and limit:
        env.reset(seed=0)
        truncated = [
            bool(env.step(0)[3]) for _ in range(limit)
        ]  # up, or left: there is no end in that direction
        assert truncated == [False] * (limit - 1) + [True]


class Doubled(gym.RewardWrapper[Any, Any]):
    """Doubles the reward."""

    def reward(self, reward: Any) -> Any:
        return 2 * reward


def test_a_wrapper_that_may_change_something_hides_the_exact_model() -> None:
    """Otherwise evaluations would show exact values of another task beside their estimates."""
    world = registry.make("CliffWalk")
    assert registry.known_model(world) is not None
    assert registry.known_model(RecordEpisodeStatistics(world)) is not None
    assert registry.known_model(TransparentWrapper(world)) is not None
    assert registry.known_model(Doubled(world)) is None
    assert registry.known_model(RecordEpisodeStatistics(Doubled(world))) is None
    result = evaluate_policy(UniformPolicy(4), Doubled(world), episodes=5)
    assert result.exact is None
    assert result.expected_return is not None


def test_an_incomplete_table_is_not_a_model() -> None:
    assert registry.known_model(registry.make("Taxi")) is not None
    assert registry.known_model(registry.make("Taxi?fickle_passenger=true")) is None


def test_a_file_does_not_hide_a_world_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FourRooms").write_text("S.G")
    (tmp_path / "mine").write_text("S.G")
    assert registry.map_file("FourRooms") is None
    assert registry.map_file("mine") == Path("mine")
    model = registry.known_model(registry.make("FourRooms"))
    assert model is not None
    assert model.num_states == 104


def test_a_continuing_task_rejects_max_episode_steps() -> None:
    with pytest.raises(InputError, match="is a continuing task: it must not have a time limit"):
        registry.make("RiverSwim?max_episode_steps=50")
