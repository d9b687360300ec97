"""Experience replay (Lin 1992; Mnih et al. 2013, 2015): a frame a slot, stacked when sampled.

Every environment has a ring of its own. An episode fills successive slots: the frames of its first
observation, then a frame a step, the last one of which no step follows. A slot holds the
frame that was seen, and the action, the reward and the end that came of it. So each frame is held
once, where stored stacks would hold it 2 x stack times.

The rings are longer than the window that is sampled from. What a checkpoint refers to is not
overwritten until `slack` more slots have been written, so a checkpoint is nothing but the number of
slots written; the arrays may lie in files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.compiled import compiled
from gridcade.experience.step import Step

Storage = Callable[[str, tuple[int, ...], Any], NDArray[Any]]

HAS_STEP, TERMINATED, LAST = 1, 2, 4  # bits of a slot's marks
ROOM = 110  # per cent of the slack's steps: each episode begins with slots of its own
MOST_DRAWS = 1000  # until every transition of a batch is one; a few are enough


@dataclass(frozen=True)
class Batch:
    """Transitions of up to n steps, [batch] each.

    Values of next observations count `discounts` times: gamma^m after m rewards, 0 after an end.
    """

    observations: NDArray[Any]  # [batch, stack, …], or [batch, …] where nothing is stacked
    actions: NDArray[np.int64]
    returns: NDArray[np.float32]  # discounted rewards of up to n steps
    discounts: NDArray[np.float32]
    gather_next: Callable[[], NDArray[Any]]

    @property
    def next_observations(self) -> NDArray[Any]:
        """As the observations; gathered by whoever asks, before the replay takes in more."""
        return self.gather_next()


def in_memory(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Storage that is gone with the process."""
    del name
    return np.zeros(shape, dtype=dtype)


