"""A model keeps what a table says, draws as it says, and refuses tables that say nonsense."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcade.envs.tabular import Model, Outcome

Table = dict[int, dict[int, list[Outcome]]]


def stay(states: int, actions: int) -> Table:
    """Everyone stays for ever."""
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
            places = draw(st.lists(outcome, min_size=1, max_size=4, unique=True))
            weights = draw(st.lists(st.integers(1, 9), min_size=len(places), max_size=len(places)))
            chances = [w / sum(weights) for w in weights]
            table[s][a] = [(p, *place) for p, place in zip(chances, places, strict=True)]
    return table


@given(tables())
def test_the_table_of_a_model_is_the_table_it_was_read_from(table: Table) -> None:
    start = np.full(len(table), 1 / len(table))
    model = Model.from_table(table, start)
    assert model.table() == table
    assert (model.num_states, model.num_actions) == (len(table), len(table[0]))
    ends = [end for row in table.values() for cell in row.values() for *_, end in cell]
    assert model.continuing == (not any(ends))
    for i, row in enumerate(model.rows):
        assert model.offsets[row] <= i < model.offsets[row + 1]


@given(tables(), st.floats(0, 1, exclude_max=True))
def test_a_draw_picks_the_first_outcome_whose_running_sum_exceeds_it(
    table: Table, draw: float
) -> None:
    model = Model.from_table(table, np.full(len(table), 1 / len(table)))
    for s, cells in table.items():
        for a, outcomes in cells.items():
            first = model.offsets[s * model.num_actions + a]
            sums = model.cumulative[first : first + len(outcomes)]
            np.testing.assert_allclose(sums, np.cumsum([p for p, *_ in outcomes]), atol=1e-12)
            assert sums[-1] == 1.0
    np.testing.assert_allclose(model.start_cumulative, np.cumsum(model.start), atol=1e-12)
    assert np.searchsorted(model.start_cumulative, draw, side="right") < model.num_states


def test_outcomes_alike_are_merged_and_impossible_ones_are_dropped() -> None:
    alike: list[Outcome] = [(0.25, 0, 1.0, False), (0.5, 0, 2.0, False), (0.25, 0, 1.0, False)]
    model = Model.from_table({0: {0: [*alike, (0.0, 0, 7.0, True)]}}, [1.0])
    assert model.table() == {0: {0: [(0.5, 0, 1.0, False), (0.5, 0, 2.0, False)]}}
    assert model.continuing


def test_a_state_that_never_starts_is_never_drawn_to_start() -> None:
    model = Model.from_table(stay(5, 1), [0.0, 0.5, 0.0, 0.5, 0.0])
    draws = np.linspace(0, 1, 1001, endpoint=False)
    drawn = np.searchsorted(model.start_cumulative, draws, side="right")
    assert set(drawn.tolist()) == {1, 3}


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ([(0.5, 0, 0.0, False)], "state 1, action 0: probabilities sum to 0.5, not 1"),
        ([(1.5, 0, 0.0, False), (-0.5, 0, 0.0, False)], "a probability is -0.5"),
        ([(1.0, 0, 0.0, False), (-0.5, 0, 0.0, True)], "a probability is -0.5"),
        ([(1.0, 0, 0.0, False), (math.nan, 0, 0.0, True)], "a probability is nan"),
        ([(1.0, 2, 0.0, False)], "a next state is outside 0 … 1"),
        ([(1.0, -1, 0.0, False)], "a next state is outside 0 … 1"),
        ([(1.0, 0, math.nan, False)], "a reward is not finite"),
        ([(1.0, 0, math.inf, False)], "a reward is not finite"),
        ([], "probabilities sum to 0"),
    ],
)
def test_outcomes_that_make_no_sense_are_refused(outcomes: list[Outcome], told: str) -> None:
    table = stay(2, 2)
    table[1][0] = outcomes
    with pytest.raises(ValueError, match=told):
        Model.from_table(table, [1.0, 0.0])


@pytest.mark.parametrize(
    ("table", "start", "told"),
    [
        (stay(2, 1), [0.5, 0.4], "the start distribution"),
        (stay(2, 1), [1.5, -0.5], "the start distribution"),
        (stay(2, 1), [math.nan, 1.0], "the start distribution"),
        (stay(3, 1), [0.5, 0.5], "the start is over 2 states, the table has 3"),
        ({1: stay(1, 1)[0], 2: stay(1, 1)[0]}, [0.5, 0.5], "state 0 lacks"),
        ({0: stay(1, 2)[0], 1: stay(1, 1)[0]}, [0.5, 0.5], "state 1 lacks one of the 2 actions"),
        ({0: {1: stay(1, 1)[0][0]}}, [1.0], "state 0 lacks one of the 1 actions"),
    ],
)
def test_a_table_with_gaps_is_refused(table: Table, start: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Model.from_table(table, start)
