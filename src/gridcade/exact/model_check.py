"""Checks by simulation that a declared model agrees with what the environment does."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcade.envs.actions import action_index
from gridcade.envs.known_models import declares_model, known_model, why_no_model
from gridcade.envs.masks import MaskReader
from gridcade.envs.observations import as_batch
from gridcade.envs.states import StateIndex
from gridcade.envs.tabular import Model
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.exact.chains import reachable_states
from gridcade.exact.policy_iteration import backup

VISITS = 20  # wanted number of visits of each reachable pair of a state and an action
MAX_STEPS = 10_000
PLAN_STEPS = 50  # smallest number of steps between two plans
# Plans of large models take long: they are (number of outcomes) / PLANNED_OUTCOMES steps apart.
PLANNED_OUTCOMES = 1000
SWEEPS = 20  # of value iteration in a plan
DISCOUNT = 0.95  # of a plan
RESTART_VALUE = 1e-3  # at a smaller value, no wanted pair is near, so a new episode starts
LEAST_EXPECTED = 5.0  # outcomes with a smaller expected count are not compared
UNLIKELY = 6.0  # standard deviations; a larger difference is not taken for chance


@dataclass(frozen=True)
class ModelCheck:
    """How much of a model was covered by a simulation that agrees with it."""

    steps: int
    pairs: int  # reachable pairs of a state and an action
    often: int  # pairs that were visited VISITS times or more
    never: int  # pairs that were not visited

    def __str__(self) -> str:
        """Describe the coverage in a sentence."""
        pairs = "reachable pairs of a state and an action"
        if self.often == self.pairs:
            covered = f"each of the {self.pairs:,} {pairs} occurred {VISITS} times or more"
        else:
            covered = f"{self.often:,} of {self.pairs:,} {pairs} occurred {VISITS} times or more"
            covered += f", and {self.never:,} never" if self.never else ""
        return f"the declared model agrees with {self.steps:,} simulated steps: {covered}"


def model_notes(env: Env) -> list[str]:
    """Check a declared model by simulation, and return notes for the user.

    A note says how much of the model the simulation covered, or why an inherited model is not used.
    The environment is reset and stepped.

    Raises:
        InputError: the model is not valid, or does not agree with the simulation.
    """
    if declares_model(env):
        model = known_model(env)
        return [] if model is None else [str(check_model(env, model))]
    return [why_no_model(env)] if why_no_model(env) else []


def check_model(env: Env, model: Model, seed: int = 0) -> ModelCheck:
    """Step an environment, and compare every outcome with its model.

    Actions are planned with the model so that they lead to pairs of a state and an action with
    fewer than VISITS visits. The check ends when no such pair is left, or after MAX_STEPS steps.
    Every outcome must be in the model, and the frequencies of outcomes must fit their
    probabilities.

    Raises:
        InputError: an outcome is not in the model, or its frequency differs.
    """
    rng, reader = np.random.default_rng(seed), MaskReader(env)
    states, actions = StateIndex(env.observation_space), action_index(env.action_space)
    allowed = model.uniform.ravel() > 0  # [states * actions]
    reached = np.repeat(reachable_states(model), model.num_actions)
    reachable = set(np.flatnonzero(reached & allowed).tolist())
    needed = VISITS * len(reachable)  # visits that are still missing
    visits = [0] * (len(model.offsets) - 1)
    counts = [0] * len(model.next_states)  # how often each outcome occurred
    values = np.zeros(model.num_states)
    state, steps = -1, 0
    plan_steps = max(PLAN_STEPS, len(model.next_states) // PLANNED_OUTCOMES)
    while steps < MAX_STEPS and needed:
        if steps % plan_steps == 0:
            wanted = np.array([row in reachable and n < VISITS for row, n in enumerate(visits)])
            values, advantages = _plan(model, wanted, values)
        if state < 0 or values[state] < RESTART_VALUE:
            state = _first_state(env, model, states, reader, int(rng.integers(2**31)))
        rows = range(state * model.num_actions, (state + 1) * model.num_actions)
        possible = [row for row in rows if allowed[row]]
        row = min(possible, key=lambda row: (visits[row] >= VISITS, -advantages[row], rng.random()))
        observation, reward, terminated, truncated, info = env.step(
            actions.decode(row - rows.start)
        )
        state = int(states.encode(as_batch(observation))[0])
        mask = reader.after_step(info, bool(terminated), bool(truncated))
        outcome = _find_outcome(model, row, state, float(reward), bool(terminated))
        if not terminated:
            _check_mask(model, mask, state)
        needed -= row in reachable and visits[row] < VISITS
        visits[row] += 1
        counts[outcome] += 1
        steps += 1
        state = -1 if terminated or truncated else state
    _check_frequencies(model, np.array(visits), np.array(counts))
    often = sum(visits[row] >= VISITS for row in reachable)
    never = sum(visits[row] == 0 for row in reachable)
    return ModelCheck(steps, len(reachable), often, never)


def _plan(
    model: Model, wanted: NDArray[np.bool_], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Plan ways to wanted pairs by value iteration: a wanted pair pays 1 and ends the episode.

    Args:
        model: the model.
        wanted: whether each pair of a state and an action is wanted, [states * actions].
        values: values of the states from which the sweeps start, [states].

    Returns:
        The values of the states, [states], and of the pairs, [states * actions].
    """
    goals, nothing = wanted.reshape(-1, model.num_actions), np.zeros(len(model.rewards))
    pairs = np.zeros(goals.shape)
    for _ in range(SWEEPS):
        pairs = np.where(goals, 1.0, backup(model, nothing, values, DISCOUNT))
        values = pairs.max(axis=1)
    return values, pairs.ravel()


