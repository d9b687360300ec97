"""Worlds do what their drawing says: by the model, by hand and by the draw."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from scipy import stats

import gridcade.envs  # noqa: F401 - registers them
from gridcade.envs.gridworld import FOUR_MOVES, GridWorld, TabularEnv, grid_model
from gridcade.envs.maps import MAPS, parse_world
from gridcade.envs.maze import Maze
from gridcade.envs.rendering import Picture
from gridcade.envs.riverswim import RiverSwim
from gridcade.envs.tabular import Model
from gridcade.errors import InputError

IDS = [id_ for id_ in gym.registry if id_.startswith("gridcade/")]
KINDS = ["state", "coordinates", "one_hot", "pixels"]
UP, RIGHT, DOWN, LEFT = range(4)
Place = tuple[int, int]
Arrivals = dict[tuple[Place, float, bool], float]  # (place, reward, terminated): probability


def tabular(id_: str, **options: Any) -> TabularEnv:
    env = gym.make(id_, **options).unwrapped
    assert isinstance(env, TabularEnv)
    return env


def arrivals(text: str, place: Place, action: int) -> Arrivals:
    """Where an action at a place of a drawing leads."""
    env = GridWorld(parse_world(text))
    places = env.world.places()
    outcomes = env.P[places.index(place)][action]
    return {(places[s], reward, end): p for p, s, reward, end in outcomes}


def moves(text: str, place: Place) -> list[Place]:
    """Where the four actions lead, in a world without chance."""
    led = []
    for action in range(4):
        [((to, _, _), chance)] = arrivals(text, place, action).items()
        assert chance == 1
        led.append(to)
    return led


def chances(text: str, place: Place, action: int) -> dict[Place, float]:
    """The probability of each place."""
    found: dict[Place, float] = {}
    for (to, _, _), p in arrivals(text, place, action).items():
        found[to] = found.get(to, 0.0) + p
    return found


# --- the rules, by hand ---


def test_a_move_goes_one_cell_up_right_down_or_left() -> None:
    assert moves("S..\n...\n...", (1, 1)) == [(0, 1), (1, 2), (2, 1), (1, 0)]


def test_walls_and_the_edge_of_the_drawing_stop_a_move() -> None:
    assert moves("S#\n#.", (0, 0)) == [(0, 0)] * 4
    assert moves("S.\n..", (0, 0)) == [(0, 0), (0, 1), (1, 0), (0, 0)]


@pytest.mark.parametrize(
    ("settings", "meant", "right", "back", "left"),
    [
        ("", 1.0, 0.0, 0.0, 0.0),
        ("slip: 0.2\n", 0.8, 0.1, 0.0, 0.1),
        ("slip: 2/3\n", 1 / 3, 1 / 3, 0.0, 1 / 3),
        ("stray: 0.3\n", 0.7, 0.1, 0.1, 0.1),
        ("slip: 0.2\nstray: 0.3\n", 0.5, 0.2, 0.1, 0.2),
        ("slip: 1\n", 0.0, 0.5, 0.0, 0.5),
        ("slip: 0.7\nstray: 0.3\n", 0.0, 0.45, 0.1, 0.45),
        ("slip: 2/3\nstray: 1/3\n", 0.0, 4 / 9, 1 / 9, 4 / 9),
    ],
)
def test_slip_goes_to_the_sides_and_stray_to_every_other_direction(
    settings: str, meant: float, right: float, back: float, left: float
) -> None:
    around = [(0, 1), (1, 2), (2, 1), (1, 0)]
    for action in range(4):
        expected = {
            around[(action + turn) % 4]: p for turn, p in enumerate((meant, right, back, left)) if p
        }
        found = chances(f"{settings}map:\nS..\n...\n...", (1, 1), action)
        assert found == pytest.approx(expected)


def test_a_slip_into_a_wall_stays() -> None:
    text = "slip: 0.2\nmap:\n###\n.S.\n..."
    assert chances(text, (1, 1), RIGHT) == pytest.approx({(1, 2): 0.8, (1, 1): 0.1, (2, 1): 0.1})
    assert chances(text, (1, 1), UP) == pytest.approx({(1, 1): 0.8, (1, 2): 0.1, (1, 0): 0.1})


def test_the_wind_blows_in_the_column_where_a_move_began() -> None:
    text = "wind: 0 2 0\nmap:\n...\n...\n...\n.S."
    assert moves(text, (3, 1)) == [(0, 1), (1, 2), (1, 1), (1, 0)]
    assert moves(text, (3, 0)) == [(2, 0), (3, 1), (3, 0), (3, 0)]


def test_a_wall_stops_the_wind() -> None:
    text = "wind: 0 3 0\nmap:\n...\n.##\n...\n.S."
    assert moves(text, (3, 1)) == [(2, 1), (2, 2), (2, 1), (0, 0)]


def test_the_wind_blows_past_an_end() -> None:
    text = "wind: 0 2\nmap:\n..\n.G\n..\nS."
    assert arrivals(text, (3, 1), RIGHT) == {((1, 1), 1.0, True): 1.0}
    assert arrivals(text, (2, 1), RIGHT) == {((0, 1), 0.0, False): 1.0}


PORTALS = """\
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


