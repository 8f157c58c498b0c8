import pytest
import torch
from torch import nn

from src.models import NormLayer
from src.models.cnn import CNN
from src.norms.bn import BatchNorm
from src.norms.gn import GroupNorm
from src.norms.instance import InstanceNorm
from src.norms.ln import LayerNorm
from src.norms.none import NoNorm

NORMS = {
    "none": (NoNorm(), nn.Identity),
    "bn": (BatchNorm(eps=1e-5, momentum=0.1), nn.BatchNorm2d),
    "gn": (GroupNorm(eps=1e-5, groups=4), nn.GroupNorm),
    "ln": (LayerNorm(eps=1e-5), nn.GroupNorm),
    "in": (InstanceNorm(eps=1e-5), nn.InstanceNorm2d),
}
WIDTH = 16  # conf/model/cnn.yaml


def network(
    name: str = "bn", *, channels: int = 1, width: int = WIDTH, seed: int = 0, dropout: float = 0.0
) -> nn.Module:
    norm, settings = NORMS[name][0], CNN(width=width)
    model = settings.build(channels, 28, 10, NormLayer(norm, "map"), dropout)
    settings.initialise(model, torch.Generator().manual_seed(seed))
    return model


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.named_parameters() if value.ndim >= 2}


@pytest.mark.parametrize("name", NORMS)
def test_on_mnist_the_network_is_small(name):
    assert 5_000 < sum(parameter.numel() for parameter in network(name).parameters()) <= 20_000


def test_the_docstring_tells_the_size():
    assert f"{sum(parameter.numel() for parameter in network().parameters()):,} parameters" in (CNN.__doc__ or "")


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32])
def test_it_takes_grey_and_colour_images_of_both_sizes(name, channels, size):
    logits = network(name, channels=channels, width=4)(torch.randn(2, channels, size, size))
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", NORMS)
def test_every_convolution_is_followed_by_its_norm(name):
    model = network(name)
    blocks = list(model.blocks.children())
    assert len(blocks) == len(convolutions(model))
    for block in blocks:
        convolution, norm, *_ = [module for module in block.children() if not isinstance(module, nn.MaxPool2d)]
        assert isinstance(convolution, nn.Conv2d)
        assert type(norm) is NORMS[name][1]
        assert getattr(norm, "num_features", getattr(norm, "num_channels", convolution.out_channels)) == (
            convolution.out_channels
        )


@pytest.mark.parametrize("name", NORMS)
def test_a_convolution_has_a_bias_only_where_no_norm_has_one(name):
    assert all((convolution.bias is not None) == (name == "none") for convolution in convolutions(network(name)))


@pytest.mark.parametrize("width", [1, 4, 16, 24])
def test_the_plain_list_of_layers_is_the_network(width):
    model = network("none", width=width)
    found = []
    for name, block in model.blocks.named_children():
        convolution = next(block.children())
        found.append((name, convolution.out_channels, convolution.kernel_size, convolution.stride))
    planned = CNN(width=width).convolutions()
    assert found == [(layer.name, layer.channels, (layer.kernel,) * 2, (layer.stride,) * 2) for layer in planned]
    assert [(name, channels) for name, channels, _, _ in found] == CNN(width=width).norm_channels()
    assert convolutions(model)[0].out_channels == width


@pytest.mark.parametrize("name", NORMS)
def test_first_weights_are_the_same_under_every_norm(name):
    expected, found = weights(network("bn", seed=3)), weights(network(name, seed=3))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_first_weights_do_not_depend_on_the_global_stream():
    torch.manual_seed(1)
    first = weights(network())
    torch.manual_seed(2)
    assert all(torch.equal(value, first[key]) for key, value in weights(network()).items())


def test_another_seed_gives_other_first_weights():
    first, other = weights(network(seed=0)), weights(network(seed=1))
    assert not any(torch.equal(first[key], other[key]) for key in first)


def test_first_weights_have_the_variance_that_he_et_al_ask_for():
    model = network("none", width=64)
    for convolution in convolutions(model):
        fan_in = convolution.weight[0].numel()
        assert convolution.weight.var().item() == pytest.approx(2 / fan_in, rel=0.15)
    assert all((bias == 0).all() for bias in (model.classifier.bias, *(c.bias for c in convolutions(model))))


def test_dropout_acts_in_training_and_rests_in_evaluation():
    model, images = network("ln", dropout=0.5), torch.randn(4, 1, 28, 28)
    torch.manual_seed(0)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_dropout_does_not_shift_the_first_weights():
    first, other = weights(network(dropout=0.0)), weights(network(dropout=0.5))
    assert all(torch.equal(first[key], other[key]) for key in first)
