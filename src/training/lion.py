"""The optimizer Lion, which steps in the direction of a sign."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lion(Optimizer):
    """Lion (Chen et al. 2023, arXiv 2302.06675, algorithm 2) without its weight decay."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, betas: tuple[float, float]) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Change all parameters, and return the loss of the `closure`, which computes their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["exp_avg"] = torch.zeros_like(parameter)
            gradients = [parameter.grad for parameter in parameters]
            momenta = [self.state[parameter]["exp_avg"] for parameter in parameters]
            steps = torch._foreach_lerp(momenta, gradients, 1 - beta1)
            torch._foreach_sign_(steps)
            torch._foreach_mul_(steps, group["lr"])
            torch._foreach_sub_(parameters, steps)
            torch._foreach_lerp_(momenta, gradients, 1 - beta2)
        return loss
