"""The base class of tabular agents: their policy, both loops, and explanations of updates.

A kind of agent is a file with its hyperparameters, a class, and a compiled function that learns
from one transition by the equations of its source. Two loops call this function:
`gridcade.experience.loop` in any Gymnasium environment, and `run` in a world whose model is known.
With the same random numbers, both give the same tables, bit for bit.

If the environment masks actions, an agent remembers the last mask of each state.
"""

from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Actions, Agent, Observations, Storage, Tensors
from gridcade.agents.epsilon_greedy import epsilon_at, max_q, value_at
from gridcade.agents.probabilities import greedy, with_epsilon
from gridcade.agents.spaces import advice, numbered_actions, numbered_states
from gridcade.agents.tabular_loop import TabularLoop, Transition, UpdateTerms, World, world_step
from gridcade.agents.tabular_state import C, TabularState
from gridcade.agents.tabular_updates import Algorithm, next_state
from gridcade.envs.tabular import Model
from gridcade.envs.types import Env
from gridcade.errors import InputError
from gridcade.experience.step import Step
from gridcade.formatting import format_result, format_term
from gridcade.seeding import pack, unpack

MAX_TABLE = 100_000_000  # most action values in a table: 1.6 GB with the counts of visits
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Explanation(NamedTuple):
    """An update as a formula, with names in braces, and the values of these names."""

    formula: str
    terms: dict[str, float]
    new: float  # the value after the update
    name: str = "Q(s,a)"  # the name of the updated value, which is {new} in the formula


ONE_STEP = "{new} ← {Q(s,a)} + {α} [{r} + {γ} · {NEXT} − {Q(s,a)}]"
DIFFERENTIAL = "{new} ← {Q(s,a)} + {α} [{r} − {r̄} + {NEXT} − {Q(s,a)}]"


