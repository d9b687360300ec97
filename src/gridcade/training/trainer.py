"""The loop over epochs: learn, write metrics and a checkpoint, until the budget is used up."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gridcade.agents.base import Agent, CompiledLoop, SelfTrainedAgent, Tensors
from gridcade.envs import registry
from gridcade.envs.atari import AtariGame
from gridcade.envs.types import Env, Envs
from gridcade.errors import InputError
from gridcade.evaluation import intervals
from gridcade.evaluation.estimates import MIN_EPISODES
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.result import finite
from gridcade.exact import solver
from gridcade.exact.values import policy_table
from gridcade.experience.loop import EnvState, Experience
from gridcade.experience.pool import EnvPool
from gridcade.experience.step import TOTALS, EpisodeSums, Step
from gridcade.training.checkpoints import LoopState
from gridcade.training.config import RunSettings, used_up
from gridcade.training.metrics import Metrics
from gridcade.training.run_folder import Run
from gridcade.training.tensorboard import TensorBoardLogger

CONFIDENCE = 0.95  # of the intervals in the metrics


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    steps: int
    total_steps: int | None
    seconds: float  # over all sessions
    minutes: float | None
    metrics: Metrics | None  # of the epoch that has just ended


class StepLoop:
    """Runs an agent in any environments, and adds up what happened.

    Args:
        agent: the agent.
        envs: the environments; their owner closes them.
        seed: of the run.
    """

    tick = 200  # steps between two checks of the clock

    def __init__(self, agent: Agent, envs: Envs, seed: int):
        self.agent = agent
        self._experience = Experience(envs, seed)
        self._steps = self._experience.steps(agent, agent.overlap_updates)
        self._sums = EpisodeSums(envs.num_envs)

    def advance(self, until: int) -> dict[str, float]:
        """Learn until `agent.steps` reaches a number; returns sums by the names of TOTALS.

        Stops earlier where the agent needs a checkpoint, and just past the number where
        environments share a step.
        """
        totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
        while self.agent.steps < until and not self.agent.needs_checkpoint:
            self._sums.add(next(self._steps), totals)
        return totals

    def state_dict(self) -> Tensors:
        """Return and length of the running episodes."""
        return {"episode_sums": self._sums.present}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        self._sums.present[:] = tensors["episode_sums"]

    def env_state(self) -> EnvState:
        """The state of the environments."""
        return self._experience.env_state()

    def load_env_state(self, state: EnvState) -> int:
        """Restore the state of the environments; returns how many episodes could not go on."""
        lost = self._experience.load_env_state(state)
        if lost.any():
            new = self._experience
            self.agent.restart_episodes(lost, new.current, new.current_masks)
            self._sums.present[:, lost] = 0
        return int(lost.sum())


def budget_share(
    total_steps: int | None, minutes: float | None, steps: int, seconds: float
) -> float:
    """The share of a budget that is used up, from 0 to 1: of steps or of minutes, if larger."""
    shares = [steps / total_steps] if total_steps else []
    shares += [seconds / 60 / minutes] if minutes else []
    return min(max(shares), 1.0)


class Trainer:
    """One session of training: an agent, its loop, and what was counted since the last epoch.

    Args:
        run: the run folder.
        budget: bounds on steps and minutes, and the length of an epoch.
        agent: the agent.
        loop: runs the agent; None: the agent runs its own loop.
        pool: the environments of evaluations.
        env: one of the run's environments, for exact values.
        report: called often, with the progress.
        stop: called often; returns whether to end the session with a checkpoint.
    """

    def __init__(
        self,
        run: Run,
        budget: RunSettings,
        agent: Agent | SelfTrainedAgent,
        loop: StepLoop | CompiledLoop | None,
        pool: EnvPool,
        env: Env,
        report: Callable[[Progress], None] | None,
        stop: Callable[[], bool],
    ):
        self._pool = pool
        self.run, self.budget, self.agent, self.loop, self.env = run, budget, agent, loop, env
        self.model = registry.known_model(env)
        self._report, self._stop = report, stop
        self.lost_episodes = 0  # of the last checkpoint, which could not go on
        self._totals: dict[str, float] = {}  # of the running epoch
        self._epoch_start = 0  # step
        self._epoch_seconds = 0.0  # of the running epoch, without evaluation and checkpoint
        self._began = time.perf_counter()  # of training, as if all sessions were one
        self._resumed = self._began  # of learning, after the last report

    @property
    def seconds(self) -> float:
        """Time of training over all sessions, with evaluations and checkpoints."""
        return time.perf_counter() - self._began

    def save(self) -> None:
        """Write a checkpoint."""
        state: LoopState = {
            "steps": self.agent.steps,
            "epoch_start": self._epoch_start,
            "epoch_seconds": self._epoch_seconds,
            "seconds": self.seconds,
            "totals": self._totals,
            "env_state": self.loop.env_state() if isinstance(self.loop, StepLoop) else None,
        }
        tensors = self.loop.state_dict() if self.loop else {}
        self.run.save_checkpoint(self.agent.steps, self.agent.state_dict(), tensors, state)
        if isinstance(self.agent, Agent):
            self.agent.checkpoint_saved()

    def load(self, steps: int) -> None:
        """Go back to the checkpoint after a number of steps.

        Raises:
            InputError: it does not fit this run.
        """
        tensors, loop_tensors, state = self.run.load_checkpoint(steps)
        try:
            self.agent.load_state_dict(tensors)
            if self.loop:
                self.loop.load_state_dict(loop_tensors)
            if isinstance(self.loop, StepLoop):
                if state["env_state"] is None:
                    raise ValueError("it has no environments")
                self.lost_episodes = self.loop.load_env_state(state["env_state"])
            self._totals = state["totals"]
            self._began = time.perf_counter() - state["seconds"]
            self._epoch_start, self._epoch_seconds = state["epoch_start"], state["epoch_seconds"]
        except (KeyError, TypeError, ValueError) as error:
            folder = self.run.checkpoint(steps)
            raise InputError(f"the checkpoint {folder} does not fit this run: {error}") from None

    def train(self, logger: TensorBoardLogger) -> None:
        """Train until the budget is used up or `stop` returns true."""
        self._logger = logger
        if used_up(self.budget, self.agent.steps, self.seconds):
            if isinstance(self.agent, Agent) and self.agent.finish():
                self.save()  # a new budget ends just where the run was stopped
            return
        self._resumed = time.perf_counter()
        if isinstance(self.agent, SelfTrainedAgent):
            episodes = EpisodeSums(self.budget.envs)

            def callback(step: Step) -> bool:
                totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
                episodes.add(step, totals)
                # at the budget's end the algorithm makes its last update before it stops
                return self._advanced(totals) or self._reached(self.budget.steps)

            self.agent.learn(callback)
        elif self.loop is not None:
            advance, agent = self.loop.advance, self.agent
            while self._advanced(advance(min(self._until(), agent.steps + self.loop.tick))):
                pass
            if used_up(self.budget, agent.steps, self.seconds):
                agent.finish()
        if self._reached(self.budget.steps):
            self._end_epoch()
        else:
            self.save()

    def _advanced(self, totals: dict[str, float]) -> bool:
        """Count what happened, and end the epoch when it is due; returns whether to go on.

        The budget's last epoch ends after the last update, in `train`.
        """
        self._epoch_seconds += time.perf_counter() - self._resumed
        for name, value in totals.items():
            self._totals[name] = self._totals.get(name, 0.0) + value
        if self._report is not None:
            self._report(self._progress(None))
        if self._reached(self.budget.steps):
            return False
        if self._reached(self._epoch_end()):
            self._end_epoch()
        elif isinstance(self.agent, Agent) and self.agent.needs_checkpoint:
            self.save()  # or the next step would overwrite what the last checkpoint refers to
        self._resumed = time.perf_counter()
        return not (used_up(self.budget, self.agent.steps, self.seconds) or self._stop())

    def _reached(self, steps: int | None) -> bool:
        return steps is not None and self.agent.steps >= steps

    def _epoch_end(self) -> int:
        """The step at which the running epoch ends: the next multiple of its length."""
        return (self._epoch_start // self.budget.epoch + 1) * self.budget.epoch

    def _until(self) -> int:
        """The step at which the running epoch or the budget ends."""
        end = self._epoch_end()
        return end if self.budget.steps is None else min(end, self.budget.steps)

    def _end_epoch(self) -> None:
        metrics = self._metrics()
        self._totals, self._epoch_start = {}, self.agent.steps
        self._epoch_seconds = 0.0
        # metrics first: a run that is killed between the two drops them when it is resumed
        self.run.add_metrics(metrics)
        self.save()
        self._logger.add(metrics)
        if self._report is not None:
            self._report(self._progress(metrics))

    def _progress(self, metrics: Metrics | None) -> Progress:
        budget = self.budget
        return Progress(self.agent.steps, budget.steps, self.seconds, budget.minutes, metrics)

    def _metrics(self) -> Metrics:
        """The epoch's metrics: of training while exploring, and of the greedy policy."""
        totals, steps = self._totals, self.agent.steps
        taken = steps - self._epoch_start
        bare = self.env.unwrapped
        episodes = int(totals["episodes"])
        metrics: Metrics = {
            "steps": steps,
            "frames": steps * (bare.frame_skip if isinstance(bare, AtariGame) else 1),
            "episodes": episodes,
            "seconds": round(self.seconds, 3),
            "steps_per_second": round(taken / max(self._epoch_seconds, 1e-9)),
            "training_average_reward": totals["reward"] / taken,
        }
        if episodes:
            estimate = intervals.moments_interval(
                episodes, totals["return"], totals["squared_return"], CONFIDENCE
            )
            if episodes < MIN_EPISODES:
                estimate = estimate.without_interval()
            metrics |= _columns("training_return", estimate)
            metrics["training_length_mean"] = totals["length"] / episodes
            metrics["training_truncated"] = totals["truncated"] / episodes
        metrics |= self.agent.metrics()
        epochs = steps // self.budget.epoch
        if self._reached(self.budget.steps) or epochs % self.budget.evaluation_every == 0:
            metrics |= self._evaluation()
        return metrics

    def _evaluation(self) -> Metrics:
        """The value of the greedy policy (on Atari games with the epsilon of evaluations).

        Exact where the model is known, otherwise estimated from a few episodes.
        """
        if (value := self._exact_value()) is not None:
            exact = {"average_reward": value.average_reward, "return": value.expected_return}
            return {
                f"{name}_{part}": number
                for name, unbounded in exact.items()
                if (number := finite(unbounded)) is not None
                for part in ("mean", "low", "high")
            } | {"exact": True}
        continuing = self.model is not None and self.model.continuing
        result = evaluate_policy(
            self.agent,
            self._pool,
            episodes=None if continuing else self.budget.evaluation_episodes,
            seed=self.budget.seed,
            confidence=CONFIDENCE,
            purpose="validation",
        )
        metrics = _columns("average_reward", result.average_reward)
        if result.truncated is not None:
            metrics["truncated"] = result.truncated
        if result.expected_return is not None:
            metrics |= _columns("return", result.expected_return)
        return metrics | {"exact": False}

    def _exact_value(self) -> solver.PolicyValue | None:
        """None where the model is not known, or episodes are too long to be solved."""
        if self.model is None or (table := policy_table(self.agent, self.env, self.model)) is None:
            return None
        try:
            return solver.policy_value(self.model, table, time_limit=registry.time_limit(self.env))
        except solver.UnsolvableError:
            return None


def _columns(name: str, estimate: intervals.Estimate) -> Metrics:
    parts = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {f"{name}_{part}": finite(value) for part, value in parts.items()}
