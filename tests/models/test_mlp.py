import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from src.models import NormLayer
from src.models.mlp import MLP
from tests.norms.reference import build


def network(norm: str, *, depth: int = 3, width: int = 100, activation: str = "relu", size: int = 28) -> nn.Module:
    settings = MLP(depth=depth, width=width, activation=activation)
    model = settings.build(1, size, 10, NormLayer(build(norm), "vector"), 0.0)
    settings.initialise(model, torch.Generator().manual_seed(0))
    return model


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_number_of_parameters_is_that_of_the_layers():
    sizes = [28 * 28, 1000, 1000, 10]
    layers = sum(inputs * outputs + outputs for inputs, outputs in itertools.pairwise(sizes))
    assert parameter_count(network("none", depth=2, width=1000)) == layers
    assert parameter_count(network("bn", depth=2, width=1000)) == layers + 2 * 1000  # a gain and a bias, no other bias
    assert f"{parameter_count(network('bn')):,} parameters on MNIST" in " ".join((MLP.__doc__ or "").split())


@pytest.mark.parametrize(("activation", "function"), [("relu", F.relu), ("sigmoid", torch.sigmoid)])
def test_outputs_and_gradients_equal_the_formula(activation, function):
    model = network("ln", depth=2, width=12, activation=activation, size=8).double()
    images = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    features = images.reshape(5, 64)
    for hidden in model.hidden:
        features = features @ hidden[0].weight.T
        mean, variance = features.mean(1, keepdim=True), features.var(1, correction=0, keepdim=True)
        features = function((features - mean) / (variance + 1e-5).sqrt() * hidden[1].weight + hidden[1].bias)
    expected = features @ model.classifier.weight.T + model.classifier.bias
    logits, parameters = model(images), list(model.parameters())
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-12)
    gradients = (torch.autograd.grad(out.square().sum(), parameters) for out in (logits, expected))
    for gradient, expected_gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9)


def test_the_order_of_the_pixels_does_not_matter():
    model, images, order = network("bn"), torch.randn(8, 1, 28, 28), torch.randperm(28 * 28)
    before = model(images)
    first = model.hidden[0][0]
    first.weight = nn.Parameter(first.weight[:, order])
    torch.testing.assert_close(model(images.flatten(2)[:, :, order].reshape(8, 1, 28, 28)), before, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2), ("sigmoid", 1)])
def test_the_variance_of_the_first_weights_suits_the_activation(activation, gain):
    for layer in network("none", width=400, activation=activation).hidden:
        assert layer[0].weight.var().item() == pytest.approx(gain / layer[0].in_features, rel=0.05)
        assert not layer[0].bias.any()