def test_a_portal_leads_evenly_to_the_cells_it_names_for_its_own_reward() -> None:
    exits = [(0, 2), (1, 0), (2, 0)]
    expected = {(place, 4.0, False): pytest.approx(1 / 3) for place in exits}
    assert arrivals(PORTALS, (0, 0), RIGHT) == expected


def test_a_portal_to_ends_terminates() -> None:
    expected = {((1, 2), -1.0, True): 0.5, ((2, 2), -1.0, True): 0.5}
    assert arrivals(PORTALS, (1, 0), RIGHT) == expected


def test_a_move_pays_the_step_and_the_cell_it_ends_in() -> None:
    text = "step reward: -0.5\nlegend:\n  g: reward 2\n  e: end, reward -3\nmap:\nSge"
    assert arrivals(text, (0, 0), RIGHT) == {((0, 1), 1.5, False): 1.0}
    assert arrivals(text, (0, 1), UP) == {((0, 1), 1.5, False): 1.0}
    assert arrivals(text, (0, 1), LEFT) == {((0, 0), -0.5, False): 1.0}
    assert arrivals(text, (0, 1), RIGHT) == {((0, 2), -3.5, True): 1.0}


def test_outcomes_for_different_rewards_are_kept_apart() -> None:
    text = "slip: 0.5\nlegend:\n  P: to S, reward 2\nmap:\n#P\nS.\n#."
    found = arrivals(text, (1, 0), UP)
    assert found == pytest.approx({((1, 0), 0.0, False): 0.75, ((1, 1), 0.0, False): 0.25})
    found = arrivals(text, (1, 1), LEFT)
    assert found == pytest.approx(
        {((1, 0), 0.0, False): 0.5, ((1, 0), 2.0, False): 0.25, ((2, 1), 0.0, False): 0.25}
    )


def test_episodes_start_evenly_in_the_start_cells() -> None:
    env = GridWorld(parse_world("S.S\n.SG"))
    np.testing.assert_allclose(env.initial_state_distrib, np.array([1, 0, 1, 0, 1, 0]) / 3)


# --- the model, and the draws from it ---


@pytest.mark.parametrize("id_", IDS)
def test_the_table_is_a_model_whose_ends_absorb(id_: str) -> None:
    env = tabular(id_)
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
        GridWorld(parse_world("slip: 0.3\nstray: 0.2\n" + PORTALS)),
        RiverSwim(),
    ],
    ids=lambda env: env.world.title,
)
def test_steps_are_drawn_as_the_model_says(env: TabularEnv) -> None:
    rng = np.random.default_rng(5)
    seen: dict[tuple[int, int], dict[tuple[int, float, bool], int]] = {}
    env.reset(seed=1)
    for _ in range(60_000):
        s, a = int(rng.integers(env.model.num_states)), int(rng.integers(env.model.num_actions))
        env.set_state({**env.get_state(), "state": s})
        s_next, reward, terminated, _, _ = env.step(a)
        row = seen.setdefault((s, a), {})
        row[s_next, reward, terminated] = row.get((s_next, reward, terminated), 0) + 1
    total, degrees = 0.0, 0
    for (s, a), counts in seen.items():
        expected = {(s_next, r, end): p for p, s_next, r, end in env.P[s][a]}
        assert counts.keys() <= expected.keys()
        n = sum(counts.values())
        if n * min(expected.values()) >= 5:
            total += sum((counts.get(o, 0) - n * p) ** 2 / (n * p) for o, p in expected.items())
            degrees += len(expected) - 1
    assert degrees >= 10
    assert 1e-6 < stats.chi2.sf(total, degrees) < 1 - 1e-6


def test_starts_are_drawn_as_the_model_says() -> None:
    env = tabular("gridcade/FourRooms-v0")
    env.reset(seed=3)
    n = 10_000
    counts = np.bincount([env.reset()[0] for _ in range(n)], minlength=env.model.num_states)
    p = env.initial_state_distrib
    assert (counts[p == 0] == 0).all()
    assert (np.abs(counts - n * p) <= 5 * np.sqrt(n * p * (1 - p))).all()


