"""The one loop between agents and environments: act, step, observe, update, and yield the step."""

import hashlib
from collections.abc import Iterator
from typing import Any, NotRequired, Protocol, TypedDict, runtime_checkable

import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

from gridcade.envs.actions import FROM_ZERO, finite_actions
from gridcade.envs.guard import is_ours
from gridcade.envs.registry import time_limit
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.types import Array, Envs
from gridcade.envs.wrappers import SupportsAsyncStep
from gridcade.experience.step import Step
from gridcade.experience.vector import SyncEnvs, action_masks, reset
from gridcade.seeding import Purpose, episode_seed

Bools = NDArray[np.bool_]
HASH_LENGTH = 12  # hexadecimal digits of the hash of an observation


class Learner(Protocol):
    """What the loop calls of an agent."""

    def act(self, observations: Array, masks: Bools | None = None) -> Array:
        """Actions for observations [n, ...]; masks, [n, actions], allow some only."""
        ...

    def observe(self, step: Step) -> None:
        """Take in one step of every environment."""
        ...

    def update(self) -> None:
        """Learn."""
        ...


@runtime_checkable
class SharesSeeds(Protocol):
    """Environments in which several episodes follow one seed, because seeding takes long."""

    episodes_per_seed: int


class EnvState(TypedDict):
    """The state of n environments, as plain numbers and lists fit for JSON."""

    episodes: list[int]  # number of the running episode of each environment
    actions: list[list[Any]]  # since its reset
    states: list[dict[str, Any]]  # of worlds without an end, which have no actions here
    observations: NotRequired[list[str]]  # hashes of the present ones; older checkpoints lack them


