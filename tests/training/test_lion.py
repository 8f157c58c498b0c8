"""Lion is compared with algorithm 2 of its paper, written with NumPy, and with timm's."""

import numpy as np
import pytest
import torch
from torch import Tensor

from src.training.lion import Lion

LR, BETAS = 0.003, (0.9, 0.99)
GRADIENTS = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def after(optimizer: torch.optim.Optimizer, parameter: Tensor, gradients: Tensor = GRADIENTS) -> Tensor:
    """The parameter after a step with each gradient."""
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter


def test_lion_is_algorithm_2_of_the_paper():
    weight, momentum = np.ones((3, 4)), np.zeros((3, 4))
    for gradient in GRADIENTS.numpy():
        weight = weight - LR * np.sign(BETAS[0] * momentum + (1 - BETAS[0]) * gradient)
        momentum = BETAS[1] * momentum + (1 - BETAS[1]) * gradient
    parameter = torch.ones(3, 4, dtype=torch.float64)
    after(Lion([parameter], LR, BETAS), parameter)
    np.testing.assert_allclose(parameter.numpy(), weight, rtol=1e-12)


def test_lion_is_timms():
    lion = pytest.importorskip("timm.optim").Lion
    ours, theirs = (torch.ones(3, 4, dtype=torch.float64) for _ in range(2))
    after(Lion([ours], LR, BETAS), ours)
    torch.testing.assert_close(ours, after(lion([theirs], lr=LR, betas=BETAS), theirs), rtol=1e-12, atol=0)


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_every_weight_moves_by_the_learning_rate_whatever_the_gradients_scale(scale):
    parameter = torch.zeros(3, 4, dtype=torch.float64)
    optimizer = Lion([parameter], LR, BETAS)
    for gradient in GRADIENTS * scale:
        before = parameter.clone()
        after(optimizer, parameter, gradient[None])
        torch.testing.assert_close((parameter - before).abs(), torch.full_like(parameter, LR))


def test_a_step_reads_no_value_from_the_device():
    """Tensors of the meta device have no values, so reading one would fail; on a GPU it would end a CUDA graph."""
    parameter = torch.zeros(3, 4, device="meta")
    optimizer = Lion([parameter], LR, BETAS)
    optimizer.param_groups[0]["lr"] = torch.zeros((), device="meta")
    after(optimizer, parameter, GRADIENTS.float().to("meta"))
    assert optimizer.state[parameter]["exp_avg"].is_meta


def test_a_learning_rate_that_is_a_tensor_gives_the_same_steps():
    number, tensor = (torch.ones(3, 4, dtype=torch.float64) for _ in range(2))
    optimizer = Lion([tensor], LR, BETAS)
    optimizer.param_groups[0]["lr"] = torch.tensor(LR, dtype=torch.float64)
    torch.testing.assert_close(after(optimizer, tensor), after(Lion([number], LR, BETAS), number), rtol=1e-12, atol=0)
