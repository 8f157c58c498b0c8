import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg11, vgg11_bn

from src.models import NormLayer
from src.models.vgg import VGG
from src.norms.bn import BatchNorm
from src.norms.none import NoNorm

EPS = 1e-5
NORMS = {"bn": BatchNorm(eps=EPS, momentum=0.1), "none": NoNorm()}


def network(name: str, *, width: int = 2, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    settings = VGG(width=width)
    model = settings.build(channels, 32, 10, NormLayer(NORMS[name], "map"), dropout)
    settings.initialise(model, torch.Generator().manual_seed(0))
    return model


def by_hand(images: Tensor, parameters: list[Tensor]) -> Tensor:
    """VGG-A with BatchNorm in training, from the table of the paper; `parameters` are in the network's order."""
    waiting = iter(parameters)
    for pool_afterwards in (True, True, False, True, False, True, False, True):
        images = F.conv2d(images, next(waiting), padding=1)
        mean = images.mean(dim=(0, 2, 3), keepdim=True)
        variance = ((images - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        gain, bias = (next(waiting)[:, None, None] for _ in range(2))
        images = ((images - mean) / (variance + EPS).sqrt() * gain + bias).clamp(min=0)
        if pool_afterwards:
            images = images.unflatten(3, (-1, 2)).amax(4).unflatten(2, (-1, 2)).amax(3)
    hidden = images.flatten(1)
    for _ in range(2):
        hidden = (hidden @ next(waiting).T + next(waiting)).clamp(min=0)
    return hidden @ next(waiting).T + next(waiting)


def test_outputs_and_gradients_equal_the_papers_table():
    model = network("bn").double()
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parameters = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]
    with torch.no_grad():
        for position, (ours, copy) in enumerate(zip(model.parameters(), parameters, strict=True)):
            if ours.ndim == 1:  # gains other than 1 and biases other than 0
                ours += 0.01 * (position + 1)
                copy.copy_(ours)
    logits, expected = model(images), by_hand(images, parameters)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-12)
    for result in (logits, expected):
        result.square().sum().backward()
    for ours, copy in zip(model.parameters(), parameters, strict=True):
        torch.testing.assert_close(ours.grad, copy.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("name", "reference"), [("bn", vgg11_bn), ("none", vgg11)])
def test_it_has_as_many_parameters_as_torchvisions_convolutions_and_three_small_linear_layers(name, reference):
    with torch.device("meta"):
        features = reference().features
        expected = sum(parameter.numel() for parameter in features.parameters())
        count = sum(parameter.numel() for parameter in network(name, width=64).parameters())
    if name == "bn":  # torchvision keeps a bias before each norm
        expected -= sum(layer.bias.numel() for layer in features if isinstance(layer, nn.Conv2d))
    assert count == expected + 2 * (512 * 512 + 512) + 512 * 10 + 10
    assert f"{count:,}" in (VGG.__doc__ or "")


def test_dropout_acts_after_both_hidden_layers():
    layers = [type(layer).__name__ for layer in network("bn", dropout=0.5).classifier]
    assert layers == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]


def test_larger_images_are_averaged_to_one_vector():
    model = network("none").eval()
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    features = model.features(image)
    assert features.shape == (1, 16, 2, 2)
    torch.testing.assert_close(model(image), model.classifier(features.mean(dim=(2, 3))))
