"""Experience replay (Lin 1992; Mnih et al. 2013, 2015): one frame a slot, stacked when sampled.

Every environment has a ring of its own. An episode fills successive slots: the frames of its first
observation, then one frame a step; no step follows the last one. A slot holds the frame that was
seen, and the action, the reward and the end that followed. So each frame is held once, where stored
stacks would hold it 2 x stack times. Where the environment masks actions, a slot also holds the
mask of its state.

The rings are longer than the window that is sampled from. What a checkpoint refers to is not
overwritten until `slack` more slots have been written, so a checkpoint is only the number of slots
written; the arrays may lie in files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gridcade.agents.base import Masks, Observations, Storage, in_memory
from gridcade.agents.compiled import compiled
from gridcade.envs.types import Array
from gridcade.errors import InputError
from gridcade.experience.step import Step

HAS_STEP, TERMINATED, LAST = 1, 2, 4  # bits of a slot's flags
SLACK_PERCENT = 110  # 10 % more slots than steps, because each episode starts with extra slots
MAX_DRAWS = 1000  # rounds of drawing until every slot of a batch has a step; a few are enough

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Transitions of up to n steps, [batch] each.

    The value of a next observation counts `discounts` times: gamma^m after m rewards, 0 after an
    end.
    """

    observations: Observations  # [batch, stack, ...], or [batch, ...] where nothing is stacked
    actions: Ints
    returns: NDArray[np.float32]  # discounted rewards of up to n steps
    discounts: NDArray[np.float32]
    gather_next: Callable[[], Observations]
    masks: Masks | None = None  # [batch, actions]; None: all actions are allowed
    next_masks: Masks | None = None  # of the next observations

    @property
    def next_observations(self) -> Observations:
        """As `observations`. Gathered on access, so access it before the replay changes."""
        return self.gather_next()


class Replay:
    """The replay memory of several environments.

    Args:
        num_envs: environments, each with an equal share.
        capacity: frames that are sampled from, over all environments.
        slack: steps from one checkpoint to the next, over all environments. Where more slots are
            written, as by many short episodes, `needs_checkpoint` is true earlier.
        shape: of one frame.
        dtype: of frames.
        stack: frames in an observation, which is then [stack, *shape]; 0: it is a frame itself.
        storage: makes the arrays.
        encode: what is stored of frames [n, *shape]: [n, ...]. A stack of frames that are stored as
            [height, width, channels] is [height, width, stack x channels], of others [stack, ...].
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
        # a frame is places x numbers; stacks of [height, width, channels] grow along the numbers
        size = int(np.prod(stored, dtype=np.int64))
        self._places = size // stored[-1] if len(stored) == 3 else 1
        self._stacked = (stack, *stored) if self._places == 1 else (*stored[:2], stack * stored[2])
        self.frames = storage("frames", (num_envs, self.ring, *stored), dtype)
        self.actions = storage("actions", (num_envs, self.ring), np.int16)
        self.rewards = storage("rewards", (num_envs, self.ring), np.float32)
        self.flags = storage("flags", (num_envs, self.ring), np.uint8)
        self.masks: Masks | None = None  # [envs, ring, actions], once masks are given
        self._storage = storage
        self.written = np.zeros(num_envs, dtype=np.int64)  # slots, since the beginning
        self._saved = self.written.copy()  # at the last checkpoint

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the next step might overwrite what the last checkpoint refers to."""
        per_step = self._depth + 1  # slots: the step's frame, and a new episode's first ones
        return bool((self.written - self._saved + per_step > self.slack).any())

    def add(self, step: Step, rewards: Array, terminated: NDArray[np.bool_]) -> None:
        """Store one step of every environment.

        Args:
            step: the step.
            rewards: that are learned from, [envs].
            terminated: where targets do not bootstrap, [envs].
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
        """End the running episodes of some environments, and begin others.

        Args:
            lost: the environments, [envs].
            observations: the first ones of the new episodes, [envs, ...].
            masks: of these observations, [envs, actions]; None: all actions are allowed.
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
            size: of the batch.
            rng: random stream.
            n_step: steps whose rewards are summed.
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
        """The write heads, and the length of masks; everything else lies in the storage."""
        length = 0 if self.masks is None else self.masks.shape[2]
        return {"written": self.written} | ({"masks": np.array([length])} if length else {})

    def checkpoint_saved(self) -> None:
        """Protect what the present write heads refer to until the next checkpoint."""
        self._saved = self.written.copy()

    def load_state_dict(self, tensors: dict[str, Ints]) -> None:
        """Go back to the write heads that `state_dict` returned.

        Raises:
            ValueError: they belong to another number of environments.
        """
        if len(tensors["written"]) != len(self.written):
            found, wanted = len(tensors["written"]), len(self.written)
            raise ValueError(f"'replay.written' has {found} entries, not {wanted}")
        self.written[:] = tensors["written"]
        if "masks" in tensors and self.masks is None:
            self.masks = self._make_masks(int(tensors["masks"][0]))
        self._saved = self.written.copy()

    def _allocate_masks(self, num_actions: int) -> None:
        """Make room for masks, before the first step.

        Raises:
            InputError: steps without masks have been stored.
        """
        if self.written.any():
            raise InputError(
                "the environment gives action masks now, but gave none at its first reset; "
                "?mask=off in its name ignores them"
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
        """Write one slot of each of some environments, [n]."""
        slots = self.written[envs] % self.ring
        if self.masks is not None:
            self.masks[envs, slots] = True if masks is None else masks
        self.frames[envs, slots] = self._encode(frames)
        self.flags[envs, slots] = flags
        self.written[envs] += 1

    def _sample_slots(self, size: int, rng: np.random.Generator, n_step: int) -> tuple[Ints, Ints]:
        """Environments and slots (counted since the beginning) from which a step was taken."""
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

    def _stacks(self, envs: Ints, slots: Ints) -> Observations:
        """Observations by environments and newest slots, [batch] each: [batch, stack, ...]."""
        if not self.stack:
            return np.asarray(self.frames[envs, slots % self.ring])
        frames = self.frames.reshape(*self.frames.shape[:2], self._places, -1)
        stacks = np.empty((len(envs), self._places, self.stack, frames.shape[-1]), frames.dtype)
        gather(frames, envs, slots, stacks)
        return stacks.reshape(len(envs), *self._stacked)


@compiled
def gather(frames: Array, envs: Ints, slots: Ints, stacks: Array) -> None:
    """Gather stacks of successive frames, interleaved place by place.

    Args:
        frames: [envs, ring, places, numbers].
        envs: [batch].
        slots: of each stack's newest frame, [batch].
        stacks: filled, [batch, places, stack, numbers].
    """
    _, ring, places, numbers = frames.shape
    depth = stacks.shape[2]
    for i in range(len(envs)):
        for k in range(depth):
            frame = frames[envs[i], (slots[i] - depth + 1 + k) % ring]
            for place in range(places):
                for n in range(numbers):
                    stacks[i, place, k, n] = frame[place, n]
