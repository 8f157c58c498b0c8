"""Recompute the statistics that BatchNorm uses in evaluation."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.norms.modules.tokens import TokenBatchNorm


@torch.no_grad()
def recompute_statistics(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of all BatchNorm layers to the mean and variance of their inputs over all batches.

    This is PreciseBN (Wu & Johnson 2021, arXiv 2105.07576, section 3): the mean is E[m] and the variance is
    E[v + m^2] - E[m]^2, where m and v are the mean and the variance of one batch.  `update_bn` of torch returns the same
    means, but averages the variances v, which is too small if the batches are small.

    Each layer normalises a batch with the batch's own statistics, as in training.  Dropout and all other layers are in
    evaluation mode, so no random numbers are drawn.  Every mode is restored at the end.

    Args:
        model: the network; its weights do not change.
        batches: images (N, C, H, W) on the model's device; all batches have equal weights.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    modes = [(module, module.training) for module in model.modules()]
    moments: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    count = 0

    def add_moments(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double()
        channel = values.ndim - 1 if isinstance(layer, TokenBatchNorm) else 1
        axes = [axis for axis in range(values.ndim) if axis != channel]
        mean, square = values.mean(dim=axes), values.square().mean(dim=axes)
        if layer in moments:
            mean, square = mean + moments[layer][0], square + moments[layer][1]
        moments[layer] = mean, square

    hooks = [layer.register_forward_pre_hook(add_moments) for layer in layers]
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.train()
    try:
        for batch in batches:
            model(batch)
            count += 1
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
