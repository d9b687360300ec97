"""The state of a tabular agent: everything on which its future depends."""

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.base import Tensors, check_tensors
from gridcade.agents.tabular_config import TabularConfig, compiled_hyperparameters
from gridcade.agents.tabular_updates import Learner
from gridcade.envs.actions import FROM_ZERO, ActionIndex
from gridcade.envs.states import STATES_FROM_ZERO, StateIndex
from gridcade.seeding import pack, stream, unpack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
C = TypeVar("C", bound=TabularConfig)


class TabularState(Generic[C]):
    """The tables of an agent, and what it remembers of running episodes.

    Attributes:
        q: action values.  [states, actions].
        visits: number of updates of each action value.  [states, actions].
        average_reward: the estimate of the average reward, for that criterion.  [1].
        own_tables: further arrays by name, which all environments share.
        episodes: arrays that describe the running episodes, by name.  [environments, ...].

    Args:
        num_states: number of states, which are the observations.
        num_actions: number of actions.
        config: hyperparameters.
        seed: seed of the agent's random stream.
        actions: the numbering of the actions.
        states: the numbering of the observations.
    """

    config_type: type[C]

    def __init__(
        self,
        num_states: int,
        num_actions: int,
        config: C | None = None,
        seed: int = 0,
        actions: ActionIndex = FROM_ZERO,
        states: StateIndex = STATES_FROM_ZERO,
    ):
        self.config: C = config or self.config_type()
        self._action_index = actions
        self.states = states
        self._observation_space = states.space
        self.hyperparameters = compiled_hyperparameters(self.config)
        self.q: Floats = np.full((num_states, num_actions), float(self.config.initial_value))
        self.visits: Ints = np.zeros((num_states, num_actions), dtype=np.int64)
        self.average_reward: Floats = np.zeros(1)
        self.steps = 0
        self.rng = stream(seed, "agent")
        self._prediction_rng = stream(seed, "prediction")
        self._numbers: Floats = np.empty(self.numbers_per_update)
        self._allowed: Bools | None = None
        self.own_tables = self.new_tables()
        self.episodes: Tensors = {}
        self._learners: list[Learner] = []  # one for each environment
        self._resize(1)

    # ---- what a kind of agent may override

    @property
    def numbers_per_update(self) -> int:
        """The number of random numbers that one update uses."""
        return 0

    def new_tables(self) -> Tensors:
        """Make the arrays that only this kind of agent has, and that all environments share."""
        return {}

    def new_episode(self) -> Tensors:
        """Make the arrays that describe one environment's episode, with their initial values."""
        return {}

    def own(self, episode: Tensors) -> Any:
        """Return the data that only this kind of agent needs, for compiled code; see `Learner`."""
        del episode

    # ---- loading and saving

    @property
    def allowed(self) -> Bools | None:
        """The last mask of each state, [states, actions]; None: no mask was seen yet."""
        return self._allowed

    @allowed.setter
    def allowed(self, allowed: Bools | None) -> None:
        self._allowed = allowed
        self._resize(len(self._learners))

    def _resize(self, num_envs: int) -> None:
        """Resize the arrays of episodes to `num_envs` environments, and keep running episodes."""
        for name, array in self.new_episode().items():
            rows = np.repeat(array[None], num_envs, axis=0)
            kept = self.episodes.get(name, rows[:0])[:num_envs]
            rows[: len(kept)] = kept
            self.episodes[name] = rows
        self._learners = [
            Learner(
                self.q,
                self.visits,
                self.average_reward,
                self._allowed,
                self.hyperparameters,
                self.own({name: array[env] for name, array in self.episodes.items()}),
            )
            for env in range(num_envs)
        ]

    def state_dict(self) -> Tensors:
        """Return everything that the agent's future depends on, as arrays."""
        tensors = {
            "q": self.q,
            "visits": self.visits,
            "average_reward": self.average_reward,
            "steps": np.array([self.steps]),
            "agent_stream": pack(self.rng),
            **self.own_tables,
            **self.episodes,
        }
        return tensors if self.allowed is None else tensors | {"allowed": self.allowed}

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: a tensor is missing, or has another shape.
        """
        self.allowed = np.ones(self.q.shape, dtype=bool) if "allowed" in tensors else None
        check_tensors(tensors, list(self.state_dict()))
        for name in self.episodes:  # the saved agent may have had another number of environments
            self._resize(len(tensors[name]))
        current = self.state_dict()
        for name, array in current.items():
            if tensors[name].shape != array.shape:
                raise ValueError(f"'{name}' has shape {tensors[name].shape}, not {array.shape}")
        for name in current.keys() - {"steps", "agent_stream"}:
            current[name][:] = tensors[name]
        self.steps = int(tensors["steps"][0])
        unpack(self.rng, tensors["agent_stream"])
