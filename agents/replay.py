"""Experience replay (Lin 1992; Mnih et al. 2013, 2015): one frame a slot, stacked when sampled.

Every environment has its own ring of slots. An episode fills successive slots: one for each frame
of its first observation, then one for each step. A slot holds a frame, and the action, the reward
and the termination that followed it; no step follows the last frame. So each frame is stored once,
where stored stacks would hold it 2 x stack times. Where the environment masks actions, a slot also
holds the mask of its state.

A ring is longer than the window from which transitions are sampled: at least `slack` more slots can
be written before data of the last checkpoint are overwritten. So if the arrays lie in files, a
checkpoint needs only the number of slots written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from gridcade.agents.base import Masks, Observations, Storage, in_memory
from gridcade.agents.compiled import compiled
from gridcade.envs.types import Array
from gridcade.errors import InputError
from gridcade.experience.step import Step

HAS_STEP, TERMINATED, LAST = 1, 2, 4  # bits of a slot's flags
SLACK_PERCENT = 110  # 10 % more slots than steps, because each episode starts with extra slots
ACTION, REWARD, FLAGS = np.dtype(np.int16), np.dtype(np.float32), np.dtype(np.uint8)
MAX_DRAWS = 1000  # most rounds of drawing until every slot of a batch has a step; a few suffice

Ints = NDArray[np.int64]


class Mirror(Protocol):
    """The frames of a replay in the memory of a device; see agents/accelerator.py."""

    def write(self, envs: Ints, slots: Ints, frames: Array) -> None:
        """Write frames [n, ...] of environments [n] to slots [n] of the ring."""
        ...

    def fill(self, frames: Array) -> None:
        """Copy all frames, [envs, ring, ...]."""
        ...

    def stacks(self, envs: Ints, slots: Ints) -> Tensor:
        """Gather frames of environments [batch] in slots [batch, stack]: [batch, stack, ...]."""
        ...


@dataclass(frozen=True)
class Batch:
    """Transitions of up to n steps, [batch] each.

    A target is returns + discounts * (value of the next observation).
    """

    # [batch, stack, ...], or [batch, ...] if frames are not stacked
    observations: Observations | Tensor
    actions: Ints
    returns: NDArray[np.float32]  # discounted sums of up to n rewards
    discounts: NDArray[np.float32]  # gamma^m after m rewards; 0 if targets must not bootstrap
    gather_next: Callable[[], Observations | Tensor]
    masks: Masks | None = None  # at the observations, [batch, actions]; None: all are allowed
    next_masks: Masks | None = None  # at the next observations

    @property
    def next_observations(self) -> Observations | Tensor:
        """The next observations, in the shape of `observations`.

        They are gathered on access, so access them before the replay changes.
        """
        return self.gather_next()


class Replay:
    """The replay memory of several environments.

    Args:
        num_envs: number of environments, which share the capacity equally.
        capacity: number of frames to sample from, summed over the environments.
        slack: steps between two checkpoints, summed over the environments. Many short episodes
            fill more slots; then `needs_checkpoint` is true earlier.
        shape: the shape of one frame.
        dtype: the type of frames.
        stack: frames in an observation, which is then [stack, *shape]; 0: it is a single frame.
        storage: makes the arrays.
        encode: converts frames [n, *shape] to the stored ones, [n, ...]. A stack of stored frames
            [height, width, channels] is [height, width, stack * channels]; other stacks are
            [stack, ...].
    """

    def __init__(
        self,
        num_envs: int,
        capacity: int,
        slack: int,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        stack: int = 0,
        storage: Storage = in_memory,
        encode: Callable[[Observations], Observations] = np.asarray,
    ):
        stored = encode(np.zeros((1, *shape), dtype)).shape[1:]
        self.window = capacity // num_envs  # slots of each environment that are sampled from
        self.slack = SLACK_PERCENT * -(-slack // num_envs) // 100 + 2 * (max(stack, 1) + 1)
        self.ring = self.window + self.slack
        self.stack = stack
        self._depth = max(stack, 1)
        self._encode = encode
        # `gather` treats a frame as [places, numbers], and joins a stack at each place. Frames that
        # are not [height, width, channels] have one place, so their stacks are [stack, ...].
        size = int(np.prod(stored, dtype=np.int64))
        self._places = size // stored[-1] if len(stored) == 3 else 1
        self._stacked = (stack, *stored) if self._places == 1 else (*stored[:2], stack * stored[2])
        self.frames = storage("frames", (num_envs, self.ring, *stored), dtype)
        self.actions = storage("actions", (num_envs, self.ring), ACTION)
        self.rewards = storage("rewards", (num_envs, self.ring), REWARD)
        self.flags = storage("flags", (num_envs, self.ring), FLAGS)
        self.mirror: Mirror | None = None  # if set, it gathers the stacks
        self.masks: Masks | None = None  # [envs, ring, actions]; allocated for the first masks
        self._storage = storage
        self.written = np.zeros(num_envs, dtype=np.int64)  # slots written since the beginning
        self._saved = self.written.copy()  # `written` at the last checkpoint

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the next step could overwrite data of the last checkpoint."""
        per_step = self._depth + 1  # slots: the step's frame, and a new episode's first frames
        return bool((self.written - self._saved + per_step > self.slack).any())

    def add(self, step: Step, rewards: Array, terminated: NDArray[np.bool_]) -> None:
        """Store one step of every environment.

        Args:
            step: the step.
            rewards: the rewards to learn from, [envs].
            terminated: whether targets must not bootstrap, [envs].
        """
        if step.masks is not None and self.masks is None:
            self._allocate_masks(step.masks.shape[1])
        for env in np.flatnonzero(self.written == 0):
            self._begin_episode(env, step.observations[env], step.masks)
        envs, now = np.arange(len(self.written)), (self.written - 1) % self.ring
        self.actions[envs, now] = step.actions
        self.rewards[envs, now] = rewards
        self.flags[envs, now] = HAS_STEP | np.where(terminated, TERMINATED, 0)
        ended = step.terminated | step.truncated
        after = np.asarray(step.next_observations)
        frames = after[:, -1] if self.stack else after
        self._write(envs, frames, np.where(ended, LAST, 0), step.next_masks)
        for env in np.flatnonzero(ended):
            self._begin_episode(env, step.current[env], step.current_masks)

    def restart_episodes(
        self, lost: NDArray[np.bool_], observations: Observations, masks: Masks | None = None
    ) -> None:
        """Truncate the running episodes of some environments, and begin new ones.

        Args:
            lost: whether each environment lost its episode, [envs].
            observations: the first observations of the new episodes, [envs, ...].
            masks: the allowed actions at these, [envs, actions]; None: all.
        """
        for env in np.flatnonzero(lost & (self.written > 0)):
            self.flags[env, (self.written[env] - 1) % self.ring] |= LAST
            self._begin_episode(env, observations[env], masks)

    def sample(
        self, size: int, rng: np.random.Generator, n_step: int = 1, discount: float = 0.99
    ) -> Batch:
        """Sample transitions uniformly, with replacement.

        A transition never crosses an episode's end, a reset or the write head.

        Args:
            size: number of transitions.
            rng: the random stream.
            n_step: number of steps whose rewards are summed.
            discount: gamma.
        """
        envs, slots = self._sample_slots(size, rng, n_step)
        returns = np.zeros(size, dtype=np.float32)
        weights = np.ones(size, dtype=np.float32)
        running = np.ones(size, dtype=bool)
        lengths = np.zeros(size, dtype=np.int64)
        bootstrap = np.ones(size, dtype=bool)
        for k in range(n_step):
            at = (slots + k) % self.ring
            returns += np.where(running, weights * self.rewards[envs, at], 0).astype(np.float32)
            weights = np.where(running, weights * np.float32(discount), weights)
            lengths += running
            ends = (self.flags[envs, at] & TERMINATED) > 0
            bootstrap &= ~(running & ends)
            last = (self.flags[envs, (at + 1) % self.ring] & LAST) > 0
            running &= ~ends & ~last
        masks = self.masks
        return Batch(
            observations=self._stacks(envs, slots),
            actions=self.actions[envs, slots % self.ring].astype(np.int64),
            returns=returns,
            discounts=np.where(bootstrap, weights, 0).astype(np.float32),
            gather_next=partial(self._stacks, envs, slots + lengths),
            masks=None if masks is None else masks[envs, slots % self.ring],
            next_masks=None if masks is None else masks[envs, (slots + lengths) % self.ring],
        )

    def state_dict(self) -> dict[str, Ints]:
        """Return the write heads and the length of masks; the storage has everything else."""
        length = 0 if self.masks is None else self.masks.shape[2]
        return {"written": self.written} | ({"masks": np.array([length])} if length else {})

    def checkpoint_saved(self) -> None:
        """Protect the data written so far until the next checkpoint."""
        self._saved = self.written.copy()

    def load_state_dict(self, tensors: dict[str, Ints]) -> None:
        """Restore the write heads that `state_dict` returned.

        Raises:
            ValueError: the write heads belong to another number of environments.
        """
        if len(tensors["written"]) != len(self.written):
            found, wanted = len(tensors["written"]), len(self.written)
            raise ValueError(f"'replay.written' has {found} entries, not {wanted}")
        self.written[:] = tensors["written"]
        if "masks" in tensors and self.masks is None:
            self.masks = self._make_masks(int(tensors["masks"][0]))
        self._saved = self.written.copy()
        if self.mirror is not None:
            self.mirror.fill(self.frames)

    def _allocate_masks(self, num_actions: int) -> None:
        """Allocate the masks, before the first step.

        Raises:
            InputError: steps without masks have been stored already.
        """
        if self.written.any():
            raise InputError(
                "the environment gives action masks now, but gave none at its first reset; add "
                "?mask=off to its name to ignore them"
            )
        self.masks = self._make_masks(num_actions)

    def _make_masks(self, num_actions: int) -> Masks:
        return self._storage("masks", (*self.flags.shape, num_actions), np.bool_)

    def _begin_episode(self, env: np.intp, observation: Observations, masks: Masks | None) -> None:
        mask = None if masks is None else masks[env]
        for frame in observation if self.stack else [observation]:
            flags = np.zeros(1, dtype=np.uint8)
            self._write(np.array([env]), np.asarray(frame)[None], flags, mask)

    def _write(self, envs: Ints, frames: Observations, flags: Array, masks: Masks | None) -> None:
        """Write one slot for each environment in `envs`, [n]."""
        slots = self.written[envs] % self.ring
        if self.masks is not None:
            self.masks[envs, slots] = True if masks is None else masks
        self.frames[envs, slots] = encoded = self._encode(frames)
        if self.mirror is not None:
            self.mirror.write(envs, slots, encoded)
        self.flags[envs, slots] = flags
        self.written[envs] += 1

    def _sample_slots(self, size: int, rng: np.random.Generator, n_step: int) -> tuple[Ints, Ints]:
        """Draw environments and slots (counted from the beginning) in which a step was taken."""
        low = np.maximum(self.written - self.window, 0) + self._depth - 1
        high = self.written - n_step  # no step has been taken from the newest slot
        counts = np.maximum(high - low, 0)
        ends = np.cumsum(counts)
        if not ends[-1]:
            raise ValueError("the replay holds no transition yet")
        envs = np.zeros(size, dtype=np.int64)
        slots = np.zeros(size, dtype=np.int64)
        missing = np.arange(size)
        for _ in range(MAX_DRAWS):
            if not missing.size:
                return envs, slots
            drawn = rng.integers(ends[-1], size=missing.size)
            envs[missing] = np.searchsorted(ends, drawn, side="right")
            env = envs[missing]
            slots[missing] = low[env] + drawn - (ends[env] - counts[env])
            has_step = (self.flags[env, slots[missing] % self.ring] & HAS_STEP) > 0
            missing = missing[~has_step]
        raise ValueError("the replay holds hardly any transition")

    def _stacks(self, envs: Ints, slots: Ints) -> Observations | Tensor:
        """Gather observations by environment and newest slot, [batch] each: [batch, stack, ...]."""
        if self.mirror is not None:
            past = np.arange(1 - self._depth, 1)
            return self._on_device(self.mirror.stacks(envs, (slots[:, None] + past) % self.ring))
        if not self.stack:
            return np.asarray(self.frames[envs, slots % self.ring])
        frames = self.frames.reshape(*self.frames.shape[:2], self._places, -1)
        stacks = np.empty((len(envs), self._places, self.stack, frames.shape[-1]), frames.dtype)
        gather(frames, envs, slots, stacks)
        return stacks.reshape(len(envs), *self._stacked)

    def _on_device(self, stacks: Tensor) -> Tensor:
        """Interleave stacks of frames place by place, as `gather` does."""
        if not self.stack:
            return stacks[:, 0]
        if self._places > 1:  # [batch, stack, height, width, channels]
            stacks = stacks.permute(0, 2, 3, 1, 4)
        return stacks.reshape(len(stacks), *self._stacked)


@compiled
def gather(frames: Array, envs: Ints, slots: Ints, stacks: Array) -> None:
    """Gather stacks of successive frames, interleaved place by place.

    Args:
        frames: [envs, ring, places, numbers].
        envs: the environment of each stack, [batch].
        slots: the slot of each stack's newest frame, [batch].
        stacks: the result, which is filled, [batch, places, stack, numbers].
    """
    _, ring, places, numbers = frames.shape
    depth = stacks.shape[2]
    for i in range(len(envs)):
        for k in range(depth):
            frame = frames[envs[i], (slots[i] - depth + 1 + k) % ring]
            for place in range(places):
                for n in range(numbers):
                    stacks[i, place, k, n] = frame[place, n]
