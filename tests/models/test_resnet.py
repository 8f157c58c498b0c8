"""Compares the residual networks with the formulas of He et al. 2015, written plainly."""

import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.bad_input import BadInput
from src.config import check_config
from src.models import NormLayer
from src.models.resnet import ResNet
from tests.norms.reference import build
from tests.world import configuration

# Depth and number of parameters of the paper's networks, in millions (He et al. 2015, table 6).
PAPER = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}


def network(depth: int, norm: str, seed: int = 0) -> nn.Module:
    settings = ResNet(depth=depth)
    model = settings.build(3, 32, 10, NormLayer(build(norm), "map"), 0.0)
    settings.initialise(model, torch.Generator().manual_seed(seed))
    return model


@pytest.mark.parametrize("depth", PAPER)
def test_the_number_of_parameters_is_the_papers(depth):
    with torch.device("meta"):
        model = ResNet(depth=depth).build(3, 32, 10, NormLayer(build("bn"), "map"), 0.0)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert round(parameters / 1e6, 2 if depth < 110 else 1) == PAPER[depth]
    assert re.search(rf"\b{parameters:,} \((?:depth )?{depth}\)", " ".join((ResNet.__doc__ or "").split()))
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth


@pytest.mark.parametrize("depth", [8, 21, 1202])
def test_another_depth_is_refused(depth):
    config = configuration()
    config.model = ResNet(depth=depth)
    with pytest.raises(BadInput, match=f"model.depth={depth} cannot be used\n  allowed: 20, 32, 44, 56, 110"):
        check_config(config)


def plain_resnet(w: dict[str, Tensor], images: Tensor, blocks_per_stage: int, normalise: Callable) -> Tensor:
    """Compute the logits in training mode from the weights `w`, by their names in the network.

    An activation is ReLU, or the maximum of its input and its thresholds if it has some.
    """

    def activate(features: Tensor, name: str) -> Tensor:
        threshold = w.get(f"{name}.threshold")
        return features.clamp(min=0) if threshold is None else features.maximum(threshold[:, None, None])

    def convolution(features: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.conv2d(features, w[f"{name}.weight"], w.get(f"{name}.bias"), stride, padding=1)

    features = activate(normalise(w, convolution(images, "stem.0"), "stem.1"), "stem.2")
    for block in range(3 * blocks_per_stage):
        name, stride = f"blocks.{block}", 2 if block in (blocks_per_stage, 2 * blocks_per_stage) else 1
        inside = normalise(w, convolution(features, f"{name}.conv1", stride), f"{name}.norm1")
        inside = activate(inside, f"{name}.activation1")
        inside = normalise(w, convolution(inside, f"{name}.conv2"), f"{name}.norm2") * w.get(f"{name}.scale", 1)
        if stride == 2:
            features = features[:, :, ::2, ::2]
            features = torch.cat([features, torch.zeros_like(features)], dim=1)
        features = activate(features + inside, f"{name}.activation2")
    return features.mean(dim=(2, 3)) @ w["classifier.weight"].T + w["classifier.bias"]


def normalise_batch(w: dict[str, Tensor], features: Tensor, name: str) -> Tensor:
    mean = features.mean(dim=(0, 2, 3), keepdim=True)
    variance = ((features - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    gain, bias = w[f"{name}.weight"][:, None, None], w[f"{name}.bias"][:, None, None]
    return (features - mean) / (variance + 1e-5).sqrt() * gain + bias


def normalise_filter_responses(w: dict[str, Tensor], features: Tensor, name: str) -> Tensor:
    root_mean_square = ((features**2).mean(dim=(2, 3), keepdim=True) + 1e-6).sqrt()
    return features / root_mean_square * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def normalise_nothing(w: dict[str, Tensor], features: Tensor, name: str) -> Tensor:
    return features


@pytest.mark.parametrize(
    ("norm", "normalise"), [("bn", normalise_batch), ("frn", normalise_filter_responses), ("none", normalise_nothing)]
)
@pytest.mark.parametrize("size", [16, 21])
def test_outputs_and_gradients_equal_the_papers_formula(norm, normalise, size):
    model = network(20, norm).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # gains other than 1, biases and scales other than 0
        for parameter in model.parameters():
            if parameter.ndim < 2:
                parameter.add_(torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 0.3)
    w, images = dict(model.named_parameters()), torch.randn(4, 3, size, size, generator=generator, dtype=torch.float64)
    logits, expected = model(images), plain_resnet(w, images, 3, normalise)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-9)
    pull = torch.randn(4, 10, generator=generator, dtype=torch.float64)
    gradients, expected_gradients = (torch.autograd.grad((out * pull).sum(), w.values()) for out in (logits, expected))
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9 * expected_gradient.abs().max())


def test_blocks_without_a_norm_start_as_shortcuts_and_learn_from_the_second_step_on():
    """A deep network without a norm trains from He's weights only if its residual branches start at 0 (SkipInit)."""
    model, generator = network(20, "none"), torch.Generator().manual_seed(2)
    images, labels = torch.randn(4, 3, 16, 16, generator=generator), torch.arange(4)
    stem = model.stem(images)
    assert torch.equal(model.blocks[0](stem), stem)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in (1, 2):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        assert all(block.scale.grad != 0 for block in model.blocks)
        assert all(block.conv1.weight.grad.any() == (step == 2) for block in model.blocks)
        optimizer.step()
