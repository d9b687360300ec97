"""Fast computation on a GPU: a backend for agents/fast.py. Its speed on a GPU is not measured.

`AcceleratorBackend` computes the same values as `FastBackend`, on any device of PyTorch's:

- Arrays are copied to the device through pinned memory, so that the host need not wait. PQN's
  rollouts stay on the device, and so do the frames of DQN's replay if there is room (`Frames`).
- Losses stay on the device, and are read after many updates, because reading one waits for it.
- With bfloat16, all layers but the last compute in it, by autocast; weights stay float32.
- On CUDA, the kernels of acting, of the target network and of the gradients are recorded, and then
  launched all at once (`Graph`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gridcade.agents.base import Observations
from gridcade.agents.fast import (
    AgentOptimizer,
    ArrayOrTensor,
    FastBackend,
    HasNextObservations,
    Lazy,
    evaluated,
)
from gridcade.agents.networks import STRIDE
from gridcade.envs.types import Array

UNREAD = 1000  # losses are read after this many updates
EAGER_CALLS = 3  # calls before a function is recorded, in which libraries set up their memory
CHUNK = 10_000  # frames that are copied to the device at once
SHARE = 0.8  # largest share of a GPU's free memory that the frames of a replay may take

Ints = NDArray[np.int64]


def is_accelerator(device: torch.device) -> bool:
    """Whether a device is not the processor."""
    return device.type != "cpu"


class AcceleratorBackend(FastBackend):
    """Computes the same values on an accelerator.

    Args:
        q: the network that learns; its layers are replaced by equal ones, as in `FastBackend`.
        device: the device on which it computes.
        bfloat16: compute in bfloat16, if the device supports it.
    """

    def __init__(self, q: nn.Sequential, device: torch.device, bfloat16: bool = False):
        super().__init__(q, device)
        if bfloat16 and self._blocks and supports_bfloat16(device):
            self.compute_network = Autocast(*self.q)
            self.precision = "bfloat16"
        self._learned = [weight for weight in self.q.parameters() if weight.requires_grad]
        self._losses = torch.zeros(UNREAD, device=device)
        self._unread = 0  # losses that have not been read
        self._acting, self._target, self._gradients = Graph(), Graph(), Graph()

    # ---- arrays

    def tensor(self, array: ArrayOrTensor) -> Tensor:
        """Copy an array to the device, while the host continues."""
        if isinstance(array, Tensor):
            return array
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def preprocess_there(self, observations: Observations) -> ArrayOrTensor:
        """Compute `preprocess` on the device."""
        tensor = self.tensor(observations)
        if not self._blocks:
            return tensor
        return blocks(tensor.movedim(-1, 1) if self._channels_last else tensor)

    def keep(self, array: Array) -> ArrayOrTensor:
        """Copy the array for a rollout's observations to the device."""
        return torch.from_numpy(array).to(self.device)

    def rows(self, array: ArrayOrTensor, rows: Ints) -> Tensor:
        """Select rows [batch] of an array [T, n, ...] of T n rows, on the device: [batch, ...]."""
        if isinstance(array, Tensor):
            return array.flatten(0, 1)[self.tensor(rows)]
        return super().rows(array, rows)

    def mirror(self, frames: Array) -> "Frames | None":
        """Allocate a copy of a replay's frames on the device; None if they do not fit."""
        return Frames(frames, self.tensor) if has_room(frames.nbytes, self.device) else None

    # ---- passes and updates

    def values(self, observations: ArrayOrTensor) -> NDArray[np.float32]:
        """Compute Q(s, .) of preprocessed observations [n, ...]: [n, actions]."""
        with torch.no_grad():
            (values,) = self._acting(self._network, self.tensor(observations))
        return np.array(values.cpu().numpy())

    def target_values(
        self, target: nn.Sequential, batches: Sequence[HasNextObservations]
    ) -> Iterator[Callable[[], Tensor]]:
        """Yield for each minibatch a function that returns the target network's Q(s', .)."""
        return (partial(self._target_values, target, batch) for batch in batches)

    def adam(self, learning_rate: float) -> AgentOptimizer:
        """Make Adam; on CUDA it updates all weights in one kernel."""
        fused = self.device.type == "cuda"
        return torch.optim.Adam(self.q.parameters(), learning_rate, fused=fused)

    def gradients(self, loss: Callable[..., Tensor], *inputs: Lazy) -> Tensor:
        """Compute a loss from its inputs, and set its gradients as those of `q`'s weights."""
        differentiate = partial(self._differentiate, loss)
        value, *gradients = self._gradients(differentiate, *map(evaluated, inputs))
        for weight, gradient in zip(self._learned, gradients, strict=True):
            weight.grad = gradient
        return value

    def known_losses(self, loss: Tensor | None = None) -> list[float]:
        """Collect a loss, and return all collected ones after every `UNREAD` updates; else none.

        Args:
            loss: the loss of the newest update; None: return all losses collected so far.
        """
        if loss is not None:
            self._losses[self._unread] = loss
            self._unread += 1
        if loss is not None and self._unread < UNREAD:
            return []
        losses: list[float] = self._losses[: self._unread].tolist()
        self._unread = 0
        return losses

    def weights_changed(self) -> None:
        """Do nothing: the compute network has the same weights as `q`."""

    def _network(self, observations: Tensor) -> tuple[Tensor, ...]:
        return (self.compute_network(observations),)

    def _target_values(self, target: nn.Sequential, batch: HasNextObservations) -> Tensor:
        with torch.no_grad():
            (values,) = self._target(
                lambda observations: (target(observations),), self.tensor(batch.next_observations)
            )
        return values

    def _differentiate(self, loss: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return a loss, and its gradients with respect to the weights that learn."""
        value = loss(*inputs)
        return (value.detach(), *torch.autograd.grad(value, self._learned))


class Graph:
    """Runs a function of tensors; on CUDA, records its kernels as a graph and replays them.

    Launching the kernels of a small network one by one takes longer than running them; a CUDA graph
    launches all at once. The function is recorded after a few calls with inputs of the same shapes.
    With other shapes, or on other devices, it runs as usual. It must be the same function each
    time, must not read values from the device, and its weights must keep their addresses.

    Each call overwrites the tensors that the previous call returned.
    """

    def __init__(self) -> None:
        self._graph: torch.cuda.CUDAGraph | None = None
        self._shapes: list[tuple[torch.Size, torch.dtype]] = []  # shapes of the last inputs
        self._calls = 0  # successive calls with these shapes
        self._inputs: list[Tensor] = []
        self._outputs: tuple[Tensor, ...] = ()

    def __reduce__(self) -> tuple[type["Graph"], tuple[()]]:
        """Copy without the recording, which holds the addresses of the original's weights."""
        return Graph, ()

    @property
    def is_recorded(self) -> bool:
        """Whether calls with the recorded shapes launch a recording."""
        return self._graph is not None

    def __call__(
        self, function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        """Run the function, or replay its recording, and return the outputs."""
        if inputs[0].device.type != "cuda":
            return function(*inputs)
        shapes = [(tensor.shape, tensor.dtype) for tensor in inputs]
        if self._graph is None:
            self._calls = self._calls + 1 if shapes == self._shapes else 1
            self._shapes = shapes
            if self._calls > EAGER_CALLS:
                self._record(function, inputs)
        if self._graph is None or shapes != self._shapes:
            return function(*inputs)
        for recorded, tensor in zip(self._inputs, inputs, strict=True):
            recorded.copy_(tensor)
        self._graph.replay()
        return self._outputs

    def _record(
        self, function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor]
    ) -> None:
        self._inputs = [tensor.clone() for tensor in inputs]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(inputs[0].device), torch.cuda.graph(graph):
            self._outputs = function(*self._inputs)
        self._graph = graph


class Frames:
    """A copy of a replay's frames on a device, which gathers stacks of them there.

    The replay's own frames, which may lie in a file, stay complete: a resumed run, even on another
    device, starts from them.

    Args:
        frames: the replay's frames, [envs, ring, ...].
        tensor: copies an array to the device.
    """

    def __init__(self, frames: Array, tensor: Callable[[Array], Tensor]):
        self._ring = frames.shape[1]
        self._tensor = tensor
        shape = (frames.shape[0] * self._ring, *frames.shape[2:])
        self._frames = tensor(frames[:1, :1]).new_zeros(shape)

    def write(self, envs: Ints, slots: Ints, frames: Array) -> None:
        """Write frames [n, ...] of environments [n] to slots [n] of the ring."""
        self._frames[self._tensor(envs * self._ring + slots)] = self._tensor(frames)

    def fill(self, frames: Array) -> None:
        """Copy all frames, [envs, ring, ...]."""
        flat = frames.reshape(self._frames.shape)
        for begin in range(0, len(flat), CHUNK):
            part = slice(begin, begin + CHUNK)
            self._frames[part] = self._tensor(flat[part])

    def stacks(self, envs: Ints, slots: Ints) -> Tensor:
        """Gather frames of environments [batch] in slots [batch, stack]: [batch, stack, ...]."""
        return self._frames[self._tensor(envs[:, None] * self._ring + slots)]


def has_room(size: int, device: torch.device) -> bool:
    """Whether `size` bytes fit into the share of a GPU's free memory that a replay may take."""
    return device.type == "cuda" and size <= SHARE * torch.cuda.mem_get_info(device)[0]


def blocks(observations: Tensor) -> Tensor:
    """Rearrange blocks of 4 x 4 pixels as channels, as `to_blocks` does on the host.

    [n, frames, height, width] -> [n, height // 4, width // 4, 16 frames]. Pixels that fill no block
    at the right and at the bottom are dropped.
    """
    n, frames, height, width = observations.shape
    rows, columns = height // STRIDE, width // STRIDE
    whole = observations[..., : rows * STRIDE, : columns * STRIDE]
    split = whole.reshape(n, frames, rows, STRIDE, columns, STRIDE)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(n, rows, columns, -1)


class Autocast(nn.Sequential):
    """A network that computes all layers but the last in bfloat16, by autocast."""

    def forward(self, input: Any) -> Any:  # noqa: A002 - the parent's name for it
        """Observations [batch, ...] -> Q(s, .), [batch, actions]."""
        *lower, last = self
        # Autocast must not cache converted weights: a recorded graph would never refresh them.
        with torch.autocast(input.device.type, torch.bfloat16, cache_enabled=False):
            for layer in lower:
                input = layer(input)  # noqa: A001
        return last(input)


def supports_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16; False for Apple's, which are untested."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "mps"
