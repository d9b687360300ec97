"""Tabular Q-learning: discounted (Watkins 1989), or differential for the average reward.

The algorithm is in `q_updates.py`, as compiled functions. Two loops call them:
`gridcade.experience.loop` in any Gymnasium environment, and `run` in a world whose model is known.
With the same random numbers, both give the same tables, bit for bit.

Where the environment masks actions, the agent remembers the mask that it saw last in each state.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Actions, Agent, Observations, Tensors, check_tensors
from gridcade.agents.probabilities import greedy, with_epsilon
from gridcade.agents.q_updates import (
    CompiledHyperparameters,
    differential_update,
    epsilon_at,
    epsilon_greedy,
    max_q,
    run,
    value_at,
    watkins_update,
)
from gridcade.agents.schedules import Schedule
from gridcade.agents.spaces import advice, numbered_actions, numbered_states
from gridcade.agents.tabular_loop import (
    TabularLoop,
    Transition,
    UpdateTerms,
    World,
    world_step,
)
from gridcade.envs.actions import FROM_ZERO, ActionIndex
from gridcade.envs.states import STATES_FROM_ZERO, StateIndex
from gridcade.envs.tabular import Model
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.experience.step import Step
from gridcade.formatting import format_result, format_term
from gridcade.seeding import pack, stream, unpack

MAX_TABLE = 100_000_000  # numbers in a table of action values: 1.6 GB with the numbers of visits
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# ---- hyperparameters


@dataclass(frozen=True)
class QLearningConfig:
    """Hyperparameters of tabular Q-learning.

    Raises:
        InputError: a field is out of its range.
    """

    criterion: Literal["discounted", "average-reward"] = "discounted"
    """Objective: discounted (Watkins & Dayan 1992) or average-reward (Wan, Naik & Sutton 2021)."""
    discount: float = 0.99
    """Discount factor gamma, between 0 and 1, of the discounted criterion."""
    step_size: Schedule = field(default_factory=lambda: Schedule(0.1))
    """Step size alpha of the updates of the action values."""
    epsilon: Schedule = field(default_factory=lambda: Schedule(0.1))
    """Probability of a uniformly random action."""
    initial_value: float = 0.0
    """Initial action values. If they exceed every possible return, the agent tries every action."""
    average_reward_step_ratio: float = 0.1
    """Step size of the average-reward estimate, as a multiple eta of alpha. Between 0 and 100."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.discount <= 1:
            raise InputError(f"discount is {self.discount}; it must be between 0 and 1")
        if not np.isfinite(self.initial_value):
            raise InputError(f"initial_value is {self.initial_value}; it must be finite")
        if not 0 < self.average_reward_step_ratio <= 100:
            raise InputError(
                f"average_reward_step_ratio is {self.average_reward_step_ratio}; "
                "it must be greater than 0 and at most 100"
            )
        self.step_size.check("step_size")
        self.epsilon.check("epsilon")

    def to_compiled(self) -> CompiledHyperparameters:
        """Return the hyperparameters as compiled code takes them."""
        return CompiledHyperparameters(
            self.criterion == "average-reward",
            float(self.discount),
            float(self.average_reward_step_ratio),
            self.step_size.to_compiled(),
            self.epsilon.to_compiled(),
        )


# ---- the agent

# The update rules as text, under the names of the terms that `QLearning.step` returns.
WATKINS_EQUATION = "{new} ← {Q(s,a)} + {α} [{r} + {γ} · {max Q(s′,b)} − {Q(s,a)}]"
DIFFERENTIAL_EQUATION = "{new} ← {Q(s,a)} + {α} [{r} − {r̄} + {max Q(s′,b)} − {Q(s,a)}]"


