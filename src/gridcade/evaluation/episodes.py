"""Evaluation in episodic tasks: decide how many episodes to play, and play them."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.types import Envs
from gridcade.errors import InputError
from gridcade.evaluation.best_returns import BestReturns
from gridcade.evaluation.env_groups import EnvGroup
from gridcade.evaluation.estimates import MIN_EPISODES, Episodes
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.intervals import episodes_needed
from gridcade.evaluation.options import ProgressCallback, ResolvedOptions
from gridcade.evaluation.policies import Quit
from gridcade.seeding import Purpose, episode_seed

Floats = NDArray[np.float64]

DEFAULT_EPISODES = 100
PILOT_EPISODES = 50
PILOT_SHARE = 4  # a larger pilot sample has 1 / PILOT_SHARE of the episodes that are needed
MAX_EPISODES = 10_000  # largest number of episodes for a target precision
LONGEST_EPISODE = 100_000  # steps, if the environment has no time limit


class EpisodeRunner:
    """Plays whole episodes. An episode depends on its index only, not on other environments.

    Args:
        groups: groups of environments, with autoreset disabled. Each group steps together.
        policy: the policy that acts.
        discount: discount factor of the discounted returns.
        time_limit: steps after which the environments truncate an episode; None: no limit.
        longest_episode: steps after which the runner truncates an episode if there is no limit.
        check: called at every step; it can end the evaluation by an exception.
    """

    def __init__(
        self,
        groups: Sequence[Envs],
        policy: EvaluatedPolicy,
        discount: float,
        time_limit: int | None,
        longest_episode: int = LONGEST_EPISODE,
        check: Callable[[], None] = lambda: None,
    ):
        self.groups, self.policy, self.discount = groups, policy, discount
        self.time_limit = time_limit
        self.max_length = time_limit or longest_episode  # steps
        self.check = check
        self.best_returns: BestReturns | None = None  # None: best returns are not computed

    def run(
        self, episodes: int, seed: int, purpose: Purpose, progress: ProgressCallback | None = None
    ) -> Episodes:
        """Play the episodes 0 … episodes - 1 to their ends, and return them all.

        If a person quits, the result has only the finished episodes.

        Raises:
            InputError: a person quit before an episode was finished.
        """
        played = _Played(episodes)
        stride = len(self.groups)  # each group plays every stride-th episode, whatever its speed
        with ThreadPoolExecutor(stride) as executor, ExitStack() as finishing:
            seed_of = partial(episode_seed, seed, purpose, 0)
            groups = [
                EnvGroup(envs, self.policy, count(i, stride), episodes, seed_of, executor)
                for i, envs in enumerate(self.groups)
            ]
            for group in groups:
                # The stack calls `finish` of every group, even if that of another group fails.
                finishing.callback(group.finish)
            try:
                self._play(groups, played, progress)
            except Quit:  # raised by a person, who plays one episode after another
                if not played.done:
                    raise InputError("no episode was finished; nothing can be evaluated") from None
        return played.episodes()

    def _play(
        self, groups: Sequence[EnvGroup], played: "_Played", progress: ProgressCallback | None
    ) -> None:
        """Let the groups act in turn. Skip a group that resets while another group can act."""
        for group in groups:
            self._add_best_returns(group.needed)
        while active := [group for group in groups if group.needed.any()]:
            for group in active:
                if group.is_stepping:
                    self._finish_step(group, played, progress)
                some_can_act = not all(other.is_resetting for other in active)
                if group.needed.any() and not (group.is_resetting and some_can_act):
                    self.check()
                    group.act()

    def _finish_step(
        self, group: EnvGroup, played: "_Played", progress: ProgressCallback | None
    ) -> None:
        """Finish a step of a group, add it to the episodes, and start the next episodes."""
        rewards, terminated, truncated = group.finish_step()
        needed, k = group.needed, group.numbers[group.needed]
        played.add(k, rewards[needed], (group.weights * rewards)[needed])
        group.weights *= self.discount
        too_long = np.zeros_like(needed)
        too_long[needed] = played.lengths[k] >= self.max_length
        ended = terminated | truncated | too_long
        if (finished := ended & needed).any():
            played.truncated[group.numbers[finished]] = ~terminated[finished]
            played.done += int(finished.sum())
            if progress is not None:
                progress(played.done, len(played.returns))
        group.start_episodes(ended)
        self._add_best_returns(ended & group.needed)

    def _add_best_returns(self, started: NDArray[np.bool_]) -> None:
        if self.best_returns is not None and started.any():
            self.best_returns.add(np.flatnonzero(started))


class _Played:
    """Accumulates the returns and lengths of the episodes 0 … episodes - 1."""

    def __init__(self, episodes: int):
        self.returns, self.lengths, self.discounted = np.zeros((3, episodes))
        self.truncated = np.zeros(episodes, dtype=bool)
        self.done = 0  # number of finished episodes
        self._lowest, self._highest = math.inf, -math.inf  # rewards of a step

    def add(self, k: NDArray[np.int64], rewards: Floats, discounted: Floats) -> None:
        """Add one step of several episodes.

        Args:
            k: indices of the episodes, [n].
            rewards: the reward of each step, [n].
            discounted: the same rewards, discounted, [n].
        """
        self._lowest = min(self._lowest, rewards.min())
        self._highest = max(self._highest, rewards.max())
        self.returns[k] += rewards
        self.lengths[k] += 1
        self.discounted[k] += discounted

    def episodes(self) -> Episodes:
        """Return the finished episodes. If a person quit, these are the first ones."""
        arrays = (self.returns, self.lengths, self.discounted)
        returns, lengths, discounted = (array[: self.done] for array in arrays)
        step_rewards = float(self._lowest), float(self._highest)
        return Episodes(returns, lengths, discounted, self.truncated[: self.done], step_rewards)


def plan_episodes(runner: EpisodeRunner, options: ResolvedOptions) -> tuple[int, list[str]]:
    """Return how many episodes to play, and notes on that number.

    If the options set the steps or the precision, the runner plays a pilot sample. Its episodes are
    not used again: a number that depends on the sample itself would bias the estimates.
    """
    steps, precision = options.steps, options.precision
    if steps is None and precision is None:
        return options.episodes or DEFAULT_EPISODES, []
    pilot = runner.run(PILOT_EPISODES, options.seed, "pilot")
    if steps is not None:
        episodes = max(MIN_EPISODES, math.ceil(steps / pilot.lengths.mean()))
        return episodes, [
            f"{episodes} episodes were planned for about {steps} steps, from the mean length of "
            "a pilot sample"
        ]
    assert precision is not None  # noqa: S101 - for the type checker
    needed = episodes_needed(pilot.returns, precision, options.confidence)
    if needed is not None and needed > PILOT_SHARE * PILOT_EPISODES:
        # 50 episodes determine the variance too roughly for such a number.
        pilot = runner.run(min(needed, MAX_EPISODES) // PILOT_SHARE, options.seed, "pilot")
        needed = episodes_needed(pilot.returns, precision, options.confidence)
    if needed is None:
        return MAX_EPISODES, [
            f"the {len(pilot.returns)} returns of a pilot sample are equal or have a mean of 0, "
            f"so the precision could not be planned; the maximum of {MAX_EPISODES} episodes was "
            "played"
        ]
    if needed > MAX_EPISODES:
        return MAX_EPISODES, [
            f"a precision of {precision:g} needs about {needed} episodes; the maximum of "
            f"{MAX_EPISODES} was played"
        ]
    return max(needed, PILOT_EPISODES), []