class TabularAgent(TabularState[C], Agent):
    """An agent with a table of action values, for finitely many observations and actions.

    See `TabularState` for its attributes and arguments.
    """

    name: ClassVar[str]
    algorithm: ClassVar[Algorithm]
    next_value_name: ClassVar[str] = "max Q(s′,b)"  # in equations

    # ---- what a kind of agent may override, besides what `TabularState` says

    def next_state(self, transition: Transition) -> int:
        """Return the state whose value the last update read; -1: it was terminal."""
        return int(next_state(self._learners[0], transition))

    def next_value(self, before: Tensors, transition: Transition) -> float:
        """Return the value of the next state that the last update used; see `explain`."""
        s_next = self.next_state(transition)
        return max_q(before["q"], s_next, self.allowed) if s_next >= 0 else 0.0

    def explain(self, before: Tensors, transition: Transition, t: int) -> Explanation:
        """Explain the last update.

        Args:
            before: the agent's state before the update.
            transition: the transition that the agent learned from.
            t: the absolute step of the update.
        """
        s, a = transition.s, transition.a
        next_value = self.next_value(before, transition)
        alpha = value_at(self.hyperparameters.step_size, t, self.visits[s, a])
        terms = {"Q(s,a)": before["q"][s, a], "α": alpha, "r": transition.r}
        differential = self.hyperparameters.differential
        if differential:
            terms["r̄"] = before["average_reward"][0]
        else:
            terms["γ"] = self.hyperparameters.discount
        terms[self.next_value_name] = next_value
        formula = DIFFERENTIAL if differential else ONE_STEP
        formula = formula.replace("NEXT", self.next_value_name)
        return Explanation(formula, terms, self.q[s, a])

    # ---- in any environment

    def allocate(self, num_envs: int, slack: int, storage: Storage) -> None:
        """Allocate what the agent remembers of the episodes of `num_envs` environments."""
        del slack, storage
        self._resize(num_envs)

    def act(self, observations: Observations, masks: Bools | None = None) -> Actions:
        """Choose epsilon-greedy actions at n observations, at the current step.  [n, ...]."""
        states = self.states.encode(observations)
        if len(states) > len(self._learners):
            self._resize(len(states))
        actions = np.empty(len(states), dtype=np.int64)
        for i, s in enumerate(states):
            self._remember(int(s), masks, i)
            actions[i] = self._choose(i, int(s), self.steps + i)
        return self._action_index.decode(actions)

    def observe(self, step: Step) -> None:
        """Learn from one step of every environment, in their order."""
        actions = self._action_index.encode(step.actions)
        encode = self.states.encode
        states, next_states = encode(step.observations), encode(step.next_observations)
        current = encode(step.current)
        for i in range(len(actions)):
            terminated = bool(step.terminated[i])
            transition = Transition(
                int(states[i]),
                int(actions[i]),
                float(step.rewards[i]),
                int(next_states[i]),
                terminated,
                not terminated and bool(step.truncated[i]),
                int(current[i]),
            )
            if not terminated:
                self._remember(transition.s_next, step.next_masks, i)
            self._remember(transition.current, step.current_masks, i)
            self._learn(i, transition)

    def restart_episodes(
        self, lost: Bools, observations: Observations, masks: Bools | None = None
    ) -> None:
        """Forget the running episodes that cannot continue."""
        del observations, masks
        for name, array in self.new_episode().items():
            self.episodes[name][lost] = array

    def _remember(self, s: int, masks: Bools | None, i: int) -> None:
        """Remember the mask of environment i, which is in state s."""
        if masks is None:
            return
        if self.allowed is None:
            self.allowed = np.ones(self.q.shape, dtype=bool)
        self.allowed[s] = masks[i]

    def _choose(self, env: int, s: int, t: int) -> int:
        """Choose the action of step t, as the compiled `run` does."""
        return self.algorithm.choose(self._learners[env], s, t, self.rng.random())

    def _learn(self, env: int, transition: Transition) -> None:
        """Learn from one step, as the compiled `run` does, and count it."""
        if self.numbers_per_update:
            self.rng.random(out=self._numbers)
        self.algorithm.learn(self._learners[env], transition, self.steps, self._numbers)
        self.steps += 1

    # ---- in a world whose model is known

    def compiled_loop(self, model: Model, time_limit: int | None, seed: int) -> TabularLoop:
        """Return the compiled loop of this agent in one world.

        Args:
            model: the model of the world.
            time_limit: steps after which an episode is truncated; None: no limit.
            seed: seed of the world's random stream.
        """
        self.allowed = None if model.allowed is None else model.allowed.copy()
        return TabularLoop(self, model, time_limit, seed)

    def run(self, world: World, until: int) -> None:
        """Learn in a world whose model is known until `steps` reaches `until`.

        It ends earlier if the world has recorded all episodes that it has room for.
        """
        learner = self._learners[0]
        self.steps = self.algorithm.run(learner, self._numbers, world, self.rng, self.steps, until)

    def step(self, world: World) -> UpdateTerms:
        """Take one step as `run` does, and return the terms of its update."""
        s, t = int(world.state[0]), self.steps
        transition = world_step(world, s, self._choose(0, s, t))
        before = {name: array.copy() for name, array in self.state_dict().items()}
        self._learn(0, transition)
        formula, values, new, name = self.explain(before, transition, t)
        terms = {term: float(value) for term, value in values.items()}
        shown = {term: format_term(value) for term, value in terms.items()}
        return UpdateTerms(
            equation=formula.format(**{term: term for term in terms}, new=name),
            filled=formula.format(**shown, new=format_result(new)),
            terms=(*terms.items(), (f"new {name}", float(new))),
            transition=transition,
        )

    def take_over(self, old: "TabularAgent[C]", numbers: Ints) -> None:
        """Continue the learning of another agent, whose states had other numbers.

        What the other agent remembers of the current episode is lost.

        Args:
            old: the other agent, with the same hyperparameters.
            numbers: the old number of each state; -1: the state is new.  [states].
        """
        known = numbers >= 0
        tables = {"q": self.q, "visits": self.visits, **self.own_tables}
        before = old.state_dict()
        for name, table in tables.items():
            if table.ndim == 2:  # [states, actions]
                table[known] = before[name][numbers[known]]
        self.average_reward[:] = old.average_reward
        self.steps = old.steps
        unpack(self.rng, pack(old.rng))

    # ---- as a policy

    def metrics(self) -> dict[str, float]:
        """Return epsilon, and the estimate of the average reward if that is the criterion.

        Raises:
            InputError: the action values have diverged.
        """
        if not np.isfinite(self.q).all():
            raise InputError("the action values have diverged; use a smaller step_size")
        values = {}
        if self.config.epsilon.power == 0:
            values["epsilon"] = self.config.epsilon.at(self.steps)
        if self.hyperparameters.differential:
            values["average_reward_estimate"] = float(self.average_reward[0])
        return values

    @property
    def values(self) -> Floats:
        """State values: max_a Q(s, a) over the allowed actions.  [states]."""
        where = True if self.allowed is None else self.allowed
        return np.asarray(self.q.max(axis=1, initial=-np.inf, where=where))

    def action_values(self, observations: Observations) -> Floats:
        """Return Q(s, a) at observations [n]: [n, actions]."""
        return np.asarray(self.q[self.states.encode(observations)])

    def probabilities(
        self, observations: Observations, deterministic: bool = True, masks: Bools | None = None
    ) -> Floats:
        """Return the action probabilities at observations [n]: [n, actions].

        Deterministic: the greedy policy, which shares ties evenly. Otherwise the epsilon-greedy
        policy at the current step. Without `masks`, the last masks of these states are used.
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

    @classmethod
    def make(cls, env: Env, config: C, seed: int) -> Self:
        """Create an agent for an environment.

        Raises:
            InputError: the observations or actions are infinitely many, or the table would be too
                large.
        """
        actions, states = numbered_actions(env, cls.name), numbered_states(env, cls.name)
        if (size := states.count * actions.count) > MAX_TABLE:
            raise InputError(
                f"{cls.name} needs a table of {states.count} states and {actions.count} actions "
                f"here, which is {size} numbers; at most {MAX_TABLE} are possible"
                f"{advice(env)}"
            )
        return cls(states.count, actions.count, config, seed, actions, states)
