"""The one loop between agents and environments: act, step, observe, update, and yield the step."""

import hashlib
from collections.abc import Iterator
from typing import Any, NotRequired, Protocol, TypedDict, runtime_checkable

import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

from gridcade.envs.actions import FROM_ZERO, finite_actions
from gridcade.envs.book.changing_mazes import ChangingMaze
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
    """The methods of an agent that the loop calls."""

    def act(self, observations: Array, masks: Bools | None = None) -> Array:
        """Choose actions for observations [n, ...].

        Args:
            observations: the current ones.
            masks: whether each action is allowed, [n, actions]; None: all are.
        """
        ...

    def observe(self, step: Step) -> None:
        """Receive one step of every environment."""
        ...

    def update(self) -> None:
        """Learn from what was observed."""
        ...


@runtime_checkable
class SharesSeeds(Protocol):
    """Environments in which several episodes follow one seed, because seeding takes long."""

    episodes_per_seed: int


class EnvState(TypedDict):
    """The state of n environments, in numbers and lists that JSON can hold.

    Older checkpoints lack `observations` and `steps`.
    """

    episodes: list[int]  # index of each environment's running episode
    actions: list[list[Any]]  # each environment's actions since its reset
    states: list[dict[str, Any]]  # states of tabular worlds without a time limit; no actions then
    observations: NotRequired[list[str]]  # a hash of each environment's current observation
    steps: NotRequired[int]  # steps taken so far, summed over the environments


class Experience:
    """Steps the environments of a run with the actions of an agent.

    Every episode has its own seed, derived from the run's seed, the purpose, the environment and
    the episode's number. Where seeding takes long, one seed serves several successive episodes of
    training (`SharesSeeds`). So a checkpoint saves an environment as that seed, the number of
    resets since then, and the actions since the last reset. Tabular worlds without a time limit
    save their state instead.

    Args:
        envs: environments whose autoreset is disabled; their owner closes them.
        seed: the run's random seed.
        purpose: the use of the episodes, such as training or evaluation.
    """

    def __init__(self, envs: Envs, seed: int, purpose: Purpose = "training"):
        self.envs = envs
        self._seed = seed
        self._purpose: Purpose = purpose
        self._episodes_per_seed = 1
        if purpose == "training" and isinstance(envs, SharesSeeds):
            self._episodes_per_seed = envs.episodes_per_seed
        self._episodes = np.zeros(envs.num_envs, dtype=np.int64)  # index of the running episode
        self._actions: list[list[Any]] = [[] for _ in range(envs.num_envs)]  # since the reset
        self._worlds = _endless_worlds(envs)
        self._mazes = _changing_mazes(envs)
        self._steps = 0  # summed over the environments
        self._current: Array = reset(envs, self._seeds())
        self._current_masks = action_masks(envs)

    @property
    def current_masks(self) -> Bools | None:
        """Whether each action is allowed next, [n, actions]; None: all are."""
        return self._current_masks

    @property
    def current(self) -> Array:
        """Observations [n, ...] for which the next actions are chosen."""
        return self._current

    def replace_current(self, observations: Array) -> None:
        """Set the current observations, after other code has reset an environment."""
        self._current = observations
        self._current_masks = action_masks(self.envs)

    def steps(self, agent: Learner, overlap: bool = False) -> Iterator[Step]:
        """Yield one step of all environments after another, without end.

        Args:
            agent: chooses the actions and observes the steps.
            overlap: update while the environments step, from the earlier steps. Otherwise update
                after observing the step, which is the order of the papers.
        """
        while True:
            observations, masks = self._current, self._current_masks
            actions = agent.act(observations) if masks is None else agent.act(observations, masks)
            self._enter_step(self._steps)
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
            self._steps += self.envs.num_envs
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
        """Return the state of every environment."""
        episodes = self._episodes.tolist()
        actions = [[np.asarray(a).tolist() for a in past] for past in self._actions]
        states = [world.get_state() for world in self._worlds]
        return {
            "episodes": episodes,
            "actions": actions,
            "states": states,
            "observations": self._hashes(),
            "steps": self._steps,
        }

    def load_env_state(self, state: EnvState) -> NDArray[np.bool_]:
        """Restore the state that `env_state` returned.

        Environments without saved states replay the recorded actions. A replay may lead to another
        observation than before, if the environment's seed does not set all its random generators,
        or its version has changed. Such an environment starts its next episode instead.

        Returns:
            Whether each environment has started a new episode, [n].
        """
        self._episodes[:] = state["episodes"]
        self._steps = state.get("steps", 0)
        if self._worlds:
            # The current observations come from the last step, which began at this absolute step.
            self._enter_step(self._steps - self.envs.num_envs)
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

    def _enter_step(self, step: int) -> None:
        """Give the mazes that change during training the layout of an absolute step."""
        for maze in self._mazes:
            maze.enter_step(step)

    def _seeds(self) -> list[int]:
        """Return the seed of each environment's running episode."""
        return [
            episode_seed(
                self._seed, self._purpose, env, episode - episode % self._episodes_per_seed
            )
            for env, episode in enumerate(self._episodes.tolist())
        ]

    def _start_episodes(self, observations: Array, ended: NDArray[np.bool_]) -> Array:
        """Start the next episode in each environment whose episode ended."""
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
        """Reset the selected environments to the start of their running episodes."""
        observations: Array = reset(self.envs, self._seeds(), mask)
        resets = self._episodes % self._episodes_per_seed  # without a seed, after the seeded one
        for count in range(int(resets.max(initial=0, where=mask))):
            observations = reset(self.envs, None, mask & (resets > count))
        return observations

    def _hashes(self) -> list[str]:
        """Hash the current observation of each environment."""
        return [_hash(self._current, env) for env in range(self.envs.num_envs)]

    def _replay(self, actions: list[list[Any]]) -> NDArray[np.bool_]:
        """Replay the recorded actions.

        Environments with fewer recorded actions start later, so that all replays end at the same
        step. Until then, and after an episode that ended too early, they take any valid action.

        Returns:
            Whether each environment's episode ended too early, [n].
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
            self._enter_step(self._steps - left * self.envs.num_envs)
            observations, _, terminated, truncated, _ = self.envs.step(taken)
            ended = terminated | truncated
            lost |= ended & (lengths >= left)
            self._current = observations
        starting = (lengths == 0) | ended
        if starting.any():
            self._current = self._reset_running(starting)
        return lost


def _hash(observations: Any, env: int) -> str:
    """Hash one environment's observation in a batch: an array [n, ...], or a dict or tuple."""
    if isinstance(observations, dict):
        return " ".join(_hash(part, env) for part in observations.values())
    if isinstance(observations, tuple):
        return " ".join(_hash(part, env) for part in observations)
    array = np.ascontiguousarray(observations[env])
    return hashlib.sha256(array.tobytes()).hexdigest()[:HASH_LENGTH]


def _changing_mazes(envs: Envs) -> list[ChangingMaze]:
    """Return the mazes that change during training."""
    single = envs.envs if isinstance(envs, SyncVectorEnv) else []
    bare = (env.unwrapped for env in single)
    return [maze for maze in bare if isinstance(maze, ChangingMaze) and is_ours(maze)]


def _endless_worlds(envs: Envs) -> list[TabularEnv]:
    """Return the unwrapped worlds if all are tabular without a time limit; otherwise none."""
    if not isinstance(envs, SyncVectorEnv):
        return []
    endless = [env.unwrapped for env in envs.envs if time_limit(env) is None]
    worlds = [world for world in endless if isinstance(world, TabularEnv) and is_ours(world)]
    return worlds if len(worlds) == envs.num_envs else []
