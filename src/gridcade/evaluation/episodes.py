"""Episodic tasks: how many episodes to play, and playing them."""

import math
from collections.abc import Callable

import numpy as np

from gridcade.envs.types import Envs
from gridcade.errors import InputError
from gridcade.evaluation.best_returns import BestReturns
from gridcade.evaluation.estimates import MIN_EPISODES, Episodes
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.intervals import episodes_needed
from gridcade.evaluation.options import ProgressCallback, ResolvedOptions
from gridcade.evaluation.policies import Quit
from gridcade.experience.vector import action_masks, reset
from gridcade.seeding import Purpose, episode_seed, episode_stream

DEFAULT_EPISODES = 100
PILOT_EPISODES = 50
PILOT_SHARE = 4  # a larger pilot sample has 1 / PILOT_SHARE of the episodes that are needed
MAX_EPISODES = 10_000  # that a target precision can require
LONGEST_EPISODE = 100_000  # steps, if the environment has no time limit


class EpisodeRunner:
    """Plays whole episodes. Each depends on its own number only, not on the other environments.

    Args:
        envs: environments that step side by side, with autoreset disabled.
        policy: the policy that acts.
        discount: discount factor of the discounted returns.
        time_limit: steps after which the environments truncate an episode; None: no limit, and
            the runner truncates episodes after `longest_episode` steps.
        longest_episode: steps.
        check: called at every step; it can end the evaluation by an exception.
    """

    def __init__(
        self,
        envs: Envs,
        policy: EvaluatedPolicy,
        discount: float,
        time_limit: int | None,
        longest_episode: int = LONGEST_EPISODE,
        check: Callable[[], None] = lambda: None,
    ):
        self.envs, self.policy, self.discount = envs, policy, discount
        self.time_limit = time_limit
        self.max_length = time_limit or longest_episode  # steps
        self.check = check
        self.best_returns: BestReturns | None = None  # of the episodes that are played, if wanted

    def run(
        self, episodes: int, seed: int, purpose: Purpose, progress: ProgressCallback | None = None
    ) -> Episodes:
        """Play the episodes 0 … episodes - 1 to their ends; all of them count.

        If a person quits, only the episodes that were finished count.

        Raises:
            InputError: a person quit before an episode was finished.
        """
        n = self.envs.num_envs
        returns, lengths, discounted = np.zeros((3, episodes))
        lowest, highest = math.inf, -math.inf  # reward of a step
        truncated = np.zeros(episodes, dtype=bool)
        numbers = np.arange(n)  # the episode of each environment; from `episodes` on it is ignored
        next_number, done = n, 0
        seeds = [episode_seed(seed, purpose, 0, k) for k in range(n)]
        rngs = [episode_stream(s) for s in seeds]
        observations = reset(self.envs, seeds)
        if self.best_returns is not None:
            self.best_returns.add(np.flatnonzero(numbers < episodes))
        starts = np.ones(n, dtype=bool)
        weights = np.ones(n)  # of the next rewards in the discounted return
        while done < episodes:
            self.check()
            try:
                masks = action_masks(self.envs)
                actions = self.policy.act(observations, starts, rngs, masks)
            except Quit:  # raised by a person, who plays one episode after another
                if not done:
                    raise InputError("no episode was finished; nothing can be evaluated") from None
                returns, lengths, discounted = returns[:done], lengths[:done], discounted[:done]
                truncated = truncated[:done]
                break
            observations, rewards, terminated, truncations, _ = self.envs.step(actions)
            counts = numbers < episodes  # [n]
            k = numbers[counts]
            lowest = min(lowest, rewards[counts].min())
            highest = max(highest, rewards[counts].max())
            returns[k] += rewards[counts]
            lengths[k] += 1
            discounted[k] += (weights * rewards)[counts]
            weights *= self.discount
            too_long = np.zeros(n, dtype=bool)
            too_long[counts] = lengths[k] >= self.max_length
            starts = terminated | truncations | too_long
            if not starts.any():
                continue
            finished = starts & counts
            truncated[numbers[finished]] = ~terminated[finished]
            done += int(finished.sum())
            for env in np.flatnonzero(starts):
                numbers[env], next_number = next_number, next_number + 1
                seeds[env] = episode_seed(seed, purpose, 0, int(numbers[env]))
                rngs[env] = episode_stream(seeds[env])
            weights[starts] = 1.0
            if progress is not None and finished.any():
                progress(done, episodes)
            if done < episodes:
                observations = reset(self.envs, seeds, starts)
                if self.best_returns is not None:
                    self.best_returns.add(np.flatnonzero(starts & (numbers < episodes)))
        step_rewards = float(lowest), float(highest)
        return Episodes(returns, lengths, discounted, truncated, step_rewards)


def plan_episodes(runner: EpisodeRunner, options: ResolvedOptions) -> tuple[int, list[str]]:
    """Determine how many episodes to play, and notes on that number.

    If the options set the steps or the precision, a pilot sample is played, whose episodes are not
    used again: a number that depends on the sample itself would bias the estimates.
    """
    steps, precision = options.steps, options.precision
    if steps is None and precision is None:
        return options.episodes or DEFAULT_EPISODES, []
    pilot = runner.run(PILOT_EPISODES, options.seed, "pilot")
    if steps is not None:
        episodes = max(MIN_EPISODES, math.ceil(steps / pilot.lengths.mean()))
        return episodes, [
            f"{episodes} episodes were planned for about {steps} steps, by the mean length of a "
            "pilot sample"
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
