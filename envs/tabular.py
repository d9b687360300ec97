"""The exact model of a tabular environment: who follows whom, how likely, and for what reward."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Outcome = tuple[float, int, float, bool]  # probability, next state, reward, terminated
Table = Mapping[int, Mapping[int, Sequence[Outcome]]]  # toy_text's P: P[state][action]


@dataclass(frozen=True)
class Model:
    """A finite Markov step process, stored sparsely: one row of outcomes a (state, action).

    The outcomes of action `a` in state `s` lie at `offsets[i]:offsets[i + 1]`, `i = s * A + a`.
    An outcome with `terminated` ends the episode: nothing that follows in its next state counts.
    A time limit is no part of a model; it is handed to whoever asks about one.
    """

    offsets: NDArray[np.int64]  # [states * actions + 1]
    next_states: NDArray[np.int64]  # [outcomes]
    probabilities: NDArray[np.float64]  # [outcomes]
    rewards: NDArray[np.float64]  # [outcomes]
    terminated: NDArray[np.bool_]  # [outcomes]
    start: NDArray[np.float64]  # [states]: the distribution of the first state

    @property
    def num_states(self) -> int:
        """The number of states."""
        return len(self.start)

    @property
    def num_actions(self) -> int:
        """The number of actions, the same in every state."""
        return (len(self.offsets) - 1) // len(self.start)

    @property
    def continuing(self) -> bool:
        """Whether no outcome ever ends an episode."""
        return not self.terminated.any()

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The (state, action) row of each outcome.  [outcomes]."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @cached_property
    def cumulative(self) -> NDArray[np.float64]:
        """Running sums of each row's probabilities, its last one exactly 1.  [outcomes].

        A uniform draw u in [0, 1) picks the first outcome of the row whose sum exceeds u.
        """
        sums = np.cumsum(self.probabilities)
        before = np.concatenate([[0.0], sums])[self.offsets[:-1]]
        sums -= before[self.rows]
        sums[self.offsets[1:] - 1] = 1.0
        return sums

    @cached_property
    def start_cumulative(self) -> NDArray[np.float64]:
        """Running sums of the start distribution; drawn from like `cumulative`.  [states]."""
        sums = np.cumsum(self.start)
        sums[np.flatnonzero(self.start)[-1] :] = 1.0
        return sums

    def table(self) -> dict[int, dict[int, list[Outcome]]]:
        """The model in the form of Gymnasium's toy_text environments: `P[state][action]`."""
        columns = (self.probabilities, self.next_states, self.rewards, self.terminated)
        outcomes: list[Outcome] = list(zip(*(c.tolist() for c in columns), strict=True))
        cells = iter([outcomes[a:b] for a, b in zip(self.offsets, self.offsets[1:], strict=False)])
        return {
            s: {a: next(cells) for a in range(self.num_actions)} for s in range(self.num_states)
        }

    @classmethod
    def from_table(cls, table: Table, start: Any) -> "Model":
        """Read a model from toy_text's `P` and a start distribution of shape [states].

        Outcomes of one (state, action) that lead to the same place for the same reward are merged.

        Raises:
            ValueError: states or actions are not numbered 0, 1, …; the probabilities of a row or
                of the start are negative somewhere or do not sum to 1; a reward is not finite; a
                next state is unknown.
        """
        start = np.asarray(start, dtype=np.float64)
        num_states, num_actions = len(start), len(table.get(0, ()))
        if len(table) != num_states:
            raise ValueError(f"the start is over {num_states} states, the table has {len(table)}")
        offsets, merged = [0], list[tuple[tuple[int, float, bool], float]]()
        for s in range(num_states):
            if s not in table or set(table[s]) != set(range(num_actions)):
                raise ValueError(f"state {s} lacks one of the {num_actions} actions")
            for a in range(num_actions):
                row: dict[tuple[int, float, bool], float] = {}
                for p, s_next, reward, terminated in table[s][a]:
                    outcome = (int(s_next), float(reward), bool(terminated))
                    if not p >= 0:
                        raise ValueError(f"state {s}, action {a}: a probability is {p}")
                    if p > 0:
                        row[outcome] = row.get(outcome, 0.0) + float(p)
                if abs(sum(row.values()) - 1) > 1e-9:
                    total = sum(row.values())
                    raise ValueError(f"state {s}, action {a}: probabilities sum to {total}, not 1")
                merged += row.items()
                offsets.append(len(merged))
        model = cls(
            offsets=np.array(offsets),
            next_states=np.array([o[0] for o, _ in merged]),
            probabilities=np.array([p for _, p in merged]),
            rewards=np.array([o[1] for o, _ in merged]),
            terminated=np.array([o[2] for o, _ in merged]),
            start=start,
        )
        if model.next_states.min() < 0 or model.next_states.max() >= num_states:
            raise ValueError(f"a next state is outside 0 … {num_states - 1}")
        if not np.isfinite(model.rewards).all():
            raise ValueError("a reward is not finite")
        if not ((start >= 0).all() and abs(start.sum() - 1) <= 1e-9):
            raise ValueError("the start distribution is negative somewhere or does not sum to 1")
        return model
