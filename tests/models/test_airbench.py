import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models import NormLayer
from src.models.airbench import Airbench
from src.norms.bn import BatchNorm
from src.norms.none import NoNorm

EPS = 1e-5
NORMS = {"bn": BatchNorm(eps=EPS, momentum=0.1), "none": NoNorm()}


def network(name: str = "bn", *, width: int = 4, channels: int = 3) -> nn.Module:
    settings = Airbench(width=width)
    model = settings.build(channels, 32, 10, NormLayer(NORMS[name], "map"), 0.0)
    settings.initialise(model, torch.Generator().manual_seed(0))
    return model


def by_hand(images: Tensor, parameters: list[Tensor]) -> Tensor:
    """The network of the source with BatchNorm in training; `parameters` are in the network's order."""
    waiting = iter(parameters)

    def norm(values: Tensor) -> Tensor:
        mean = values.mean(dim=(0, 2, 3), keepdim=True)
        variance = ((values - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        gain, bias = (next(waiting)[:, None, None] for _ in range(2))
        return (values - mean) / (variance + EPS).sqrt() * gain + bias

    def gelu(values: Tensor) -> Tensor:
        return values * (1 + torch.erf(values / 2**0.5)) / 2

    images = gelu(F.conv2d(images, next(waiting)) + next(waiting)[:, None, None])
    for _ in range(3):
        images = F.conv2d(images, next(waiting), padding=1)
        images = gelu(norm(nn.MaxPool2d(2)(images)))
        images = gelu(norm(F.conv2d(images, next(waiting), padding=1)))
    return nn.MaxPool2d(3)(images).flatten(1) @ next(waiting).T / 9


def ordered(model: nn.Module) -> list[Tensor]:
    """The parameters in the order in which `by_hand` uses them."""
    blocks = [getattr(block, name) for block in model.blocks for name in ("conv1", "norm1", "conv2", "norm2")]
    return [parameter for layer in (model.first, *blocks, model.classifier) for parameter in layer.parameters()]


@pytest.mark.parametrize("size", [28, 32])
def test_outputs_and_gradients_equal_the_sources_network(size):
    model = network().double()
    images = torch.randn(4, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for position, parameter in enumerate(ordered(model)):
            if parameter.ndim == 1:  # gains other than 1 and biases other than 0
                parameter += 0.01 * (position + 1)
    copies = [parameter.detach().clone().requires_grad_() for parameter in ordered(model)]
    logits, expected = model(images), by_hand(images, copies)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-12)
    for result in (logits, expected):
        result.square().sum().backward()
    for ours, copy in zip(ordered(model), copies, strict=True):
        torch.testing.assert_close(ours.grad, copy.grad, rtol=1e-6, atol=1e-9)


def test_the_docstring_tells_the_size():
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in network(width=64).parameters())
    assert f"{count:,} parameters" in (Airbench.__doc__ or "")


@pytest.mark.parametrize("name", NORMS)
def test_the_first_filters_pass_their_channel_on_and_the_others_are_random(name):
    for block in network(name, width=16).blocks:
        for convolution in (block.conv1, block.conv2):
            passing, others = convolution.weight.tensor_split([convolution.in_channels])
            image = torch.randn(1, convolution.in_channels, 5, 5)
            assert torch.equal(F.conv2d(image, passing, padding=1), image[:, : len(passing)])
            if len(others):
                assert others.std().item() == pytest.approx((3 * convolution.weight[0].numel()) ** -0.5, rel=0.1)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_convolution_has_two_filters_for_each_value_of_a_patch(channels):
    assert network(channels=channels).first.weight.shape == (8 * channels, channels, 2, 2)
