"""What makes deep agents fast on a processor, behind one seam: `Backend`.

`Backend` computes as PyTorch does. `FastBackend` computes the same values with five shortcuts:

- Frames are kept as blocks of 4 x 4 pixels, so that the first convolution, 8 x 8 with stride 4,
  becomes one of 2 x 2 with stride 1 over 16 times as many channels (`BlockConv`).
- Passes run in bfloat16 where the processor has units for it; weights stay float32.
- Adam updates a weight as soon as its gradient is known, the large layer's on another thread
  (`OverlappedAdam`).
- The target network's passes run on another thread.
- The C library keeps the memory that it frees (`keep_freed_memory`).

docs/results.md has what each of them gives, measured beside `Backend`. In float32 both agree up to
rounding.
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

from gridcade.agents.base import Observations
from gridcade.agents.compiled import compiled
from gridcade.agents.networks import KERNEL, STRIDE, PixelConv, copy_weights
from gridcade.envs.types import Array

P = ParamSpec("P")
R = TypeVar("R")


class HasNextObservations(Protocol):
    """A minibatch of transitions."""

    @property
    def next_observations(self) -> Observations:
        """[batch, ...]."""
        ...


class AgentOptimizer(Protocol):
    """What agents use of an optimizer."""

    def step(self) -> None:
        """Update the weights by their gradients."""
        ...

    def zero_grad(self) -> None:
        """Set the gradients to zero or None."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Moments and number of steps, in PyTorch's form."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


class Backend:
    """Computes as PyTorch does, in the order of the papers.

    Args:
        q: the network that is learned.
        device: where it computes.
    """

    precision = "float32"

    def __init__(self, q: nn.Sequential, device: torch.device):
        self.q = self.compute_network = q.to(device)
        self.device = device

    def preprocess(self, observations: Observations) -> Observations:
        """Observations [n, ...], or single frames of stacked ones, as the network takes them."""
        return observations

    def tensor(self, array: Array) -> Tensor:
        """An array on the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def values(self, observations: Observations) -> NDArray[np.float32]:
        """Q(s, .) of preprocessed observations [n, ...]: [n, actions]."""
        with torch.no_grad():
            values = self.compute_network(self.tensor(np.asarray(observations)))
        return np.asarray(values.cpu().numpy())

    def target_values(
        self, target: nn.Sequential, batches: Sequence[HasNextObservations]
    ) -> Iterator[Callable[[], Tensor]]:
        """For each minibatch a function that returns the target network's Q(s', .)."""
        return (partial(self._forward, target, batch) for batch in batches)

    def adam(self, learning_rate: float) -> AgentOptimizer:
        """Adam (Kingma and Ba 2015) on the weights of `q`."""
        return torch.optim.Adam(self.q.parameters(), learning_rate)

    def convert_layout(self, weight: Array) -> Array:
        """Convert weights of the first convolution [filters, ...] to the layout of `q`."""
        if isinstance(self.q[0], PixelConv) and weight.shape[-1] == KERNEL // STRIDE:
            return nn.functional.pixel_shuffle(torch.from_numpy(weight), STRIDE).numpy()
        return weight

    def gather_gradients(self) -> None:
        """Give the weights of `q` the gradients of the network that computed them."""

    def weights_changed(self) -> None:
        """Copy the weights of `q` to the network that computes, if it is another one."""

    def _forward(self, target: nn.Sequential, batch: HasNextObservations) -> Tensor:
        with torch.no_grad():
            values: Tensor = target(self.tensor(batch.next_observations))
        return values


class FastBackend(Backend):
    """Computes the same values faster, where the network has convolutions.

    Args:
        q: the network that is learned; its layers are replaced by equal, faster ones.
        device: where it computes.
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
        """Images [n, ...], or single frames of stacked ones, as blocks; other arrays unchanged."""
        if not self._blocks:
            return observations
        return to_blocks(np.moveaxis(observations, -1, 1) if self._channels_last else observations)

    def target_values(
        self, target: nn.Sequential, batches: Sequence[HasNextObservations]
    ) -> Iterator[Callable[[], Tensor]]:
        """The same, computed on another thread while this one learns from earlier minibatches."""
        futures = [self._executor.submit(self._forward, target, batch) for batch in batches]
        return (future.result for future in futures)

    def adam(self, learning_rate: float) -> AgentOptimizer:
        """Adam, during the backward pass where the network has convolutions."""
        if self._blocks and self.device.type == "cpu":
            return OverlappedAdam(self.q, self.compute_network, learning_rate, self._executor)
        return torch.optim.Adam(self.q.parameters(), learning_rate, fused=True)

    def convert_layout(self, weight: Array) -> Array:
        """Convert weights of the first convolution [filters, ...] to the layout of `q`."""
        if self._blocks and weight.shape[-1] == KERNEL:
            return nn.functional.pixel_unshuffle(torch.from_numpy(weight), STRIDE).numpy()
        return weight

    def gather_gradients(self) -> None:
        """Give the float32 weights the gradients of their copies in bfloat16."""
        if self.compute_network is self.q:
            return
        pairs = zip(self.q.parameters(), self.compute_network.parameters(), strict=True)
        for weight, copied in pairs:
            if copied is not weight and copied.grad is not None:
                weight.grad, copied.grad = copied.grad.float(), None

    def weights_changed(self) -> None:
        """Round the float32 weights to their copies in bfloat16."""
        if self.compute_network is not self.q:
            copy_weights(self.q, self.compute_network)


