"""Models with tables, and the environments that sample them."""

import math
import warnings
from collections import Counter
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

import gridcade.envs  # noqa: F401 - registers our environments
from gridcade.envs import registry
from gridcade.envs.gridworld import GridWorld
from gridcade.envs.maps import MAPS, parse_world
from gridcade.envs.maze import Maze
from gridcade.envs.rendering import WorldPainter
from gridcade.envs.riverswim import RiverSwim
from gridcade.envs.tabular import Model, Outcome, TabularEnv
from gridcade.errors import InputError

Table = dict[int, dict[int, list[Outcome]]]
IDS = [id_ for id_ in gym.registry if id_.startswith("gridcade/")]
KINDS = ["state", "coordinates", "one_hot", "pixels"]  # of observations
UP, RIGHT, DOWN, LEFT = range(4)
SLIPPERY_PORTALS = """\
slip: 0.3
stray: 0.2
step reward: -1
legend:
    P: to x, reward 5
    Q: to G
    x: reward 100
    G: end, reward 100
map:
SPx
xQG
x.G
"""


# --- models ---


def stay(states: int, actions: int) -> Table:
    """A table in which every action stays in its state."""
    return {s: {a: [(1.0, s, 0.0, False)] for a in range(actions)} for s in range(states)}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    states, actions = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    outcome = st.tuples(
        st.integers(0, states - 1), st.sampled_from([-1.0, 0.0, 0.5]), st.booleans()
    )
    table: Table = {}
    for s in range(states):
        table[s] = {}
        for a in range(actions):
            results = draw(st.lists(outcome, min_size=1, max_size=4, unique=True))
            size = len(results)
            weights = draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
            table[s][a] = [
                (w / sum(weights), *result) for w, result in zip(weights, results, strict=True)
            ]
    return table


@settings(max_examples=40)
@given(tables())
def test_a_model_has_the_table_it_was_built_from(table: Table) -> None:
    start = np.full(len(table), 1 / len(table))
    model = Model.from_table(table, start)
    assert model.table() == table
    assert (model.num_states, model.num_actions) == (len(table), len(table[0]))
    ends = [end for row in table.values() for cell in row.values() for *_, end in cell]
    assert model.continuing == (not any(ends))
    for i, row in enumerate(model.rows):
        assert model.offsets[row] <= i < model.offsets[row + 1]


@settings(max_examples=40)
@given(tables(), st.floats(0, 1, exclude_max=True))
def test_cumulative_probabilities_sum_up_each_row(table: Table, draw: float) -> None:
    model = Model.from_table(table, np.full(len(table), 1 / len(table)))
    for s, cells in table.items():
        for a, outcomes in cells.items():
            first = model.offsets[s * model.num_actions + a]
            sums = model.cumulative[first : first + len(outcomes)]
            np.testing.assert_allclose(sums, np.cumsum([p for p, *_ in outcomes]), atol=1e-12)
            assert sums[-1] == 1.0
    np.testing.assert_allclose(model.start_cumulative, np.cumsum(model.start), atol=1e-12)
    assert np.searchsorted(model.start_cumulative, draw, side="right") < model.num_states


def test_equal_outcomes_are_merged_and_impossible_ones_dropped() -> None:
    equal: list[Outcome] = [(0.25, 0, 1.0, False), (0.5, 0, 2.0, False), (0.25, 0, 1.0, False)]
    model = Model.from_table({0: {0: [*equal, (0.0, 0, 7.0, True)]}}, [1.0])
    assert model.table() == {0: {0: [(0.5, 0, 1.0, False), (0.5, 0, 2.0, False)]}}
    assert model.continuing


def test_a_state_with_start_probability_zero_is_never_sampled_as_the_start() -> None:
    model = Model.from_table(stay(5, 1), [0.0, 0.5, 0.0, 0.5, 0.0])
    draws = np.linspace(0, 1, 1001, endpoint=False)
    drawn = np.searchsorted(model.start_cumulative, draws, side="right")
    assert set(drawn.tolist()) == {1, 3}


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ([(0.5, 0, 0.0, False)], "state 1, action 0: the probabilities sum to 0.5, not 1"),
        ([(1.5, 0, 0.0, False), (-0.5, 0, 0.0, False)], "a probability is -0.5"),
        ([(1.0, 0, 0.0, False), (-0.5, 0, 0.0, True)], "a probability is -0.5"),
        ([(1.0, 0, 0.0, False), (math.nan, 0, 0.0, True)], "a probability is nan"),
        ([(1.0, 2, 0.0, False)], "a next state is outside 0 to 1"),
        ([(1.0, -1, 0.0, False)], "a next state is outside 0 to 1"),
        ([(1.0, 0, math.nan, False)], "a reward is not finite"),
        ([(1.0, 0, math.inf, False)], "a reward is not finite"),
        ([], "probabilities sum to 0"),
    ],
)
def test_invalid_outcomes_are_rejected(outcomes: list[Outcome], message: str) -> None:
    table = stay(2, 2)
    table[1][0] = outcomes
    with pytest.raises(ValueError, match=message):
        Model.from_table(table, [1.0, 0.0])


