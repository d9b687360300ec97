"""Each learner on an episode that was computed by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabular_steps import learn, learn_with_gymnasium, make_world

import gridcade
from gridcade.agents.double_q_learning import DoubleQLearning, DoubleQLearningConfig
from gridcade.agents.dyna_q import DynaQ, DynaQConfig
from gridcade.agents.expected_sarsa import ExpectedSarsa, ExpectedSarsaConfig
from gridcade.agents.monte_carlo import MonteCarlo, MonteCarloConfig
from gridcade.agents.q_lambda import QLambda, QLambdaConfig
from gridcade.agents.sarsa import Sarsa, SarsaConfig
from gridcade.agents.schedules import Schedule
from gridcade.agents.tabular import TabularAgent
from gridcade.agents.tabular_loop import Transition
from gridcade.errors import InputError

VALUES = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]])  # of three states; the last one is terminal
HALF: dict[str, Any] = {"discount": 0.9, "step_size": Schedule(0.5), "epsilon": Schedule(0.0)}


def half(epsilon: Schedule) -> dict[str, Any]:
    """The same hyperparameters with another epsilon."""
    return {**HALF, "epsilon": epsilon}


def step(s: int, a: int, r: float, s_next: int) -> Transition:
    """A step within an episode."""
    return Transition(s, a, r, s_next, terminated=False, truncated=False, current=s_next)


def last_step(s: int, a: int, r: float) -> Transition:
    """A step into the terminal state, after which the next episode starts in state 0."""
    return Transition(s, a, r, 2, terminated=True, truncated=False, current=0)


def truncated_step(s: int, a: int, r: float, s_next: int) -> Transition:
    """The last step of a truncated episode; the next one starts in state 0."""
    return Transition(s, a, r, s_next, terminated=False, truncated=True, current=0)


def act(agent: TabularAgent[Any], s: int) -> int:
    return int(agent.act(np.array([s]))[0])


class GivenNumbers:
    """Yields given numbers in place of an agent's random stream."""

    def __init__(self, *numbers: float):
        self.numbers = list(numbers)

    def random(self, out: Any) -> None:
        for k in range(len(out)):
            out[k] = self.numbers.pop(0)


def test_sarsa_learns_the_values_computed_by_hand() -> None:
    agent = Sarsa(3, 2, SarsaConfig(**HALF))
    agent.q[:] = VALUES
    assert act(agent, 0) == 1
    learn(agent, step(0, 1, 1.0, 1))  # A' = 0: 1 + 0.5 (1 + 0.9 x 2 - 1)
    assert agent.q[0, 1] == pytest.approx(1.9)
    assert act(agent, 1) == 0
    learn(agent, step(1, 0, -1.0, 0))  # A' = 1: 2 + 0.5 (-1 + 0.9 x 1.9 - 2)
    assert agent.q[1, 0] == pytest.approx(1.355)
    assert act(agent, 0) == 1
    learn(agent, last_step(0, 1, 3.0))  # 1.9 + 0.5 (3 - 1.9)
    np.testing.assert_allclose(agent.q, [[0.0, 2.45], [1.355, 0.0], [0.0, 0.0]])


def test_sarsa_takes_the_action_from_whose_value_it_learned() -> None:
    agent = Sarsa(2, 9, SarsaConfig(**half(Schedule(1.0))))
    agent.q[:] = np.random.default_rng(0).random((2, 9))
    s, a = 0, act(agent, 0)
    for _ in range(50):
        before = agent.q.copy()
        learn(agent, step(s, a, 1.0, 1 - s))
        a_next = act(agent, 1 - s)
        expected = before[s, a] + 0.5 * (1 + 0.9 * before[1 - s, a_next] - before[s, a])
        assert agent.q[s, a] == pytest.approx(expected, rel=1e-12)
        s, a = 1 - s, a_next


def test_sarsa_draws_an_action_at_the_last_observation_of_a_truncated_episode() -> None:
    agent = Sarsa(3, 2, SarsaConfig(**HALF))
    agent.q[:] = VALUES
    learn(agent, truncated_step(0, 0, 1.0, 1))  # A' = 0 in state 1: 0.5 (1 + 0.9 x 2)
    assert agent.q[0, 0] == pytest.approx(1.4)
    assert act(agent, 0) == 0  # at the new start, now that Q(0, 0) exceeds Q(0, 1)


