"""Muon is compared with the formula of its author, written with NumPy, and with torch's for plain matrices."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from src.config import Regularization
from src.options import Muon as Settings
from src.training.muon import Muon, orthogonalise
from src.training.optimizers import make_optimizer

LR, MOMENTUM = 0.02, 0.9
ADAM = {"adam_lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}
STEPS = 3


def network(memory_format: torch.memory_format = torch.channels_last) -> nn.Sequential:
    """A network with two hidden weights, one wide and one tall."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 2), nn.Flatten(), nn.Linear(16, 20), nn.Linear(20, 2)]
    return nn.Sequential(*layers).double().to(memory_format=memory_format)


def gradients(model: nn.Module) -> list[Tensor]:
    """The gradients of the model's parameters, which do not depend on the order of values in memory."""
    images = torch.linspace(-1, 1, 75, dtype=torch.float64).sin().reshape(3, 1, 5, 5)
    model.zero_grad()
    model(images).square().sum().backward()
    return [parameter.grad for parameter in model.parameters()]


def optimizer_of(model: nn.Module, nesterov: bool = True) -> torch.optim.Optimizer:
    settings = Settings(lr=LR, momentum=MOMENTUM, nesterov=nesterov, adam_lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8)
    return make_optimizer(model, settings, Regularization())


def formula(matrix):
    """Newton-Schulz as in https://kellerjordan.github.io/posts/muon, without the transposition, which saves time."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("nesterov", [True, False])
def test_hidden_weights_follow_the_authors_formula(nesterov):
    model = network()
    optimizer = optimizer_of(model, nesterov)
    hidden = {2: model[1].weight, 4: model[3].weight}  # by their place among the parameters
    expected = {place: weight.detach().numpy().reshape(len(weight), -1).copy() for place, weight in hidden.items()}
    average = dict.fromkeys(hidden, 0.0)
    for _ in range(STEPS):
        found = gradients(model)
        for place, weight in expected.items():
            gradient = found[place].numpy().reshape(weight.shape)
            average[place] = MOMENTUM * average[place] + (1 - MOMENTUM) * gradient
            used = (1 - MOMENTUM) * gradient + MOMENTUM * average[place] if nesterov else average[place]
            expected[place] = weight - LR * max(1, weight.shape[0] / weight.shape[1]) ** 0.5 * formula(used)
        optimizer.step()
    for place, weight in hidden.items():
        np.testing.assert_allclose(weight.detach().numpy().reshape(len(weight), -1), expected[place], rtol=1e-9)


def test_a_plain_matrix_follows_torchs_muon(monkeypatch):
    """Only rounding differs: torch rounds the matrix to bfloat16 before the iterations."""
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.clone)
    weights = [torch.linspace(0, 5, 24, dtype=torch.float64).cos().reshape(4, 6) for _ in range(2)]
    ours = Muon([weights[0]], [torch.zeros(1)], LR, *ADAM.values(), momentum=MOMENTUM, nesterov=True)
    theirs = torch.optim.Muon([weights[1]], LR, weight_decay=0, momentum=MOMENTUM)
    for _ in range(STEPS):
        for weight, optimizer in zip(weights, (ours, theirs), strict=True):
            weight.grad = weight.sin()
            optimizer.step()
    torch.testing.assert_close(*weights, rtol=1e-9, atol=0)


def test_all_other_parameters_follow_adamw():
    model, reference = network(), network()
    optimizer = optimizer_of(model)
    others = [place for place in range(len(list(model.parameters()))) if place not in (2, 4)]
    their_parameters = list(reference.parameters())
    theirs = torch.optim.AdamW([their_parameters[place] for place in others], lr=0.01, weight_decay=0)
    for _ in range(STEPS):
        for parameter, gradient in zip(their_parameters, gradients(model), strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
        theirs.step()
    for place in others:
        torch.testing.assert_close(list(model.parameters())[place], their_parameters[place], rtol=1e-9, atol=0)


def test_the_order_of_values_in_memory_does_not_matter():
    models = [network(torch.channels_last), network(torch.contiguous_format)]
    for model in models:
        optimizer = optimizer_of(model)
        for _ in range(STEPS):
            gradients(model)
            optimizer.step()
    for first, second in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=0)


def test_a_closure_computes_the_gradients_and_its_loss_is_returned():
    plain, model = network(), network()
    gradients(plain)
    optimizer_of(plain).step()

    def closure() -> Tensor:
        gradients(model)
        return torch.tensor(7.0)

    assert optimizer_of(model).step(closure) == 7
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shape", [(4, 30), (30, 4)])
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_a_step_has_singular_values_near_1_and_the_momentums_directions(shape, scale):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(left @ torch.diag(scale * torch.tensor([1, 0.5, 0.2, 0.05], dtype=torch.float64)) @ right)
    inner = left.T @ found @ right.T  # diagonal if the directions are those of the matrix
    values = inner.diagonal()
    assert 0.65 < values.min() <= values.max() < 1.25
    torch.testing.assert_close(inner, values.diag())


def test_a_loaded_state_is_adams_too():
    """Muon and AdamW share groups and state, also after loading; else the schedule would change the groups of one."""
    model = network()
    optimizer = optimizer_of(model)
    gradients(model)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.param_groups[1]["lr"] = 0.0
    before = model[0].weight.detach().clone()
    optimizer.step()
    assert torch.equal(model[0].weight, before)


def test_a_step_reads_no_value_from_the_device():
    """Tensors of the meta device have no values, so reading one would fail; on a GPU it would end a CUDA graph."""
    weight = torch.zeros(4, 3, 2, 2, device="meta")
    weight.grad = torch.zeros_like(weight)
    optimizer = Muon([weight], [torch.zeros(1)], LR, *ADAM.values(), momentum=MOMENTUM, nesterov=True)
    optimizer.param_groups[0]["lr"] = torch.zeros((), device="meta")
    optimizer.step()
    assert optimizer.state[weight]["momentum_buffer"].is_meta


def test_a_learning_rate_that_is_a_tensor_gives_the_same_steps():
    models = [network(), network()]
    for model, lr in zip(models, (LR, torch.tensor(LR, dtype=torch.float64)), strict=True):
        optimizer = optimizer_of(model)
        optimizer.param_groups[0]["lr"] = lr
        for _ in range(STEPS):
            gradients(model)
            optimizer.step()
    torch.testing.assert_close(models[0].state_dict(), models[1].state_dict(), rtol=1e-12, atol=0)