class Experience:
    """The environments of a run, stepped by the actions of an agent.

    Every episode is reset by a seed of its own, derived from the run's seed, the purpose, the
    environment and the episode's number. Where seeding takes long, one seed serves several
    successive episodes of training (`SharesSeeds`). So the state of an environment is that seed,
    the resets since and the actions since the last one, and these are saved. Worlds without an end
    save their state instead.

    Args:
        envs: environments whose autoreset is disabled; their owner closes them.
        seed: of the run.
        purpose: of the episodes.
    """

    def __init__(self, envs: Envs, seed: int, purpose: Purpose = "training"):
        self.envs = envs
        self._seed = seed
        self._purpose: Purpose = purpose
        self._episodes_per_seed = 1
        if purpose == "training" and isinstance(envs, SharesSeeds):
            self._episodes_per_seed = envs.episodes_per_seed
        self._episodes = np.zeros(envs.num_envs, dtype=np.int64)  # numbers of the running ones
        self._actions: list[list[Any]] = [[] for _ in range(envs.num_envs)]  # since the reset
        self._worlds = _endless_worlds(envs)
        self._current: Array = reset(envs, self._seeds())
        self._current_masks = action_masks(envs)

    @property
    def current_masks(self) -> Bools | None:
        """The actions that are allowed next, [n, actions]; None: all."""
        return self._current_masks

    @property
    def current(self) -> Array:
        """Observations [n, ...] for which the next actions are chosen."""
        return self._current

    def replace_current(self, observations: Array) -> None:
        """Set the present observations, after an environment was reset elsewhere."""
        self._current = observations
        self._current_masks = action_masks(self.envs)

    def steps(self, agent: Learner, overlap: bool = False) -> Iterator[Step]:
        """Yield step after step, without end.

        Args:
            agent: chooses the actions and observes the steps.
            overlap: update while the environments step, from what was observed before. Otherwise
                the order is the papers': the update comes after the step has been observed.
        """
        while True:
            observations, masks = self._current, self._current_masks
            actions = agent.act(observations) if masks is None else agent.act(observations, masks)
            if not overlap:
                transition = self.envs.step(actions)
            elif isinstance(self.envs, SupportsAsyncStep):
                self.envs.step_async(actions)
                agent.update()
                transition = self.envs.step_wait()
            else:
                agent.update()
                transition = self.envs.step(actions)
            next_observations, rewards, terminated, truncated, info = transition
            if not self._worlds:
                for past, action in zip(self._actions, actions, strict=True):
                    past.append(action)
            next_masks = action_masks(self.envs)
            self._current = self._start_episodes(next_observations, terminated | truncated)
            self._current_masks = action_masks(self.envs)
            step = Step(
                observations,
                actions,
                np.asarray(rewards, dtype=np.float64),
                next_observations,
                terminated,
                truncated,
                self._current,
                info.get("life_lost"),
                masks,
                next_masks,
                self._current_masks,
            )
            agent.observe(step)
            if not overlap:
                agent.update()
            yield step

    def env_state(self) -> EnvState:
        """The state of every environment."""
        episodes = self._episodes.tolist()
        actions = [[np.asarray(a).tolist() for a in past] for past in self._actions]
        states = [world.get_state() for world in self._worlds]
        return {
            "episodes": episodes,
            "actions": actions,
            "states": states,
            "observations": self._hashes(),
        }

    def load_env_state(self, state: EnvState) -> NDArray[np.bool_]:
        """Bring every environment to the state that `env_state` returned.

        Actions that are taken again do not lead everywhere to the same observation: an environment
        may draw from a generator that its seed does not set, or be of another version. There the
        next episode starts instead.

        Returns:
            In which environments a new episode has started, [n].
        """
        self._episodes[:] = state["episodes"]
        if self._worlds:
            self._reset_running(np.ones(len(self._episodes), dtype=bool))
            saved = zip(self._worlds, state["states"], strict=True)
            self._current = np.array([world.set_state(one) for world, one in saved])
            if isinstance(self.envs, SyncEnvs):
                self.envs.read_masks([world.info() for world in self._worlds])
            lost = np.zeros(len(self._episodes), dtype=bool)
        else:
            lost = self._replay(state["actions"])
        if "observations" in state and not self._worlds:
            pairs = zip(self._hashes(), state["observations"], strict=True)
            lost |= [now != before for now, before in pairs]
        if lost.any():
            self._current = self._start_episodes(self._current, lost)
        self._current_masks = action_masks(self.envs)
        return lost

    def _seeds(self) -> list[int]:
        return [
            episode_seed(
                self._seed, self._purpose, env, episode - episode % self._episodes_per_seed
            )
            for env, episode in enumerate(self._episodes.tolist())
        ]

    def _start_episodes(self, observations: Array, ended: NDArray[np.bool_]) -> Array:
        """Start the next episodes where the last ones ended."""
        if not ended.any():
            return observations
        self._episodes += ended
        for env in np.flatnonzero(ended):
            self._actions[env] = []
        seeded = ended & (self._episodes % self._episodes_per_seed == 0)
        if seeded.any():
            observations = reset(self.envs, self._seeds(), seeded)
        if (ended & ~seeded).any():
            observations = reset(self.envs, None, ended & ~seeded)
        return observations

    def _reset_running(self, mask: NDArray[np.bool_]) -> Array:
        """Reset the environments of a mask to the start of their running episodes."""
        observations: Array = reset(self.envs, self._seeds(), mask)
        resets = self._episodes % self._episodes_per_seed  # since the seed
        for past in range(int(resets.max(initial=0, where=mask))):
            observations = reset(self.envs, None, mask & (resets > past))
        return observations

    def _hashes(self) -> list[str]:
        """Hashes of the present observations, one for each environment."""
        return [_hash(self._current, env) for env in range(self.envs.num_envs)]

    def _replay(self, actions: list[list[Any]]) -> NDArray[np.bool_]:
        """Take recorded actions again.

        Environments with fewer recorded actions start later, so that all replays end at the same
        step. Returns where an episode ended too early, [n].
        """
        self._actions = [list(past) for past in actions]
        lengths = np.array([len(past) for past in actions])
        ended = np.zeros(len(actions), dtype=bool)
        lost = np.zeros(len(actions), dtype=bool)
        idle = self.envs.action_space.sample()
        index = finite_actions(self.envs.single_action_space) or FROM_ZERO
        for left in range(int(lengths.max()), 0, -1):
            starting = (lengths == left) | ended
            if starting.any():
                self._reset_running(starting)
            masks = action_masks(self.envs)
            taken = idle.copy() if masks is None else index.decode(masks.argmax(axis=1))
            for env in np.flatnonzero((lengths >= left) & ~lost):
                taken[env] = actions[env][lengths[env] - left]
            observations, _, terminated, truncated, _ = self.envs.step(taken)
            ended = terminated | truncated
            lost |= ended & (lengths >= left)
            self._current = observations
        starting = (lengths == 0) | ended
        if starting.any():
            self._current = self._reset_running(starting)
        return lost


def _hash(observations: Any, env: int) -> str:
    """Hash the observation of one environment: of an array [n, ...], a dict or a tuple of them."""
    if isinstance(observations, dict):
        return " ".join(_hash(part, env) for part in observations.values())
    if isinstance(observations, tuple):
        return " ".join(_hash(part, env) for part in observations)
    array = np.ascontiguousarray(observations[env])
    return hashlib.sha256(array.tobytes()).hexdigest()[:HASH_LENGTH]


def _endless_worlds(envs: Envs) -> list[TabularEnv]:
    """The worlds themselves, if all are tabular and have no time limit; otherwise none."""
    if not isinstance(envs, SyncVectorEnv):
        return []
    endless = [env.unwrapped for env in envs.envs if time_limit(env) is None]
    worlds = [world for world in endless if isinstance(world, TabularEnv) and is_ours(world)]
    return worlds if len(worlds) == envs.num_envs else []
