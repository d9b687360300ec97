"""Evaluate a policy: estimates with intervals, and exact values where the model is known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import BaseAgent, Policy
from gridcade.envs import registry
from gridcade.envs.atari import AtariGame
from gridcade.envs.objects import EnvLike
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.envs.types import Envs
from gridcade.errors import InputError
from gridcade.evaluation.best_returns import BestReturns
from gridcade.evaluation.episodes import LONGEST_EPISODE, EpisodeRunner, plan_episodes
from gridcade.evaluation.estimates import (
    Estimates,
    estimate_from_episodes,
    estimate_from_streams,
)
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.options import (
    EvaluationOptions,
    ProgressCallback,
    ResolvedOptions,
    resolve_options,
)
from gridcade.evaluation.policies import Human, TabularPolicy
from gridcade.evaluation.result import Evaluation
from gridcade.evaluation.streams import DEFAULT_STEPS, STREAMS, play_streams
from gridcade.exact.chains import Outcomes, possible_outcomes
from gridcade.exact.model_check import model_notes
from gridcade.exact.solver import UnsolvableError
from gridcade.exact.values import NAMES, ExactValues, exact_values, two_possible_returns
from gridcade.experience.pool import EnvPool
from gridcade.experience.vector import action_masks
from gridcade.seeding import Purpose

Floats = NDArray[np.float64]

ENVS = 16  # environments that step side by side in an episodic task


@dataclass(frozen=True)
class _Sample:
    """The size of a sample, and the estimates from it."""

    episodes: int | None
    steps: int
    truncated: float | None
    estimates: Estimates
    notes: list[str]
    best_return: float | None = None


def evaluate_policy(
    policy: Policy,
    env: EnvLike | EnvPool,
    *,
    name: str = "",
    progress: ProgressCallback | None = None,
    purpose: Purpose = "evaluation",
    longest_episode: int = LONGEST_EPISODE,
    check: Callable[[], None] = lambda: None,
    **options: Unpack[EvaluationOptions],
) -> Evaluation:
    """Evaluate a policy in an environment.

    Args:
        policy: any policy with stable-baselines3's `predict`.
        env: a name; a function that makes an environment; an environment, which is reset and
            stepped but not closed; or a pool of environments, which is not closed either.
        name: name of the policy in the result. Default: the name of its class.
        progress: called during the evaluation.
        purpose: purpose of the episodes, from which their seeds are derived. `validation`, which
            selects checkpoints, has other episodes than `evaluation`, which reports their values.
        longest_episode: steps after which an episode is truncated if no time limit is known.
        check: called at every step; it can end the evaluation by an exception.
        **options: see `EvaluationOptions`.

    Raises:
        InputError: an option is out of its range or does not fit the task, or the policy does not
            fit the environment.
    """
    resolved = resolve_options(options)
    if not isinstance(env, EnvPool):
        with EnvPool(env) as pool:
            return _evaluate(
                policy, pool, resolved, name, progress, purpose, longest_episode, check
            )
    return _evaluate(policy, env, resolved, name, progress, purpose, longest_episode, check)


def _evaluate(
    policy: Policy,
    pool: EnvPool,
    resolved: ResolvedOptions,
    name: str,
    progress: ProgressCallback | None,
    purpose: Purpose,
    longest_episode: int,
    check: Callable[[], None],
) -> Evaluation:
    single, label = pool.first, pool.label
    evaluated = EvaluatedPolicy(
        policy, single, resolved.epsilon, deterministic=not resolved.stochastic
    )
    model, time_limit = registry.known_model(single), registry.time_limit(single)
    continuing = model is not None and model.continuing
    if continuing:
        _check_continuing(label, resolved, time_limit)
    bare = single.unwrapped
    notes = list(bare.notes) if isinstance(bare, AtariGame | TabularEnv) else []
    if purpose == "evaluation":
        notes += model_notes(single)
    exact = None
    table = None
    if model is not None:
        table = evaluated.table(single, model)
        exact, exact_notes = _exact_values(table, model, time_limit, resolved.discount)
        notes += [] if isinstance(policy, Human) else exact_notes  # a person has no exact value
    most = STREAMS if continuing else min(ENVS, resolved.episodes or resolved.steps or ENVS)
    if model is not None and continuing:
        envs = pool.vector(most, fewer=True)
        sample = _sample_streams(
            label, envs, evaluated, resolved, table, model, purpose, progress, check
        )
    else:
        # The order in which groups act depends on their speed. So a policy whose actions depend on
        # earlier calls acts for a single group.
        alone = evaluated.chooses_alone
        groups = pool.groups(most) if alone else [pool.vector(most, fewer=True)]
        envs = groups[0]
        runner = EpisodeRunner(
            groups, evaluated, resolved.discount, time_limit, longest_episode, check
        )
        # Evaluations during training skip best returns, because the search can take a minute.
        best_returns = BestReturns(envs, time_limit) if purpose == "evaluation" else None
        sample = _sample_episodes(runner, best_returns, resolved, model, purpose, progress)
    if exact is not None and isinstance(policy, TabularPolicy):
        notes += _optimality_notes(policy, exact)
    if action_masks(envs) is not None and not evaluated.uses_masks:
        notes.append("This policy does not use action masks: it may take forbidden actions.")
    notes += sample.notes + sample.estimates.notes()
    if isinstance(policy, BaseAgent) and policy.precision == "bfloat16":
        notes.append(
            "Values were computed in bfloat16; results differ slightly on CPUs without bfloat16 "
            "support."
        )
    return Evaluation(
        env=label,
        policy=name or type(policy).__name__,
        episodes=sample.episodes,
        steps=sample.steps,
        confidence=resolved.confidence,
        seed=resolved.seed,
        epsilon=evaluated.epsilon,
        stochastic=resolved.stochastic,
        discount=resolved.discount,
        expected_return=sample.estimates.expected_return,
        average_reward=sample.estimates.average_reward,
        discounted_return=sample.estimates.discounted_return,
        episode_length=sample.estimates.episode_length,
        truncated=sample.truncated,
        time_limit=time_limit,
        cycles=sample.estimates.cycles,
        exact=exact,
        best_return=sample.best_return,
        notes=tuple(dict.fromkeys(notes)),
    )


def _optimality_notes(policy: TabularPolicy, exact: ExactValues) -> list[str]:
    """Name the criterion of an optimal policy if the policy is not optimal under all criteria."""
    gaps = exact.gap_return, exact.gap_average_reward, exact.gap_discounted_return
    if policy.criterion is None or not any(gaps):
        return []
    return [
        f"This policy maximizes the {NAMES[policy.criterion]}; other criteria have other optimal "
        "policies."
    ]


def _check_continuing(label: str, options: ResolvedOptions, time_limit: int | None) -> None:
    """Raise InputError if the options do not fit a continuing task."""
    if time_limit is not None:
        raise InputError(f"{registry.no_end(label)}: it cannot have a time limit")
    if options.episodes is not None or options.precision is not None:
        raise InputError(
            f"{registry.no_end(label)}: it has no episodes; set the number of steps (--steps) "
            "instead"
        )


def _exact_values(
    table: Floats | None, model: Model, time_limit: int | None, discount: float
) -> tuple[ExactValues | None, list[str]]:
    """Return the exact values and notes on them; None and the reason if they are unknown."""
    if table is None:
        return None, ["no exact value: the policy's action probabilities are unknown"]
    try:
        return exact_values(model, table, time_limit, discount)
    except UnsolvableError as error:
        return None, [f"no exact value: without a time limit, {error}"]


def _step_rewards(model: Model) -> tuple[float, float]:
    """Return the smallest and the largest reward of a step."""
    return float(model.rewards.min()), float(model.rewards.max())


def _possible_outcomes(table: Floats | None, model: Model) -> Outcomes:
    """Return the outcomes of the policy; of all policies if its probabilities are unknown."""
    if table is None:
        table = np.full((model.num_states, model.num_actions), 1 / model.num_actions)
    return possible_outcomes(model, table)


def _sample_streams(
    label: str,
    envs: Envs,
    policy: EvaluatedPolicy,
    options: ResolvedOptions,
    table: Floats | None,
    model: Model,
    purpose: Purpose,
    progress: ProgressCallback | None,
    check: Callable[[], None],
) -> _Sample:
    """Evaluate a policy in a continuing task."""
    steps = options.steps or DEFAULT_STEPS
    streams = play_streams(envs, policy, steps, options.seed, purpose, progress, check)
    return _Sample(
        episodes=None,
        steps=streams.rewards.size,
        truncated=None,
        estimates=estimate_from_streams(
            streams,
            options.confidence,
            options.discount,
            _possible_outcomes(table, model),
            _step_rewards(model),
        ),
        notes=[f"{registry.no_end(label)}: it has no return and no episode length"],
    )


def _sample_episodes(
    runner: EpisodeRunner,
    best_returns: BestReturns | None,
    options: ResolvedOptions,
    model: Model | None,
    purpose: Purpose,
    progress: ProgressCallback | None,
) -> _Sample:
    """Evaluate a policy in an episodic task."""
    planned, notes = plan_episodes(runner, options)
    runner.best_returns = best_returns  # set only now: the pilot sample needs none
    episodes = runner.run(planned, options.seed, purpose, progress)
    estimates = estimate_from_episodes(
        episodes,
        options.confidence,
        options.discount,
        runner.max_length,
        two_possible_returns(model),
        _step_rewards(model) if model is not None else None,
    )
    finished = len(episodes.returns)
    if finished < planned:
        notes.append(
            f"only {finished} of {planned} episodes were finished; stopping early can bias the "
            "estimates"
        )
    expected = estimates.expected_return
    if options.precision is not None and expected is not None and expected.mean:
        reached = expected.half_width / abs(expected.mean)
        if reached > options.precision:
            notes.append(f"the precision is {reached:.3g}; the target was {options.precision:g}")
    if runner.time_limit is None and (episodes.lengths >= runner.max_length).any():
        notes.append(f"episodes were truncated after {runner.max_length} steps")
    return _Sample(
        episodes=finished,
        steps=int(episodes.lengths.sum()),
        truncated=float(episodes.truncated.mean()),
        estimates=estimates,
        notes=notes + (best_returns.notes if best_returns else []),
        best_return=best_returns.mean if best_returns and finished == planned else None,
    )
