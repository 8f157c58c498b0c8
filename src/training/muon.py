"""The optimizer Muon, which orthogonalises the momentum of each hidden weight."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

# Jordan et al. 2024: the coefficients of x <- a x + b x^3 + c x^5 with the steepest slope at 0.  They bring a singular
# value to 0.7 to 1.2, not to 1, which trains as well.
COEFFICIENTS = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
EPS = 1e-7  # the smallest norm that a momentum is divided by


class Muon(Optimizer):
    """Muon (Jordan et al. 2024) for weights with at least two axes, and AdamW without decay for other parameters.

    Unlike `torch.optim.Muon`, it takes the weights of convolutions, keeps their precision instead of rounding to
    bfloat16, and reads no value from the device.  The first parameter group is Muon's, the other one AdamW's.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        others: Sequence[Tensor],
        lr: float,
        adam_lr: float,
        betas: tuple[float, float],
        eps: float,
        *,
        momentum: float,
        nesterov: bool,
    ) -> None:
        self._adam = AdamW(others, adam_lr, betas=betas, eps=eps, weight_decay=0, fused=True)
        groups = [{"params": weights, "lr": lr, "momentum": momentum, "nesterov": nesterov}, *self._adam.param_groups]
        super().__init__(groups, {})
        self._share_with_adam()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a loaded state, for AdamW too."""
        super().__setstate__(state)
        self._share_with_adam()

    def _share_with_adam(self) -> None:
        self._adam.param_groups, self._adam.state = self.param_groups[1:], self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Change all parameters, and return the loss of the `closure`, which computes their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[0]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            momentum = state["momentum_buffer"].lerp_(weight.grad, 1 - group["momentum"])
            direction = weight.grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
            matrix = orthogonalise(direction.flatten(1))  # (out, in * k * k)
            scale = math.sqrt(max(1, matrix.shape[0] / matrix.shape[1]))
            weight.sub_(matrix.reshape(weight.shape) * (group["lr"] * scale))
        self._adam.step()
        return loss


def orthogonalise(matrix: Tensor) -> Tensor:
    """Return about U V^T for the matrix U S V^T (rows, columns), by five Newton-Schulz iterations.

    Each iteration applies an odd polynomial to the singular values, which the first line brings to at most 1.
    """
    a, b, c = COEFFICIENTS
    x: Tensor = matrix / matrix.norm().clamp(min=EPS)
    if is_tall := len(x) > x.shape[1]:  # the products below are smaller for a wide matrix
        x = x.T
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x
