"""State numbers of observations, their names, and binned observations."""

from contextlib import closing
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array
from hypothesis import given, settings
from hypothesis import strategies as st

import gridcade
from gridcade.envs import registry
from gridcade.envs.bins import Binned
from gridcade.envs.states import StateIndex, finite_states
from gridcade.errors import InputError
from gridcade.experience.vector import make_vector, reset

leaves = st.one_of(
    st.builds(spaces.Discrete, st.integers(1, 4), start=st.integers(-2, 2)),
    st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 3), min_size=1, max_size=3)),
    st.builds(spaces.MultiBinary, st.integers(1, 3)),
)
finite = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(spaces.Tuple),
        st.dictionaries(st.text("ab", min_size=1), inner, min_size=1, max_size=2).map(spaces.Dict),
    ),
    max_leaves=3,
)


@given(space=finite)
@settings(max_examples=60, deadline=None)
def test_each_observation_has_one_number(space: Any) -> None:
    index = StateIndex(space)
    observations = [index.decode(number) for number in range(index.count)]
    assert all(space.contains(observation) for observation in observations)
    empty: Any = create_empty_array(space, index.count)
    batch = concatenate(space, observations, empty)
    np.testing.assert_array_equal(index.encode(batch), np.arange(index.count))
    assert len({index.name(number) for number in range(index.count)}) == index.count


def test_names_of_states_are_readable() -> None:
    blackjack = StateIndex(registry.make("Blackjack").observation_space)
    assert blackjack.count == 32 * 11 * 2
    assert blackjack.name((18 * 11 + 6) * 2) == "(18, 6, 0)"
    keys = spaces.Dict({"door": spaces.Discrete(2), "at": spaces.MultiDiscrete([2, 3])})
    assert StateIndex(keys).name(2 * 4 + 1) == "at=(1, 1), door=1"
    assert StateIndex(spaces.Discrete(3, start=5)).name(2) == "7"


def test_other_spaces_are_infinite() -> None:
    assert finite_states(spaces.Box(0, 1, (2,), np.uint8)) is None
    assert finite_states(spaces.Tuple((spaces.Discrete(2), spaces.Text(3)))) is None


class Given(gym.Env[Any, Any]):
    """Returns a given observation at the reset."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: Any, observation: Any = None):
        self.observation_space, self.given = space, observation

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        return self.given, {}


def bins_of(space: Any, bins: Any, observation: Any) -> Any:
    env = Binned(Given(space, observation), bins)
    numbers = env.reset()[0]
    assert env.observation_space.contains(numbers)
    return numbers if isinstance(numbers, dict | tuple) else numbers.tolist()


def test_bins_have_equal_widths_between_the_bounds() -> None:
    unit = spaces.Box(0, 1, (5,))
    assert bins_of(unit, 4, np.array([0, 0.24, 0.25, 0.99, 1])) == [0, 0, 1, 3, 3]
    assert bins_of(unit, [1, 2, 4, 2, 10], np.array([0.9, 0.6, 0.6, 0.4, 0.65])) == [0, 1, 2, 0, 6]
    whole = spaces.Box(0, 5, (3,), np.int64)
    assert bins_of(whole, 6, np.array([0, 3, 5])) == [0, 3, 5]
    assert bins_of(whole, 3, np.array([1, 2, 5])) == [0, 1, 2]


def test_bins_of_unbounded_numbers_reach_from_minus_3_to_3() -> None:
    everything = spaces.Box(-np.inf, np.inf, (6,))
    numbers = np.array([-np.inf, -9, -1.6, 0, 2.9, 1e9])
    assert bins_of(everything, 4, numbers) == [0, 0, 0, 2, 3, 3]
    assert bins_of(spaces.Box(-1e38, 1e38, (6,)), 4, numbers) == [0, 0, 0, 2, 3, 3]
    assert bins_of(spaces.Box(0, np.inf, (3,)), 6, np.array([0.5, 1.5, 99])) == [0, 1, 5]
    assert bins_of(spaces.Box(-np.inf, 0, (2,)), 6, np.array([-5.5, -0.5])) == [0, 5]


def test_bins_reach_into_dicts_and_tuples() -> None:
    space = spaces.Dict({"a": spaces.Tuple((spaces.Box(0, 1, ()), spaces.Discrete(3)))})
    binned = bins_of(space, 2, {"a": (np.float32(0.7), 2)})
    assert binned["a"][0].tolist() == [1]
    assert binned["a"][1] == 2


def test_bins_in_the_name_of_an_environment() -> None:
    with closing(registry.make("CartPole?bins=[1, 2, 6, 4]")) as env:
        assert env.observation_space == spaces.MultiDiscrete([1, 2, 6, 4])
        assert registry.make(registry.name_of(env)).observation_space == env.observation_space
        assert registry.known_model(env) is None
    with closing(make_vector("CartPole?bins=8", 2)) as envs:
        observations = reset(envs, [1, 2])
        assert observations.shape == (2, 4)
        assert envs.single_observation_space.contains(observations[0])
    with closing(registry.make("FourRooms?observation=coordinates", bins=13)) as env:
        assert registry.known_model(env) is None  # its states are not the bins


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPole?bins=0", "bins is 0; it must be an integer of 1 or more"),
        ("CartPole?bins=2.5", "bins is 2.5; it must be an integer"),
        ("CartPole?bins=[1,2]", "it must be one number, or a list of 4"),
        ("CartPole?bins=many", "bins is many; it must be an integer"),
        ("FourRooms?bins=2", "these observations have none"),
        ("Breakout?bins=2", "unknown argument of Breakout 'bins'"),
    ],
)
def test_invalid_bins_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        registry.make(name)


class Lights(gym.Env[Any, Any]):
    """Two switches to turn on, by actions -1 and 0; in each state one action turns both off."""

    observation_space = spaces.Tuple((spaces.Discrete(2), spaces.MultiBinary(1)))
    action_space = spaces.Discrete(2, start=-1)

    def transition_model(self) -> Any:
        """The table, [states, actions]; the number of a state is 2 left + right."""
        table = {0: [2, 0], 1: [3, 0], 2: [0, 3], 3: [3, 3]}
        outcomes = {s: [[(1.0, n, -1.0, n == 3)] for n in row] for s, row in table.items()}
        return outcomes, [0.5, 0.5, 0.0, 0.0]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.state = int(self.np_random.integers(2))
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        [[(_, self.state, reward, end)]] = [self.transition_model()[0][self.state][action + 1]]
        return self.observe(), reward, end, False, {}

    def observe(self) -> Any:
        return self.state // 2, np.array([self.state % 2], np.int8)


def test_models_of_states_with_several_parts(tmp_path: Any) -> None:
    """The compiled loop, exact values, the optimal policy and the list of states number them."""
    solution = gridcade.solve(Lights())
    assert "state (0, (0,))  value         -2  action -1" in str(solution)
    assert "state (1, (0,))  value         -1  action 0" in str(solution)
    optimal = gridcade.load("optimal", env=Lights())
    assert optimal.predict((1, np.array([0], np.int8)))[0] == 0
    assert optimal.predict((0, np.array([1], np.int8)))[0] == -1
    run = gridcade.train("q-learning", Lights, steps=3000, epoch=1000, out=tmp_path / "run")
    for policy in (optimal, gridcade.load(run, env=Lights())):
        result = gridcade.evaluate(policy, env=Lights(), episodes=20)
        assert result.exact is not None
        assert result.expected_return is not None
        assert result.exact.expected_return == result.exact.optimal_return == -1.5
        assert -2 <= result.expected_return.mean <= -1
