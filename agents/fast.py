"""Fast computation on a processor: how deep agents compute values and updates.

`Backend` computes with plain PyTorch. `FastBackend` computes the same values with six shortcuts:

- Frames are stored as blocks of 4 x 4 pixels, so that the first convolution, 8 x 8 with stride 4,
  becomes one of 2 x 2 with stride 1 over 16 times as many channels (`BlockConv`).
- Forward and backward passes compute in bfloat16, if requested and if the processor has units for
  it; weights stay float32.
- Adam updates a weight as soon as its gradient is known. The weight of the large layer is updated
  on another thread (`OverlappedAdam`).
- The target network's passes run on another thread.
- Layer normalization and RAdam are compiled to one pass over memory each (`agents/fused.py`).
- The C library keeps the memory that it frees (`keep_freed_memory`).

docs/results.md has the speedup of each shortcut, as far as it is measured. In float32 the values
agree with those of `Backend` up to rounding.
"""

import copy
import ctypes
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gridcade.agents.base import Observations
from gridcade.agents.compiled import compiled
from gridcade.agents.fused import FusedRAdam, fuse_norms
from gridcade.agents.networks import KERNEL, STRIDE, PixelConv, copy_weights
from gridcade.agents.replay import Mirror
from gridcade.envs.types import Array

P = ParamSpec("P")
R = TypeVar("R")
ArrayOrTensor = Array | Tensor  # on the host, or on a device
Lazy = Tensor | Callable[[], Tensor]  # a tensor, or a function that computes it when needed


class HasNextObservations(Protocol):
    """A minibatch of transitions."""

    @property
    def next_observations(self) -> ArrayOrTensor:
        """[batch, ...]."""
        ...


class AgentOptimizer(Protocol):
    """The methods of an optimizer that agents call."""

    def step(self) -> None:
        """Update the weights by their gradients."""
        ...

    def zero_grad(self) -> None:
        """Set the gradients to zero or None."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the moments and the number of steps, in PyTorch's form."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


def evaluated(tensor: Lazy) -> Tensor:
    """Return a tensor, and compute it first if it is a function."""
    return tensor if isinstance(tensor, Tensor) else tensor()


class Backend:
    """Computes with plain PyTorch, in the order of the papers.

    Args:
        q: the network that learns.
        device: the device on which it computes.

    Attributes:
        compute_network: the network that computes: `q`, or its layers in another precision.
    """

    precision = "float32"

    def __init__(self, q: nn.Sequential, device: torch.device):
        self.q = self.compute_network = q.to(device)
        self.device = device

    def preprocess(self, observations: Observations) -> Observations:
        """Convert observations, or single frames of stacked ones, [n, ...], to network inputs."""
        return observations

    def preprocess_there(self, observations: Observations) -> ArrayOrTensor:
        """Compute `preprocess` on the device on which `keep` keeps arrays."""
        return self.preprocess(observations)

    def keep(self, array: Array) -> ArrayOrTensor:
        """Return the array for a rollout's observations where they are kept: on the host."""
        return array

    def store(self, kept: ArrayOrTensor, at: int | slice, values: ArrayOrTensor) -> None:
        """Set elements of an array that `keep` returned."""
        if isinstance(kept, Tensor):
            kept[at] = self.tensor(values)
        else:
            kept[at] = values

    def array(self, kept: ArrayOrTensor) -> Array:
        """Return an array on the host."""
        return kept.cpu().numpy() if isinstance(kept, Tensor) else kept

    def tensor(self, array: ArrayOrTensor) -> Tensor:
        """Return an array as a tensor on the device."""
        if isinstance(array, Tensor):
            return array
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def rows(self, array: ArrayOrTensor, rows: NDArray[np.int64]) -> Tensor:
        """Select rows [batch] of an array [T, n, ...] of T n rows, on the device: [batch, ...]."""
        return self.tensor(array.reshape(-1, *array.shape[2:])[rows])

    def mirror(self, frames: Array) -> Mirror | None:
        """Allocate a copy of a replay's frames on the device; None: they stay on the host."""
        del frames
        return None

    def values(self, observations: ArrayOrTensor) -> NDArray[np.float32]:
        """Compute Q(s, .) of preprocessed observations [n, ...]: [n, actions]."""
        with torch.no_grad():
            values = self.compute_network(self.tensor(observations))
        return np.asarray(values.cpu().numpy())

    def target_values(
        self, target: nn.Sequential, batches: Sequence[HasNextObservations]
    ) -> Iterator[Callable[[], Tensor]]:
        """Yield for each minibatch a function that returns the target network's Q(s', .)."""
        return (partial(self._forward, target, batch) for batch in batches)

    def adam(self, learning_rate: float) -> AgentOptimizer:
        """Make Adam (Kingma and Ba 2015) for the weights of `q`."""
        return torch.optim.Adam(self.q.parameters(), learning_rate)

    def radam(self, learning_rate: float) -> torch.optim.Optimizer:
        """Make RAdam (Liu et al. 2020) for the weights of `q`."""
        return torch.optim.RAdam(self.q.parameters(), learning_rate, foreach=True)

    def convert_layout(self, weight: Array) -> Array:
        """Convert weights of the first convolution [filters, ...] to the layout of `q`."""
        if isinstance(self.q[0], PixelConv) and weight.shape[-1] == KERNEL // STRIDE:
            return nn.functional.pixel_shuffle(torch.from_numpy(weight), STRIDE).numpy()
        return weight

    def gradients(self, loss: Callable[..., Tensor], *inputs: Lazy) -> Tensor:
        """Compute a loss from its inputs, and set its gradients as those of `q`'s weights."""
        value = loss(*inputs)
        value.backward()  # type: ignore[no-untyped-call]
        self.gather_gradients()
        return value.detach()

    def gather_gradients(self) -> None:
        """Copy the gradients of the compute network to the weights of `q`, if these differ."""

    def known_losses(self, loss: Tensor | None = None) -> list[float]:
        """Return the losses that are read now: the newest one, or several up to it.

        Args:
            loss: the loss of the newest update; None: return all losses that are still unread.
        """
        return [] if loss is None else [float(loss)]

    def weights_changed(self) -> None:
        """Copy the weights of `q` to the compute network, if it is another network."""

    def _forward(self, target: nn.Sequential, batch: HasNextObservations) -> Tensor:
        with torch.no_grad():
            values: Tensor = target(self.tensor(batch.next_observations))
        return values


