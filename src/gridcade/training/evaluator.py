"""Evaluations during training, which take no more time than learning does."""

import time
from collections.abc import Callable

from gridcade.agents.base import BaseAgent
from gridcade.envs import registry
from gridcade.envs.atari import AtariGame
from gridcade.envs.book.changing_mazes import ChangingMaze, enter_training_step
from gridcade.evaluation import intervals
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.result import finite
from gridcade.exact import solver
from gridcade.exact.values import policy_table
from gridcade.experience.pool import EnvPool, RepeatedEnvError
from gridcade.training.config import RunSettings
from gridcade.training.metrics import Metrics

CONFIDENCE = 0.95  # of the intervals in the metrics
GRACE = 10.0  # seconds that the evaluations of any run may take together
SHORTEN_HINT = ", --evaluation-episodes N (evaluation_episodes=) shortens them"  # end of a note
EXACT_SHARE = 0.1  # of the time of learning that evaluations may take where the model is known
LAST_SECONDS = 60.0  # that the last evaluation may take in any run
CHECK_INTERVAL = 0.5  # seconds between two checks of the clock and of `stop`
SHORTEST_LIMIT = 1000  # steps; the shortest limit of episodes that have none of their own
FEWER_FACTOR = 4  # by which an evaluation that took too long has fewer episodes the next time