def test_differential_sarsa_learns_the_values_computed_by_hand() -> None:
    """After termination, S' is the start of the next episode."""
    config = SarsaConfig(**HALF, criterion="average-reward", average_reward_step_ratio=0.2)
    agent = Sarsa(3, 2, config)
    agent.q[:] = VALUES
    learn(agent, step(0, 1, 1.0, 1))  # delta = 1 - 0 + 2 - 1 = 2
    assert agent.q[0, 1] == pytest.approx(2.0)
    assert agent.average_reward[0] == pytest.approx(0.2)
    learn(agent, last_step(1, 0, 5.0))  # delta = 5 - 0.2 + 2 - 2 = 4.8
    assert agent.q[1, 0] == pytest.approx(4.4)
    assert agent.average_reward[0] == pytest.approx(0.68)
    assert act(agent, 0) == 1


def test_expected_sarsa_learns_the_values_computed_by_hand() -> None:
    """With epsilon 0.4, the greedy action has probability 0.8."""
    agent = ExpectedSarsa(3, 2, ExpectedSarsaConfig(**half(Schedule(0.4))))
    agent.q[:] = VALUES
    learn(agent, step(0, 1, 1.0, 1))  # 1 + 0.5 (1 + 0.9 (0.8 x 2 + 0.2 x 0) - 1)
    assert agent.q[0, 1] == pytest.approx(1.72)
    learn(agent, step(1, 0, -1.0, 0))  # 2 + 0.5 (-1 + 0.9 (0.8 x 1.72 + 0.2 x 0) - 2)
    assert agent.q[1, 0] == pytest.approx(1.1192)
    learn(agent, last_step(0, 1, 3.0))  # 1.72 + 0.5 (3 - 1.72)
    np.testing.assert_allclose(agent.q, [[0.0, 2.36], [1.1192, 0.0], [0.0, 0.0]])


def test_expected_sarsa_averages_over_the_allowed_actions() -> None:
    agent = ExpectedSarsa(2, 3, ExpectedSarsaConfig(**half(Schedule(0.4))))
    agent.q[1] = [1.0, 3.0, 100.0]
    agent.allowed = np.array([[True, True, True], [True, True, False]])
    learn(agent, step(0, 0, 0.0, 1))  # 0.5 x 0.9 (0.8 x 3 + 0.2 x 1)
    assert agent.q[0, 0] == pytest.approx(1.17)


def test_double_q_learning_learns_the_values_computed_by_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = DoubleQLearning(3, 2, DoubleQLearningConfig(**HALF))
    q1, q2 = agent.own_tables["q1"], agent.own_tables["q2"]
    q1[1], q2[1] = [1.0, 3.0], [5.0, 2.0]
    monkeypatch.setattr(agent, "rng", GivenNumbers(0.2, 0.7, 0.1))
    learn(agent, step(0, 1, 1.0, 1))  # Q1: argmax Q1 = 1; 0.5 (1 + 0.9 x 2)
    assert (q1[0, 1], q2[0, 1]) == (pytest.approx(1.4), 0.0)
    learn(agent, step(0, 1, 1.0, 1))  # Q2: argmax Q2 = 0; 0.5 (1 + 0.9 x 1)
    assert (q1[0, 1], q2[0, 1]) == (pytest.approx(1.4), pytest.approx(0.95))
    learn(agent, last_step(1, 0, 4.0))  # Q1: 1 + 0.5 (4 - 1)
    assert (q1[1, 0], q2[1, 0]) == (pytest.approx(2.5), 5.0)
    np.testing.assert_allclose(agent.q[:2], [[0.0, 1.175], [3.75, 0.0]])


def test_double_q_learning_breaks_ties_at_random_and_counts_the_updates_of_each_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = DoubleQLearningConfig(discount=0.5, step_size=Schedule(1.0, power=1.0))
    agent = DoubleQLearning(2, 2, config)
    agent.own_tables["q2"][1] = [10.0, 20.0]
    monkeypatch.setattr(agent, "rng", GivenNumbers(0.1, 0.4, 0.6))
    learn(agent, step(0, 0, 0.0, 1))  # of equal values in Q1, the first action
    assert agent.own_tables["q1"][0, 0] == 5.0
    learn(agent, step(0, 0, 0.0, 1))  # now the second action: half of 5 and 10
    assert agent.own_tables["q1"][0, 0] == 7.5
    learn(agent, step(0, 0, 3.0, 1))  # the first update of Q2
    assert agent.own_tables["q2"][0, 0] == 3.0
    assert agent.visits[0, 0] == 3


