"""The exact model of a finite Markov decision process, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridcade.errors import brief

Outcome = tuple[float, int, float, bool]  # probability, next state, reward, terminated
Row = Sequence[Outcome] | NDArray[Any]
Actions = Mapping[int, Row] | Sequence[Row] | NDArray[Any]
# toy_text's P: P[state][action] is a list of outcomes; dicts, lists and arrays may stand for both
Table = Mapping[int, Actions] | Sequence[Actions] | NDArray[Any]


class Change(NamedTuple):
    """A change of a model while an agent trains."""

    step: int  # the first step of training, counted from 0, that is taken in the new model
    model: "Model"  # the new model, with the same states, actions and start


@dataclass(frozen=True)
class Model:
    """The exact model of a finite Markov decision process, stored as sparse rows.

    Row `i = s * num_actions + a` holds the outcomes of action `a` in state `s`; they are the
    entries `offsets[i]:offsets[i + 1]` of the arrays of outcomes. An outcome with `terminated`
    ends the episode, so the value of its next state does not count.

    A time limit is not part of the model.

    If `allowed` is given, a policy may take only the allowed actions of a state. The outcomes of
    forbidden actions are part of the model, too.

    If `deviations` are given, the reward of an outcome is normally distributed: `rewards` holds
    its mean, and `deviations` its standard deviation. Exact values need only the mean.

    If there is a `change`, training continues in the new model from a step on. Exact values ignore
    the change.

    Raises:
        ValueError: `allowed` or `deviations` have another shape or type, a state has no allowed
            action, or a standard deviation is negative or not finite.
    """

    offsets: NDArray[np.int64]  # [states * actions + 1]
    next_states: NDArray[np.int64]  # [outcomes]
    probabilities: NDArray[np.float64]  # [outcomes]
    rewards: NDArray[np.float64]  # [outcomes]
    terminated: NDArray[np.bool_]  # [outcomes]
    start: NDArray[np.float64]  # [states]: distribution of the first state
    allowed: NDArray[np.bool_] | None = None  # [states, actions]; None: all actions
    deviations: NDArray[np.float64] | None = None  # [outcomes]; None: no reward is random
    change: Change | None = None  # while an agent trains

    def __post_init__(self) -> None:
        """Check the allowed actions and the standard deviations."""
        if (deviations := self.deviations) is not None:
            if deviations.shape != self.rewards.shape or deviations.dtype != np.float64:
                raise ValueError(
                    f"the standard deviations are {deviations.dtype} of shape {deviations.shape}; "
                    f"they must be float64 of shape {self.rewards.shape}"
                )
            if not (np.isfinite(deviations) & (deviations >= 0)).all():
                raise ValueError("a standard deviation of a reward is negative or not finite")
        if (allowed := self.allowed) is None:
            return
        shape = (self.num_states, self.num_actions)
        if allowed.shape != shape or allowed.dtype != np.bool_:
            raise ValueError(
                f"the allowed actions are {allowed.dtype} of shape {allowed.shape}; "
                f"they must be bool of shape {shape}"
            )
        if not allowed.any(axis=1).all():
            raise ValueError(f"state {allowed.any(axis=1).argmin()} has no allowed action")

    @property
    def num_states(self) -> int:
        """The number of states."""
        return len(self.start)

    @property
    def num_actions(self) -> int:
        """The number of actions; every state has the same actions."""
        return (len(self.offsets) - 1) // len(self.start)

    @property
    def continuing(self) -> bool:
        """Whether the task is continuing: no outcome of an allowed action terminates an episode."""
        ends = self.terminated
        if self.allowed is not None:
            ends = ends & self.allowed.ravel()[self.rows]
        return not ends.any()

    @cached_property
    def uniform(self) -> NDArray[np.float64]:
        """The policy that takes each allowed action with equal probability.  [states, actions]."""
        if self.allowed is None:
            return np.full((self.num_states, self.num_actions), 1 / self.num_actions)
        return np.asarray(self.allowed / self.allowed.sum(axis=1, keepdims=True))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The index `s * num_actions + a` of each outcome's row.  [outcomes]."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @cached_property
    def cumulative(self) -> NDArray[np.float64]:
        """Cumulative probabilities within each row; the last one is exactly 1.  [outcomes].

        To sample a row, draw u uniformly from [0, 1) and take the first outcome whose cumulative
        probability exceeds u.
        """
        sums = np.cumsum(self.probabilities)
        before_row = np.concatenate([[0.0], sums])[self.offsets[:-1]]
        sums -= before_row[self.rows]
        sums[self.offsets[1:] - 1] = 1.0
        return sums

    @cached_property
    def start_cumulative(self) -> NDArray[np.float64]:
        """Cumulative probabilities of the first state, sampled like `cumulative`.  [states]."""
        sums = np.cumsum(self.start)
        sums[np.flatnonzero(self.start)[-1] :] = 1.0
        return sums

    def table(self) -> dict[int, dict[int, list[Outcome]]]:
        """Return the model as a table `P[state][action]` of outcomes, as toy_text has it."""
        columns = (self.probabilities, self.next_states, self.rewards, self.terminated)
        outcomes: list[Outcome] = list(zip(*(c.tolist() for c in columns), strict=True))
        rows = iter([outcomes[a:b] for a, b in zip(self.offsets, self.offsets[1:], strict=False)])
        return {s: {a: next(rows) for a in range(self.num_actions)} for s in range(self.num_states)}

    @classmethod
    def from_table(
        cls, table: Table, start: ArrayLike, allowed: NDArray[np.bool_] | None = None
    ) -> "Model":
        """Build a model from toy_text's `P` and the distribution of the first state, [states].

        Outcomes of one row with the same next state, reward and `terminated` are merged.

        Args:
            table: `table[state][action]` is a list of (probability, next state, reward,
                terminated). States and actions are keys of dicts, or axes of lists or arrays.
            start: distribution of the first state.
            allowed: which actions are allowed in each state, [states, actions]; None: all.

        Raises:
            ValueError: states or actions are not numbered 0, 1, …; a distribution has a negative
                probability or does not sum to 1; a reward is not finite; a next state does not
                exist; the table or a row has another form; a state has no allowed action.
        """
        start = np.asarray(start, dtype=np.float64)
        if start.ndim != 1 or not len(start):
            raise ValueError(f"the start distribution has the shape {start.shape}, not [states]")
        states = _numbered(table, "the table")
        num_states = len(start)
        if len(states) != num_states:
            message = f"the start distribution has {num_states} states, the table {len(states)}"
            raise ValueError(message)
        num_actions = 0
        offsets: list[int] = [0]
        outcomes: list[tuple[int, float, bool, float]] = []
        for s in range(num_states):
            if s not in states:
                raise ValueError(f"state {s} is missing")
            actions = _numbered(states[s], f"state {s}")
            num_actions = num_actions or len(actions)
            if set(actions) != set(range(num_actions)):
                raise ValueError(f"state {s} must have actions 0 to {num_actions - 1}, as state 0")
            for a in range(num_actions):
                outcomes += _merge_outcomes(actions[a], f"state {s}, action {a}")
                offsets.append(len(outcomes))
        model = cls(
            offsets=np.array(offsets),
            next_states=np.array([s_next for s_next, _, _, _ in outcomes]),
            rewards=np.array([reward for _, reward, _, _ in outcomes]),
            terminated=np.array([terminated for _, _, terminated, _ in outcomes]),
            probabilities=np.array([p for _, _, _, p in outcomes]),
            start=start,
            allowed=allowed,
        )
        if model.next_states.min() < 0 or model.next_states.max() >= num_states:
            raise ValueError(f"a next state is outside 0 to {num_states - 1}")
        if not np.isfinite(model.rewards).all():
            raise ValueError("a reward is not finite")
        if not ((start >= 0).all() and abs(start.sum() - 1) <= 1e-9):
            raise ValueError(
                "the start distribution has a negative probability or does not sum to 1"
            )
        return model


def _numbered(rows: Any, what: str) -> Mapping[int, Any]:
    """Number the rows of a list or an array; a dict has numbers already."""
    if isinstance(rows, Mapping):
        return rows
    try:
        return dict(enumerate(rows))
    except TypeError:
        raise ValueError(f"{what} is {brief(rows)}, not a dict, list or array") from None


def _merge_outcomes(outcomes: Any, row: str) -> list[tuple[int, float, bool, float]]:
    """Merge equal outcomes and drop impossible ones; the probability comes last."""
    merged: dict[tuple[int, float, bool], float] = {}
    try:
        listed = [(float(p), int(s), float(r), bool(end)) for p, s, r, end in outcomes]
    except (TypeError, ValueError):
        raise ValueError(
            f"{row}: {brief(outcomes)} is not a list of (probability, next state, reward, "
            "terminated)"
        ) from None
    for p, s_next, reward, terminated in listed:
        if not p >= 0:
            raise ValueError(f"{row}: a probability is {p}")
        if p > 0:
            key = (s_next, reward, terminated)
            merged[key] = merged.get(key, 0.0) + p
    total = sum(merged.values())
    if abs(total - 1) > 1e-9:
        raise ValueError(f"{row}: the probabilities sum to {total}, not 1")
    return [(*key, p) for key, p in merged.items()]
