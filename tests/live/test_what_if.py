"""What if: returns equal those of a simple loop, and end where the agent's returns end."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gridcade import contenders
from gridcade.agents.base import SamplingPolicy
from gridcade.agents.dqn import DQNConfig
from gridcade.agents.sb3_config import algorithms, config_class
from gridcade.envs.atari_console import AtariConsole, ConsoleState
from gridcade.errors import InputError
from gridcade.evaluation.policies import UniformPolicy
from gridcade.live.arcade.what_if import (
    CONTINUATIONS,
    NO_VALUES,
    NOTHING_RANDOM,
    LearnedReturn,
    Progress,
    WhatIf,
    learned_return,
    what_if,
)
from gridcade.seeding import episode_seed, episode_stream

Floats = NDArray[np.float64]
FIRE = 1


class Scripted(SamplingPolicy):
    """A greedy policy whose action values are a fixed function of the pixels.

    Args:
        actions: number of actions.
        config: hyperparameters.
    """

    def __init__(self, actions: int, config: Any = None):
        self.weights = np.random.default_rng(0).normal(size=(84, actions)) / 1000
        self.config = config

    def action_values(self, observations: Any) -> Floats:
        return np.asarray(observations[:, -1].sum(axis=1) @ self.weights)

    def probabilities(
        self, observations: Any, deterministic: bool = True, masks: Any = None
    ) -> Floats:
        del deterministic, masks
        best = self.action_values(observations).argmax(axis=1)
        return np.asarray(np.eye(self.weights.shape[1])[best])


@dataclass
class Still(SamplingPolicy):
    """A policy that always takes one action, and predicts one value for all states."""

    action: int
    value: float

    def state_values(self, observations: Any) -> Floats:
        return np.full(len(observations), self.value)

    def probabilities(
        self, observations: Any, deterministic: bool = True, masks: Any = None
    ) -> Floats:
        del deterministic, masks
        return np.asarray(np.eye(4)[np.full(len(observations), self.action)])


def moment(console: AtariConsole, steps: int) -> ConsoleState:
    """Return the state of the game after some random steps."""
    console.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        console.step(int(rng.integers(len(console.action_names))))
    return console.save()


def result_of(*args: Any, **kwargs: Any) -> WhatIf:
    *_, result = what_if(*args, **kwargs)
    assert isinstance(result, WhatIf)
    return result


def plain_loop(
    console: AtariConsole,
    state: ConsoleState,
    action: int,
    policy: Scripted,
    learned: LearnedReturn,
    epsilon: float,
    seed: int,
) -> tuple[float, float]:
    """Play one continuation alone; return the learned return and the score."""
    console.restore(state, seed)
    rng = episode_stream(seed)
    lives, rewards, observation, over = [state.lives], [], np.stack(state.frames), False
    actions = len(console.action_names)
    for _ in range(learned.horizon(console.time_limit)):
        step = console.step(action)
        rewards.append(step.reward)
        lives.append(step.lives)
        observation, over = step.observation, step.terminated
        if over or step.truncated:
            break
        best = int(policy.action_values(observation[None]).argmax())
        shares = np.full(actions, epsilon / actions)
        shares[best] += 1 - epsilon
        action = int(np.searchsorted(shares.cumsum(), rng.random(), side="right"))
    lost = np.flatnonzero(np.diff(lives) < 0)
    end = int(lost[0]) + 1 if learned.to_lost_life and len(lost) else len(rewards)
    counted = np.clip(rewards, -1, 1) if learned.clipped else np.array(rewards)
    total = sum(learned.discount**k * reward for k, reward in enumerate(counted[:end]))
    if end == len(rewards) and not over and not (learned.to_lost_life and end - 1 in lost):
        total += learned.discount**end * policy.action_values(observation[None]).max()
    return float(total), sum(rewards)


@pytest.mark.parametrize(
    ("protocol", "learned", "steps"),
    [
        ("nature2015", LearnedReturn(0.92, clipped=True, to_lost_life=True), 60),
        ("machado2018", LearnedReturn(0.9, clipped=False, to_lost_life=False), 160),
    ],
)
def test_returns_equal_those_of_a_plain_loop(
    protocol: str, learned: LearnedReturn, steps: int
) -> None:
    console = AtariConsole("SpaceInvaders", protocol, actions="minimal")
    policy, state = Scripted(6), moment(console, steps)
    result = result_of(console, state, FIRE, policy, learned, epsilon=0.4, seed=7)
    expected = [
        plain_loop(console, state, FIRE, policy, learned, 0.4, episode_seed(7, "watching", i, 0))
        for i in range(CONTINUATIONS)
    ]
    np.testing.assert_allclose(list(zip(result.returns, result.scores, strict=True)), expected)
    assert len({*result.returns}) > 10
    assert max(result.scores) > max(result.returns)  # an alien pays 5 or more
    assert result.predicts == "Q"
    observation = np.stack(state.frames)[None]
    assert result.predicted == policy.action_values(observation)[0, FIRE]
    estimate = result.expected_return
    assert estimate is not None
    assert estimate.mean == pytest.approx(np.mean(result.returns))
    assert estimate.low < estimate.mean < estimate.high


def test_nothing_random_gives_one_return_without_an_interval() -> None:
    console = AtariConsole("SpaceInvaders")
    policy, state, learned = Scripted(6), moment(console, 40), LearnedReturn(0.9)
    result = result_of(console, state, FIRE, policy, learned, epsilon=0)
    [value], [score] = result.returns, result.scores
    assert (value, score) == pytest.approx(
        plain_loop(console, state, FIRE, policy, learned, 0, seed=1)
    )
    assert result.expected_return is result.expected_score is None
    assert result.notes == (NOTHING_RANDOM,)
    sticky = AtariConsole("SpaceInvaders", sticky=0.25)
    state = moment(sticky, 40)
    for random in (
        result_of(sticky, state, FIRE, policy, LearnedReturn(0.5), epsilon=0),
        result_of(console, state, FIRE, UniformPolicy(6), LearnedReturn(0.5), epsilon=0),
    ):
        assert len(random.returns) == CONTINUATIONS
        assert NOTHING_RANDOM not in random.notes


def test_a_lost_life_ends_the_return_and_not_the_score() -> None:
    """A player that does not move loses the ball; later predicted values must not count."""
    console = AtariConsole("Breakout")
    console.reset(0)
    state, policy, discount, value = console.save(), Still(FIRE, 1000), 0.95, 1000
    ended, whole = (
        result_of(console, state, FIRE, policy, LearnedReturn(discount, to_lost_life=to), epsilon=0)
        for to in (True, False)
    )
    assert ended.scores == whole.scores == (0,)
    assert ended.returns == (0,)
    assert whole.returns == pytest.approx([discount**whole.horizon * value])
    assert (whole.horizon, whole.predicts, whole.predicted) == (100, "V", value)


def test_the_interval_of_a_losing_policy_is_negative() -> None:
    """Random play loses at Pong. Without values, nothing is added at the end."""
    console = AtariConsole("Pong")
    state, learned = moment(console, 50), LearnedReturn(0.95)
    result = result_of(console, state, 0, UniformPolicy(6), learned)
    estimate = result.expected_return
    assert estimate is not None
    assert -1.5 < estimate.low < estimate.mean < estimate.high < 0
    assert (result.predicts, result.predicted) == (None, None)
    assert NO_VALUES in result.notes


def test_reports_contain_the_first_continuation_and_stopping_cancels() -> None:
    console = AtariConsole("Breakout")
    state, learned = moment(console, 20), LearnedReturn(0.8)
    *reports, result = what_if(console, state, 2, Scripted(4), learned)
    assert isinstance(result, WhatIf)
    assert result.horizon == learned.horizon(console.time_limit) == 25
    steps = [report.step for report in reports if isinstance(report, Progress)]
    assert steps == sorted({*steps})
    assert steps[-1] == 25
    first = [s for report in reports if isinstance(report, Progress) for s in report.first]
    assert len(first) == 25
    assert sum(step.reward for step in first) == result.scores[0]
    cancelled = what_if(console, state, 2, Scripted(4), learned)
    next(cancelled)
    console.restore(state)
    np.testing.assert_array_equal(console.observation, np.stack(state.frames))


def test_bad_input_is_an_input_error() -> None:
    console = AtariConsole("Breakout")
    state, learned = moment(console, 1), LearnedReturn()
    with pytest.raises(InputError, match="action is 4; it must be from 0 to 3"):
        result_of(console, state, 4, Scripted(4), learned)

    class OnlyPredicts:
        def predict(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    with pytest.raises(InputError, match="needs a policy with probabilities"):
        result_of(console, state, 0, OnlyPredicts(), learned)


def test_the_learned_return_follows_from_the_config_and_the_game_of_training() -> None:
    shipped = contenders.find("breakout", "Breakout?protocol=machado2018")
    assert shipped.trained_env == "Breakout"
    learned = learned_return(shipped.policy, shipped.trained_env)
    assert learned == LearnedReturn(0.99, clipped=True, to_lost_life=True)
    assert learned.horizon(4500) == 500
    raw = Scripted(4, DQNConfig(discount=0.5, clip_rewards=False))
    assert learned_return(raw, "Pong?protocol=machado2018") == LearnedReturn(0.5)
    ppo = Scripted(4, config_class(algorithms()["sb3-ppo"])(clip_rewards=True))
    assert learned_return(ppo, None) == LearnedReturn(0.99, clipped=True)
    assert learned_return(UniformPolicy(4), None) == LearnedReturn()
    assert math.inf > LearnedReturn(1.0).horizon(4500) == 4500
