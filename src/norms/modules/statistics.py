"""Recompute the statistics that BatchNorm uses in evaluation."""

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.norms.modules.tokens import TokenBatchNorm


def norm_layers(model: nn.Module) -> list[_BatchNorm]:
    """Return the BatchNorm layers of a model, of all layouts."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@torch.no_grad()
def recompute_statistics(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of every BatchNorm layer to the mean and the variance of its inputs in all batches.

    This is PreciseBN (Wu & Johnson 2021, arXiv 2105.07576, section 3 and appendix).  With the mean m and the variance v
    of each batch, the mean is E[m] and the variance is E[v + m^2] - E[m]^2.  torch's `update_bn` gives the same means,
    but it averages v alone, which is too small for small batches.

    The layers normalise each batch with its own statistics, as in training.  All other layers are in evaluation mode,
    so dropout draws no random numbers.  At the end, every layer has its mode and its momentum again, and the weights
    have not changed.  The batches are images (N, C, H, W) on the model's device.
    """
    modes = [(module, module.training) for module in model.modules()]
    layers = norm_layers(model)
    momenta = [layer.momentum for layer in layers]
    counts = Counter[nn.Module]()  # of values per channel

    def add_batch(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Add a layer's input to its running statistics (Chan, Golub & LeVeque 1979)."""
        assert isinstance(layer, _BatchNorm)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        (values,) = inputs
        channel = values.ndim - 1 if isinstance(layer, TokenBatchNorm) else 1
        axes = [axis for axis in range(values.ndim) if axis != channel]
        variance, mean = torch.var_mean(values, dim=axes, correction=0)
        count = values.numel() // len(mean)
        before = counts[layer]
        counts[layer] += count
        share, change = count / counts[layer], mean - layer.running_mean
        layer.running_mean += share * change
        layer.running_var += share * (variance - layer.running_var + before / counts[layer] * change.square())

    hooks = [layer.register_forward_pre_hook(add_batch) for layer in layers]
    model.eval()
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
        layer.momentum = 0.0  # the layer itself adds nothing to its running statistics
    try:
        for batch in batches:
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode
