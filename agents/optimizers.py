"""RMSProp as in the code released with Mnih et al. (2015)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class MnihRMSProp(torch.optim.Optimizer):
    """Centered RMSProp: theta -= lr g / sqrt(E[g^2] - E[g]^2 + minimum).

    `torch.optim.RMSprop` adds its constant outside the root. The paper's "gradient momentum" is the
    decay of E[g]; it does not accelerate. Gradients are sums over the minibatch, not means.

    Args:
        parameters: the weights.
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
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the weights once."""
        del closure
        for group in self.param_groups:
            decay = group["decay"]
            for parameter in group["params"]:
                if (g := parameter.grad) is None:
                    continue  # frozen
                state = self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(parameter)
                    state["square"] = torch.zeros_like(parameter)
                state["mean"].mul_(decay).add_(g, alpha=1 - decay)
                state["square"].mul_(decay).addcmul_(g, g, value=1 - decay)
                variance = state["square"].addcmul(state["mean"], state["mean"], value=-1)
                root = variance.add_(group["minimum"]).sqrt_()
                parameter.addcdiv_(g, root, value=-group["lr"])