def test_an_episode_is_its_seed_and_its_actions() -> None:
    one, two = GridWorld("FourRooms"), GridWorld("FourRooms")
    rng = np.random.default_rng(0)
    for seed in range(5):
        assert one.reset(seed=seed) == two.reset(seed=seed)
        for a in rng.integers(4, size=100):
            assert one.step(a) == two.step(a)


# --- the time limit ---


def test_a_time_limit_truncates_exactly_then() -> None:
    env = Maze(size=3, time_limit=7)
    for _ in range(2):
        env.reset(seed=0)
        signs = [env.step(UP)[2:4] for _ in range(7)]
        assert signs == [(False, False)] * 6 + [(False, True)]


def test_an_end_on_the_last_step_is_no_truncation() -> None:
    env = GridWorld(parse_world("S.G"), time_limit=2)
    env.reset(seed=0)
    assert env.step(RIGHT)[2:4] == (False, False)
    assert env.step(RIGHT)[2:4] == (True, False)


def test_the_drawing_gives_the_time_limit_unless_told_otherwise() -> None:
    assert GridWorld("CliffWalk").time_limit == 1000
    assert GridWorld("CliffWalk", time_limit=3).time_limit == 3
    assert GridWorld("NearAndFar").time_limit is None


def test_the_time_limit_is_no_part_of_the_model() -> None:
    limited, usual = GridWorld("CliffWalk", time_limit=3), GridWorld("CliffWalk")
    assert limited.P == usual.P


def test_a_continuing_world_takes_no_time_limit_and_never_ends() -> None:
    for make in (RiverSwim, lambda **options: GridWorld("NearAndFar", **options)):
        with pytest.raises(InputError, match="a continuing world: it takes no time limit"):
            make(time_limit=5)
        env = make()
        env.reset(seed=0)
        actions = np.random.default_rng(0).integers(env.model.num_actions, size=3000)
        assert not any(sign for a in actions for sign in env.step(a)[2:4])


# --- state in and out ---


def play(env: TabularEnv, actions: NDArray[np.int64]) -> list[Any]:
    """What happens, from here on, with a reset after each end."""
    happened: list[Any] = []
    for a in actions:
        happened.append(env.step(a))
        if happened[-1][2] or happened[-1][3]:
            happened.append(env.reset())
    return happened


@pytest.mark.parametrize("name", ["SlipperyLake", "FourRooms", "NearAndFar"])
def test_a_state_put_back_continues_bit_for_bit(name: str) -> None:
    actions = np.random.default_rng(2).integers(4, size=600)
    env = GridWorld(name)
    env.reset(seed=8)
    play(env, actions[:123])
    state = env.get_state()
    expected = play(env, actions[123:])
    assert name == "NearAndFar" or len(expected) > len(actions) - 123  # an end was passed
    other = GridWorld(name)
    other.reset(seed=99)
    play(other, actions[:50])
    assert other.set_state(state) == state["state"]
    assert play(other, actions[123:]) == expected
    env.set_state(state)  # the state handed out earlier has not moved on since
    assert play(env, actions[123:]) == expected


# --- observations ---