class QLearning(Agent):
    """A Q-learning agent for finitely many observations and actions.

    Args:
        num_states: number of states, which are the observations.
        num_actions: number of actions.
        config: hyperparameters.
        seed: seed of the agent's random stream.
        actions: the numbering of the actions.
        states: the numbering of the observations.
    """

    def __init__(
        self,
        num_states: int,
        num_actions: int,
        config: QLearningConfig | None = None,
        seed: int = 0,
        actions: ActionIndex = FROM_ZERO,
        states: StateIndex = STATES_FROM_ZERO,
    ):
        self.config = config or QLearningConfig()
        self._action_index = actions
        self.states = states
        self._observation_space = states.space
        self.hyperparameters = self.config.to_compiled()
        self.q: Floats = np.full((num_states, num_actions), float(self.config.initial_value))
        self.visits: Ints = np.zeros((num_states, num_actions), dtype=np.int64)
        self.average_reward: Floats = np.zeros(1)  # estimate, of the average-reward criterion
        self.allowed: Bools | None = None  # [states, actions]: the last masks; None: no masks yet
        self.steps = 0
        self.rng = stream(seed, "agent")
        self._prediction_rng = stream(seed, "prediction")

    def act(self, observations: Observations, masks: Bools | None = None) -> Actions:
        """Choose epsilon-greedy actions at n observations, at the current step.  [n, ...]."""
        states = self.states.encode(observations)
        actions = np.empty(len(states), dtype=np.int64)
        for i, s in enumerate(states):
            self._remember(int(s), masks, i)
            epsilon = epsilon_at(self.hyperparameters.epsilon, self.visits, int(s), self.steps + i)
            u = self.rng.random()
            actions[i] = epsilon_greedy(self.q, int(s), epsilon, u, self.allowed)
        return self._action_index.decode(actions)

    def observe(self, step: Step) -> None:
        """Learn from one step of every environment, in their order."""
        actions = self._action_index.encode(step.actions)
        encode = self.states.encode
        states, next_states = encode(step.observations), encode(step.next_observations)
        current = encode(step.current)
        for i in range(len(actions)):
            transition = Transition(
                int(states[i]),
                int(actions[i]),
                float(step.rewards[i]),
                int(next_states[i]),
                bool(step.terminated[i]),
                int(current[i]),
            )
            if not transition.terminated:
                self._remember(transition.s_next, step.next_masks, i)
            self._remember(transition.current, step.current_masks, i)
            self._update(transition)
            self.steps += 1

    def _remember(self, s: int, masks: Bools | None, i: int) -> None:
        """Remember the mask of environment i, which is in state s."""
        if masks is None:
            return
        if self.allowed is None:
            self.allowed = np.ones(self.q.shape, dtype=bool)
        self.allowed[s] = masks[i]

    def _update(self, transition: Transition) -> None:
        """Learn from one step, as the compiled `run` does."""
        q, visits, hyperparameters = self.q, self.visits, self.hyperparameters
        t, allowed = self.steps, self.allowed
        if hyperparameters.differential:
            average = self.average_reward
            differential_update(q, visits, average, hyperparameters, t, transition, allowed)
        else:
            watkins_update(q, visits, hyperparameters, t, transition, allowed)

    def run(self, world: World, until: int) -> None:
        """Learn in a world whose model is known until `steps` reaches `until`."""
        run(
            self.q,
            self.visits,
            self.average_reward,
            self.hyperparameters,
            world,
            self.rng,
            self.steps,
            until,
            self.allowed,
        )
        self.steps = max(self.steps, until)

    def step(self, world: World) -> UpdateTerms:
        """Take one step as `run` does, and return the terms of its update."""
        s, t = int(world.state[0]), self.steps
        epsilon = epsilon_at(self.hyperparameters.epsilon, self.visits, s, t)
        a = epsilon_greedy(self.q, s, epsilon, self.rng.random(), self.allowed)
        transition = world_step(world, s, a)
        s, a, r, s_next, terminated, s_start = transition
        differential = self.hyperparameters.differential
        old, average = float(self.q[s, a]), float(self.average_reward[0])
        if differential:
            next_value = max_q(self.q, s_start if terminated else s_next, self.allowed)
        else:
            next_value = 0.0 if terminated else max_q(self.q, s_next, self.allowed)
        self._update(transition)
        alpha = value_at(self.hyperparameters.step_size, t, self.visits[s, a])
        self.steps += 1
        discount = self.hyperparameters.discount
        new = float(self.q[s, a])
        names = ("Q(s,a)", "α", "r", "r̄" if differential else "γ", "max Q(s′,b)")
        values = (old, alpha, r, average if differential else discount, next_value)
        terms = dict(zip(names, map(float, values), strict=True))
        shown = {name: format_term(value) for name, value in terms.items()}
        template = DIFFERENTIAL_EQUATION if differential else WATKINS_EQUATION
        return UpdateTerms(
            equation=template.format(**{name: name for name in terms}, new="Q(s,a)"),
            filled=template.format(**shown, new=format_result(new)),
            terms=(*terms.items(), ("new Q(s,a)", new)),
            transition=transition,
        )

    def compiled_loop(self, model: Model, time_limit: int | None, seed: int) -> TabularLoop:
        """Return the compiled loop of this agent in one world.

        Args:
            model: the model of the world.
            time_limit: steps after which an episode is truncated; None: no limit.
            seed: seed of the world's random stream.
        """
        self.allowed = None if model.allowed is None else model.allowed.copy()
        return TabularLoop(self, model, time_limit, seed)

    def metrics(self) -> dict[str, float]:
        """Return epsilon, and the average-reward criterion's estimate.

        Raises:
            InputError: the action values have diverged.
        """
        if not np.isfinite(self.q).all():
            raise InputError("the action values have diverged; use a smaller step_size")
        values = {}
        if self.config.epsilon.power == 0:
            values["epsilon"] = self.config.epsilon.at(self.steps)
        if self.config.criterion == "average-reward":
            values["average_reward_estimate"] = float(self.average_reward[0])
        return values

    @property
    def values(self) -> Floats:
        """State values: max_a Q(s, a) over the allowed actions.  [states]."""
        where = True if self.allowed is None else self.allowed
        return np.asarray(self.q.max(axis=1, initial=-np.inf, where=where))

    def action_values(self, observations: Observations) -> Floats:
        """Q(s, a) in states [n]: [n, actions]."""
        return np.asarray(self.q[self.states.encode(observations)])

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Bools | None = None
    ) -> Floats:
        """Action probabilities in states [n]: [n, actions].

        Deterministic: the greedy policy, which shares ties evenly. Otherwise the epsilon-greedy
        policy at the current step. Without masks, the last ones that were seen in these states
        count.
        """
        states = self.states.encode(observations)
        if masks is None and self.allowed is not None:
            masks = self.allowed[states]
        table = greedy(self.q[states], masks)
        if deterministic:
            return table
        epsilon = self.hyperparameters.epsilon
        epsilons = [epsilon_at(epsilon, self.visits, int(s), self.steps) for s in states]
        return with_epsilon(table, np.array(epsilons)[:, None], masks)

    def state_dict(self) -> Tensors:
        """Everything that the agent's future depends on, as arrays."""
        tensors = {
            "q": self.q,
            "visits": self.visits,
            "average_reward": self.average_reward,
            "steps": np.array([self.steps]),
            "agent_stream": pack(self.rng),
        }
        return tensors if self.allowed is None else tensors | {"allowed": self.allowed}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: a tensor is missing, or has another shape.
        """
        self.allowed = None
        if "allowed" in tensors:
            self.allowed = np.ones(self.q.shape, dtype=bool)
        current = self.state_dict()
        check_tensors(tensors, list(current))
        for name, array in current.items():
            if tensors[name].shape != array.shape:
                raise ValueError(f"'{name}' has shape {tensors[name].shape}, not {array.shape}")
        self.q[:] = tensors["q"]
        self.visits[:] = tensors["visits"]
        self.average_reward[:] = tensors["average_reward"]
        self.steps = int(tensors["steps"][0])
        if self.allowed is not None:
            self.allowed[:] = tensors["allowed"]
        unpack(self.rng, tensors["agent_stream"])


def make(env: Env, config: QLearningConfig, seed: int) -> QLearning:
    """Create an agent for an environment.

    Raises:
        InputError: the observations are infinite, or the table would be too large.
    """
    actions = numbered_actions(env, "q-learning")
    states = numbered_states(env, "q-learning")
    if (size := states.count * actions.count) > MAX_TABLE:
        raise InputError(
            f"q-learning needs a table of {states.count} states and {actions.count} actions here, "
            f"which is {size} numbers; at most {MAX_TABLE} are possible{advice(env, bins=False)}"
        )
    return QLearning(states.count, actions.count, config, seed, actions, states)
