"""Build optimizers and learning-rate schedules."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from src import options
from src.regularization import Regularization
from src.training.lion import Lion
from src.training.muon import Muon
from src.training.penalties import penalised_weights
from src.training.wrapper import RegularizedOptimizer


def make_optimizer(model: nn.Module, settings: options.Optimizer, reg: Regularization) -> torch.optim.Optimizer:
    """Return the optimizer that `settings` choose, for all parameters of a model.

    A wrapper applies the parts of `reg` that change the step; without them, the optimizer stays as it is.  AdamW and
    schedule-free AdamW apply `reg.weight_decay` themselves.  With `fused`, torch takes a tenth less time for a small
    network's step.  Raises TypeError if `settings` are of an unknown class.
    """
    optimizer = _make_optimizer(model, settings, reg)
    for group in optimizer.param_groups:
        if "capturable" in group:  # optimizers without this key are always capturable
            group["capturable"] = _is_on_gpu(group) and settings.capturable
    optimizer.register_load_state_dict_pre_hook(_keep_device_settings)
    weight_decay = 0.0 if isinstance(settings, options.AdamW | options.ScheduleFree) else reg.weight_decay
    if weight_decay or reg.clip or reg.ema or reg.sam or reg.l1_method == "proximal":
        return RegularizedOptimizer(optimizer, penalised_weights(model), reg, weight_decay)
    return optimizer


def _make_optimizer(model: nn.Module, settings: options.Optimizer, reg: Regularization) -> torch.optim.Optimizer:
    parameters, lr = model.parameters(), settings.lr
    match settings:
        case options.SGD():
            return torch.optim.SGD(parameters, lr, momentum=settings.momentum, nesterov=settings.nesterov, fused=True)
        case options.RMSprop():
            return torch.optim.RMSprop(
                parameters, lr, alpha=settings.alpha, eps=settings.eps, momentum=settings.momentum
            )
        case options.AdamW(beta1=beta1, beta2=beta2, eps=eps):
            groups = _decay_groups(model, reg.weight_decay)
            return torch.optim.AdamW(groups, lr, betas=(beta1, beta2), eps=eps, fused=True)
        case options.NAdam(beta1=beta1, beta2=beta2, eps=eps, momentum_decay=decay):
            return torch.optim.NAdam(parameters, lr, betas=(beta1, beta2), eps=eps, momentum_decay=decay)
        case options.Muon(beta1=beta1, beta2=beta2, eps=eps, momentum=momentum, nesterov=nesterov):
            hidden = penalised_weights(model)[1:-1]  # without the first and the last weight
            adam = settings.adam_lr, (beta1, beta2), eps
            return Muon(hidden, _without(hidden, model), lr, *adam, momentum=momentum, nesterov=nesterov)
        case options.ScheduleFree(beta1=beta1, beta2=beta2, eps=eps, warmup_steps=warmup):
            from src.training.schedulefree import ScheduleFreeAdamW  # imports an optional package

            groups = _decay_groups(model, reg.weight_decay)
            return ScheduleFreeAdamW(groups, lr, betas=(beta1, beta2), eps=eps, warmup_steps=warmup)
        case options.Lion(beta1=beta1, beta2=beta2):
            return Lion(parameters, lr, betas=(beta1, beta2))
        case options.Adam(beta1=beta1, beta2=beta2, eps=eps):
            return torch.optim.Adam(parameters, lr, betas=(beta1, beta2), eps=eps, fused=True)
    raise TypeError(f"no optimizer for {settings}")


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups of a model's parameters: the weights of convolutions and linear layers, and all others."""
    weights = penalised_weights(model)
    others = {"params": _without(weights, model), "weight_decay": 0.0}
    return [{"params": weights, "weight_decay": weight_decay}, others]


def _without(weights: list[Tensor], model: nn.Module) -> list[Tensor]:
    """Return a model's parameters without the `weights`."""
    ids = {id(weight) for weight in weights}
    return [parameter for parameter in model.parameters() if id(parameter) not in ids]


class Schedule(LambdaLR):
    """A learning-rate schedule; call its `step` after every batch, or `skip` after several."""

    def next_rates(self, steps: int) -> Tensor:
        """Return the learning rates of the next steps: (parameter groups, steps)."""
        return torch.tensor(
            [
                [lr * factor(self.last_epoch + step) for step in range(steps)]
                for lr, factor in zip(self.base_lrs, self.lr_lambdas, strict=True)
            ]
        )

    def skip(self, steps: int) -> None:
        """Move on by several steps at once."""
        self.last_epoch += steps - 1
        self.step()


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: options.Schedule, epochs: int, steps_per_epoch: int
) -> Schedule:
    """Return the learning-rate schedule that `settings` choose; call its `step` after every batch.

    On an NVIDIA GPU the optimizer's learning rate becomes a tensor there, because a CUDA graph cannot read a Python
    number that changes.
    """
    schedule = Schedule(optimizer, lambda step: lr_factor(settings, step, epochs * steps_per_epoch, steps_per_epoch))
    for group in optimizer.param_groups:
        group["lr"] = _as_lr(group["lr"], group)
    return schedule


def _is_on_gpu(group: dict[str, Any]) -> bool:
    return bool(group["params"][0].is_cuda)


def _as_lr(lr: float | Tensor, group: dict[str, Any]) -> float | Tensor:
    """Return a learning rate in the form that the device of a group's parameters needs."""
    is_tensor = _is_on_gpu(group) and group.get("capturable", True)
    return torch.tensor(float(lr), device=group["params"][0].device) if is_tensor else float(lr)


def _keep_device_settings(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Adapt a loaded state to the optimizer's device, because it may have been saved on another device."""
    groups = [
        {**saved, "lr": _as_lr(saved["lr"], own)} | ({"capturable": own["capturable"]} if "capturable" in own else {})
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    return {**state, "param_groups": groups}


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
