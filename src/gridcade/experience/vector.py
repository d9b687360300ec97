"""Vector environments: several copies of one environment, made and reset together."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from gridcade.envs.atari import AtariGames
from gridcade.envs.masks import MaskReader
from gridcade.envs.registry import atari_title, make, parse
from gridcade.envs.types import Env, Envs
from gridcade.errors import InputError

Bools = NDArray[np.bool_]


class SyncEnvs(SyncVectorEnv[Any, Any]):
    """Environments that step one after another, and do not reset themselves.

    Only the action masks are read from each `info`. Gymnasium would batch every entry, which fails
    if the shape or the type of one changes.

    Args:
        envs: the environments, already made.
        owned: close the environments with this one.

    Raises:
        InputError: the spaces of two environments differ.
    """

    truncate_first = False  # whether the next step truncates the first environment's episode
    _first_seed: int | None = None  # the seed of the first environment's last reset

    def __init__(self, envs: Sequence[Env], owned: bool = True):
        for env in envs[1:]:
            for kind in ("observation_space", "action_space"):
                one, other = getattr(envs[0], kind), getattr(env, kind)
                if one != other:
                    raise InputError(
                        f"two copies of the environment differ in their {kind}: {one} and {other}"
                    )
        self._owned = owned
        self._readers = [MaskReader(env) for env in envs]
        self._masks: list[Bools | None] = [None] * len(envs)  # in the current states
        self._resetting = False
        given = [partial(_same, env) for env in envs]
        super().__init__(given, autoreset_mode=AutoresetMode.DISABLED)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those that `options["reset_mask"]` selects."""
        if options is None or "reset_mask" not in options or options["reset_mask"][0]:
            self._first_seed = seed[0] if isinstance(seed, list) else None
        self._resetting = True
        return super().reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every environment."""
        self._resetting = False
        observations, rewards, terminated, truncated, info = super().step(actions)
        if self.truncate_first:
            truncated[0] |= not terminated[0]
            self.truncate_first = False
        return observations, rewards, terminated, truncated, info

    @property
    def masks(self) -> Bools | None:
        """Whether each action is allowed in the current states, [n, actions]; None: no masks."""
        given = next((mask for mask in self._masks if mask is not None), None)
        if given is None:
            return None
        everything = np.ones_like(given)
        return np.array([everything if mask is None else mask for mask in self._masks])

    def read_masks(self, infos: Sequence[dict[str, Any]]) -> None:
        """Read the masks of restored states from their infos, one per environment."""
        pairs = zip(self._readers, infos, strict=True)
        self._masks = [reader.after_reset(info) for reader, info in pairs]

    def restart_first(self) -> Any:
        """Restart the running episode of the first environment; returns all observations.

        Use it after other code has used the environment just after the episode started.
        """
        mask = np.arange(self.num_envs) == 0
        seeds = None if self._first_seed is None else [self._first_seed] * self.num_envs
        return reset(self, seeds, mask)

    def _add_info(
        self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int
    ) -> dict[str, Any]:
        """Read the action mask of one environment, and add nothing to the vector's info."""
        reader = self._readers[env_num]
        self._masks[env_num] = (
            reader.after_reset(env_info)
            if self._resetting
            else reader.after_step(
                env_info, bool(self._terminations[env_num]), bool(self._truncations[env_num])
            )
        )
        return vector_infos

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments, if they belong to this one."""
        if self._owned:
            super().close_extras(**kwargs)


def action_masks(envs: Envs) -> Bools | None:
    """Return whether each action is allowed in the current states, [n, actions]; None: all are."""
    return envs.masks if isinstance(envs, SyncEnvs) else None


def _same(env: Env) -> Env:
    return env


def make_vector(name: str, count: int, **arguments: Any) -> Envs:
    """Make several copies of an environment; see `registry.make` for the name and arguments.

    The environments do not reset themselves: call `reset` after an episode ends. The emulators of
    Atari games run in parallel.

    Raises:
        InputError: the environment or argument does not exist, or a value is invalid.
    """
    return make_atari_games(name, count, **arguments) or SyncEnvs(
        [make(name, **arguments) for _ in range(count)]
    )


def make_atari_games(name: str, count: int, **arguments: Any) -> AtariGames | None:
    """Make several copies of an Atari game, which run in parallel; None: no Atari game's name."""
    id_, parsed = parse(name, **arguments)
    title = atari_title(id_)
    return AtariGames(title, count, **parsed) if title else None


def reset(
    envs: Envs,
    seeds: list[int] | None,
    mask: NDArray[np.bool_] | None = None,
) -> Any:
    """Reset environments.

    Args:
        envs: the environments, n of them.
        seeds: one for each environment, [n]. None: their random generators continue.
        mask: the environments to reset, [n]. Default: all.

    Returns:
        The observations of all environments, [n, ...].
    """
    seed: Any = seeds  # Gymnasium's annotation does not include lists
    options = None if mask is None else {"reset_mask": mask.copy()}
    return envs.reset(seed=seed, options=options)[0]
