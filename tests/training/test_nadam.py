"""NAdam is compared with algorithm 2 of Dozat 2016, written with NumPy, and with Adam."""

import numpy as np
import pytest
import torch
from torch import nn

from src.config import Regularization
from src.options import Adam, NAdam
from src.training.optimizers import make_optimizer

LR, BETA1, BETA2, EPS = 0.02, 0.9, 0.99, 1e-8
GRADIENTS = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def moved(settings: Adam, gradients: torch.Tensor = GRADIENTS):
    """The way of a weight that starts at 0, after a step with each gradient."""
    layer = nn.Linear(4, 3, bias=False).double()
    nn.init.zeros_(layer.weight)
    optimizer = make_optimizer(layer, settings, Regularization())
    for gradient in gradients:
        layer.weight.grad = gradient.clone()
        optimizer.step()
    return layer.weight.detach().numpy()


@pytest.mark.parametrize("momentum_decay", [0.004, 0.5])
def test_nadam_is_the_papers_algorithm(momentum_decay):
    weight, mean, square, product = (np.zeros((3, 4)) for _ in range(4))
    product += 1
    for step, gradient in enumerate(GRADIENTS.numpy(), start=1):
        mu, next_mu = (BETA1 * (1 - 0.96 ** (number * momentum_decay) / 2) for number in (step, step + 1))
        product = product * mu
        mean = BETA1 * mean + (1 - BETA1) * gradient
        square = BETA2 * square + (1 - BETA2) * gradient**2
        looked_ahead = next_mu * mean / (1 - product * next_mu) + (1 - mu) * gradient / (1 - product)
        weight = weight - LR * looked_ahead / (np.sqrt(square / (1 - BETA2**step)) + EPS)
    settings = NAdam(lr=LR, beta1=BETA1, beta2=BETA2, eps=EPS, momentum_decay=momentum_decay)
    np.testing.assert_allclose(moved(settings), weight, rtol=1e-6)


def test_the_first_step_is_longer_than_adams_by_the_look_ahead():
    nadam = moved(NAdam(lr=LR, beta1=BETA1, beta2=BETA2, eps=1e-30, momentum_decay=0.0), GRADIENTS[:1])
    adam = moved(Adam(lr=LR, beta1=BETA1, beta2=BETA2, eps=1e-30), GRADIENTS[:1])
    mu = BETA1 / 2  # without decay, the momentum is the same in all steps
    np.testing.assert_allclose(nadam / adam, np.full((3, 4), 1 + mu * (1 - BETA1) / (1 - mu**2)), rtol=1e-6)