class FastBackend(Backend):
    """Computes the same values faster, where the network has convolutions.

    Args:
        q: the network that learns; its layers are replaced by equal, faster ones.
        device: the device on which it computes.
        bfloat16: compute in bfloat16, if the processor has units for it.
    """

    def __init__(self, q: nn.Sequential, device: torch.device, bfloat16: bool = False):
        super().__init__(fast_layers(q), device)
        self._channels_last = isinstance(q[0], PixelConv) and q[0].channels_last
        self._blocks = isinstance(self.q[0], BlockConv)
        if self._blocks:
            keep_freed_memory()
        self._executor = Worker()  # for the target network and OverlappedAdam
        if bfloat16 and self._blocks and has_bfloat16(device):
            self.compute_network = in_bfloat16(self.q)
            self.precision = "bfloat16"

    def preprocess(self, observations: Observations) -> Observations:
        """Convert images, or single frames of stacks, [n, ...], to blocks; keep other arrays."""
        if not self._blocks:
            return observations
        return to_blocks(np.moveaxis(observations, -1, 1) if self._channels_last else observations)

    def target_values(
        self, target: nn.Sequential, batches: Sequence[HasNextObservations]
    ) -> Iterator[Callable[[], Tensor]]:
        """Compute Q(s', .) on another thread, while this one learns from earlier minibatches."""
        futures = [self._executor.submit(self._forward, target, batch) for batch in batches]
        return (future.result for future in futures)

    def adam(self, learning_rate: float) -> AgentOptimizer:
        """Make Adam; for convolutions of pixels on a CPU, it runs during the backward pass."""
        if self._blocks and self.device.type == "cpu":
            return OverlappedAdam(self.q, self.compute_network, learning_rate, self._executor)
        return torch.optim.Adam(self.q.parameters(), learning_rate, fused=True)

    def radam(self, learning_rate: float) -> torch.optim.Optimizer:
        """Make RAdam; it updates each weight in one pass over memory."""
        if self.device.type != "cpu":
            return super().radam(learning_rate)
        return FusedRAdam(self.q.parameters(), learning_rate)

    def convert_layout(self, weight: Array) -> Array:
        """Convert weights of the first convolution [filters, ...] to the layout of `q`."""
        if self._blocks and weight.shape[-1] == KERNEL:
            return nn.functional.pixel_unshuffle(torch.from_numpy(weight), STRIDE).numpy()
        return weight

    def gather_gradients(self) -> None:
        """Copy the gradients of the bfloat16 weights to the float32 weights."""
        if self.compute_network is self.q:
            return
        pairs = zip(self.q.parameters(), self.compute_network.parameters(), strict=True)
        for weight, copied in pairs:
            if copied is not weight and copied.grad is not None:
                weight.grad, copied.grad = copied.grad.float(), None

    def weights_changed(self) -> None:
        """Copy the float32 weights to the bfloat16 weights, rounded."""
        if self.compute_network is not self.q:
            copy_weights(self.q, self.compute_network)


