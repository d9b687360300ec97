"""The loop over epochs: learn, write metrics and a checkpoint, until the budget is used up."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gridcade.agents.base import Agent, CompiledLoop, Observations, SelfTrainedAgent, Tensors
from gridcade.envs.types import Envs
from gridcade.errors import InputError
from gridcade.evaluation import intervals
from gridcade.evaluation.estimates import MIN_EPISODES
from gridcade.experience.loop import EnvState, Experience
from gridcade.experience.step import TOTALS, EpisodeSums, Step
from gridcade.experience.vector import SyncEnvs
from gridcade.training.checkpoints import LoopState
from gridcade.training.config import RunSettings, used_up
from gridcade.training.evaluator import CONFIDENCE, Evaluator, columns
from gridcade.training.metrics import Metrics
from gridcade.training.run_folder import Run
from gridcade.training.tensorboard import TensorBoardLogger

CHECKPOINT_SECONDS = 300.0  # longest time between two checkpoints


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    steps: int
    total_steps: int | None
    seconds: float  # over all sessions
    minutes: float | None
    metrics: Metrics | None  # of the epoch that has just ended


class StepLoop:
    """Runs an agent in any environments, and adds up rewards and episodes.

    Args:
        agent: the agent.
        envs: the environments; their owner closes them.
        seed: the seed of the run.
    """

    tick = 200  # steps between two checks of the clock

    def __init__(self, agent: Agent, envs: Envs, seed: int):
        self.agent = agent
        self._experience = Experience(envs, seed)
        self._steps = self._experience.steps(agent, agent.overlap_updates)
        self._sums = EpisodeSums(envs.num_envs)

    def advance(self, until: int) -> dict[str, float]:
        """Learn until `agent.steps` reaches a number; returns sums by the names of TOTALS.

        Stops earlier if the agent needs a checkpoint. May stop a few steps later, because all
        environments step together.
        """
        totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
        while self.agent.steps < until and not self.agent.needs_checkpoint:
            self._sums.add(next(self._steps), totals)
        return totals

    def replace_observations(self, observations: Observations) -> None:
        """Replace the observations for the next actions, after the first environment was reset.

        That environment had just begun an episode. Without a seed, the reset may have led to
        another state.
        """
        experience = self._experience
        experience.replace_current(observations)
        first = np.arange(self._sums.present.shape[1]) == 0
        self.agent.restart_episodes(first, observations, experience.current_masks)

    def state_dict(self) -> Tensors:
        """Return the returns and lengths of the running episodes."""
        return {"episode_sums": self._sums.present}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned."""
        self._sums.present[:] = tensors["episode_sums"]

    def env_state(self) -> EnvState:
        """Return the state of the environments."""
        return self._experience.env_state()

    def load_env_state(self, state: EnvState) -> int:
        """Restore the state of the environments; returns how many episodes cannot be continued."""
        lost = self._experience.load_env_state(state)
        if lost.any():
            new = self._experience
            self.agent.restart_episodes(lost, new.current, new.current_masks)
            self._sums.present[:, lost] = 0
        return int(lost.sum())


def budget_share(
    total_steps: int | None, minutes: float | None, steps: int, seconds: float
) -> float:
    """Return the share of a budget that is used up, 0 to 1: of steps or minutes, the larger one."""
    shares = [steps / total_steps] if total_steps else []
    shares += [seconds / 60 / minutes] if minutes else []
    return min(max(shares), 1.0)