@pytest.mark.parametrize(
    ("table", "start", "message"),
    [
        (stay(2, 1), [0.5, 0.4], "the start distribution"),
        (stay(2, 1), [1.5, -0.5], "the start distribution"),
        (stay(2, 1), [math.nan, 1.0], "the start distribution"),
        (stay(3, 1), [0.5, 0.5], "the start distribution has 2 states, the table 3"),
        ({1: stay(1, 1)[0], 2: stay(1, 1)[0]}, [0.5, 0.5], "state 0 is missing"),
        ({0: stay(1, 2)[0], 1: stay(1, 1)[0]}, [0.5, 0.5], "state 1 must have actions 0 to 1"),
        ({0: {1: stay(1, 1)[0][0]}}, [1.0], "state 0 must have actions 0 to 0"),
    ],
)
def test_incomplete_tables_are_rejected(table: Table, start: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model.from_table(table, start)


# --- environments: model and samples ---


def make_tabular(id_: str, **options: Any) -> TabularEnv:
    env = gym.make(id_, **options).unwrapped
    assert isinstance(env, TabularEnv)
    return env


@pytest.mark.parametrize("id_", IDS)
def test_terminal_states_are_absorbing(id_: str) -> None:
    small = {"capacity": 3} if "Jacks" in id_ else {}  # its table has two million outcomes
    env = make_tabular(id_, **small)
    ends = [env.world.cell(*place).end for place in env.world.places()]
    assert list(env.P) == list(range(env.observation_space.n))  # type: ignore[attr-defined]
    for s, cells in env.P.items():
        assert list(cells) == list(range(env.action_space.n))  # type: ignore[attr-defined]
        for outcomes in cells.values():
            assert sum(p for p, *_ in outcomes) == pytest.approx(1, abs=1e-12)
            if ends[s]:
                assert outcomes == [(1.0, s, 0.0, True)]
            else:
                assert all(terminated == ends[s_next] for _, s_next, _, terminated in outcomes)
    assert env.initial_state_distrib.sum() == pytest.approx(1, abs=1e-12)
    again = Model.from_table(env.P, env.initial_state_distrib)
    for name in ("offsets", "next_states", "probabilities", "rewards", "terminated", "start"):
        np.testing.assert_array_equal(getattr(again, name), getattr(env.model, name))


@pytest.mark.parametrize(
    "env",
    [
        GridWorld("RussellNorvig4x3"),
        GridWorld("FourRooms"),
        GridWorld(parse_world(SLIPPERY_PORTALS)),
        RiverSwim(),
    ],
    ids=lambda env: env.world.title,
)
def test_steps_are_sampled_from_the_model(env: TabularEnv) -> None:
    rng = np.random.default_rng(5)
    size = 20_000
    states = rng.integers(env.model.num_states, size=size).tolist()
    actions = rng.integers(env.model.num_actions, size=size).tolist()
    observed: dict[tuple[int, int], Counter[tuple[int, float, bool]]] = {}
    env.reset(seed=1)
    for s, a in zip(states, actions, strict=True):
        env.state = s
        s_next, reward, terminated, _, _ = env.step(a)
        observed.setdefault((s, a), Counter())[s_next, reward, terminated] += 1
    total, degrees = 0.0, 0
    for (s, a), counts in observed.items():
        expected = {(s_next, r, end): p for p, s_next, r, end in env.P[s][a]}
        assert counts.keys() <= expected.keys()
        n = sum(counts.values())
        if n * min(expected.values()) >= 5:
            total += sum((counts.get(o, 0) - n * p) ** 2 / (n * p) for o, p in expected.items())
            degrees += len(expected) - 1
    assert degrees >= 10
    assert 1e-6 < stats.chi2.sf(total, degrees) < 1 - 1e-6


def test_starts_are_sampled_from_the_model() -> None:
    env = make_tabular("gridcade/FourRooms-v0")
    env.reset(seed=3)
    n = 5_000
    counts = np.bincount([env.reset()[0] for _ in range(n)], minlength=env.model.num_states)
    p = env.initial_state_distrib
    assert (counts[p == 0] == 0).all()
    assert (np.abs(counts - n * p) <= 5 * np.sqrt(n * p * (1 - p))).all()


def test_an_episode_depends_only_on_its_seed_and_its_actions() -> None:
    first, second = GridWorld("FourRooms"), GridWorld("FourRooms")
    rng = np.random.default_rng(0)
    for seed in range(5):
        assert first.reset(seed=seed) == second.reset(seed=seed)
        for a in rng.integers(4, size=100):
            assert first.step(a) == second.step(a)


# --- the time limit ---


def test_a_time_limit_truncates_in_its_last_step() -> None:
    env = Maze(size=3, time_limit=7)
    for _ in range(2):
        env.reset(seed=0)
        flags = [env.step(UP)[2:4] for _ in range(7)]
        assert flags == [(False, False)] * 6 + [(False, True)]


def test_an_end_in_the_last_step_is_not_a_truncation() -> None:
    env = GridWorld(parse_world("S.G"), time_limit=2)
    env.reset(seed=0)
    assert env.step(RIGHT)[2:4] == (False, False)
    assert env.step(RIGHT)[2:4] == (True, False)


def test_the_drawing_has_the_default_time_limit() -> None:
    assert GridWorld("CliffWalk").time_limit == 1000
    assert GridWorld("CliffWalk", time_limit=3).time_limit == 3
    assert GridWorld("NearAndFar").time_limit is None
    assert GridWorld("CliffWalk", time_limit=None).time_limit is None
    assert registry.time_limit(registry.make("CliffWalk?time_limit=none")) is None


def test_the_time_limit_is_not_part_of_the_model() -> None:
    limited, usual = GridWorld("CliffWalk", time_limit=3), GridWorld("CliffWalk")
    assert limited.P == usual.P


def test_a_continuing_task_rejects_a_time_limit_and_never_ends() -> None:
    for make in (RiverSwim, lambda **options: GridWorld("NearAndFar", **options)):
        with pytest.raises(InputError, match="a continuing task: it must not have a time limit"):
            make(time_limit=5)
        env = make()
        env.reset(seed=0)
        actions = np.random.default_rng(0).integers(env.model.num_actions, size=3000)
        assert not any(flag for a in actions for flag in env.step(a)[2:4])


# --- saving and restoring the state ---


def play(env: TabularEnv, actions: NDArray[np.int64]) -> list[Any]:
    """The results of the steps, and of a reset after each end."""
    results: list[Any] = []
    for a in actions:
        results.append(env.step(a))
        if results[-1][2] or results[-1][3]:
            results.append(env.reset())
    return results


@pytest.mark.parametrize("name", ["SlipperyLake", "FourRooms", "NearAndFar"])
def test_a_restored_state_continues_exactly(name: str) -> None:
    actions = np.random.default_rng(2).integers(4, size=600)
    env = GridWorld(name)
    env.reset(seed=8)
    play(env, actions[:123])
    state = env.get_state()
    expected = play(env, actions[123:])
    assert name == "NearAndFar" or len(expected) > len(actions) - 123  # an episode ended
    other = GridWorld(name)
    other.reset(seed=99)
    play(other, actions[:50])
    assert other.set_state(state) == state["state"]
    assert play(other, actions[123:]) == expected
    env.set_state(state)  # the saved state has not changed since
    assert play(env, actions[123:]) == expected


# --- observations and options ---


@pytest.mark.parametrize("world", ["WindyGrid", "FourRooms"])
@pytest.mark.parametrize("kind", KINDS)
def test_observations_encode_the_state_and_differ(world: str, kind: Any) -> None:
    env = GridWorld(world, observation=kind)
    painter = WorldPainter(env.world, 84, square=True)
    distinct = set()
    for s, place in enumerate(env.world.places()):
        observation = env.encode(s)
        assert env.observation_space.contains(observation)
        if kind == "state":
            assert observation == s
        elif kind == "coordinates":
            assert tuple(observation) == place
        elif kind == "one_hot":
            assert observation.sum() == 1
            assert observation[s] == 1
        else:
            np.testing.assert_array_equal(observation, painter.draw(place))
        distinct.add(np.asarray(observation).tobytes())
    assert len(distinct) == env.model.num_states


@pytest.mark.parametrize("kind", KINDS)
def test_reset_and_step_return_the_observation_of_the_state(kind: Any) -> None:
    env = GridWorld("FourRooms", observation=kind)
    observation, _ = env.reset(seed=4)
    np.testing.assert_array_equal(observation, env.encode(env.state))
    for action in (UP, RIGHT, DOWN, LEFT):
        observation, *_ = env.step(action)
        np.testing.assert_array_equal(observation, env.encode(env.state))


@pytest.mark.parametrize("pixels", [13, 40, 84, 101])
def test_pixel_observations_have_the_given_size(pixels: int) -> None:
    env = GridWorld("FourRooms", observation="pixels", pixels=pixels)
    image, _ = env.reset(seed=0)
    assert image.shape == env.observation_space.shape == (pixels, pixels, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observation": "stat"}, "unknown observation 'stat'; did you mean state?"),
        ({"observation": None}, "unknown observation 'None'"),
        ({"render_mode": "rgb"}, "unknown render mode 'rgb'; did you mean rgb_array?"),
        (
            {"observation": "pixels", "pixels": 12},
            "pixels is 12; it must be an integer, 13 or greater, to draw Four",
        ),
        ({"observation": "pixels", "pixels": 84.0}, "pixels is 84.0"),
        ({"time_limit": 0}, "time_limit is 0; it must be an integer, 1 or greater, or none"),
        ({"time_limit": -1}, "time_limit is -1"),
        ({"time_limit": 2.5}, "time_limit is 2.5"),
        ({"world": "FourRoms"}, "did you mean FourRooms?"),
    ],
)
def test_an_invalid_option_is_an_input_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        GridWorld(**{"world": "FourRooms", **options})
    assert message in str(caught.value)