def _check_mask(model: Model, mask: NDArray[np.bool_] | None, state: int) -> None:
    """Raise InputError unless the mask of a state allows what the model allows."""
    allowed = None if model.allowed is None else model.allowed[state]
    if mask is None and allowed is None:
        return
    if mask is not None and allowed is not None and np.array_equal(mask, allowed):
        return
    masked, modeled = (
        "all actions" if row is None else f"actions {', '.join(map(str, np.flatnonzero(row)))}"
        for row in (mask, allowed)
    )
    raise InputError(
        f"the declared model does not agree with the action masks: in state {state} the "
        f"environment allows {masked}, and the model {modeled}"
    )


def _first_state(env: Env, model: Model, states: StateIndex, reader: MaskReader, seed: int) -> int:
    """Reset the environment and return its state; InputError if the model never starts there."""
    observation, info = env.reset(seed=seed)
    state = int(states.encode(as_batch(observation))[0])
    _check_mask(model, reader.after_reset(info), state)
    if not model.start[state] > 0:
        raise InputError(
            f"the declared model does not agree with reset: an episode began in state {state}, "
            "whose probability in the start distribution is 0"
        )
    return state


def _find_outcome(model: Model, row: int, state: int, reward: float, terminated: bool) -> int:
    """Find the index of an outcome; InputError if the model does not have it."""
    for i in range(model.offsets[row], model.offsets[row + 1]):
        same = model.next_states[i] == state and model.terminated[i] == terminated
        slack = 0.0 if model.deviations is None else UNLIKELY * float(model.deviations[i])
        if same and math.isclose(model.rewards[i], reward, rel_tol=1e-6, abs_tol=slack + 1e-9):
            return i
    before, action = divmod(row, model.num_actions)
    raise InputError(
        f"the declared model does not agree with step: in state {before}, action {action} led to "
        f"state {state} with reward {reward:g}{' and terminated' if terminated else ''}; "
        f"the model has {_describe_row(model, row)}"
    )


def _describe_row(model: Model, row: int) -> str:
    """Describe the outcomes of a row for a message: `5 with reward -1 (0.8), ...`."""
    outcomes = range(model.offsets[row], model.offsets[row + 1])
    texts = [
        f"{model.next_states[i]} with reward {_describe_reward(model, i)}"
        f"{' and terminated' if model.terminated[i] else ''} ({model.probabilities[i]:.3g})"
        for i in outcomes
    ]
    return ", ".join(texts[:3]) + (", …" if len(texts) > 3 else "")


def _describe_reward(model: Model, outcome: int) -> str:
    """Describe an outcome's reward: `-0.1`, or `-0.1 ± 1` with a standard deviation."""
    deviation = 0.0 if model.deviations is None else model.deviations[outcome]
    return f"{model.rewards[outcome]:g}" + (f" ± {deviation:g}" if deviation else "")


def _check_frequencies(model: Model, visits: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    """Compare frequencies with probabilities, over all rows together (Pearson's chi-squared).

    Compares only outcomes with an expected count of LEAST_EXPECTED or more, in rows that have two
    or more of them. The cube root of the statistic is nearly normal (Wilson and Hilferty 1931).
    """
    expected = visits[model.rows] * model.probabilities
    compared = expected >= LEAST_EXPECTED
    terms = np.where(compared, (counts - expected) ** 2 / np.maximum(expected, 1e-300), 0.0)
    per_row = np.bincount(model.rows, terms, len(visits))
    free = np.maximum(np.bincount(model.rows, compared, len(visits)) - 1, 0)  # degrees of freedom
    per_row[free == 0] = 0.0
    total, degrees = per_row.sum(), free.sum()
    if not degrees:
        return
    spread = 2 / (9 * degrees)
    if ((total / degrees) ** (1 / 3) - (1 - spread)) / spread**0.5 < UNLIKELY:
        return
    row = int(per_row.argmax())
    index = int(np.where(model.rows == row, terms, -1).argmax())
    state, action = divmod(row, model.num_actions)
    raise InputError(
        f"the declared model does not agree with step: in state {state}, action {action} led "
        f"{counts[index]} of {visits[row]} times to state {model.next_states[index]}, whose "
        f"probability in the model is {model.probabilities[index]:.3g}"
    )
