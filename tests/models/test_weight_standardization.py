from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.bad_input import BadInput
from src.config import check_config
from src.data.sources import load
from src.models import NETWORKS, ConvolutionalNetwork
from src.models.cnn import CNN
from src.models.modules.weight_standardization import EPS, StandardizedConv2d, standardize_convolutions
from src.models.timm import Timm
from src.training.network import make_network
from src.training.penalties import penalised_weights
from tests.models.test_networks import small
from tests.world import DATA, configuration

WITH_CONVOLUTIONS = [name for name, network in NETWORKS.items() if issubclass(network, ConvolutionalNetwork)]


def by_hand(weight: Tensor) -> Tensor:
    """Standardise weights (filters, inputs, height, width), filter by filter."""
    filters = []
    for values in weight:
        mean = values.sum() / values.numel()
        variance = ((values - mean) ** 2).sum() / values.numel()
        filters.append((values - mean) / (variance + EPS) ** 0.5)
    return torch.stack(filters)


def convolution(groups: int = 1) -> StandardizedConv2d:
    layer = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups)).double()
    standardize_convolutions(layer)
    with torch.no_grad():
        layer[0].weight.copy_(torch.randn(layer[0].weight.shape, generator=torch.Generator().manual_seed(0)) + 0.3)
        layer[0].bias.copy_(torch.linspace(-1, 1, 6))
    return layer[0]


def images() -> Tensor:
    return torch.randn(3, 4, 7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def trained(layer: nn.Module, outputs: Tensor) -> dict[str, Tensor]:
    """The outputs, the gradients, and the parameters after one step."""
    (outputs * torch.linspace(-1, 1, outputs.numel(), dtype=torch.float64).view_as(outputs)).sum().backward()
    gradients = {name: value.grad for name, value in layer.named_parameters()}
    steps = {f"new {name}": value - 0.1 * value.grad for name, value in layer.named_parameters()}
    return {"outputs": outputs, **gradients, **steps}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("groups", [1, 2])
def test_outputs_gradients_and_a_step_are_those_of_the_formula(groups):
    layer, plain = convolution(groups), convolution(groups)
    plain.__class__ = nn.Conv2d
    outputs = F.conv2d(images(), by_hand(plain.weight), plain.bias, stride=2, padding=1, groups=groups)
    assert_equal(trained(layer, layer(images())), trained(plain, outputs))


@pytest.mark.parametrize("groups", [1, 2])
def test_outputs_gradients_and_a_step_are_those_of_timm(groups):
    layers = pytest.importorskip("timm.layers", reason="the test above has another reference")
    layer, theirs = convolution(groups), layers.StdConv2d(4, 6, 3, 2, 1, groups=groups, bias=True, eps=EPS).double()
    theirs.load_state_dict(layer.state_dict())
    assert_equal(trained(layer, layer(images())), trained(theirs, theirs(images())))


def test_a_filters_scale_and_mean_do_not_matter():
    layer = convolution()
    expected = layer(images())
    with torch.no_grad():
        layer.weight.mul_(torch.linspace(10, 20, 6, dtype=torch.float64)[:, None, None, None]).add_(3)
    torch.testing.assert_close(layer(images()), expected, rtol=1e-4, atol=1e-4)  # EPS weighs less


@pytest.mark.parametrize("name", WITH_CONVOLUTIONS)
def test_names_initial_weights_and_penalised_weights_stay_the_same(name):
    def model(standardized: bool) -> nn.Module:
        config = configuration("bn", data=replace(DATA, size=32))
        config.model = replace(small(name), weight_standardization=standardized)
        return make_network(config, load(config.data).source)

    off, on = model(False), model(True)
    assert off.state_dict().keys() == on.state_dict().keys()
    assert all(torch.equal(value, on.state_dict()[key]) for key, value in off.state_dict().items())
    assert [weight.shape for weight in penalised_weights(off)] == [weight.shape for weight in penalised_weights(on)]
    assert all(type(layer) is nn.Conv2d for layer in off.modules() if isinstance(layer, nn.Conv2d))
    convolutions = [layer for layer in on.modules() if isinstance(layer, nn.Conv2d)]
    assert convolutions
    assert all(type(layer) is StandardizedConv2d for layer in convolutions)
    assert all(any(layer.weight is weight for weight in penalised_weights(on)) for layer in convolutions)


def test_the_key_decides():
    config = configuration("gn")
    source = load(config.data).source
    assert type(make_network(config, source).blocks.conv1[0]) is nn.Conv2d
    config.model.weight_standardization = True
    assert type(make_network(config, source).blocks.conv1[0]) is StandardizedConv2d


def test_only_networks_with_convolutions_have_the_key():
    assert set(NETWORKS) - set(WITH_CONVOLUTIONS) == {"mlp", "vit"}


def test_without_a_norm_it_is_refused():
    config = configuration("none")
    config.model = CNN(width=8, weight_standardization=True)
    with pytest.raises(BadInput, match=r"needs a norm.*\n  allowed: bn, .*\n  write: norm=gn model.weight_stand"):
        check_config(config)


def test_timms_own_kinds_of_convolution_are_refused():
    pytest.importorskip("timm", reason="pip install 'normlab[timm]'")
    Timm(arch="test_resnet", weight_standardization=True).check()
    with pytest.raises(BadInput, match="arch=tf_efficientnet_b0: its layer conv_stem is a Conv2dSame"):
        Timm(arch="tf_efficientnet_b0", weight_standardization=True).check()