class Worker:
    """A thread that starts when it is first used. A copy of a worker has its own thread."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function on the thread, after those that were submitted before."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1)
        return self._executor.submit(function, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Copy without the thread."""
        return {"_executor": None}


# ---- blocks of pixels


def to_blocks(observations: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rearrange blocks of 4 x 4 pixels as channels.

    [n, frames, height, width] -> [n, height // 4, width // 4, 16 frames]. Single frames,
    [n, height, width], are stacks of one frame. Pixels that fill no block are dropped.
    """
    stacks = observations if observations.ndim == 4 else observations[:, None]
    n, frames, height, width = stacks.shape
    blocks = np.empty((n, height // STRIDE, width // STRIDE, frames * STRIDE**2), np.uint8)
    fill_blocks(stacks, blocks)
    return blocks


@compiled
def fill_blocks(stacks: Array, blocks: Array) -> None:
    """Fill `blocks` from `stacks`; see `to_blocks` for the shapes."""
    n, height, width, _ = blocks.shape
    for i in range(n):
        for y in range(height):
            for x in range(width):
                for k in range(stacks.shape[1]):
                    for row in range(STRIDE):
                        for column in range(STRIDE):
                            channel = (k * STRIDE + row) * STRIDE + column
                            pixel = stacks[i, k, y * STRIDE + row, x * STRIDE + column]
                            blocks[i, y, x, channel] = pixel


class BlockConv(nn.Conv2d):
    """`PixelConv` on blocks: the same values from the same weights, several times faster.

    Inputs are bytes, [batch, height // 4, width // 4, 16 channels]. The weights are divided by 255,
    because there are fewer of them than pixels.
    """

    def __init__(self, pixels: PixelConv):
        filters, channels = pixels.out_channels, pixels.in_channels * STRIDE**2
        super().__init__(channels, filters, kernel_size=2)
        weight = nn.functional.pixel_unshuffle(pixels.weight.detach(), STRIDE)
        self.weight = nn.Parameter(weight, requires_grad=pixels.weight.requires_grad)
        self.bias = pixels.bias

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """Bytes [batch, h, w, 16 channels] -> floats [batch, filters, h - 1, w - 1]."""
        x = input.permute(0, 3, 1, 2).to(self.weight.dtype)
        return nn.functional.conv2d(x, self.weight / 255, self.bias)


def fast_layers(q: nn.Sequential) -> nn.Sequential:
    """Replace the layers of a network with convolutions by equal, faster ones."""
    if not isinstance(q[0], PixelConv):
        return q
    *hidden, last = q
    assert isinstance(last, nn.Linear)  # noqa: S101 - for the type checker
    return nn.Sequential(*map(_fast_layer, fuse_norms(hidden)), Output(last))


def _fast_layer(layer: nn.Module) -> nn.Module:
    # New layers draw random weights, although the weights of `layer` replace them at once.
    with torch.random.fork_rng(devices=[]):
        if isinstance(layer, PixelConv):
            return BlockConv(layer)
        return Hidden(layer) if isinstance(layer, nn.Linear) else layer


# ---- bfloat16


class Output(nn.Linear):
    """The last layer, which computes in the data type of its own weights."""

    def __init__(self, linear: nn.Linear):
        super().__init__(linear.in_features, linear.out_features)
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, units] -> [batch, actions]."""
        return super().forward(input.to(self.weight.dtype))


def in_bfloat16(q: nn.Sequential) -> nn.Sequential:
    """Copy all layers but the last to bfloat16; the last layer is shared.

    The last layer stays in float32: between 2 and 4, bfloat16 numbers are 1/64 apart, and the
    values of many actions differ by less.
    """
    *lower, last = q.children()
    return nn.Sequential(*(copy.deepcopy(layer).bfloat16() for layer in lower), last)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor has units for bfloat16; without them it is slower than float32."""
    supported: Callable[[], bool] = getattr(
        torch.cpu, "_is_avx512_bf16_supported", lambda: False
    )  # PyTorch has no public name for it
    return device.type == "cpu" and supported()


# ---- Adam during the backward pass


class Hidden(nn.Linear):
    """A linear layer whose weight an external optimizer may update.

    `take_gradient`, if set, is called with the gradient of the outputs, [batch, outputs], and the
    inputs, [batch, inputs], as soon as the backward pass no longer needs the weight. The weight
    then gets no `grad`.
    """

    take_gradient: Callable[[Tensor, Tensor], None] | None = None

    def __init__(self, linear: nn.Linear):
        super().__init__(linear.in_features, linear.out_features)
        self.weight, self.bias = linear.weight, linear.bias

    def __getstate__(self) -> dict[str, Any]:
        """Copy without `take_gradient`: no optimizer updates the weights of copies."""
        return {name: value for name, value in self.__dict__.items() if name != "take_gradient"}

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, inputs] -> [batch, outputs]."""
        if self.take_gradient is None or not torch.is_grad_enabled():
            return super().forward(input)
        outputs: Tensor = _ExternalLinear.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.take_gradient
        )
        return outputs


class _ExternalLinear(torch.autograd.Function):
    """A linear layer that passes the factors of its weight's gradient to `take_gradient`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, take_gradient: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.take_gradient = take_gradient
        return nn.functional.linear(x, weight, bias)

    @staticmethod
    @once_differentiable  # its type lacks the name of `ctx`
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Any
    ) -> Any:
        (gradient,), (x, weight) = grad_outputs, ctx.saved_tensors
        input_gradient = gradient @ weight
        ctx.take_gradient(gradient, x)
        return input_gradient, None, gradient.sum(0), None


class OverlappedAdam:
    """Adam (Kingma and Ba 2015, Algorithm 1) during the backward pass.

    Each weight is updated as soon as its gradient is known. Large weights are updated on another
    thread, while the backward pass continues through the layers below.

    Args:
        weights: the network that learns, in float32.
        copies: the compute network, which may share layers with it, or be the same network.
        learning_rate: alpha.
        executor: runs the updates of large weights.
    """

    decays = (0.9, 0.999)
    epsilon = 1e-8

    def __init__(
        self,
        weights: nn.Sequential,
        copies: nn.Sequential,
        learning_rate: float,
        executor: Worker,
    ):
        self.learning_rate = learning_rate
        self._executor = executor
        self._running: list[Future[None]] = []
        self._steps = 0
        self._weights = list(weights.parameters())
        self._copies = copies
        self._moments = [[np.zeros(w.numel(), np.float32) for _ in "mv"] for w in self._weights]
        self._register_hooks()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy, and register hooks, which copies of weights do not have."""
        self.__dict__.update(state)
        self._register_hooks()

    def _register_hooks(self) -> None:
        """Register hooks by which the backward pass updates a weight when its gradient is known."""
        large = {layer.weight: layer for layer in self._copies if isinstance(layer, Hidden)}
        for i, copied in enumerate(self._copies.parameters()):
            if not copied.requires_grad:
                continue
            if copied in large:
                buffer = torch.empty_like(copied)
                large[copied].take_gradient = partial(
                    self._submit, i, copied, buffer, buffer.float()
                )
            else:
                hook = partial(self._update_small, i)
                copied.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """Wait until all weights are updated. Called after each backward pass."""
        for update in self._running:
            update.result()
        self._running.clear()
        self._steps += 1

    def zero_grad(self) -> None:
        """Do nothing: `_update_small` has cleared the gradients already."""

    def _update_small(self, i: int, copied: Tensor) -> None:
        gradient, copied.grad = copied.grad, None
        assert gradient is not None  # noqa: S101 - for the type checker
        self._update(i, copied, gradient.float())

    def _submit(self, *arguments: Any) -> None:
        self._running.append(self._executor.submit(self._update_large, *arguments))

    @torch.no_grad()
    def _update_large(
        self, i: int, copied: Tensor, low: Tensor, gradient: Tensor, above: Tensor, inputs: Tensor
    ) -> None:
        torch.mm(above.t(), inputs, out=low)  # into a buffer, because allocating one takes time
        self._update(i, copied, gradient.copy_(low))

    @torch.no_grad()
    def _update(self, i: int, copied: Tensor, gradient: Tensor) -> None:
        weight, t = self._weights[i], self._steps + 1
        first, second = (1 - decay**t for decay in self.decays)
        shares = [1 - decay for decay in self.decays]  # in double precision, unlike 1 - float32
        numbers = np.array([self.learning_rate / first, second, *shares, self.epsilon], np.float32)
        flat, g = (tensor.detach().view(-1).numpy() for tensor in (weight, gradient.contiguous()))
        mean, square = self._moments[i]
        adam_step(flat, mean, square, g, numbers)
        if copied is not weight:
            copied.copy_(weight)

    def state_dict(self) -> dict[str, Any]:
        """Return the moments and the number of steps, in the form of `torch.optim.Adam`."""
        step = torch.tensor(float(self._steps))
        state = {}
        for i, (moments, weight) in enumerate(zip(self._moments, self._weights, strict=True)):
            m, v = (torch.from_numpy(moment).view_as(weight) for moment in moments)
            state[i] = {"step": step, "exp_avg": m, "exp_avg_sq": v}
        return {"state": state if self._steps else {}, "param_groups": []}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._steps = 0
        for i, (m, v) in enumerate(self._moments):
            saved = state_dict["state"].get(i)
            m[:] = 0 if saved is None else saved["exp_avg"].numpy().reshape(-1)
            v[:] = 0 if saved is None else saved["exp_avg_sq"].numpy().reshape(-1)
            self._steps = 0 if saved is None else int(saved["step"])


@compiled
def adam_step(weight: Array, mean: Array, square: Array, gradient: Array, numbers: Array) -> None:
    """Make one step of Adam in place, on arrays of float32, [size] each.

    Args:
        weight: theta.
        mean: m.
        square: v.
        gradient: g.
        numbers: alpha / (1 - beta_1^t), 1 - beta_2^t, 1 - beta_1, 1 - beta_2, epsilon; [5].
    """
    rate, correction, mean_share, square_share, epsilon = numbers
    for i in range(weight.size):
        g = gradient[i]
        mean[i] += mean_share * (g - mean[i])
        square[i] += square_share * (g * g - square[i])
        weight[i] -= rate * mean[i] / (np.sqrt(square[i] / correction) + epsilon)


# ---- memory


@cache
def keep_freed_memory() -> None:
    """Make the GNU C library keep the memory that this process frees, for later allocations.

    Otherwise each update returns the memory of its large tensors to the system and allocates it
    again, and the page faults take a tenth of the update's time. The settings are M_MMAP_THRESHOLD,
    which older versions limit to 32 MiB, and M_TRIM_THRESHOLD, which alone would slow it down
    (mallopt(3)).
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        if library.mallopt(-3, 1 << 25):
            library.mallopt(-1, 1 << 30)
