"""What if: tries an action at a saved moment of an Atari game, and then follows the policy.

The continuations of the game estimate the return that the agent learned to predict, with its
discount, its clipping of rewards and its treatment of lost lives, so that the estimate can be
compared with the prediction. Every continuation has its own random stream, also for sticky actions.
Two actions that are tried with the same seed use the same random numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gridcade.agents.base import ActionValues, Floats, Policy, StateValues, StochasticPolicy
from gridcade.agents.probabilities import sample_actions, with_epsilon
from gridcade.envs import registry
from gridcade.envs.atari import DEFAULT_PROTOCOL, resolve_protocol
from gridcade.envs.atari_console import AtariConsole, ConsoleState, ConsoleStep
from gridcade.envs.types import Array
from gridcade.errors import InputError
from gridcade.evaluation.evaluated_policy import ATARI_EPSILON
from gridcade.evaluation.intervals import Estimate, mean_interval
from gridcade.seeding import episode_seed, episode_stream

CONTINUATIONS = 16
CONFIDENCE = 0.95
HORIZONS = 5  # steps of a continuation, as a multiple of 1 / (1 - discount)
PROGRESS_EVERY = 5  # steps of each continuation
NOTHING_RANDOM = (
    "Nothing is random here: epsilon is 0, the policy is greedy, and actions are not sticky. One "
    "continuation is therefore enough, and it has no interval."
)
NO_VALUES = "The policy predicts no values, so rewards after the last step are not counted."


@dataclass(frozen=True)
class LearnedReturn:
    """The return whose expected value an agent learns."""

    discount: float = 0.99  # gamma, per step
    clipped: bool = False  # rewards are clipped to [-1, 1]
    to_lost_life: bool = False  # the loss of a life ends the return

    def horizon(self, time_limit: int) -> int:
        """Return the steps after which later rewards hardly count, at most `time_limit`."""
        if self.discount == 1:
            return time_limit
        return min(round(HORIZONS / (1 - self.discount)), time_limit)


def learned_return(policy: Policy, trained_env: str | None) -> LearnedReturn:
    """Find the return that a policy learned, from its config and its training environment.

    Args:
        policy: any policy. Without a config, its rewards are raw.
        trained_env: name of the training environment; None: unknown, so that a lost life does not
            end the return.
    """
    default, config = LearnedReturn(), getattr(policy, "config", None)
    discount = getattr(config, "discount", getattr(config, "gamma", default.discount))
    to_lost_life = False
    if trained_env is not None:
        id_, arguments = registry.parse(trained_env)
        protocol = resolve_protocol(arguments.get("protocol", DEFAULT_PROTOCOL))
        to_lost_life = protocol.life_loss and bool(registry.atari_title(id_))
    clipped = bool(getattr(config, "clip_rewards", default.clipped))
    return LearnedReturn(float(discount), clipped, to_lost_life)


@dataclass(frozen=True)
class Progress:
    """The progress of the continuations."""

    step: int  # number of steps that each running continuation has taken
    horizon: int
    running: int  # continuations whose game has not ended
    first: tuple[ConsoleStep, ...]  # steps of the first continuation since the last report


@dataclass(frozen=True)
class WhatIf:
    """The result of trying an action."""

    action: int
    learned: LearnedReturn
    horizon: int  # largest number of steps of a continuation
    epsilon: float
    predicted: float | None  # Q(s, a); V(s) of an agent that has no Q; None: neither
    predicts: Literal["Q", "V"] | None
    returns: tuple[float, ...]  # the learned return of each continuation
    scores: tuple[float, ...]  # sums of raw rewards to the end of the game or of the horizon
    expected_return: Estimate | None  # None: nothing is random, one continuation
    expected_score: Estimate | None
    notes: tuple[str, ...]  # sentences for the viewer


def what_if(
    console: AtariConsole,
    state: ConsoleState,
    action: int,
    policy: Policy,
    learned: LearnedReturn,
    *,
    epsilon: float = ATARI_EPSILON,
    deterministic: bool = True,
    seed: int = 0,
) -> Iterator[Progress | WhatIf]:
    """Try an action, then follow the policy.

    Yields a report every few steps, and the result at the end. To cancel, stop iterating.

    Args:
        console: console that plays all continuations. Restore its state afterwards.
        state: state of the game at this moment, saved by a console of the same game.
        action: the action to try.
        policy: policy that acts afterwards.
        learned: return that the policy has learned.
        epsilon: probability of a uniformly random action after the first one.
        deterministic: act greedily; otherwise sample from the policy's probabilities.
        seed: seed of the continuations' random streams.

    Raises:
        InputError: the action does not exist, or the policy has no probabilities.
    """
    if not 0 <= action < (most := len(console.action_names)):
        raise InputError(f"action is {action}; it must be from 0 to {most - 1}")
    if not isinstance(policy, StochasticPolicy):
        raise InputError("what-if needs a policy with probabilities(observations, …)")
    now = np.stack(state.frames)[None]  # [1, 4, 84, 84]
    predicts, predicted = _prediction(policy, now, action)
    horizon = learned.horizon(console.time_limit)
    is_greedy = deterministic and policy.probabilities(now).max() == 1
    random = epsilon > 0 or console.protocol.sticky > 0 or not is_greedy
    games = [
        _Continuation(console, state, episode_seed(seed, "watching", i, 0))
        for i in range(CONTINUATIONS if random else 1)
    ]
    playing, first = games, list[ConsoleStep]()
    for t in range(horizon):
        actions = np.full(len(playing), action)
        if t > 0:
            observations = np.stack([game.observation for game in playing])
            table = with_epsilon(policy.probabilities(observations, deterministic), epsilon)
            actions = sample_actions(table, np.array([game.rng.random() for game in playing]))
        for game, chosen in zip(playing, actions.tolist(), strict=True):
            step = game.step(chosen, learned)
            if game is games[0]:
                first.append(step)
        playing = [game for game in playing if game.running]
        if (t + 1) % PROGRESS_EVERY == 0 or t + 1 == horizon or not playing:
            yield Progress(t + 1, horizon, len(playing), tuple(first))
            first.clear()
        if not playing:
            break
    unfinished = [game for game in games if game.learning]
    if unfinished:
        rest = _values(policy, np.stack([game.observation for game in unfinished]))
        for game, value in zip(unfinished, rest, strict=True):
            game.learned_sum += game.weight * value
    returns = tuple(float(game.learned_sum) for game in games)
    scores = tuple(game.score for game in games)
    expected_return = mean_interval(returns, CONFIDENCE, "returns") if random else None
    expected_score = mean_interval(scores, CONFIDENCE, "scores") if random else None
    notes = (
        None if random else NOTHING_RANDOM,
        NO_VALUES if unfinished and predicts is None else None,
        expected_return and expected_return.note,
        expected_score and expected_score.note,
    )
    yield WhatIf(
        action=action,
        learned=learned,
        horizon=horizon,
        epsilon=epsilon,
        predicted=predicted,
        predicts=predicts,
        returns=returns,
        scores=scores,
        expected_return=expected_return,
        expected_score=expected_score,
        notes=tuple(note for note in notes if note),
    )


class _Continuation:
    """One continuation of a saved game.

    Args:
        console: console that plays all continuations in turns.
        state: state in which the continuation begins.
        seed: seed of its random stream and of its sticky actions.
    """

    def __init__(self, console: AtariConsole, state: ConsoleState, seed: int):
        console.restore(state, seed)
        self._console, self._state = console, console.save()
        self.rng = episode_stream(seed)
        self.observation: Array
        self.running = self.learning = True  # whether the game, and the learned return, go on
        self.learned_sum = self.score = 0.0
        self.weight = 1.0  # discount of the next reward

    def step(self, action: int, learned: LearnedReturn) -> ConsoleStep:
        """Take one step."""
        self._console.restore(self._state)
        lives = self._state.lives
        step = self._console.step(action)
        self._state, self.observation = self._console.save(), step.observation
        self.score += step.reward
        if self.learning:
            reward = max(-1.0, min(1.0, step.reward)) if learned.clipped else step.reward
            self.learned_sum += self.weight * reward
            self.weight *= learned.discount
            lost_life = learned.to_lost_life and step.lives < lives
            self.learning = not (step.terminated or lost_life)
        self.running = not (step.terminated or step.truncated)
        return step


def _prediction(
    policy: Policy, observation: Array, action: int
) -> tuple[Literal["Q", "V"] | None, float | None]:
    """Return what a policy predicts for an action at one observation, [1, ...]: see `WhatIf`."""
    if isinstance(policy, ActionValues):
        return "Q", float(policy.action_values(observation)[0, action])
    if isinstance(policy, StateValues):
        return "V", float(policy.state_values(observation)[0])
    return None, None


def _values(policy: Policy, observations: Array) -> Floats:
    """Return the state values that a policy predicts, or zeros.  [n, ...] -> [n]."""
    if isinstance(policy, ActionValues):
        return np.asarray(policy.action_values(observations).max(axis=1))
    if isinstance(policy, StateValues):
        return policy.state_values(observations)
    return np.zeros(len(observations))