class Trainer:
    """One session of training: an agent, its loop, and the sums over the running epoch.

    Attributes:
        lost_episodes: running episodes of the loaded checkpoint that cannot be continued.

    Args:
        run: the run folder.
        budget: bounds on steps and minutes, and the length of an epoch.
        agent: the agent.
        loop: runs the agent; None: the agent runs its own loop.
        envs: the environments of training.
        evaluator: evaluates the agent; its owner closes it.
        report: called often, with the progress.
        stop: called often; returns whether to end the session with a checkpoint.
    """

    def __init__(
        self,
        run: Run,
        budget: RunSettings,
        agent: Agent | SelfTrainedAgent,
        loop: StepLoop | CompiledLoop | None,
        envs: Envs,
        evaluator: Evaluator,
        report: Callable[[Progress], None] | None,
        stop: Callable[[], bool],
    ):
        self.run, self.budget, self.agent, self.loop = run, budget, agent, loop
        self._envs, self._evaluator = envs, evaluator
        self._report, self._stop = report, stop
        self.lost_episodes = 0
        self._totals: dict[str, float] = {}  # of the running epoch
        self._epoch_start = 0  # step
        self._epoch_seconds = 0.0  # of the running epoch, without evaluation and checkpoint
        self._began = time.perf_counter()  # of training, as if it had never been interrupted
        self._resumed = self._began  # time at which learning continued after the last report
        self._saved = self._began  # time of the last checkpoint

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
            "evaluation_seconds": self._evaluator.seconds,
            "totals": self._totals,
            "env_state": self.loop.env_state() if isinstance(self.loop, StepLoop) else None,
        }
        tensors = self.loop.state_dict() if self.loop else {}
        self.run.save_checkpoint(self.agent.steps, self.agent.state_dict(), tensors, state)
        if isinstance(self.agent, Agent):
            self.agent.checkpoint_saved()
        self._saved = time.perf_counter()

    def load(self, steps: int) -> None:
        """Load the checkpoint after a number of steps.

        Raises:
            InputError: the checkpoint does not fit this run.
        """
        tensors, loop_tensors, state = self.run.load_checkpoint(steps)
        try:
            self.agent.load_state_dict(tensors)
            if self.loop:
                self.loop.load_state_dict(loop_tensors)
            if isinstance(self.loop, StepLoop):
                if state["env_state"] is None:
                    raise ValueError("the state of the environments is missing")
                self.lost_episodes = self.loop.load_env_state(state["env_state"])
            self._totals = state["totals"]
            self._began = time.perf_counter() - state["seconds"]
            self._evaluator.seconds = state.get("evaluation_seconds", 0.0)
            self._epoch_start, self._epoch_seconds = state["epoch_start"], state["epoch_seconds"]
        except (KeyError, TypeError, ValueError) as error:
            folder = self.run.checkpoint(steps)
            raise InputError(f"the checkpoint {folder} does not fit this run: {error}") from None

    def train(self, logger: TensorBoardLogger) -> None:
        """Train until the budget is used up or `stop` returns true."""
        self._logger = logger
        if used_up(self.budget, self.agent.steps, self.seconds):
            if isinstance(self.agent, Agent) and self.agent.finish():
                self.save()  # the new budget ends at the step where the run was stopped
            return
        self._resumed = time.perf_counter()
        self._truncate_before_evaluation()
        if isinstance(self.agent, SelfTrainedAgent):
            episodes = EpisodeSums(self.budget.envs)

            def callback(step: Step) -> bool:
                totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
                episodes.add(step, totals)
                # At the end of the budget, the algorithm makes its last update before it stops.
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
        """Add sums to those of the epoch, and end the epoch if it is due; returns whether to go on.

        The last epoch of the budget ends in `train`, after the last update.
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
            self.save()  # the next step would overwrite steps to which the last checkpoint refers
        elif time.perf_counter() - self._saved > CHECKPOINT_SECONDS:
            self.save()
        self._truncate_before_evaluation()
        self._resumed = time.perf_counter()
        return not (used_up(self.budget, self.agent.steps, self.seconds) or self._stop())

    def _reached(self, steps: int | None) -> bool:
        return steps is not None and self.agent.steps >= steps

    def _epoch_end(self) -> int:
        """Return the step at which the running epoch ends: the next multiple of its length."""
        return (self._epoch_start // self.budget.epoch + 1) * self.budget.epoch

    def _until(self) -> int:
        """Return the step until which the loop may advance: the end of the epoch or the budget."""
        end = self._epoch_end()
        end = end if self.budget.steps is None else min(end, self.budget.steps)
        before = end - self._envs.num_envs  # where the last step can be made to truncate an episode
        return before if self._evaluator.truncates and self.agent.steps < before else end

    def _truncate_before_evaluation(self) -> None:
        """Let the epoch's last step truncate an episode, if an evaluation needs its environment."""
        if not self._evaluator.truncates or not isinstance(self._envs, SyncEnvs):
            return
        after = self.agent.steps + self._envs.num_envs
        ends = self._epoch_end() if self.budget.steps is None else self.budget.steps
        end = min(ends, self._epoch_end())
        self._envs.truncate_first = after >= end and self._evaluator.is_due(after)

    def _end_epoch(self) -> None:
        metrics = self._metrics()
        self._totals, self._epoch_start = {}, self.agent.steps
        self._epoch_seconds = 0.0
        # The metrics come first: resuming a run that was killed in between removes them again.
        self.run.add_metrics(metrics)
        self.save()
        self._logger.add(metrics)
        if self._report is not None:
            self._report(self._progress(metrics))

    def _progress(self, metrics: Metrics | None) -> Progress:
        budget = self.budget
        return Progress(self.agent.steps, budget.steps, self.seconds, budget.minutes, metrics)

    def _metrics(self) -> Metrics:
        """Compute the epoch's metrics: of training with exploration, and of the greedy policy."""
        totals, steps = self._totals, self.agent.steps
        taken = steps - self._epoch_start
        episodes = int(totals["episodes"])
        metrics: Metrics = {
            "steps": steps,
            "frames": steps * self._evaluator.frame_skip,
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
            metrics |= columns("training_return", estimate)
            metrics["training_length_mean"] = totals["length"] / episodes
            metrics["training_truncated"] = totals["truncated"] / episodes
        metrics |= self.agent.metrics()
        if self._evaluator.is_due(steps):
            metrics |= self._evaluator.evaluate(steps, self.seconds - self._evaluator.seconds)
            if self._evaluator.truncates and isinstance(self._envs, SyncEnvs):
                observations = self._envs.restart_first()
                if isinstance(self.loop, StepLoop):
                    self.loop.replace_observations(observations)
        return metrics
