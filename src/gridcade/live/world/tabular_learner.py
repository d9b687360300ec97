"""A tabular agent as a learner of the live page."""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade import agents
from gridcade.agents.base import AgentConfig, Tensors
from gridcade.agents.tabular import TabularAgent
from gridcade.agents.tabular_loop import UpdateTerms
from gridcade.envs.tabular import TabularEnv
from gridcade.live.world.learner import Learner, Update, Walk, moved_rows
from gridcade.live.world.place import Place

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PATH_LENGTH = 200  # number of states of the present episode that are shown
LONGEST_EPISODE = 100_000  # steps that `finish_episode` takes at most
FOLLOWED_STEPS = 20  # up to this number between two pictures, the path shows every step


class TabularLearner(Learner):
    """A tabular agent that walks through a world, in its compiled loop."""

    def __init__(self, name: str, place: Place, config: AgentConfig, seed: int):
        self._name, self._place, self.config, self._seed = name, place, config, seed
        env = TabularEnv(place.world, place.model, place.moves, place.signs)
        agent = agents.find(name).make(env, config, seed)
        assert isinstance(agent, TabularAgent)  # noqa: S101 - for the type checker
        self.agent: TabularAgent[Any] = agent
        self.loop = agent.compiled_loop(place.model, place.time_limit, seed)
        if getattr(config, "criterion", "") == "average-reward":
            self.criterion = "average-reward"
        self.discount = float(getattr(config, "discount", 1.0))
        self._episodes = 0
        self._path: deque[int] = deque([self.loop.state], PATH_LENGTH)

    @property
    def steps(self) -> int:
        """Number of steps so far."""
        return self.agent.steps

    @property
    def q(self) -> Floats:
        """Action values.  [states, actions]."""
        return self.agent.q

    @property
    def values(self) -> Floats:
        """State values.  [states]."""
        return self.agent.values

    @property
    def policy(self) -> Floats:
        """The probabilities of the greedy policy.  [states, actions]."""
        return self.agent.probabilities(np.arange(self._place.model.num_states))

    @property
    def visits(self) -> Ints:
        """Number of updates of each action value.  [states, actions]."""
        return self.agent.visits

    @property
    def walk(self) -> Walk:
        """Where the agent is."""
        path = tuple(self._path)
        return Walk(self.loop.state, path, self._episodes, self.loop.episode_return)

    def advance(self, steps: int) -> None:
        """Learn from a number of steps; if they are few, record each one in the path."""
        if steps > FOLLOWED_STEPS:
            self._count(self.loop.advance(self.agent.steps + steps)["episodes"])
            self._path = deque([self.loop.state], PATH_LENGTH)
            return
        for _ in range(steps):
            self._count(self.loop.advance(self.agent.steps + 1)["episodes"])

    def step(self) -> Update:
        """Learn from one step, and return its update."""
        terms = self.loop.step()
        self._count(self.loop.elapsed == 0)
        return tabular_update(terms)

    def finish_episode(self) -> Update:
        """Learn to the end of the episode, and return the last update."""
        episodes, end = self._episodes, self.agent.steps + LONGEST_EPISODE
        update = self.step()
        while self._episodes == episodes and self.agent.steps < end:
            update = self.step()
        return update

    def _count(self, episodes: float) -> None:
        """Count the episodes that ended, and extend the path of the present one."""
        if episodes:
            self._episodes += int(episodes)
            self._path.clear()
        self._path.append(self.loop.state)

    def snapshot(self) -> Tensors:
        """Copy the agent, the state of its world, and the path."""
        parts = {"agent": self.agent.state_dict(), "loop": self.loop.state_dict()}
        copy = {f"{k}.{n}": v.copy() for k, part in parts.items() for n, v in part.items()}
        return copy | {"episodes": np.array([self._episodes]), "path": np.array(self._path)}

    def restore(self, snapshot: Tensors) -> None:
        """Return to a snapshot that was taken in this world."""
        self.agent.load_state_dict(_part(snapshot, "agent."))
        self.loop.load_state_dict(_part(snapshot, "loop."))
        self._episodes = int(snapshot["episodes"][0])
        self._path = deque(snapshot["path"].tolist(), PATH_LENGTH)

    def moved(self, place: Place) -> "TabularLearner":
        """Create the learner in a changed world; in new cells, it begins like a new agent."""
        new = TabularLearner(self._name, place, self.config, self._seed)
        count, new_count = (p.model.num_states for p in (self._place, place))
        old_states = moved_rows(np.arange(count), self._place, np.full(new_count, -1), place)
        new.agent.take_over(self.agent, old_states)
        new._episodes = self._episodes
        old = self.loop.state_dict()
        here = self._place.world.places()[self.loop.state]
        places = place.world.places()
        stays = here in places and not place.world.cell(*here).end
        state = places.index(here) if stays else new.loop.state
        new.loop.load_state_dict(
            old | {"state": np.array([state, 0]), "episode_return": np.zeros(1)}
        )
        new._path = deque([new.loop.state], PATH_LENGTH)
        return new


def _part(snapshot: Tensors, prefix: str) -> Tensors:
    return {k.removeprefix(prefix): v for k, v in snapshot.items() if k.startswith(prefix)}


def tabular_update(terms: UpdateTerms) -> Update:
    """Convert an agent's update to the form that the page shows."""
    transition = terms.transition
    return Update(
        terms.equation,
        terms.filled,
        terms.terms,
        int(transition.s),
        int(transition.a),
        (int(transition.s_next),),
        bool(transition.terminated),
    )
