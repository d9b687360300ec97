"""Gridworlds: the rules of movement, reward and termination, as the exact model has them."""

import pytest

from gridcade.envs.gridworld import GridWorld, grid_model
from gridcade.envs.maps import load_world, parse_world

UP, RIGHT, DOWN, LEFT = range(4)
Place = tuple[int, int]
Outcomes = dict[tuple[Place, float, bool], float]  # (place, reward, terminated): probability


def outcomes(text: str, place: Place, action: int) -> Outcomes:
    """The outcomes of an action at a place of a drawing."""
    env = GridWorld(parse_world(text))
    places = env.world.places()
    row = env.P[places.index(place)][action]
    return {(places[s], reward, terminated): p for p, s, reward, terminated in row}


def moves(text: str, place: Place) -> list[Place]:
    """The places to which the four actions lead, in a deterministic world."""
    targets = []
    for action in range(4):
        [((target, _, _), probability)] = outcomes(text, place, action).items()
        assert probability == 1
        targets.append(target)
    return targets


def probabilities(text: str, place: Place, action: int) -> dict[Place, float]:
    """The probability of each place after an action."""
    totals: dict[Place, float] = {}
    for (target, _, _), p in outcomes(text, place, action).items():
        totals[target] = totals.get(target, 0.0) + p
    return totals


def test_a_move_goes_one_cell_up_right_down_or_left() -> None:
    assert moves("S..\n...\n...", (1, 1)) == [(0, 1), (1, 2), (2, 1), (1, 0)]


def test_walls_and_the_edge_of_the_drawing_stop_a_move() -> None:
    assert moves("S#\n#.", (0, 0)) == [(0, 0)] * 4
    assert moves("S.\n..", (0, 0)) == [(0, 0), (0, 1), (1, 0), (0, 0)]


@pytest.mark.parametrize(
    ("settings", "forward", "right", "back", "left"),
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
def test_slip_moves_to_the_sides_and_stray_in_every_other_direction(
    settings: str, forward: float, right: float, back: float, left: float
) -> None:
    around = [(0, 1), (1, 2), (2, 1), (1, 0)]
    for action in range(4):
        expected = {
            around[(action + turn) % 4]: p
            for turn, p in enumerate((forward, right, back, left))
            if p
        }
        world = f"{settings}map:\nS..\n...\n..."
        assert probabilities(world, (1, 1), action) == pytest.approx(expected)


def test_a_slip_into_a_wall_stays() -> None:
    text = "slip: 0.2\nmap:\n###\n.S.\n..."
    assert probabilities(text, (1, 1), RIGHT) == pytest.approx(
        {(1, 2): 0.8, (1, 1): 0.1, (2, 1): 0.1}
    )
    assert probabilities(text, (1, 1), UP) == pytest.approx({(1, 1): 0.8, (1, 2): 0.1, (1, 0): 0.1})


def test_the_wind_depends_on_the_column_where_a_move_begins() -> None:
    text = "wind: 0 2 0\nmap:\n...\n...\n...\n.S."
    assert moves(text, (3, 1)) == [(0, 1), (1, 2), (1, 1), (1, 0)]
    assert moves(text, (3, 0)) == [(2, 0), (3, 1), (3, 0), (3, 0)]


def test_a_wall_stops_the_wind() -> None:
    text = "wind: 0 3 0\nmap:\n...\n.##\n...\n.S."
    assert moves(text, (3, 1)) == [(2, 1), (2, 2), (2, 1), (0, 0)]


def test_the_wind_pushes_the_agent_past_an_end() -> None:
    text = "wind: 0 2\nmap:\n..\n.G\n..\nS."
    assert outcomes(text, (3, 1), RIGHT) == {((1, 1), 1.0, True): 1.0}
    assert outcomes(text, (2, 1), RIGHT) == {((0, 1), 0.0, False): 1.0}


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


def test_a_portal_leads_to_its_targets_evenly_and_pays_its_own_reward() -> None:
    targets = [(0, 2), (1, 0), (2, 0)]
    expected = {(place, 4.0, False): pytest.approx(1 / 3) for place in targets}
    assert outcomes(PORTALS, (0, 0), RIGHT) == expected


def test_a_portal_to_ends_terminates() -> None:
    expected = {((1, 2), -1.0, True): 0.5, ((2, 2), -1.0, True): 0.5}
    assert outcomes(PORTALS, (1, 0), RIGHT) == expected


def test_a_move_pays_the_step_reward_and_that_of_its_target() -> None:
    text = "step reward: -0.5\nlegend:\n  g: reward 2\n  e: end, reward -3\nmap:\nSge"
    assert outcomes(text, (0, 0), RIGHT) == {((0, 1), 1.5, False): 1.0}
    assert outcomes(text, (0, 1), UP) == {((0, 1), 1.5, False): 1.0}
    assert outcomes(text, (0, 1), LEFT) == {((0, 0), -0.5, False): 1.0}
    assert outcomes(text, (0, 1), RIGHT) == {((0, 2), -3.5, True): 1.0}


def test_outcomes_with_different_rewards_are_separate() -> None:
    text = "slip: 0.5\nlegend:\n  P: to S, reward 2\nmap:\n#P\nS.\n#."
    assert outcomes(text, (1, 0), UP) == pytest.approx(
        {((1, 0), 0.0, False): 0.75, ((1, 1), 0.0, False): 0.25}
    )
    assert outcomes(text, (1, 1), LEFT) == pytest.approx(
        {((1, 0), 0.0, False): 0.5, ((1, 0), 2.0, False): 0.25, ((2, 1), 0.0, False): 0.25}
    )


def test_all_start_cells_have_the_same_probability() -> None:
    env = GridWorld(parse_world("S.S\n.SG"))
    assert env.initial_state_distrib == pytest.approx([1 / 3, 0, 1 / 3, 0, 1 / 3, 0])


def test_the_model_of_cliff_walk() -> None:
    table = grid_model(load_world("CliffWalk")).table()
    assert table[36][UP] == [(1.0, 24, -1.0, False)]  # from the start, in the lower left corner
    assert sum(len(row) for actions in table.values() for row in actions.values()) == 152
