"""A training's epochs: learning, metrics, checkpoints, until its budget is used up."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.evaluation import intervals
from gridcade.evaluation.evaluate import evaluate_policy, finite
from gridcade.exact import solver
from gridcade.exact.values import policy_table
from gridcade.experience.loop import Experience
from gridcade.experience.step import TOTALS, EpisodeSums, Step
from gridcade.training.config import RunConfig
from gridcade.training.run_folder import Run, Tensors
from gridcade.training.tensorboard import TensorBoardLogger

CONFIDENCE = 0.95  # of the intervals in the metrics


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    steps: int
    total_steps: int | None
    seconds: float  # over all sessions
    minutes: float | None
    metrics: dict[str, Any] | None  # of the epoch that has just ended


class Loop(Protocol):
    """What runs an agent in its environments: compiled, or through Gymnasium."""

    tick: int  # steps between two looks at the clock

    def advance(self, until: int) -> dict[str, float]:
        """Learn until an absolute step; returns sums over what happened."""
        ...

    def state_dict(self) -> Tensors:
        """What there is to keep in arrays."""
        ...

    def load_state_dict(self, tensors: Tensors) -> None:
        """Put back what `state_dict` gave."""
        ...

    def position(self) -> dict[str, Any]:
        """What there is to keep besides, fit for JSON."""
        ...

    def restore(self, position: dict[str, Any]) -> None:
        """Put back what `position` gave."""
        ...


class GymnasiumLoop:
    """The loop for any environment: gridcade.experience.loop, with sums over what happened."""

    tick = 200

    def __init__(self, agent: Any, envs: Any, seed: int):
        self.agent = agent
        self._experience = Experience(envs, seed)
        self._steps = self._experience.steps(agent)
        self._sums = EpisodeSums(envs.num_envs)

    def advance(self, until: int) -> dict[str, float]:
        """Learn until an absolute step, or just past it if environments share its step."""
        totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
        while self.agent.steps < until and not getattr(self.agent, "full", False):
            self._sums.add(next(self._steps), totals)
        return totals

    def state_dict(self) -> Tensors:
        """Return and length of the present episodes."""
        return {"episode_sums": self._sums.present}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Put back what `state_dict` gave."""
        self._sums.present[:] = tensors["episode_sums"]

    def position(self) -> dict[str, Any]:
        """Where the environments stand."""
        return self._experience.state()

    def restore(self, position: dict[str, Any]) -> None:
        """Put the environments back there."""
        self._experience.restore(position)


def used_up(config: RunConfig, steps: int, seconds: float) -> bool:
    """Whether a budget is used up."""
    return (config.steps is not None and steps >= config.steps) or (
        config.minutes is not None and seconds >= config.minutes * 60
    )


def share(budget: RunConfig | Progress, steps: int, seconds: float) -> float:
    """How much of a budget is used up, 0 to 1: of the steps or of the minutes, if more."""
    total = budget.total_steps if isinstance(budget, Progress) else budget.steps
    shares = [steps / total] if total else []
    shares += [seconds / 60 / budget.minutes] if budget.minutes else []
    return min(max(shares), 1.0)