@pytest.mark.parametrize("action", [-1, 4])
def test_an_unknown_action_is_an_input_error(action: int) -> None:
    env = GridWorld("FourRooms")
    env.reset(seed=0)
    with pytest.raises(InputError, match=f"action is {action}; it must be from 0 to 3"):
        env.step(action)


# --- Gymnasium and stable-baselines3 ---


def test_every_shipped_world_is_registered() -> None:
    ours = {f"gridcade/{path.stem}-v0" for path in MAPS.glob("*.txt")}
    others = {"GridWorld", "Maze", "RiverSwim", "BlockingMaze", "ShortcutMaze", "MaximizationBias"}
    others |= {"DeepSea", "GamblersProblem", "JacksCarRental"}
    assert ours | {f"gridcade/{name}-v0" for name in others} == set(IDS)


CHECKED = [(id_, "state") for id_ in IDS] + [
    (id_, kind) for id_ in ("gridcade/FourRooms-v0", "gridcade/RiverSwim-v0") for kind in KINDS[1:]
]


@pytest.mark.parametrize(("id_", "kind"), CHECKED)
def test_gymnasiums_checker_finds_no_fault(id_: str, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(id_, observation=kind).unwrapped, skip_render_check=kind != "state")


@pytest.mark.parametrize(("id_", "kind"), CHECKED)
def test_stable_baselines3s_checker_finds_no_fault(id_: str, kind: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(gym.make(id_, observation=kind).unwrapped)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_vector_environment_equals_its_single_environments(mode: str) -> None:
    id_, count = "gridcade/FourRooms-v0", 3
    vector = gym.make_vec(id_, num_envs=count, vectorization_mode=mode, observation="coordinates")
    try:
        observations, _ = vector.reset(seed=5)  # the seeds are 5, 6 and 7
        single = [make_tabular(id_, observation="coordinates") for _ in range(count)]
        np.testing.assert_array_equal(
            observations, [env.reset(seed=5 + i)[0] for i, env in enumerate(single)]
        )
        actions = np.random.default_rng(1).integers(4, size=(60, count))
        running = np.ones(count, dtype=bool)
        for row in actions:
            observations, rewards, terminated, truncated, _ = vector.step(row)
            for i in np.flatnonzero(running):
                expected = single[i].step(row[i])
                np.testing.assert_array_equal(observations[i], expected[0])
                assert (rewards[i], terminated[i], truncated[i]) == expected[1:4]
            running &= ~(terminated | truncated)
        assert running.any()
    finally:
        vector.close()


# --- rendering ---


def test_render_draws_the_agent_in_its_cell() -> None:
    env = GridWorld("WindyGrid", render_mode="rgb_array")
    env.reset(seed=0)
    env.step(RIGHT)
    expected = WorldPainter(env.world, 512).draw(env.world.places()[env.state])
    np.testing.assert_array_equal(env.render(), expected)
    env = GridWorld("RussellNorvig4x3", render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "...P\n.#.N\n@..."


def test_render_without_a_render_mode_returns_none() -> None:
    env = GridWorld("WindyGrid")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
