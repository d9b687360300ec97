"""The one loop between agents and environments: act, step, learn, and yield what happened."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from gridcade.envs.atari import AtariGames
from gridcade.envs.lookup import atari_title, make, parse, time_limit
from gridcade.streams import Purpose, episode_seed

TOTALS = ("reward", "episodes", "return", "squared_return", "length", "truncated")
"""What loops add up while they learn; all but `reward` over the episodes that ended."""


@dataclass(frozen=True)
class Step:
    """One decision in each of n environments. Arrays have n as their first axis."""

    observations: Any
    actions: NDArray[Any]
    rewards: NDArray[np.float64]  # raw
    next_observations: Any  # where the decisions led, ends included
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    current: Any  # what the next decisions are made from: new starts where episodes ended
    life_lost: NDArray[np.bool_] | None = None  # in games that have lives, and go on


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


def make_vector(name: str, count: int, **arguments: Any) -> VectorEnv[Any, Any, Any]:
    """Several environments of one name, reset only when told to; emulators run side by side.

    Raises:
        InputError: no such environment or argument, or a value out of its range.
    """
    id_, given = parse(name, **arguments)
    if title := atari_title(id_):
        return AtariGames(title, count, **given)
    builders = [partial(make, name, **arguments)] * count
    return SyncVectorEnv(builders, autoreset_mode=AutoresetMode.DISABLED)


def reset(
    envs: VectorEnv[Any, Any, Any],
    seeds: list[int] | None,
    mask: NDArray[np.bool_] | None = None,
) -> Any:
    """Reset environments, all or those of a mask, each by its seed; the observations of all."""
    seed: Any = seeds  # Gymnasium's annotation leaves lists out
    options = None if mask is None else {"reset_mask": mask.copy()}
    return envs.reset(seed=seed, options=options)[0]


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
        several = getattr(envs, "games_a_seed", 1)
        self._episodes_a_seed = several if purpose == "training" else 1
        self._numbers = np.zeros(envs.num_envs, dtype=np.int64)  # of the present episodes
        self._actions: list[list[Any]] = [[] for _ in range(envs.num_envs)]  # since its reset
        self._tellers = _tellers(envs)
        self._beside = ThreadPoolExecutor(1)  # for emulators, which run without Python's lock
        self._current = reset(envs, self._seeds())

    @property
    def current(self) -> Any:
        """Observations [n, …] that the next decisions are made from."""
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
            episode_seed(self._seed, self._purpose, env, number - number % self._episodes_a_seed)
            for env, number in enumerate(self._numbers.tolist())
        ]

    def _restart(self, observations: Any, ended: NDArray[np.bool_]) -> Any:
        """Start the next episodes where the last ones ended."""
        if not ended.any():
            return observations
        self._numbers += ended
        for env in np.flatnonzero(ended):
            self._actions[env] = []
        seeded = ended & (self._numbers % self._episodes_a_seed == 0)
        if seeded.any():
            observations = reset(self.envs, self._seeds(), seeded)
        if (ended & ~seeded).any():
            observations = reset(self.envs, None, ended & ~seeded)
        return observations

    def _begin(self, mask: NDArray[np.bool_]) -> Any:
        """Start the present episodes of a mask, whatever was played before."""
        observations = reset(self.envs, self._seeds(), mask)
        resets = self._numbers % self._episodes_a_seed  # since the seed was given
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
