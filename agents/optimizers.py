"""RMSProp, as in the released code of Mnih et al. (2015) and of Young & Tian (2019)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class MnihRMSProp(torch.optim.Optimizer):
    """Centered RMSProp: theta -= lr g / sqrt(E[g^2] - E[g]^2 + minimum).

    `torch.optim.RMSprop` adds its constant outside the root. The paper's "gradient momentum" is the
    decay of E[g], not a momentum of the steps. Gradients are sums over the minibatch, not means.

    Args:
        parameters: the weights.
        learning_rate: lr.
        decay: decay of both running means, E[g] and E[g^2]; 0.95 in the paper.
        minimum: added to the variance in the root; "min squared gradient", 0.01 in the paper.
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


def minatar_rmsprop(parameters: Iterable[Tensor], learning_rate: float) -> torch.optim.RMSprop:
    """Make the RMSProp of Young & Tian (2019): centered, with a momentum of 0.95.

    The values are those of their code (MinAtar, examples/dqn.py). Gradients are means over the
    minibatch.
    """
    return torch.optim.RMSprop(
        parameters, learning_rate, alpha=0.95, eps=0.01, centered=True, momentum=0.95
    )
