"""Build optimizers and learning-rate schedules.

To change the step itself (averaged weights, a second gradient, a proximal step), wrap the optimizer here.  The wrapper
needs the methods of torch's optimizers: `step(closure)`, `state_dict()` and `load_state_dict()`.
"""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from src import options
from src.config import Regularization
from src.training.penalties import penalised_weights


def make_optimizer(model: nn.Module, settings: options.Optimizer, reg: Regularization) -> torch.optim.Optimizer:
    """Return the optimizer that `settings` choose, for all parameters of a model.

    AdamW uses `reg.l2` as its weight decay.  The other optimizers have no weight decay: their L2 penalty is part of the
    loss.  With `fused`, torch takes a tenth less time for a small network's step.

    Raises:
        TypeError: if `settings` are of an unknown class.
    """
    parameters, lr = model.parameters(), settings.lr
    match settings:
        case options.SGD():
            return torch.optim.SGD(parameters, lr, momentum=settings.momentum, nesterov=settings.nesterov, fused=True)
        case options.RMSprop():
            return torch.optim.RMSprop(
                parameters, lr, alpha=settings.alpha, eps=settings.eps, momentum=settings.momentum
            )
        case options.AdamW(beta1=beta1, beta2=beta2, eps=eps):
            weights = penalised_weights(model)
            decayed = {id(weight) for weight in weights}
            not_decayed = [parameter for parameter in parameters if id(parameter) not in decayed]
            groups = [{"params": weights, "weight_decay": reg.l2}, {"params": not_decayed, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, lr, betas=(beta1, beta2), eps=eps, fused=True)
        case options.Adam(beta1=beta1, beta2=beta2, eps=eps):
            return torch.optim.Adam(parameters, lr, betas=(beta1, beta2), eps=eps, fused=True)
    raise TypeError(f"no optimizer for {settings}")


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: options.Schedule, epochs: int, steps_per_epoch: int
) -> LambdaLR:
    """Return the learning-rate schedule that `settings` choose; call its `step` after every batch."""
    return LambdaLR(optimizer, lambda step: lr_factor(settings, step, epochs * steps_per_epoch, steps_per_epoch))


def lr_factor(settings: options.Schedule, step: int, total: int, steps_per_epoch: int) -> float:
    """Return the factor that multiplies the highest learning rate at a step from 0 to `total` - 1.

    `onecycle` (Smith & Topin 2018) has the shape of torch's OneCycleLR, but accepts any number of steps.  The factor
    rises from 1/25 to 1, then falls to 1/250,000, each time along half a cosine.
    """
    match settings:
        case options.Step():
            return settings.gamma ** (step // (settings.step_epochs * steps_per_epoch))
        case options.Cosine():
            return _half_cosine(1.0, 0.0, step / total)
        case options.OneCycle():
            peak = max(settings.warmup * total - 1, 1.0)
            if step <= peak:
                return _half_cosine(1 / 25, 1.0, step / peak)
            return _half_cosine(1.0, 1 / 250_000, (step - peak) / max(total - 1 - peak, 1.0))
    return 1.0


def _half_cosine(start: float, end: float, progress: float) -> float:
    """Return a value on half a cosine: `start` at progress 0, `end` at progress 1 or more."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(progress, 1.0)))
