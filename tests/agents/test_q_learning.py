"""Q-learning: two loops that agree, an update that follows the formulas, and what is learnt."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcade.agents.q_learning import (
    QLearning,
    QLearningConfig,
    choose,
    learn,
    make,
    scheduled,
)
from gridcade.agents.schedules import Schedule
from gridcade.agents.tabular_loop import CompiledLoop, train_many
from gridcade.envs import registry
from gridcade.envs.gridworld import GridWorld
from gridcade.envs.maps import parse_world
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.experience.step import TOTALS, Step
from gridcade.seeding import pack, stream

ANNEALED = QLearningConfig(
    step_size=Schedule(0.5, 0.02, 700), epsilon=Schedule(1.0, 0.1, 500), initial_value=0.3
)
HARMONIC = QLearningConfig(
    step_size=Schedule(1.0, power=0.7), epsilon=Schedule(0.9, power=0.3), discount=0.95
)
DIFFERENTIAL = QLearningConfig(
    criterion="average-reward", step_size=Schedule(0.3, 0.1, 900), epsilon=Schedule(0.4)
)


SMALL_LAKE = "slip: 2/3\nlegend:\n    o: end\nmap:\nS...\n.o.o\n...o\no..G"


def world(name: str, **arguments: Any) -> tuple[TabularEnv, Model]:
    env = registry.make(name, **arguments).unwrapped
    assert isinstance(env, TabularEnv)
    return env, env.model


def through_gymnasium(agent: QLearning, env: TabularEnv, steps: int) -> dict[str, float]:
    """The plain loop, with an environment that draws from one stream through all episodes."""
    totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
    observation, _ = env.reset()
    gain, length = 0.0, 0
    for _ in range(steps):
        action = agent.act(np.array([observation]))
        after, reward, terminated, truncated, _ = env.step(action[0])
        gain, length = gain + reward, length + 1
        totals["reward"] += reward
        current = after
        if terminated or truncated:
            ended = {"episodes": 1, "return": gain, "squared_return": gain**2, "length": length}
            for key, value in (ended | {"truncated": truncated}).items():
                totals[key] += value
            gain, length = 0.0, 0
            current, _ = env.reset()
        agent.observe(
            Step(
                observations=np.array([observation]),
                actions=action,
                rewards=np.array([reward]),
                next_observations=np.array([after]),
                terminated=np.array([terminated]),
                truncated=np.array([truncated]),
                current=np.array([current]),
            )
        )
        observation = current
    return totals


@pytest.mark.parametrize("config", [ANNEALED, HARMONIC, DIFFERENTIAL])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("FourRooms", {"time_limit": 30}),
        ("CliffWalk", {"time_limit": 90}),
        ("SlipperyLake", {"time_limit": 25}),
        ("RiverSwim", {}),
        ("NearAndFar", {}),
        ("Maze", {"size": 3, "loops": 0.3, "time_limit": 40}),
    ],
)
def test_compiled_and_gymnasium_loops_agree_bit_for_bit(
    config: QLearningConfig, name: str, arguments: dict[str, Any]
) -> None:
    env, model = world(name, **arguments)
    size = (model.num_states, model.num_actions)
    compiled, plain = QLearning(*size, config, seed=7), QLearning(*size, config, seed=7)
    loop = CompiledLoop(compiled, model, env.time_limit, seed=5)
    totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
    for until in (1, 400, 1500):  # where it is cut into pieces does not matter
        for key, value in loop.advance(until).items():
            totals[key] += value
    env.np_random = stream(5, "training")
    expected = through_gymnasium(plain, env, 1500)
    for key, tensor in plain.state_dict().items():
        np.testing.assert_array_equal(compiled.state_dict()[key], tensor, err_msg=key)
    np.testing.assert_array_equal(loop.state_dict()["world_stream"], pack(env.np_random))
    assert totals == pytest.approx(expected, rel=1e-12)
    assert totals["episodes"] > 3 or model.continuing


@given(
    row=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=5),
    epsilon=st.floats(0, 1),
)
def test_choice_has_the_probabilities_that_it_says(row: list[float], epsilon: float) -> None:
    """Over a fine grid of uniform numbers, each action is chosen as often as it should be."""
    agent = QLearning(1, len(row), QLearningConfig(epsilon=Schedule(epsilon)))
    agent.q[0] = row
    cells = 3000
    chosen = [choose(agent.q, 0, epsilon, (i + 0.5) / cells) for i in range(cells)]
    shares = np.bincount(chosen, minlength=len(row)) / cells
    expected = agent.probabilities(np.array([0]), deterministic=False)[0]
    np.testing.assert_allclose(shares, expected, atol=3 / cells)


@given(u=st.floats(0, 1, exclude_max=True), epsilon=st.floats(0, 1))
def test_choice_is_an_action_at_every_edge(u: float, epsilon: float) -> None:
    assert choose(np.zeros((1, 3)), 0, epsilon, u) in (0, 1, 2)


@settings(max_examples=200)
@given(data=st.data())
def test_update_follows_the_formulas(data: st.DataObject) -> None:
    number = st.floats(-5, 5)
    q = np.array(data.draw(st.lists(number, min_size=6, max_size=6))).reshape(3, 2)
    s, s_next, s_start = (data.draw(st.integers(0, 2)) for _ in range(3))
    a, terminated = data.draw(st.integers(0, 1)), data.draw(st.booleans())
    r, rate, gamma, alpha = (data.draw(st.floats(0, 1)) for _ in range(4))
    differential = data.draw(st.booleans())
    rate = rate if differential else 0.0
    config = QLearningConfig(
        criterion="average-reward" if differential else "discounted",
        discount=gamma,
        step_size=Schedule(alpha),
        rate_step_ratio=0.5,
    )
    learnt, rates, visits = q.copy(), np.array([rate]), np.zeros((3, 2), dtype=np.int64)
    learn(learnt, visits, rates, config.numbers(), 0, s, a, r, s_next, terminated, s_start)
    if differential:
        after = s_start if terminated else s_next
        delta = r - rate + max(q[after]) - q[s, a]
        assert rates[0] == pytest.approx(rate + 0.5 * alpha * delta)
    else:
        delta = r + (0 if terminated else gamma * max(q[s_next])) - q[s, a]
        assert rates[0] == rate
    expected = q.copy()
    expected[s, a] += alpha * delta
    np.testing.assert_allclose(learnt, expected, rtol=1e-12, atol=1e-12)
    assert visits[s, a] == visits.sum() == 1


@given(
    initial=st.floats(0, 1),
    final=st.floats(0, 1),
    steps=st.integers(1, 10**9),
    power=st.floats(0, 1),
    count=st.integers(1, 10**9),
)
def test_schedules_run_from_one_value_to_the_other_and_stay(
    initial: float, final: float, steps: int, power: float, count: int
) -> None:
    numbers = Schedule(initial, final, steps).numbers()
    assert scheduled(numbers, 0, 1) == initial
    assert scheduled(numbers, steps // 2, 1) == pytest.approx(
        initial + (final - initial) * (steps // 2) / steps
    )
    for t in (steps, steps * 2):
        assert scheduled(numbers, t, 1) == final
    decaying = Schedule(initial, power=power).numbers()
    assert scheduled(decaying, steps, count) == pytest.approx(initial / count**power)


def exact_q(model: Model, discount: float) -> Any:
    """Optimal action values [states, actions], by an independent value iteration."""
    q = np.zeros((model.num_states, model.num_actions))
    for _ in range(3000):
        following = np.where(model.terminated, 0.0, q.max(axis=1)[model.next_states])
        terms = model.probabilities * (model.rewards + discount * following)
        q = np.add.reduceat(terms, model.offsets[:-1]).reshape(q.shape)
    return q


@pytest.mark.parametrize(
    ("name", "config", "steps", "within"),
    [
        # deterministic: large steps, and exact to rounding
        (
            "DynaMaze",
            QLearningConfig(step_size=Schedule(1.0), epsilon=Schedule(1.0), discount=0.95),
            1_000_000,
            1e-9,
        ),
        (
            "CliffWalk",
            QLearningConfig(step_size=Schedule(1.0), epsilon=Schedule(1.0), discount=0.9),
            1_000_000,
            1e-9,
        ),
        # slippery: steps of 1 / N^0.7 average the chances away
        (
            "RussellNorvig4x3",
            QLearningConfig(
                step_size=Schedule(1.0, power=0.7), epsilon=Schedule(1.0), discount=0.95
            ),
            10_000_000,
            0.02,
        ),
        (
            "small lake",
            QLearningConfig(
                step_size=Schedule(1.0, power=0.7), epsilon=Schedule(1.0), discount=0.9
            ),
            20_000_000,
            0.01,
        ),
        # continuing
        (
            "RiverSwim",
            QLearningConfig(
                step_size=Schedule(1.0, power=0.7), epsilon=Schedule(1.0), discount=0.9
            ),
            20_000_000,
            0.05,
        ),
    ],
)
def test_discounted_values_converge_to_the_exact_ones(
    name: str, config: QLearningConfig, steps: int, within: float
) -> None:
    env = GridWorld(parse_world(SMALL_LAKE)) if name == "small lake" else world(name)[0]
    model = env.model
    values, _ = train_many(model, config, [0], steps, 1, env.time_limit)
    ends = np.array([env.world.cell(*place).end for place in env.world.places()])
    error = np.abs(values[0] - exact_q(model, config.discount))[~ends]
    assert error.max() < within


@pytest.mark.parametrize("name", ["NearAndFar", "RiverSwim", "FourRooms", "DynaMaze"])
def test_differential_learning_finds_the_best_gain(name: str) -> None:
    """On continuing worlds, and on episodic ones that start again after each end."""
    env, model = world(name)
    config = QLearningConfig(
        criterion="average-reward",
        step_size=Schedule(0.2, 0.002, 4_000_000),
        epsilon=Schedule(1.0, 0.2, 4_000_000),
    )
    best = solver.solve(model, "average-reward").average_reward
    values, _ = train_many(model, config, [0, 1], 5_000_000, 1, env.time_limit)
    for q in values:
        greedy = np.eye(model.num_actions)[q.argmax(axis=1)]
        value = solver.policy_value(model, greedy)
        assert value.average_reward == pytest.approx(best, rel=0.02)


def test_the_reward_rate_is_the_gain_over_episodes() -> None:
    """One way to the goal, of two moves: a reward of 1 every 2 steps, ends and all."""
    model = GridWorld(parse_world("S.G")).model
    config = QLearningConfig(
        criterion="average-reward",
        step_size=Schedule(0.1, 0.001, 400_000),
        epsilon=Schedule(0.05, 0.0, 200_000),
    )
    agent = QLearning(model.num_states, model.num_actions, config)
    CompiledLoop(agent, model, None, 0).advance(500_000)
    assert agent.rate[0] == pytest.approx(0.5, abs=0.005)


def test_a_time_limit_does_not_change_what_is_learnt() -> None:
    """A truncated step bootstraps: values are those of the world without a limit."""
    model = GridWorld(parse_world("step reward: -1\nmap:\nS....G")).model
    config = QLearningConfig(step_size=Schedule(1.0), epsilon=Schedule(1.0), discount=0.9)
    learnt = []
    for limit in (None, 7):
        values, curves = train_many(model, config, [0], 100_000, 1, limit)
        learnt.append(values[0][:-1])
        assert (curves["truncated"].sum() > 0) == (limit is not None)
    np.testing.assert_allclose(learnt[0], learnt[1], rtol=1e-12)


def test_optimism_explores_without_random_actions() -> None:
    env, model = world("DynaMaze")
    config = QLearningConfig(
        step_size=Schedule(1.0), epsilon=Schedule(0.0), discount=0.95, initial_value=1.0
    )
    values, _ = train_many(model, config, [0], 50_000, 1, env.time_limit)
    greedy = np.eye(4)[values[0].argmax(axis=1)]
    assert solver.policy_value(model, greedy).episode_length == pytest.approx(14)


def test_many_seeds_at_once_are_each_what_one_alone_is() -> None:
    env, model = world("FourRooms")
    values, curves = train_many(model, ANNEALED, range(6), 5000, 10, env.time_limit)
    for seed in range(6):
        agent = QLearning(model.num_states, model.num_actions, ANNEALED, seed)
        totals = CompiledLoop(agent, model, env.time_limit, seed).advance(5000)
        np.testing.assert_array_equal(values[seed], agent.q)
        assert {k: curves[k][seed].sum() for k in TOTALS} == pytest.approx(totals)
    assert len({q.tobytes() for q in values}) == 6


def test_state_comes_out_and_goes_back_in() -> None:
    env, model = world("SlipperyLake")
    size = (model.num_states, model.num_actions)
    first, second = QLearning(*size, ANNEALED, 3), QLearning(*size, ANNEALED, 9)
    loops = [CompiledLoop(agent, model, env.time_limit, 1) for agent in (first, second)]
    loops[0].advance(333)
    second.load_state_dict({k: v.copy() for k, v in first.state_dict().items()})
    loops[1].load_state_dict({k: v.copy() for k, v in loops[0].state_dict().items()})
    for loop in loops:
        loop.advance(900)
    for key, tensor in first.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[key], tensor, err_msg=key)
    with pytest.raises(ValueError, match=r"'q' has shape \(64, 4\), not \(2, 4\)"):
        QLearning(2, 4).load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match="lacks the tensor 'rate'"):
        second.load_state_dict({k: v for k, v in first.state_dict().items() if k != "rate"})


def test_being_asked_changes_nothing() -> None:
    asked, left = (QLearning(5, 3, ANNEALED, seed=2) for _ in range(2))
    for _ in range(50):
        asked.predict(np.array([0, 3]), deterministic=False)
    states = np.arange(5)
    np.testing.assert_array_equal(asked.act(states), left.act(states))


def test_predictions_follow_the_probabilities() -> None:
    agent = QLearning(2, 3, QLearningConfig(epsilon=Schedule(0.3)))
    agent.q[1] = [1.0, 1.0, 0.0]
    actions, _ = agent.predict(np.ones(20_000, dtype=np.int64), deterministic=False)
    shares = np.bincount(actions, minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.45, 0.45, 0.1], atol=0.02)
    greedy, _ = agent.predict(np.ones(1000, dtype=np.int64), deterministic=True)
    assert set(greedy.tolist()) == {0, 1}
    assert np.ndim(agent.predict(1)[0]) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"discount": 1.5}, "discount is 1.5"),
        ({"step_size": Schedule(2.0)}, "step_size.initial is 2.0"),
        ({"epsilon": Schedule(0.1, final=-1.0)}, "epsilon.final is -1.0"),
        ({"epsilon": Schedule(0.1, steps=-1)}, "epsilon.steps is -1"),
        ({"step_size": Schedule(0.1, power=2.0)}, "step_size.power is 2.0"),
        ({"initial_value": float("nan")}, "initial_value is nan"),
        ({"rate_step_ratio": 0.0}, "rate_step_ratio is 0.0"),
    ],
)
def test_wrong_hyperparameters_are_told(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        QLearningConfig(**wrong)


def test_only_discrete_environments_fit() -> None:
    with pytest.raises(InputError, match="Discrete observations from 0 on; these are a Box"):
        make(gym.make("CartPole-v1"), QLearningConfig(), 0)
    with pytest.raises(InputError, match="Discrete observations"):
        make(registry.make("FourRooms", observation="pixels"), QLearningConfig(), 0)
