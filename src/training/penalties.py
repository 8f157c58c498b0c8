"""L1 and L2 penalties: the terms that large weights add to the loss.

They fall on the weights of convolutions and linear layers, never on gains and biases: a smaller gain only rescales the
function.

`l1 * sum |w|` (lasso, Tibshirani 1996) pulls every weight towards zero with the same force; useful values are 1e-6 to
1e-4.  `l2 / 2 * sum w^2` (ridge) pulls in proportion to the weight: its gradient is `l2 * w`, which is torch's
`weight_decay` under plain SGD.  Under a norm the scale of a convolution's weights does not change its output, so both
penalties act on the effective learning rate and not on the function (van Laarhoven 2017).
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from src.config import Config


def penalised(model: nn.Module) -> list[Tensor]:
    """Return the weights that penalties and weight decay fall on, in the model's order."""
    return [module.weight for module in model.modules() if isinstance(module, _ConvNd | nn.Linear)]


def loss_strengths(config: Config) -> tuple[float, float]:
    """Return the strengths of L1 and L2 in the loss, without the penalties that the optimizer applies itself."""
    applied = config.optimizer.step_penalties
    return 0.0 if "l1" in applied else config.reg.l1, 0.0 if "l2" in applied else config.reg.l2


def penalty(weights: list[Tensor], l1: float, l2: float) -> Tensor:
    """Return `l1 * sum |w| + l2 / 2 * sum w^2` over all weights, a scalar."""
    total = torch.zeros((), device=weights[0].device)
    if l1 > 0:
        total = total + l1 * torch.stack([weight.abs().sum() for weight in weights]).sum()
    if l2 > 0:
        total = total + l2 / 2 * torch.stack([weight.square().sum() for weight in weights]).sum()
    return total