class Trainer:
    """One session: the agent, its loop, and what has been counted since the last epoch.

    Without a loop the agent has one of its own, and is looked at after each of its steps.
    """

    def __init__(self, run: Run, config: RunConfig, agent: Any, loop: Loop | None, env: Any):
        self.run, self.config, self.agent, self.loop, self.env = run, config, agent, loop, env
        self.model = registry.known_model(env)
        self.totals: dict[str, float] = {}  # of the present epoch
        self.epoch_start = 0  # step
        self.began = time.perf_counter()  # as if all sessions were one
        self.epoch_seconds = 0.0  # of the present epoch, without evaluation and checkpoint

    @property
    def seconds(self) -> float:
        """Of training, over all sessions, with evaluations and checkpoints."""
        return time.perf_counter() - self.began

    def save(self) -> None:
        """Write a checkpoint."""
        state = {
            "steps": self.agent.steps,
            "epoch_start": self.epoch_start,
            "epoch_seconds": self.epoch_seconds,
            "seconds": self.seconds,
            "totals": self.totals,
            "position": self.loop.position() if self.loop else {},
        }
        tensors = self.loop.state_dict() if self.loop else {}
        self.run.save_checkpoint(self.agent.steps, self.agent.state_dict(), tensors, state)

    def load(self, steps: int) -> None:
        """Go back to a checkpoint."""
        tensors, loop_tensors, state = self.run.load_checkpoint(steps)
        try:
            self.agent.load_state_dict(tensors)
            if self.loop:
                self.loop.load_state_dict(loop_tensors)
                self.loop.restore(state["position"])
            self.totals = state["totals"]
            self.began = time.perf_counter() - state["seconds"]
            self.epoch_start, self.epoch_seconds = state["epoch_start"], state["epoch_seconds"]
        except (KeyError, TypeError, ValueError) as error:
            folder = self.run.checkpoint(steps)
            raise InputError(f"the checkpoint {folder} does not fit this run: {error}") from None

    def go_on(
        self,
        report: Callable[[Progress], None] | None,
        stop: Callable[[], bool],
        board: TensorBoardLogger,
    ) -> None:
        """Train until the budget is used up, or `stop` says so."""
        if self.loop is None:
            self._look_on(report, stop, board)
            return
        steps = self.config.steps
        while steps is None or self.agent.steps < steps:
            until = self._epoch_end()
            while self.agent.steps < until:
                if self._out_of_time() or stop():
                    self.save()
                    return
                before = time.perf_counter()
                sums = self.loop.advance(min(until, self.agent.steps + self.loop.tick))
                self.epoch_seconds += time.perf_counter() - before
                self._count(sums)
                if getattr(self.agent, "full", False) and self.agent.steps < until:
                    self.save()  # or the next step would overwrite what the last one refers to
                if report is not None:
                    report(self._progress(None))
            self._end_epoch(report, board)

    def _look_on(
        self,
        report: Callable[[Progress], None] | None,
        stop: Callable[[], bool],
        board: TensorBoardLogger,
    ) -> None:
        """The same, while the agent goes on by itself."""
        steps = self.config.steps
        if used_up(self.config, self.agent.steps, self.seconds):
            return
        episodes = EpisodeSums(self.config.envs)
        until, before = self._epoch_end(), time.perf_counter()

        def look(step: Step) -> bool:
            nonlocal until, before
            self.epoch_seconds += time.perf_counter() - before
            totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
            episodes.add(step, totals)
            self._count(totals)
            if report is not None:
                report(self._progress(None))
            # the budget's last epoch ends when `learn` has, with the last update
            if until <= self.agent.steps < (steps or math.inf):
                self._end_epoch(report, board)
                until = self._epoch_end()
            before = time.perf_counter()
            return not (self._out_of_time() or stop())

        self.agent.learn(look)
        if steps is not None and self.agent.steps >= steps:
            self._end_epoch(report, board)
        else:
            self.save()

    def _epoch_end(self) -> int:
        """The step at which the present epoch ends."""
        steps, epoch = self.config.steps, self.config.epoch
        until = (int(self.agent.steps) // epoch + 1) * epoch
        return until if steps is None else min(until, steps)

    def _count(self, sums: dict[str, float]) -> None:
        for name, value in sums.items():
            self.totals[name] = self.totals.get(name, 0.0) + value

    def _end_epoch(
        self, report: Callable[[Progress], None] | None, board: TensorBoardLogger
    ) -> None:
        metrics = self._metrics()
        self.totals, self.epoch_start = {}, self.agent.steps
        self.epoch_seconds = 0.0
        # metrics first: whoever is killed between the two drops them on resuming
        self.run.add_metrics(metrics)
        self.save()
        board.add(metrics)
        if report is not None:
            report(self._progress(metrics))

    def _out_of_time(self) -> bool:
        return self.config.minutes is not None and self.seconds >= self.config.minutes * 60

    def _progress(self, metrics: dict[str, Any] | None) -> Progress:
        config = self.config
        return Progress(self.agent.steps, config.steps, self.seconds, config.minutes, metrics)

    def _metrics(self) -> dict[str, Any]:
        """The epoch's metrics: what training met, and what the policy is worth by itself."""
        totals, steps = self.totals, self.agent.steps
        made = steps - self.epoch_start
        episodes = int(totals["episodes"])
        entry: dict[str, Any] = {
            "steps": steps,
            "frames": steps * getattr(self.env.unwrapped, "frame_skip", 1),
            "episodes": episodes,
            "seconds": round(self.seconds, 3),
            "steps_per_second": round(made / max(self.epoch_seconds, 1e-9)),
            "training_average_reward": totals["reward"] / made,
        }
        if episodes:
            estimate = intervals.moments_interval(
                episodes, totals["return"], totals["squared_return"], CONFIDENCE
            )
            entry |= _named("training_return", estimate)
            entry["training_length_mean"] = totals["length"] / episodes
            entry["training_truncated"] = totals["truncated"] / episodes
        entry |= self.agent.metrics()
        total, epochs = self.config.steps, steps // self.config.epoch
        last = total is not None and steps >= total
        due = last or epochs % self.config.evaluation_every == 0
        return entry | (self._evaluated() if due else {})

    def _evaluated(self) -> dict[str, Any]:
        """The policy's worth without exploration (on Atari games with the epsilon of `measure`).

        Exact where the model is known, else by a few episodes.
        """
        value = self._exact_value()
        if value is None:
            continuing = self.model is not None and self.model.continuing
            measured = evaluate_policy(
                self.agent,
                self.run.env,
                episodes=None if continuing else self.config.evaluation_episodes,
                seed=self.config.seed,
                confidence=CONFIDENCE,
                purpose="validation",
            )
            entry = _named("average_reward", measured.average_reward)
            if measured.truncated is not None:
                entry["truncated"] = measured.truncated
            if measured.expected_return is not None:
                entry |= _named("return", measured.expected_return)
            return entry | {"exact": False}
        entry = {}
        for name, number in (
            ("average_reward", value.average_reward),
            ("return", value.expected_return),
        ):
            if (exact := finite(number)) is not None:
                entry |= {f"{name}_{part}": exact for part in ("mean", "low", "high")}
        return entry | {"exact": True}

    def _exact_value(self) -> solver.PolicyValue | None:
        """None where it cannot be had, as of episodes that are too long to be solved."""
        if self.model is None or (table := policy_table(self.agent, self.env, self.model)) is None:
            return None
        try:
            return solver.policy_value(self.model, table, time_limit=registry.time_limit(self.env))
        except solver.UnsolvableError:
            return None


def _named(name: str, estimate: intervals.Estimate) -> dict[str, Any]:
    parts = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {f"{name}_{part}": finite(value) for part, value in parts.items()}