@pytest.mark.parametrize("world", ["WindyGrid", "FourRooms"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_observation_shows_the_state_and_no_two_are_alike(world: str, kind: Any) -> None:
    env = GridWorld(world, observation=kind)
    picture = Picture(env.world, 84, square=True)
    shown = []
    for s, place in enumerate(env.world.places()):
        seen = env.encode(s)
        assert env.observation_space.contains(seen)
        if kind == "state":
            assert seen == s
        elif kind == "coordinates":
            assert tuple(seen) == place
        elif kind == "one_hot":
            assert seen.sum() == 1
            assert seen[s] == 1
        else:
            np.testing.assert_array_equal(seen, picture.draw(place))
        shown.append(np.asarray(seen).tobytes())
    assert len(set(shown)) == env.model.num_states


@pytest.mark.parametrize("kind", KINDS)
def test_reset_and_step_return_the_observation_of_the_state(kind: Any) -> None:
    env = GridWorld("FourRooms", observation=kind)
    seen, _ = env.reset(seed=4)
    np.testing.assert_array_equal(seen, env.encode(env.state))
    for action in (UP, RIGHT, DOWN, LEFT):
        seen, *_ = env.step(action)
        np.testing.assert_array_equal(seen, env.encode(env.state))


@pytest.mark.parametrize("pixels", [13, 40, 84, 101])
def test_pixels_are_as_large_as_asked_for(pixels: int) -> None:
    env = GridWorld("FourRooms", observation="pixels", pixels=pixels)
    seen, _ = env.reset(seed=0)
    assert seen.shape == env.observation_space.shape == (pixels, pixels, 3)
    assert seen.dtype == np.uint8


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"observation": "stat"}, "unknown observation 'stat'; did you mean state?"),
        ({"observation": None}, "unknown observation 'None'"),
        ({"render_mode": "rgb"}, "unknown render mode 'rgb'; did you mean rgb_array?"),
        ({"observation": "pixels", "pixels": 12}, "pixels is 12; a picture of Four rooms takes 13"),
        ({"observation": "pixels", "pixels": 84.0}, "pixels is 84.0"),
        ({"time_limit": 0}, "time_limit is 0; it takes 1 step or more"),
        ({"time_limit": -1}, "time_limit is -1"),
        ({"time_limit": 2.5}, "time_limit is 2.5"),
        ({"world": "FourRoms"}, "did you mean FourRooms?"),
    ],
)
def test_a_bad_option_is_an_input_error(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        GridWorld(**{"world": "FourRooms", **options})
    assert told in str(caught.value)


@pytest.mark.parametrize("action", [-1, 4])
def test_an_action_that_does_not_exist_is_an_input_error(action: int) -> None:
    env = GridWorld("FourRooms")
    env.reset(seed=0)
    with pytest.raises(InputError, match=f"action is {action}; it takes 0 to 3"):
        env.step(action)


# --- Gymnasium and stable-baselines3 ---


def test_every_shipped_world_is_registered() -> None:
    ours = {f"gridcade/{path.stem}-v0" for path in MAPS.glob("*.txt")}
    assert ours | {f"gridcade/{name}-v0" for name in ("GridWorld", "Maze", "RiverSwim")} == set(IDS)


@pytest.mark.parametrize("id_", IDS)
def test_gymnasium_makes_it_and_finds_no_fault(id_: str) -> None:
    env = gym.make(id_)
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.parametrize("id_", ["gridcade/FourRooms-v0", "gridcade/RiverSwim-v0"])
@pytest.mark.parametrize("kind", KINDS)
def test_gymnasium_finds_no_fault_with_any_observation(id_: str, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(id_, observation=kind).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("id_", IDS)
@pytest.mark.parametrize("kind", KINDS)
def test_stable_baselines3_finds_no_fault(id_: str, kind: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(gym.make(id_, observation=kind).unwrapped)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_vector_is_its_environments_side_by_side(mode: str) -> None:
    id_, count = "gridcade/FourRooms-v0", 3
    many = gym.make_vec(id_, num_envs=count, vectorization_mode=mode, observation="coordinates")
    try:
        seen, _ = many.reset(seed=5)  # and 6 and 7
        single = [tabular(id_, observation="coordinates") for _ in range(count)]
        np.testing.assert_array_equal(
            seen, [env.reset(seed=5 + i)[0] for i, env in enumerate(single)]
        )
        actions = np.random.default_rng(1).integers(4, size=(60, count))
        running = np.ones(count, dtype=bool)
        for chosen in actions:
            seen, rewards, terminated, truncated, _ = many.step(chosen)
            for i in np.flatnonzero(running):
                alone = single[i].step(chosen[i])
                np.testing.assert_array_equal(seen[i], alone[0])
                assert (rewards[i], terminated[i], truncated[i]) == alone[1:4]
            running &= ~(terminated | truncated)
        assert running.any()
    finally:
        many.close()


# --- pictures ---


def test_render_draws_the_agent_where_it_stands() -> None:
    env = GridWorld("WindyGrid", render_mode="rgb_array")
    env.reset(seed=0)
    env.step(RIGHT)
    expected = Picture(env.world, 512).draw(env.world.places()[env.state])
    np.testing.assert_array_equal(env.render(), expected)
    env = GridWorld("RussellNorvig4x3", render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "...P\n.#.N\n@..."


def test_a_world_without_a_render_mode_draws_nothing() -> None:
    env = GridWorld("WindyGrid")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


def test_the_model_of_a_drawing_needs_no_environment() -> None:
    env = GridWorld("CliffWalk")
    table = grid_model(env.world).table()
    (step,) = table[36][0]  # up from the start, in the lower left corner of 4 rows of 12
    assert step == (1.0, 24, -1.0, False)
    assert sum(len(outcomes) for actions in table.values() for outcomes in actions.values()) == 152
    assert env.moves == FOUR_MOVES
