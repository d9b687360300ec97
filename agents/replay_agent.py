"""The base class of deep agents with a replay memory: memory, metrics and checkpoints."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gridcade.agents.base import Masks, Observations, Storage, Tensors, check_tensors
from gridcade.agents.deep import DeepAgent, DeepConfig
from gridcade.agents.fast import AgentOptimizer
from gridcade.agents.probabilities import max_allowed
from gridcade.agents.replay import ACTION, FLAGS, REWARD, Batch, Replay
from gridcade.envs.types import Array
from gridcade.errors import InputError


@dataclass(frozen=True)
class ReplayConfig(DeepConfig):
    """Hyperparameters of a replay memory."""

    replay_capacity: int = 1_000_000
    """Frames in the replay (N), over all environments."""
    learn_start: int = 50_000
    """Steps before the first update."""
    batch_size: int = 32
    """Transitions in a minibatch."""
    n_step: int = 1
    """Steps whose rewards are summed before bootstrapping."""
    held_out: int = 100
    """Observations, sampled at learn_start, over which max Q is averaged (Mnih et al. 2013)."""


C = TypeVar("C", bound=ReplayConfig)


class ReplayAgent(DeepAgent, Generic[C]):
    """A deep agent with a replay memory. Subclasses add `config` and the algorithm."""

    config: C
    optimizer: AgentOptimizer
    D: Replay  # the replay memory of Mnih et al. (2013), Algorithm 1; `allocate` makes it
    held_out: Array  # preprocessed observations, for the paper's metric, [held_out, ...]
    held_out_masks: Array  # the actions allowed at these, [held_out, actions]

    _allocated = False
    _losses: NDArray[np.float64]  # sum and number of the losses since the last metrics, [2]
    _loss_divisor: int  # divides each loss before it is added to `_losses`

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Return the networks whose weights a checkpoint holds, by name."""

    def check_num_envs(self, num_envs: int) -> None:
        """Raise InputError unless the replay holds a transition at the first update."""
        config, depth = self.config, max(self.spaces.stack, 1)
        for name, least in (
            ("replay_capacity", num_envs * (2 * depth + config.n_step)),
            ("learn_start", num_envs * config.n_step),
        ):
            if (value := getattr(config, name)) < least:
                raise InputError(
                    f"{name} is {value}; it must be {least} or more (envs: {num_envs})"
                )

    def allocate(self, num_envs: int, slack: int, storage: Storage) -> None:
        """Allocate the replay; see `Replay` for the arguments."""
        config, spaces = self.config, self.spaces
        self.D = Replay(
            num_envs,
            config.replay_capacity,
            slack,
            self._frame_shape,
            spaces.dtype,
            spaces.stack,
            storage,
            self.backend.preprocess,
        )
        self.D.mirror = self.backend.mirror(self.D.frames)
        empty = np.zeros((config.held_out, *spaces.shape), spaces.dtype)
        self.held_out = storage("held_out", self.backend.preprocess(empty).shape, spaces.dtype)
        self.held_out_masks = np.ones((config.held_out, spaces.num_actions), dtype=bool)
        self._allocated = True

    def keep_held_out(self, sample: Batch) -> None:
        """Keep sampled observations for the metric held_out_max_q."""
        self.held_out[:] = self.backend.array(sample.observations)
        if sample.masks is not None:
            self.held_out_masks[:] = sample.masks

    def restart_episodes(
        self, lost: NDArray[np.bool_], observations: Observations, masks: Masks | None = None
    ) -> None:
        """Truncate the episodes that cannot continue; see `Agent.restart_episodes`."""
        self.D.restart_episodes(lost, self.spaces.observations(observations), masks)

    @property
    def _frame_shape(self) -> tuple[int, ...]:
        """The shape of one frame, before preprocessing."""
        return self.spaces.shape[1:] if self.spaces.stack else self.spaces.shape

    @property
    def storage_bytes(self) -> int:
        """Bytes of a full replay, without masks."""
        frame = np.empty(self._frame_shape, self.spaces.dtype).nbytes
        slot = frame + ACTION.itemsize + REWARD.itemsize + FLAGS.itemsize
        return self.config.replay_capacity * slot

    @property
    def mask_bytes(self) -> int:
        """Bytes of the masks of a full replay, one per action."""
        return self.config.replay_capacity * self.spaces.num_actions

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the next step could overwrite data of the last checkpoint."""
        return self.D.needs_checkpoint

    def metrics(self) -> dict[str, float]:
        """Return epsilon, updates, mean loss since the last call, and max Q on `held_out`."""
        self.add_losses(self._losses, divisor=self._loss_divisor)
        self.check_weights()
        metrics: dict[str, float] = {"epsilon": self.epsilon, "updates": self.updates}
        if self._losses[1]:
            metrics["loss"] = float(self._losses[0] / self._losses[1])
            best = max_allowed(self.backend.values(self.held_out), self.held_out_masks)
            metrics["held_out_max_q"] = float(best.mean())
        self._losses[:] = 0
        return metrics

    def state_dict(self) -> Tensors:
        """Return everything that learning depends on, except the arrays in the storage."""
        self.add_losses(self._losses, divisor=self._loss_divisor)
        tensors = {"counters": np.array([self.steps, self.updates]), "losses": self._losses}
        tensors |= {f"replay.{k}": v for k, v in self.D.state_dict().items()}
        if self.D.masks is not None:
            tensors["held_out_masks"] = self.held_out_masks
        return tensors | self.save(self.optimizer, **self.networks())

    def checkpoint_saved(self) -> None:
        """Protect the replay's data until the next checkpoint."""
        self.D.checkpoint_saved()

    def load_state_dict(self, tensors: Tensors) -> None:
        """Restore what `state_dict` returned; before `allocate`, only what acting needs.

        Raises:
            ValueError: a tensor is missing or has another shape.
        """
        check_tensors(tensors, ("counters", "losses", "agent_stream", "replay.written"))
        self.load(tensors, self.optimizer, **self.networks())
        if self._allocated:
            prefix = "replay."
            saved = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            self.D.load_state_dict(saved)
            if "held_out_masks" in tensors:
                self.held_out_masks[:] = tensors["held_out_masks"]
        self._losses[:] = tensors["losses"]
