"""A pool that makes the environments of a run or an evaluation when needed, and closes them."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym

from gridcade.envs import registry
from gridcade.envs.guard import guarded
from gridcade.envs.objects import EnvLike, check_env, copier
from gridcade.envs.types import Env, Envs
from gridcade.errors import EnvError, InputError, brief
from gridcade.experience.vector import SyncEnvs, make_atari_games

# Atari games in a group. Networks compute slightly different values for much smaller batches.
SMALLEST_GROUP = 8


class EnvPool:
    """Makes environments from a name, a function or an object, and closes those that it made.

    Args:
        env: a name, a function that makes an environment, or an environment, which stays open.
        copies: whether an environment object may be copied by its specification.

    Raises:
        InputError: `env` is none of these.
    """

    def __init__(self, env: EnvLike, copies: bool = False):
        check_env(env)
        self.env = env
        self._make = _maker(env, copies)
        self._given = [guarded(env)] if isinstance(env, gym.Env) else []
        self._others: list[Env] = []  # environments of another pool; a function must make new ones
        self._made: list[Env] = []
        self._games: list[Envs] = []
        self._vectors: dict[int, Envs] = {}  # by the requested number of environments
        self._groups: dict[int, list[Envs]] = {}

    @property
    def first(self) -> Env:
        """The environment that was passed or made first; `vector` contains it too.

        Raises:
            InputError: the environment cannot be made.
        """
        if not self._all:
            self._add()
        return self._all[0]

    @property
    def can_copy(self) -> bool:
        """Whether the pool can make more than one environment."""
        return self._make is not None

    @property
    def label(self) -> str:
        """The name of the environments in the result of an evaluation."""
        return self.env if isinstance(self.env, str) else registry.label_of(self.first)

    def vector(self, count: int, fewer: bool = False) -> Envs:
        """Return environments that step side by side; later calls reuse them.

        Args:
            count: number of environments.
            fewer: return fewer if no more can be made, for example because each binds the same
                port, instead of raising an error.

        Raises:
            InputError: an environment cannot be made, or an object cannot be copied.
        """
        if count not in self._vectors:
            self._vectors[count] = self._atari_games(count) or self._side_by_side(count, fewer)
        return self._vectors[count]

    def groups(self, count: int) -> list[Envs]:
        """Return up to `count` environments in groups: one steps while the agent acts in another.

        Atari games make two groups, because their emulators run in their own threads. Other
        environments make one group.

        Raises:
            InputError: no environment can be made.
        """
        if count not in self._groups and count >= SMALLEST_GROUP * 2:
            games = [self._atari_games(size) for size in (count - count // 2, count // 2)]
            self._groups[count] = [group for group in games if group is not None]
        return self._groups.get(count) or [self.vector(count, fewer=True)]

    def another(self) -> "EnvPool":
        """Return a pool of new environments, or of the same object if it cannot be copied."""
        other = EnvPool(self._make or self.env if self._given else self.env)
        other._others = self._all if self.can_copy else []
        return other

    def alone(self) -> "EnvPool":
        """Return a pool of the first environment alone, which it does not close."""
        return EnvPool(self.first)

    def close(self) -> None:
        """Close the environments that this pool made."""
        for games in self._games:
            games.close()
        for env in self._made:
            env.close()
        self._games, self._made, self._vectors, self._groups = [], [], {}, {}

    def __enter__(self) -> "EnvPool":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _all(self) -> list[Env]:
        return [*self._given, *self._made]

    def _atari_games(self, count: int) -> Envs | None:
        games = make_atari_games(self.env, count) if isinstance(self.env, str) else None
        self._games += [games] if games else []
        return games

    def _side_by_side(self, count: int, fewer: bool) -> Envs:
        first = self.first  # raises an error even if fewer environments are accepted
        while len(self._all) < count and not (fewer and self._make is None):
            try:
                self._add()
            except RepeatedEnvError:
                raise
            except Exception as error:
                if fewer:
                    break
                if isinstance(error, EnvError):
                    made = len(self._all)
                    raise EnvError(
                        f"{error}; {made} of {count} could be made: set envs to {made}"
                    ) from error
                raise
        return SyncEnvs([first, *self._all[1:count]], owned=False)

    def _add(self) -> None:
        if self._make is None:
            raise InputError(
                "this environment object cannot be copied, so there is only one: pass a function "
                "that makes such an environment instead, or set envs to 1"
            )
        env: Any = self._make()
        if not isinstance(env, gym.Env):
            raise InputError(f"the function returned {brief(env)}, not a Gymnasium environment")
        if any(env.unwrapped is other.unwrapped for other in (*self._all, *self._others)):
            raise RepeatedEnvError(
                "the function returned the same environment twice; it must make a new one at each "
                "call, or pass the environment itself"
            )
        self._made.append(guarded(env))


class RepeatedEnvError(InputError):
    """A function that should make environments returned one that it had returned before."""


def _maker(env: EnvLike, copies: bool) -> Callable[[], Env] | None:
    """Return a function that makes one more environment; None: only one can exist."""
    if isinstance(env, str):
        return lambda: registry.make(env)
    if isinstance(env, gym.Env):
        return copier(env) if copies else None
    return env