class Worker:
    """A thread that starts when it is first used; copies of it have a thread of their own."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function on the thread, after those that were submitted before."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1)
        return self._executor.submit(function, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the thread out of copies."""
        return {"_executor": None}


# ---- blocks of pixels


def to_blocks(observations: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rearrange blocks of 4 x 4 pixels as channels.

    [n, frames, height, width] -> [n, height / 4, width / 4, 16 frames]. Single frames,
    [n, height, width], are stacks of one.
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

    It takes bytes, [batch, height / 4, width / 4, 16 channels]. Its weights are divided by 255
    rather than all the pixels.
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
    return nn.Sequential(*map(_fast_layer, hidden), Output(last))


def _fast_layer(layer: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # layers draw weights that are replaced at once
        if isinstance(layer, PixelConv):
            return BlockConv(layer)
        return Hidden(layer) if isinstance(layer, nn.Linear) else layer


# ---- bfloat16


class Output(nn.Linear):
    """The last layer: computes in the data type of its own weights."""

    def __init__(self, linear: nn.Linear):
        super().__init__(linear.in_features, linear.out_features)
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name for it
        """[batch, units] -> [batch, actions]."""
        return super().forward(input.to(self.weight.dtype))


def in_bfloat16(q: nn.Sequential) -> nn.Sequential:
    """Copy all layers but the last to bfloat16; the last layer is shared.

    The last layer stays in float32: bfloat16 resolves values of 2 to 4 by 1/64 at best, which is
    more than many actions differ by.
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
    inputs, [batch, inputs], as soon as the backward pass needs the weight no more; the weight gets
    no `grad` then.
    """

    take_gradient: Callable[[Tensor, Tensor], None] | None = None

    def __init__(self, linear: nn.Linear):
        super().__init__(linear.in_features, linear.out_features)
        self.weight, self.bias = linear.weight, linear.bias

    def __getstate__(self) -> dict[str, Any]:
        """Leave `take_gradient` out of copies: their weights belong to no optimizer."""
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
    """A linear layer that hands out what its weight's gradient is made of."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, take_gradient: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.take_gradient = take_gradient
        return nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (gradient,), (x, weight) = grad_outputs, ctx.saved_tensors
        input_gradient = gradient @ weight
        ctx.take_gradient(gradient, x)
        return input_gradient, None, gradient.sum(0), None


class OverlappedAdam:
    """Adam (Kingma and Ba 2015, Algorithm 1) during the backward pass.

    A weight changes as soon as its gradient is known. Large weights change on another thread, while
    the backward pass goes on through the layers below.

    Args:
        weights: the network that is learned, in float32.
        copies: the network that computes, which may share layers with it, or be it.
        learning_rate: alpha.
        executor: runs the large updates.
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
        """Restore a copy, whose weights have lost their hooks."""
        self.__dict__.update(state)
        self._register_hooks()

    def _register_hooks(self) -> None:
        """Have the backward pass call for an update as soon as a gradient is known."""
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
        """Wait until all weights have changed. Called after each backward pass."""
        for update in self._running:
            update.result()
        self._running.clear()
        self._steps += 1

    def zero_grad(self) -> None:
        """Do nothing: gradients are dropped as soon as they are used."""

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
        torch.mm(above.t(), inputs, out=low)  # into a buffer: allocating it costs time
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
        """The moments and the number of steps, in the form of `torch.optim.Adam`."""
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
    """One step of Adam, in place: float32, [size] each.

    Args:
        weight: theta.
        mean: m.
        square: v.
        gradient: g.
        numbers: alpha / (1 - beta_1^t), 1 - beta_2^t, 1 - beta_1, 1 - beta_2, epsilon.
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
    """Have this process keep the memory that it frees, where the C library is GNU's.

    Otherwise an update's large tensors go back to the system and are taken anew each time, and the
    page faults cost a tenth of the update. (mallopt(3): M_MMAP_THRESHOLD, which older versions
    limit to 32 MiB, and M_TRIM_THRESHOLD, which alone would make it worse.)
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        if library.mallopt(-3, 1 << 25):
            library.mallopt(-1, 1 << 30)
