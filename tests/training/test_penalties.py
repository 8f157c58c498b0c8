import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from src.config import Regularization
from src.models import NormLayer
from src.models.cnn import CNN
from src.norms.gn import GroupNorm
from src.options import OPTIMIZERS, SGD, Adam, AdamW, RMSprop
from src.training.optimizers import make_optimizer
from src.training.penalties import penalised_weights, penalty
from tests import world

NORMS = world.NORMS | {"gn": GroupNorm(eps=1e-5, groups=2)}


def network(norm: str = "bn") -> nn.Module:
    settings = CNN(width=4)
    model = settings.build(1, 28, 4, NormLayer(NORMS[norm], "map"), 0.0)
    settings.initialise(model, torch.Generator().manual_seed(0))
    return model


def step(model: nn.Module, optimizer: torch.optim.Optimizer, l1: float = 0.0, l2: float = 0.0) -> None:
    random = torch.Generator().manual_seed(7)
    images, labels = torch.randn(8, 1, 28, 28, generator=random), torch.arange(8) % 4
    optimizer.zero_grad()
    (F.cross_entropy(model(images), labels) + penalty(penalised_weights(model), l1, l2)).backward()
    optimizer.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("norm", NORMS)
def test_penalties_fall_on_the_weights_of_convolutions_and_of_the_linear_layer_alone(norm):
    model = network(norm)
    expected = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert [id(weight) for weight in penalised_weights(model)] == [id(weight) for weight in expected]
    assert len(expected) == 4


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.01, 0.0), (0.0, 0.3), (0.01, 0.3)])
def test_value_and_gradient_are_the_plain_formulas(l1, l2):
    model = network().double()
    weights = penalised_weights(model)
    value = penalty(weights, l1, l2)
    every = torch.cat([weight.detach().flatten() for weight in weights])
    assert value.item() == pytest.approx((l1 * every.abs().sum() + l2 / 2 * (every**2).sum()).item())
    assert value.shape == ()
    if l1 or l2:
        value.backward()
        for weight in weights:
            torch.testing.assert_close(weight.grad, l1 * weight.sign() + l2 * weight.detach())
    assert all(parameter.grad is None for parameter in model.parameters() if parameter.ndim < 2)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, True)])
def test_l2_with_sgd_is_torchs_weight_decay(momentum, nesterov):
    model = network().double()
    reference = copy.deepcopy(model)
    torch.set_default_dtype(torch.float64)
    try:
        ours = make_optimizer(model, SGD(lr=0.1, momentum=momentum, nesterov=nesterov), Regularization())
        decayed = [{"params": [p], "weight_decay": 0.2 if p.ndim >= 2 else 0.0} for p in reference.parameters()]
        theirs = torch.optim.SGD(decayed, lr=0.1, momentum=momentum, nesterov=nesterov)
        for _ in range(5):
            step(model, ours, l2=0.2)
            step(reference, theirs)
    finally:
        torch.set_default_dtype(torch.float32)
    for ours_, theirs_ in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours_, theirs_)
    assert not same(model, network().double())


def test_adamw_decays_the_same_weights_by_itself():
    model, reference = network(), network()
    ours = make_optimizer(model, AdamW(lr=0.01, beta1=0.8, beta2=0.9, eps=1e-6), Regularization(weight_decay=0.5))
    weights = [m.weight for m in reference.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    rest = [p for p in reference.parameters() if all(p is not weight for weight in weights)]
    theirs = torch.optim.AdamW(weights, lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.5, fused=True)
    undecayed = torch.optim.AdamW(rest, lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.0, fused=True)
    for _ in range(3):
        step(model, ours)
        undecayed.zero_grad()
        step(reference, theirs)
        undecayed.step()
    assert same(model, reference)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_without_l2_adam_and_adamw_decay_nothing(name):
    model, reference = network(), network()
    ours = make_optimizer(model, OPTIMIZERS[name](lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8), Regularization())
    theirs = torch.optim.Adam(reference.parameters(), lr=0.01, fused=True)
    for _ in range(3):
        step(model, ours)
        step(reference, theirs)
    assert same(model, reference)


@pytest.mark.parametrize(
    "settings",
    [
        SGD(lr=0.01, momentum=0.0, nesterov=False),
        Adam(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8),
        AdamW(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8),
        RMSprop(lr=0.01, momentum=0.0, alpha=0.9, eps=1e-8),
    ],
    ids=lambda settings: settings.name,
)
def test_no_optimizer_takes_l2_for_its_own_decay(settings):
    model, other = network(), network()
    step(model, make_optimizer(model, settings, Regularization()))
    step(other, make_optimizer(other, settings, Regularization(l2=0.5)))
    assert same(model, other)


def test_a_penalty_without_strength_is_zero_without_a_graph():
    found = penalty(penalised_weights(network()), 0.0, 0.0)
    assert found == 0
    assert not found.requires_grad