def test_dyna_q_learns_the_values_computed_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = DynaQ(3, 2, DynaQConfig(**HALF, planning_steps=1))
    monkeypatch.setattr(agent, "rng", GivenNumbers(0.5, 0.1, 0.9))
    learn(agent, step(0, 1, 0.0, 1))
    learn(agent, last_step(1, 0, 1.0))  # then plans (0, 1), the only action tried there
    np.testing.assert_allclose(agent.q, [[0.0, 0.225], [0.5, 0.0], [0.0, 0.0]])
    learn(agent, step(0, 1, 0.0, 1))  # 0.225 + 0.5 (0.9 x 0.5 - 0.225); then plans (1, 0)
    np.testing.assert_allclose(agent.q, [[0.0, 0.3375], [0.75, 0.0], [0.0, 0.0]])
    assert agent.visits.tolist() == [[0, 2], [1, 0], [0, 0]]


def test_dyna_q_plus_plans_untried_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Untried actions are planned, as if they led back to the same state for reward 0."""
    config = DynaQConfig(**HALF, planning_steps=1, exploration_bonus=0.1)
    agent = DynaQ(3, 2, config)
    monkeypatch.setattr(agent, "rng", GivenNumbers(0.2, 0.3, 0.1))
    learn(agent, step(0, 1, 0.0, 1))  # plans (0, 0), after 0 steps
    np.testing.assert_array_equal(agent.q, 0.0)
    learn(agent, last_step(1, 0, 1.0))  # plans (0, 1), after 1 step: 0.5 (0.1 + 0.9 x 0.5)
    np.testing.assert_allclose(agent.q, [[0.0, 0.275], [0.5, 0.0], [0.0, 0.0]])
    learn(agent, last_step(1, 0, 1.0))  # plans (0, 0): 0.5 (0.1 sqrt(2) + 0.9 x 0.275)
    np.testing.assert_allclose(agent.q, [[0.19446, 0.275], [0.75, 0.0], [0.0, 0.0]], rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"planning_steps": -1}, "planning_steps is -1; it must be between 0 and 1000000"),
        ({"exploration_bonus": -0.5}, "exploration_bonus is -0.5; it must be 0 or greater"),
        ({"exploration_bonus": float("nan")}, "exploration_bonus is nan"),
    ],
)
def test_parameters_of_planning_out_of_range_are_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        DynaQConfig(**fields)


def test_q_lambda_learns_the_values_computed_by_hand() -> None:
    """Traces decay by 0.45 after greedy actions, and are cut before others."""
    agent = QLambda(3, 2, QLambdaConfig(**HALF, trace_decay=0.5))
    agent.q[:] = VALUES
    learn(agent, step(0, 1, 1.0, 1))  # delta = 1 + 0.9 x 2 - 1 = 1.8
    np.testing.assert_allclose(agent.q[0], [0.0, 1.9])
    learn(agent, step(1, 0, -1.0, 0))  # delta = -1 + 0.9 x 1.9 - 2 = -1.29
    np.testing.assert_allclose(agent.q[:2], [[0.0, 1.60975], [1.355, 0.0]])
    learn(agent, step(0, 0, 1.0, 1))  # not greedy: delta = 1 + 0.9 x 1.355 - 0 = 2.2195
    np.testing.assert_allclose(agent.q[:2], [[1.10975, 1.60975], [1.355, 0.0]])
    learn(agent, last_step(1, 0, 3.0))  # delta = 3 - 1.355 = 1.645
    np.testing.assert_allclose(agent.q[:2], [[1.479875, 1.60975], [2.1775, 0.0]])
    learn(agent, last_step(0, 1, 2.0))  # of a new episode: delta = 2 - 1.60975
    np.testing.assert_allclose(agent.q[:2], [[1.479875, 1.804875], [2.1775, 0.0]])


def test_q_lambda_agrees_with_a_sweep_over_all_traces() -> None:
    """The list of traces is complete: a naive implementation with whole tables gives the same."""
    rng = np.random.default_rng(0)
    agent = QLambda(4, 3, QLambdaConfig(**HALF, trace_decay=0.8))
    q, e, s = np.zeros((4, 3)), np.zeros((4, 3)), 0
    for _ in range(300):
        a = int(rng.choice(np.flatnonzero(q[s] == q[s].max()))) if rng.random() < 0.9 else 0
        r, s_next, end = rng.normal(), int(rng.integers(4)), rng.random() < 0.05
        e *= 0.9 * 0.8 if q[s, a] == q[s].max() else 0.0
        e[s, a] += 1
        q += 0.5 * (r + (0.0 if end else 0.9 * q[s_next].max()) - q[s, a]) * e
        learn(
            agent, Transition(s, a, r, s_next, end, truncated=False, current=0 if end else s_next)
        )
        np.testing.assert_allclose(agent.q, q, rtol=1e-9, atol=1e-12)
        s = s_next
        if end:
            e[:], s = 0, 0


def test_monte_carlo_learns_the_values_computed_by_hand() -> None:
    agent = MonteCarlo(3, 2, MonteCarloConfig(discount=0.5))
    learn(agent, step(0, 1, 1.0, 1), step(1, 0, 2.0, 0), step(0, 1, 4.0, 1))
    np.testing.assert_array_equal(agent.q, 0.0)
    learn(agent, last_step(1, 1, 8.0))  # returns from the end: 8, 4 + 4, 2 + 4, 1 + 3
    np.testing.assert_allclose(agent.q[:2], [[0.0, 4.0], [6.0, 8.0]])
    learn(agent, last_step(0, 1, 10.0))  # the mean of 4 and 10
    np.testing.assert_allclose(agent.q[:2], [[0.0, 7.0], [6.0, 8.0]])
    learn(agent, step(1, 1, 50.0, 0), truncated_step(0, 0, 50.0, 1))
    np.testing.assert_allclose(agent.q[:2], [[0.0, 7.0], [6.0, 8.0]])
    assert agent.metrics()["discarded_episodes"] == 1
    learn(agent, last_step(1, 0, 2.0))  # the mean of 6 and 2
    np.testing.assert_allclose(agent.q[:2], [[0.0, 7.0], [4.0, 8.0]])
    learn(agent, step(0, 0, 50.0, 1))
    agent.restart_episodes(np.array([True]), np.array([0]))
    assert agent.metrics()["discarded_episodes"] == 2


def test_monte_carlo_agrees_with_whole_trajectories() -> None:
    """The means of the returns after first visits, of all episodes that terminated."""
    env, model = make_world("SlipperyLake", time_limit=25)
    agent = MonteCarlo(model.num_states, 4, MonteCarloConfig(discount=0.9, epsilon=Schedule(1.0)))
    returns: dict[tuple[int, int], list[float]] = {}
    trajectory: list[tuple[int, int, float]] = []
    truncated = 0

    def follow(transition: Transition) -> None:
        nonlocal truncated
        trajectory.append((transition.s, transition.a, transition.r))
        if transition.terminated:
            pairs = [(s, a) for s, a, _ in trajectory]
            g = 0.0
            for k, (s, a, r) in reversed(list(enumerate(trajectory))):
                g = r + 0.9 * g
                if (s, a) not in pairs[:k]:
                    returns.setdefault((s, a), []).append(g)
        truncated += transition.truncated
        if transition.terminated or transition.truncated:
            trajectory.clear()

    learn_with_gymnasium(agent, env, 3000, follow)
    assert len(returns) > 30
    for (s, a), past in returns.items():
        assert agent.q[s, a] == pytest.approx(np.mean(past), rel=1e-9)
        assert agent.visits[s, a] == len(past)
    assert agent.visits.sum() == sum(map(len, returns.values()))
    assert agent.metrics()["discarded_episodes"] == truncated > 0


def test_monte_carlo_refuses_worlds_without_an_end() -> None:
    with pytest.raises(InputError, match="learns when episodes end, and here they never do"):
        gridcade.train("monte-carlo", "RiverSwim")


def test_a_run_of_monte_carlo_notes_the_discarded_episodes(tmp_path: Path) -> None:
    run = gridcade.train(
        "monte-carlo", "FourRooms?time_limit=10", steps=500, epoch=250, out=tmp_path / "r"
    )
    assert run.metrics()[-1]["discarded_episodes"] == 50
    notes = [str(part) for part in run.parts() if "truncated" in str(part)]
    assert notes == [
        "monte-carlo did not learn from 50 truncated episodes; with a longer time limit "
        "(time_limit or max_episode_steps in the environment's name) more episodes terminate"
    ]
