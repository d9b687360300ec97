"""RMSProp as the code released with Mnih et al. (2015) has it, and Adam beside a backward pass."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gridcade.agents.compiled import compiled
from gridcade.agents.networks import Hidden


class MnihRMSProp(torch.optim.Optimizer):
    """Centred RMSProp: theta -= lr g / sqrt(E[g^2] - E[g]^2 + minimum).

    `torch.optim.RMSprop` adds its constant outside the root. The paper's "gradient momentum" is the
    decay of E[g]: nothing is accelerated. Gradients are sums over the minibatch, not means.

    Args:
        parameters: to be optimised.
        learning_rate: lr.
        decay: of both running means; 0.95 in the paper.
        minimum: of the squared gradient; 0.01 in the paper.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 0.00025,
        decay: float = 0.95,
        minimum: float = 0.01,
    ):
        super().__init__(parameters, {"lr": learning_rate, "decay": decay, "minimum": minimum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update."""
        del closure
        for group in self.param_groups:
            decay = group["decay"]
            for parameter in group["params"]:
                if (g := parameter.grad) is None:
                    continue  # it is frozen
                state = self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(parameter)
                    state["square"] = torch.zeros_like(parameter)
                state["mean"].mul_(decay).add_(g, alpha=1 - decay)
                state["square"].mul_(decay).addcmul_(g, g, value=1 - decay)
                variance = state["square"].addcmul(state["mean"], state["mean"], value=-1)
                root = variance.add_(group["minimum"]).sqrt_()
                parameter.addcdiv_(g, root, value=-group["lr"])


class OverlappedAdam:
    """Adam (Kingma and Ba 2015, Algorithm 1) beside the backward pass.

    A weight changes as soon as its gradient is known. Large ones change on another thread, while
    the backward pass goes on through the layers below.

    Args:
        weights: the network that is learnt, in float32.
        copies: the one that the passes run on, which may share layers with it, or be it.
        learning_rate: alpha.
        beside: runs the large updates.
    """

    decays = (0.9, 0.999)
    epsilon = 1e-8

    def __init__(
        self, weights: nn.Sequential, copies: nn.Sequential, learning_rate: float, beside: Executor
    ):
        self.learning_rate = learning_rate
        self._beside = beside
        self._running: list[Future[None]] = []
        self._steps = 0
        self._weights = list(weights.parameters())
        self._moments = [[np.zeros(w.numel(), np.float32) for _ in "mv"] for w in self._weights]
        large = {layer.weight: layer for layer in copies if isinstance(layer, Hidden)}
        for i, copied in enumerate(copies.parameters()):
            if not copied.requires_grad:
                continue
            if copied in large:
                gradient = torch.empty_like(copied)
                large[copied].take = partial(self._take, i, copied, gradient, gradient.float())
            else:
                hook = partial(self._change_small, i)
                copied.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """Wait until all weights have changed. To be called after each backward pass."""
        for update in self._running:
            update.result()
        self._running.clear()
        self._steps += 1

    def zero_grad(self) -> None:
        """Nothing is left to do: gradients are gone once they are used."""

    def _change_small(self, i: int, copied: Tensor) -> None:
        gradient: Any = copied.grad
        copied.grad = None
        self._change(i, copied, gradient.float())

    def _take(self, *what: Any) -> None:
        self._running.append(self._beside.submit(self._change_large, *what))

    @torch.no_grad()
    def _change_large(
        self, i: int, copied: Tensor, low: Tensor, gradient: Tensor, above: Tensor, inputs: Tensor
    ) -> None:
        torch.mm(above.t(), inputs, out=low)  # into memory that is there already
        self._change(i, copied, gradient.copy_(low))

    @torch.no_grad()
    def _change(self, i: int, copied: Tensor, gradient: Tensor) -> None:
        weight, t = self._weights[i], self._steps + 1
        first, second = (1 - decay**t for decay in self.decays)
        rate = self.learning_rate / first
        numbers = np.array([rate, second, *self.decays, self.epsilon], np.float32)
        flat, g = (tensor.detach().view(-1).numpy() for tensor in (weight, gradient.contiguous()))
        mean, square = self._moments[i]
        adam(flat, mean, square, g, numbers)
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

    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self._steps = 0
        for i, (m, v) in enumerate(self._moments):
            given = found["state"].get(i)
            m[:] = 0 if given is None else given["exp_avg"].numpy().reshape(-1)
            v[:] = 0 if given is None else given["exp_avg_sq"].numpy().reshape(-1)
            self._steps = 0 if given is None else int(given["step"])


@compiled
def adam(weight: Any, mean: Any, square: Any, gradient: Any, numbers: Any) -> None:
    """One step of Adam, in place: float32, [size] each.

    Args:
        weight: theta.
        mean: m.
        square: v.
        gradient: g.
        numbers: alpha / (1 - beta_1^t), 1 - beta_2^t, beta_1, beta_2, epsilon.
    """
    rate, correction, mean_decay, square_decay, epsilon = numbers
    one = np.float32(1)
    for i in range(weight.size):
        g = gradient[i]
        mean[i] += (one - mean_decay) * (g - mean[i])
        square[i] += (one - square_decay) * (g * g - square[i])
        weight[i] -= rate * mean[i] / (np.sqrt(square[i] / correction) + epsilon)
