"""L1 and L2 penalties: what the loss adds for large weights.

They fall on weights of two or more dimensions (convolutions, linear layers), never on gains and biases: shrinking a
norm's gain is no regularisation of the function but a change of its scale.

`l1 * sum |w|` (lasso, Tibshirani 1996) pulls every weight towards zero with the same force; around 1e-6 to 1e-4 on
this network.  `l2 / 2 * sum w^2` (ridge) pulls in proportion to the weight: its gradient is `l2 * w`, so with plain SGD
it is torch's `weight_decay`.  Under a norm the scale of a convolution's weights does not change its output, so there
both act on the effective learning rate rather than on the function (van Laarhoven 2017).
"""

import torch
from torch import Tensor, nn


def penalised(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that penalties and weight decay fall on, in the model's order."""
    return [parameter for parameter in model.parameters() if parameter.ndim >= 2]


def penalty(weights: list[nn.Parameter], l1: float, l2: float) -> Tensor:
    """`l1 * sum |w| + l2 / 2 * sum w^2` over all weights; a scalar."""
    total = torch.zeros((), device=weights[0].device)
    if l1 > 0:
        total = total + l1 * torch.stack([weight.abs().sum() for weight in weights]).sum()
    if l2 > 0:
        total = total + l2 / 2 * torch.stack([weight.square().sum() for weight in weights]).sum()
    return total
