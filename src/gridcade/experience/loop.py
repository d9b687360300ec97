"""The one loop between agents and environments: act, step, learn, and yield what happened."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from gridcade.envs.atari import AtariGames
from gridcade.envs.registry import time_limit
from gridcade.experience.step import Step
from gridcade.experience.vector import reset
from gridcade.seeding import Purpose, episode_seed


class Learner(Protocol):
    """What the loop asks of an agent."""

    def act(self, observations: Any) -> NDArray[Any]:
        """Actions for observations [n, …]."""
        ...

    def observe(self, step: Step) -> None:
        """Take in what happened."""
        ...

    def update(self) -> None:
        """Learn, while the environments run."""
        ...


class Experience:
    """Agents meet environments here.

    Every episode is reset by a seed of its own, derived from the run's seed, the purpose, the
    environment and the episode's number; where seeding is dear, a training's seed serves for
    several episodes, one after another (`AtariGames`). So an environment's state is that seed, the
    resets since and the actions since the last one, and that is what is kept; worlds that can tell
    their state tell it instead.

    Args:
        envs: environments whose autoreset is disabled; they are closed by whoever made them.
        seed: the run's.
        purpose: what the episodes are for.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any], seed: int, purpose: Purpose = "training"):
        self.envs = envs
        self._seed = seed
        self._purpose: Purpose = purpose
        several = getattr(envs, "episodes_per_seed", 1)
        self._episodes_per_seed = several if purpose == "training" else 1
        self._numbers = np.zeros(envs.num_envs, dtype=np.int64)  # of the present episodes
        self._actions: list[list[Any]] = [[] for _ in range(envs.num_envs)]  # since its reset
        self._tellers = _tellers(envs)
        self._beside = ThreadPoolExecutor(1)  # for emulators, which run without Python's lock
        self._current = reset(envs, self._seeds())

    @property
    def current(self) -> Any:
        """Observations [n, …] that the next steps are made from."""
        return self._current

    def steps(self, agent: Learner) -> Iterator[Step]:
        """Step after step, without end: the consumer stops it."""
        while True:
            observations = self._current
            actions = agent.act(observations)
            if isinstance(self.envs, AtariGames):
                running = self._beside.submit(self._take, actions)
                agent.update()  # while the emulators run
                received = running.result()
            else:
                agent.update()
                received = self._take(actions)
            next_observations, rewards, terminated, truncated, info = received
            step = Step(
                observations,
                actions,
                np.asarray(rewards, dtype=np.float64),
                next_observations,
                terminated,
                truncated,
                self._current,
                info.get("life_lost"),
            )
            agent.observe(step)
            yield step

    def _take(self, actions: NDArray[Any]) -> Any:
        """Step every environment, and start those again whose episode ended."""
        received = self.envs.step(actions)
        if not self._tellers:
            for past, action in zip(self._actions, actions, strict=True):
                past.append(action)
        next_observations, _, terminated, truncated, _ = received
        self._current = self._restart(next_observations, terminated | truncated)
        return received

    def state(self) -> dict[str, Any]:
        """Where every environment stands; plain numbers and lists, fit for JSON."""
        numbers = self._numbers.tolist()
        if self._tellers:
            return {"numbers": numbers, "states": [env.get_state() for env in self._tellers]}
        actions = [[np.asarray(a).tolist() for a in past] for past in self._actions]
        return {"numbers": numbers, "actions": actions}

    def restore(self, state: dict[str, Any]) -> None:
        """Put every environment back where `state` found it."""
        self._numbers[:] = state["numbers"]
        if self._tellers:
            self._begin(np.ones(len(self._numbers), dtype=bool))
            told = zip(self._tellers, state["states"], strict=True)
            self._current = np.array([env.set_state(one) for env, one in told])
            return
        self._replay(state["actions"])

    def _seeds(self) -> list[int]:
        return [
            episode_seed(self._seed, self._purpose, env, number - number % self._episodes_per_seed)
            for env, number in enumerate(self._numbers.tolist())
        ]

    def _restart(self, observations: Any, ended: NDArray[np.bool_]) -> Any:
        """Start the next episodes where the last ones ended."""
        if not ended.any():
            return observations
        self._numbers += ended
        for env in np.flatnonzero(ended):
            self._actions[env] = []
        seeded = ended & (self._numbers % self._episodes_per_seed == 0)
        if seeded.any():
            observations = reset(self.envs, self._seeds(), seeded)
        if (ended & ~seeded).any():
            observations = reset(self.envs, None, ended & ~seeded)
        return observations

    def _begin(self, mask: NDArray[np.bool_]) -> Any:
        """Start the present episodes of a mask, whatever was played before."""
        observations = reset(self.envs, self._seeds(), mask)
        resets = self._numbers % self._episodes_per_seed  # since the seed was given
        for past in range(int(resets.max(initial=0, where=mask))):
            observations = reset(self.envs, None, mask & (resets > past))
        return observations

    def _replay(self, actions: list[list[Any]]) -> None:
        """Take past actions again, every environment starting so that all end together."""
        self._actions = [list(past) for past in actions]
        lengths = np.array([len(past) for past in actions])
        ended = np.zeros(len(actions), dtype=bool)
        idle = self.envs.action_space.sample()
        for left in range(int(lengths.max()), 0, -1):
            fresh = (lengths == left) | ended
            if fresh.any():
                self._begin(fresh)
            taken = idle.copy()
            for env in np.flatnonzero(lengths >= left):
                taken[env] = actions[env][lengths[env] - left]
            stepped, _, terminated, truncated, _ = self.envs.step(taken)
            ended = terminated | truncated
            if (ended & (lengths >= left)).any():
                raise ValueError("an episode that was going on ends when its actions are repeated")
            self._current = stepped
        fresh = lengths == 0
        if fresh.any():
            self._current = self._begin(fresh)


def _tellers(envs: VectorEnv[Any, Any, Any]) -> list[Any]:
    """The environments themselves, if all are worlds without end that can tell their state."""
    bare = [env.unwrapped for env in envs.envs] if isinstance(envs, SyncVectorEnv) else []
    unlimited = all(time_limit(env) is None for env in getattr(envs, "envs", []))
    telling = all(hasattr(env, "get_state") and hasattr(env, "set_state") for env in bare)
    return bare if unlimited and telling else []
