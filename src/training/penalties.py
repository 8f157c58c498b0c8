"""Compute the L1 and L2 penalties, which add the size of the weights to the loss.

Penalties apply to the weights of convolutions and linear layers, not to gains and biases.

- L1, `l1 * sum |w|` (lasso, Tibshirani 1996), pulls all weights towards zero equally.  Useful values are 1e-6 to 1e-4.
  The proximal method leaves it out of the loss, and `RegularizedOptimizer` shrinks the weights after the step.
- L2, `l2 / 2 * sum w^2` (ridge), has the gradient `l2 * w`, like torch's `weight_decay` with plain SGD.

A norm cancels the scale of a convolution's weights.  Penalties then change only the effective learning rate of this
convolution, not the function that it computes (van Laarhoven 2017).
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd


def penalised_weights(model: nn.Module) -> list[Tensor]:
    """Return the weights of a model that penalties and weight decay apply to, in the model's order."""
    return [module.weight for module in model.modules() if isinstance(module, _ConvNd | nn.Linear)]


def zero_share(model: nn.Module) -> float:
    """Return the share, 0 to 1, of the penalised weights of a model that are exactly zero."""
    weights = torch.cat([weight.detach().flatten() for weight in penalised_weights(model)])
    return float((weights == 0).double().mean())


def penalty(weights: list[Tensor], l1: float, l2: float) -> Tensor:
    """Return `l1 * sum |w| + l2 / 2 * sum w^2` over all weights as a scalar tensor."""
    total = torch.zeros((), device=weights[0].device)
    if l1 > 0:
        total = total + l1 * torch.stack([weight.abs().sum() for weight in weights]).sum()
    if l2 > 0:
        total = total + l2 / 2 * torch.stack([weight.square().sum() for weight in weights]).sum()
    return total
