"""Tabular Watkins' Q(lambda): Q-learning with eligibility traces (Watkins 1989)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gridcade.agents.base import Tensors
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.epsilon_greedy import max_q
from gridcade.agents.tabular import Explanation, TabularAgent
from gridcade.agents.tabular_config import TabularConfig
from gridcade.agents.tabular_loop import Transition
from gridcade.agents.tabular_updates import Floats, Ints, Learner, algorithm, count_visit
from gridcade.errors import InputError

SMALLEST_TRACE = 1e-200  # smaller traces are cut: subnormal numbers would be slow


@dataclass(frozen=True)
class QLambdaConfig(TabularConfig):
    """Hyperparameters of tabular Watkins' Q(lambda)."""

    trace_decay: float = 0.9
    """Decay lambda of the traces, between 0 and 1. 0: Q-learning."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if not 0 <= self.trace_decay <= 1:
            raise InputError(f"trace_decay is {self.trace_decay}; it must be between 0 and 1")


class Traces(NamedTuple):
    """The eligibility traces of the running episode."""

    decay: float  # gamma lambda, for each step
    traces: Floats  # [states, actions]
    traced: Ints  # [states * actions, 2]: the first `traced_count` have a trace > 0
    traced_count: Ints  # [1]


@compiled_in_place
def q_lambda(learner: Learner, transition: Transition, t: int, _: Floats) -> None:
    """Update the values of all traced states and actions after step t (Watkins 1989).

    delta = R + gamma max_a Q(S', a) - Q(S, A)
    e(s, a) *= gamma lambda if A was greedy, else e(s, a) = 0, for all s, a; then e(S, A) += 1
    Q(s, a) += alpha delta e(s, a), for all s, a

    Sutton & Barto (1998, section 7.6) have this algorithm in a box; the edition of 2018 describes
    it in section 12.10 without a number. The box draws the next action before the update, and then
    cuts or decays the traces; here it is drawn after the update, as in Q-learning.
    """
    q, allowed, own = learner.q, learner.allowed, learner.own
    s, a, r, s_next = transition.s, transition.a, transition.r, transition.s_next
    was_greedy = q[s, a] == max_q(q, s, allowed)
    decay_traces(own, own.decay if was_greedy else 0.0)
    if own.traces[s, a] == 0.0:
        append_trace(own, s, a)
    own.traces[s, a] += 1.0
    alpha = count_visit(learner, s, a, t)
    next_value = 0.0 if transition.terminated else max_q(q, s_next, allowed)
    delta = r + learner.hyperparameters.discount * next_value - q[s, a]
    for k in range(own.traced_count[0]):
        s, a = own.traced[k, 0], own.traced[k, 1]
        q[s, a] += alpha * delta * own.traces[s, a]
    if transition.terminated or transition.truncated:
        decay_traces(own, 0.0)


@compiled_in_place
def decay_traces(own: Traces, decay: float) -> None:
    """Multiply all traces by `decay`, and remove those that vanish from the list."""
    count = own.traced_count[0]
    own.traced_count[0] = 0
    for k in range(count):
        s, a = own.traced[k, 0], own.traced[k, 1]
        own.traces[s, a] *= decay
        if own.traces[s, a] < SMALLEST_TRACE:
            own.traces[s, a] = 0.0
        else:
            append_trace(own, s, a)


@compiled_in_place
def append_trace(own: Traces, s: int, a: int) -> None:
    """Append a state and action to the list of those with a trace."""
    count = own.traced_count[0]
    own.traced[count, 0], own.traced[count, 1] = s, a
    own.traced_count[0] = count + 1


class QLambda(TabularAgent[QLambdaConfig]):
    """A Q(lambda) agent."""

    name = "q-lambda"
    config_type = QLambdaConfig
    algorithm = algorithm(q_lambda)

    def new_episode(self) -> Tensors:
        """Make traces of 0."""
        return {
            "traces": np.zeros(self.q.shape),
            "traced": np.zeros((self.q.size, 2), dtype=np.int64),
            "traced_count": np.zeros(1, dtype=np.int64),
        }

    def own(self, episode: Tensors) -> Traces:
        """Return the traces for compiled code."""
        return Traces(float(self.config.discount * self.config.trace_decay), **episode)

    def explain(self, before: Tensors, transition: Transition, t: int) -> Explanation:
        """Explain the update of Q(S, A); the same error updates all traced values."""
        s, a = transition.s, transition.a
        greedy = before["q"][s, a] == max_q(before["q"], s, self.allowed)
        decay = self._learners[0].own.decay if greedy else 0.0
        formula, terms, new, _ = super().explain(before, transition, t)
        traces = before["traces"][0] * decay
        traces[s, a] += 1.0
        terms["e(s,a)"] = traces[s, a]
        count = np.count_nonzero(traces) - 1
        formula = formula.replace("{α} [", "{α} · {e(s,a)} [")
        return Explanation(f"{formula}; and {count} other values by their traces e", terms, new)


make = QLambda.make