class Replay:
    """The memory of several environments.

    Args:
        envs: environments, each with an equal share.
        capacity: frames that are sampled from, over all environments.
        slack: steps from one checkpoint to the next, over all environments, as a rule; where
            more slots are written, as by many short episodes, it is `full` earlier.
        shape: of one frame.
        dtype: of frames.
        stack: frames in an observation, which is then [stack, *shape]; 0: it is a frame itself.
        storage: where arrays are kept; called with name, shape and dtype.
        encode: what is stored of frames [n, *shape]: [n, …]. Of a frame [height, width, channels]
            a stack is [height, width, stack x channels], of any other one [stack, …].
    """

    def __init__(
        self,
        envs: int,
        capacity: int,
        slack: int,
        shape: tuple[int, ...],
        dtype: Any,
        stack: int = 0,
        storage: Storage = in_memory,
        encode: Callable[[Any], Any] = np.asarray,
    ):
        stored = encode(np.zeros((1, *shape), dtype)).shape[1:]
        self.window = capacity // envs  # slots of each environment that are sampled from
        self.slack = ROOM * -(-slack // envs) // 100 + 2 * (max(stack, 1) + 1)
        self.ring = self.window + self.slack
        self.stack = stack
        self._depth = max(stack, 1)
        self._encode = encode
        # positions and numbers at each: stacks of [height, width, channels] grow in the last
        size = int(np.prod(stored, dtype=np.int64))
        self._places = size // stored[-1] if len(stored) == 3 else 1
        self._stacked = (stack, *stored) if self._places == 1 else (*stored[:2], stack * stored[2])
        self.frames = storage("frames", (envs, self.ring, *stored), dtype)
        self.actions = storage("actions", (envs, self.ring), np.int16)
        self.rewards = storage("rewards", (envs, self.ring), np.float32)
        self.marks = storage("marks", (envs, self.ring), np.uint8)
        self.written = np.zeros(envs, dtype=np.int64)  # slots, since the beginning
        self._kept = self.written.copy()  # when the last checkpoint was made

    @property
    def full(self) -> bool:
        """Whether the next step might overwrite what the last checkpoint refers to."""
        most = self._depth + 1  # slots that a step takes: its frame, and a new episode's first
        return bool((self.written - self._kept + most > self.slack).any())

    def add(self, step: Step, rewards: NDArray[Any], terminated: NDArray[np.bool_]) -> None:
        """Take in one step of every environment.

        Args:
            step: what happened.
            rewards: as they are to be learnt from, [envs].
            terminated: where nothing is to be bootstrapped from, [envs].
        """
        for env in np.flatnonzero(self.written == 0):
            self._begin(env, step.observations[env])
        envs, now = np.arange(len(self.written)), (self.written - 1) % self.ring
        self.actions[envs, now] = step.actions
        self.rewards[envs, now] = rewards
        self.marks[envs, now] = HAS_STEP | np.where(terminated, TERMINATED, 0)
        ended = step.terminated | step.truncated
        after = np.asarray(step.next_observations)
        self._write(envs, after[:, -1] if self.stack else after, np.where(ended, LAST, 0))
        for env in np.flatnonzero(ended):
            self._begin(env, step.current[env])

    def sample(
        self, size: int, rng: np.random.Generator, steps: int = 1, discount: float = 0.99
    ) -> Batch:
        """Draw transitions uniformly, with replacement.

        Never across an episode's end, a reset or the write head.

        Args:
            size: of the batch.
            rng: the stream to draw from.
            steps: n, steps whose rewards are summed.
            discount: gamma.
        """
        envs, slots = self._draw(size, rng, steps)
        returns = np.zeros(size, dtype=np.float32)
        weights = np.ones(size, dtype=np.float32)
        going = np.ones(size, dtype=bool)
        taken = np.zeros(size, dtype=np.int64)
        bootstrap = np.ones(size, dtype=bool)
        for k in range(steps):
            at = (slots + k) % self.ring
            returns += np.where(going, weights * self.rewards[envs, at], 0).astype(np.float32)
            weights = np.where(going, weights * np.float32(discount), weights)
            taken += going
            ends = (self.marks[envs, at] & TERMINATED) > 0
            bootstrap &= ~(going & ends)
            last = (self.marks[envs, (at + 1) % self.ring] & LAST) > 0
            going &= ~ends & ~last
        return Batch(
            observations=self._stacks(envs, slots),
            actions=self.actions[envs, slots % self.ring].astype(np.int64),
            returns=returns,
            discounts=np.where(bootstrap, weights, 0).astype(np.float32),
            gather_next=partial(self._stacks, envs, slots + taken),
        )

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """The write heads: all else lies in the storage. To be asked for by a checkpoint."""
        self._kept = self.written.copy()
        return {"written": self.written}

    def load_state_dict(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Go back to where `state_dict` was asked for."""
        self.written[:] = tensors["written"]
        self._kept = self.written.copy()

    def _begin(self, env: np.intp, observation: NDArray[Any]) -> None:
        for frame in observation if self.stack else [observation]:
            self._write(np.array([env]), np.asarray(frame)[None], np.zeros(1, dtype=np.uint8))

    def _write(self, envs: NDArray[Any], frames: NDArray[Any], marks: NDArray[Any]) -> None:
        """A slot in each of some environments, [n]."""
        slots = self.written[envs] % self.ring
        self.frames[envs, slots] = self._encode(frames)
        self.marks[envs, slots] = marks
        self.written[envs] += 1

    def _draw(
        self, size: int, rng: np.random.Generator, steps: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Environments and slots (counted since the beginning) from which a step was made."""
        low = np.maximum(self.written - self.window, 0) + self._depth - 1
        high = self.written - steps  # the newest slot has no step yet
        counts = np.maximum(high - low, 0)
        ends = np.cumsum(counts)
        if not ends[-1]:
            raise ValueError("the replay holds no transition yet")
        envs = np.zeros(size, dtype=np.int64)
        slots = np.zeros(size, dtype=np.int64)
        missing = np.arange(size)
        for _ in range(MOST_DRAWS):
            if not missing.size:
                return envs, slots
            drawn = rng.integers(ends[-1], size=missing.size)
            envs[missing] = np.searchsorted(ends, drawn, side="right")
            env = envs[missing]
            slots[missing] = low[env] + drawn - (ends[env] - counts[env])
            decided = (self.marks[env, slots[missing] % self.ring] & HAS_STEP) > 0
            missing = missing[~decided]
        raise ValueError("the replay holds hardly any transition")

    def _stacks(self, envs: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[Any]:
        """Observations by their environments and newest slots, [batch] each: [batch, stack, …]."""
        if not self.stack:
            return np.asarray(self.frames[envs, slots % self.ring])
        frames = self.frames.reshape(*self.frames.shape[:2], self._places, -1)
        stacks = np.empty((len(envs), self._places, self.stack, frames.shape[-1]), frames.dtype)
        gather(frames, envs, slots, stacks)
        return stacks.reshape(len(envs), *self._stacked)


@compiled
def gather(frames: Any, envs: Any, slots: Any, stacks: Any) -> None:
    """Stacks of successive frames, interleaved: each place's numbers of all its frames together.

    Args:
        frames: [envs, ring, places, numbers].
        envs: [batch].
        slots: of each stack's newest frame, [batch].
        stacks: to be filled, [batch, places, stack, numbers].
    """
    _, ring, places, numbers = frames.shape
    depth = stacks.shape[2]
    for i in range(len(envs)):
        for k in range(depth):
            frame = frames[envs[i], (slots[i] - depth + 1 + k) % ring]
            for place in range(places):
                for n in range(numbers):
                    stacks[i, place, k, n] = frame[place, n]