class Evaluator:
    """Evaluates the greedy policy at the end of an epoch.

    The clock decides only which epochs have an evaluation, and with how many episodes. It never
    changes what the agent learns. All evaluations together may take GRACE seconds, or as long as
    learning if that is longer (EXACT_SHARE of it if the model is known). The last evaluation of a
    run may always take LAST_SECONDS.

    If a second environment cannot be made, evaluations use the first one of training, and its
    running episode is truncated before them. That does not depend on the clock.

    Attributes:
        model: the model of the environment; None: not known.
        frame_skip: frames per step.
        seconds: time that evaluations took, over all sessions.
        truncates: whether evaluations use a training environment and truncate its episode.

    Args:
        settings: the settings of the run.
        agent: the agent.
        pool: the environments of training.
        trains_in_envs: whether the agent steps them; otherwise it learns from the model.
        stop: called often; returns whether to end the session.
        note: called with a sentence for the user, for example about a skipped evaluation.
    """

    def __init__(
        self,
        settings: RunSettings,
        agent: BaseAgent,
        pool: EnvPool,
        trains_in_envs: bool,
        stop: Callable[[], bool],
        note: Callable[[str], None],
    ):
        self._settings, self._agent = settings, agent
        self._stop, self._note = stop, note
        self._env = pool.first
        self.model = registry.known_model(self._env)
        bare = self._env.unwrapped
        self.frame_skip = bare.frame_skip if isinstance(bare, AtariGame) else 1
        self.seconds = 0.0
        self._needed = 0.0  # seconds that the next evaluation is expected to take
        self._episodes = settings.evaluation_episodes
        self._noted: set[str] = set()
        self._pool = pool.another() if pool.can_copy else pool.alone()
        alone = not pool.can_copy
        if self.model is None and pool.can_copy and not self._can_make_another():
            self._pool, alone = pool.alone(), True
            self._say(
                "alone",
                "a second environment cannot be made, so evaluations use the only one and end its "
                "running episode",
            )
        self.truncates = alone and trains_in_envs and self.model is None

    def close(self) -> None:
        """Close the environments that were made for evaluations."""
        self._pool.close()

    def is_due(self, steps: int) -> bool:
        """Return whether the epoch that ends at a step has an evaluation, if time is left."""
        last = self._settings.steps is not None and steps >= self._settings.steps
        return last or steps // self._settings.epoch % self._settings.evaluation_every == 0

    def evaluate(self, steps: int, learning_seconds: float) -> Metrics:
        """Return the metrics of the greedy policy's value, or {} if no time is left.

        In Atari games the policy acts with the epsilon of evaluations. The value is exact if the
        model is known, otherwise estimated from a few episodes.

        Args:
            steps: steps of the run so far.
            learning_seconds: seconds of the run so far, without evaluations.
        """
        budget = self._settings
        last = budget.steps is not None and steps >= budget.steps
        share = 1.0 if self.model is None else EXACT_SHARE
        left = max(GRACE, share * learning_seconds) - self.seconds
        if not last and left < self._needed:
            self._say(
                "skipped",
                "evaluations take too long compared with learning, so some epochs have none; "
                "--evaluation-every N (Python: evaluation_every=) spaces them evenly"
                + ("" if self.model is not None else SHORTEN_HINT),
            )
            return {}
        began = time.perf_counter()
        clock = _Clock(began + (max(left, LAST_SECONDS) if last else left), self._stop)
        try:
            metrics = self._value(steps, clock.check)
            self._needed = time.perf_counter() - began
        except _StoppedError:
            metrics = {}
            self._say("stopped", "the evaluation was stopped, so this epoch has none")
        except _TooLongError:
            metrics = {}
            self._needed = 2 * (time.perf_counter() - began)
            if self.model is None:
                self._episodes = max(1, self._episodes // FEWER_FACTOR)
            self._say(
                "ended",
                f"an evaluation was ended after {time.perf_counter() - began:.0f} s, to leave time "
                "for learning; later evaluations are rarer or have fewer episodes",
            )
        self.seconds += time.perf_counter() - began
        return metrics

    def _value(self, steps: int, check: Callable[[], None]) -> Metrics:
        enter_training_step(self._env, steps - self._settings.envs)  # the last step, counted from 0
        changing = isinstance(self._env.unwrapped, ChangingMaze)
        if changing:
            self.model = registry.known_model(self._env)
        if (value := self._exact_value(check)) is not None:
            exact = {"average_reward": value.average_reward, "return": value.expected_return}
            return {
                f"{name}_{part}": number
                for name, unbounded in exact.items()
                if (number := finite(unbounded)) is not None
                for part in ("mean", "low", "high")
            } | {"exact": True}
        if changing:
            return {}  # the other environments of the pool show the maze before the change
        continuing = self.model is not None and self.model.continuing
        limit = max(self._settings.epoch, SHORTEST_LIMIT)
        result = evaluate_policy(
            self._agent,
            self._pool,
            episodes=None if continuing else self._episodes,
            seed=self._settings.seed,
            confidence=CONFIDENCE,
            purpose="validation",
            longest_episode=limit,
            check=check,
        )
        if result.truncated and result.time_limit is None:
            self._say(
                "limit",
                "no time limit is known, so evaluations during training end episodes after "
                f"{limit:,} steps; max_episode_steps in the environment's name sets a limit",
            )
        metrics = columns("average_reward", result.average_reward)
        if result.truncated is not None:
            metrics["truncated"] = result.truncated
        if result.expected_return is not None:
            metrics |= columns("return", result.expected_return)
        return metrics | {"exact": False}

    def _exact_value(self, check: Callable[[], None]) -> solver.PolicyValue | None:
        """Compute the value of the agent's policy from the model.

        None if the model or the policy's table is not known, or episodes are too long to be solved.
        """
        if self.model is None:
            return None
        table = policy_table(self._agent, self._env, self.model, check=check)
        if table is None:
            return None
        limit = registry.time_limit(self._env)
        try:
            return solver.policy_value(self.model, table, time_limit=limit, check=check)
        except solver.UnsolvableError:
            return None

    def _can_make_another(self) -> bool:
        try:
            return bool(self._pool.first)
        except RepeatedEnvError:
            raise
        except Exception:  # for example, the environment binds a port
            return False

    def _say(self, kind: str, sentence: str) -> None:
        """Call `note` with a sentence, unless this session had a note of the same kind."""
        if kind not in self._noted:
            self._noted.add(kind)
            self._note(sentence)


class _StoppedError(Exception):
    """`stop` returned true: the session must end."""


class _TooLongError(Exception):
    """The time of an evaluation is used up."""


class _Clock:
    """Ends an evaluation by an exception.

    Args:
        end: the time of `perf_counter` at which the evaluation must end.
        stop: returns whether to end the session.
    """

    def __init__(self, end: float, stop: Callable[[], bool]):
        self._end, self._stop = end, stop
        self._next = time.perf_counter() + CHECK_INTERVAL

    def check(self) -> None:
        """Raise an error if the time is used up or `stop` returns true; checks at intervals."""
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + CHECK_INTERVAL
        if self._stop():
            raise _StoppedError
        if now > self._end:
            raise _TooLongError


def columns(name: str, estimate: intervals.Estimate) -> Metrics:
    """Convert an estimate to the metrics NAME_mean, NAME_low and NAME_high."""
    parts = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {f"{name}_{part}": finite(value) for part, value in parts.items()}
