"""Regularise the optimizer's step: sharpness-aware gradients, clipping, weight decay, exact zeros, averaged weights."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import Optimizer

from src.regularization import Regularization

Closure = Callable[[], Tensor]
"""A function that computes the gradients at the current weights, and returns the loss."""


class RegularizedOptimizer(Optimizer):
    """An optimizer with the regularisers that change its step.

    - SAM (Foret et al. 2020, arXiv 2010.01412, equations 2 and 3) takes the gradient at `w + sam * g / |g|`, where g is
      the gradient at w and |g| its norm over all parameters.  It needs a second pass per step.
    - Clipping (Pascanu et al. 2013, arXiv 1211.5063) scales the gradient to a norm of at most `clip`.
    - Decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101) multiplies w by `1 - lr * weight_decay`.
    - Proximal L1 (ISTA; Daubechies et al. 2004, arXiv math/0307152) sets w to `sign(w) * max(|w| - lr * l1, 0)` after
      the step.  The threshold uses the learning rate itself, even if the optimizer scales each weight's step.
    - An exponential moving average (Polyak & Juditsky 1992) follows the weights: `average = ema * average +
      (1 - ema) * w`, from the weights after the first step.  Evaluation uses the average.

    Weight decay and L1 act on the weights of convolutions and linear layers, the others on all parameters.
    The wrapper shares the base optimizer's parameter groups.  A step reads no value from the device and changes all
    tensors in place, so it can run as a CUDA graph.
    """

    def __init__(self, base: Optimizer, penalised: list[Tensor], reg: Regularization, weight_decay: float) -> None:
        """Wrap `base`; `penalised` are the weights that `weight_decay` and L1 act on."""
        super().__init__(base.param_groups, base.defaults)
        self._base, self._reg, self._weight_decay = base, reg, weight_decay
        self.param_groups, self.state = base.param_groups, base.state
        ids = {id(weight) for weight in penalised}
        self._penalised = [[p for p in group["params"] if id(p) in ids] for group in base.param_groups]
        self._parameters: list[Tensor] = [parameter for group in base.param_groups for parameter in group["params"]]
        self._average: list[Tensor] = []  # empty before the first step
        if reg.ema:
            self.evaluation_weights = self._averaged_weights
        elif hasattr(base, "evaluation_weights"):
            self.evaluation_weights = base.evaluation_weights

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:  # type: ignore[override]  # torch's type says float
        """Change the weights once, and return the loss before the change; calls `closure` twice for SAM."""
        loss = self._gradients(closure)
        if self._reg.sam:
            with self._perturbed_weights():
                self._gradients(closure)
        if self._reg.clip:
            clip_grad_norm_(self._parameters, self._reg.clip)
        if self._weight_decay:
            for lr, weights in self._rates():
                torch._foreach_mul_(weights, 1 - lr * self._weight_decay)
        self._base.step()
        if self._reg.l1_method == "proximal":
            for lr, weights in self._rates():
                threshold = lr * self._reg.l1
                for weight in weights:
                    weight.sub_(weight.clamp(-threshold, threshold))  # a weight within the threshold becomes exactly 0
        if self._reg.ema:
            self._update_average()
        return loss

    def _gradients(self, closure: Closure) -> Tensor:
        with torch.enable_grad():
            return closure()

    def _rates(self) -> Iterator[tuple[Any, list[Tensor]]]:
        """Yield each learning rate with the weights that it applies to."""
        for group, weights in zip(self.param_groups, self._penalised, strict=True):
            if weights:
                yield group["lr"], weights

    @contextlib.contextmanager
    def _perturbed_weights(self) -> Iterator[None]:
        """Move the weights uphill by `sam` along the gradient; restore the same bits at the end."""
        parameters = [parameter for parameter in self._parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        weights = [parameter.clone() for parameter in parameters]
        scale = self._reg.sam / (get_total_norm(gradients) + 1e-12)
        torch._foreach_add_(parameters, torch._foreach_mul(gradients, scale))
        yield
        torch._foreach_copy_(parameters, weights)

    def _update_average(self) -> None:
        if self._average:
            torch._foreach_lerp_(self._average, self._parameters, 1 - self._reg.ema)
        else:
            self._average = [parameter.clone() for parameter in self._parameters]

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Replace the weights by their average; restore the same bits at the end."""
        with torch.no_grad():
            weights = [parameter.clone() for parameter in self._parameters]
            torch._foreach_copy_(self._parameters, self._average)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._parameters, weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the base optimizer's state and the averaged weights."""
        return {"base": self._base.state_dict(), "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of `state_dict`, which may have been saved on another device."""
        self._base.load_state_dict(state_dict["base"])
        self.param_groups, self.state = self._base.param_groups, self._base.state
        averages = zip(self._parameters, state_dict["average"], strict=False)  # no averages before the first step
        self._average = [average.to(parameter, copy=True) for parameter, average in averages]
