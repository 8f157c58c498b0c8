"""Optimizers and learning-rate schedules, by name."""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from src import config
from src.training.penalties import penalised


def make_optimizer(model: nn.Module, settings: config.Optimizer, decay: float) -> torch.optim.Optimizer:
    """The chosen optimizer over all parameters.

    `decay` is AdamW's decoupled weight decay and falls on the same weights as a penalty; the other optimizers have
    none, since an L2 penalty is part of their loss.  Where torch has a fused step, one kernel for all parameters, it
    is taken: of a small network's step the optimizer's many small operations are otherwise a tenth.
    """
    lr = settings.lr
    if settings.name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr, momentum=settings.momentum or 0.0, nesterov=bool(settings.nesterov), fused=True
        )
    assert settings.eps is not None
    if settings.name == "rmsprop":
        assert settings.alpha is not None
        return torch.optim.RMSprop(
            model.parameters(), lr, alpha=settings.alpha, eps=settings.eps, momentum=settings.momentum or 0.0
        )
    assert settings.beta1 is not None
    assert settings.beta2 is not None
    betas = (settings.beta1, settings.beta2)
    if settings.name == "adam":
        return torch.optim.Adam(model.parameters(), lr, betas=betas, eps=settings.eps, fused=True)
    weights = penalised(model)
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr, betas=betas, eps=settings.eps, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: config.Schedule, epochs: int, steps_per_epoch: int
) -> LambdaLR:
    """The chosen schedule, to be stepped after every batch."""
    return LambdaLR(optimizer, lambda step: lr_factor(settings, step, epochs * steps_per_epoch, steps_per_epoch))


def lr_factor(settings: config.Schedule, step: int, total: int, steps_per_epoch: int) -> float:
    """What the highest learning rate is multiplied by at a step, counted from 0, of `total`.

    `onecycle` (Smith & Topin 2018) has the shape of torch's OneCycleLR, but is defined for any number of steps: half a
    cosine up from 1/25, then half a cosine down to 1/250,000.
    """
    if settings.name == "step":
        assert settings.gamma is not None
        assert settings.step_epochs is not None
        return settings.gamma ** (step // (settings.step_epochs * steps_per_epoch))
    if settings.name == "cosine":
        return _cosine(1.0, 0.0, step / total)
    if settings.name == "onecycle":
        assert settings.warmup is not None
        peak = max(settings.warmup * total - 1, 1.0)
        if step <= peak:
            return _cosine(1 / 25, 1.0, step / peak)
        return _cosine(1.0, 1 / 250_000, (step - peak) / max(total - 1 - peak, 1.0))
    return 1.0


def _cosine(start: float, end: float, share: float) -> float:
    """Half a cosine from `start` at share 0 to `end` at share 1 and beyond."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))
