"""Activations, layers and a hand-written formula for the tests of norms."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from src.norms import NORMS, Layout, Norm

N, C, H, W, T = 6, 8, 5, 7, 5
EPS = 0.1  # large enough to show
Formula = Callable[[Tensor, dict[str, Tensor]], Tensor]
CONF_FOLDER = Path(__file__).parents[2] / "conf/norm"


def build(name: str) -> Norm:
    """Return a norm with the values of its YAML file."""
    return NORMS[name](**OmegaConf.load(CONF_FOLDER / f"{name}.yaml"))


def activations() -> Tensor:
    """Return activations (N, C, H, W) with another scale in each channel and another mean in each image."""
    scales = torch.linspace(0.5, 4, C, dtype=torch.float64)[:, None, None]
    noise = torch.randn(N, C, H, W, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return scales * (noise + torch.arange(N)[:, None, None, None])


def tokens() -> Tensor:
    """Return tokens (N, T, C) with another scale in each channel and another mean in each image and token."""
    return activations().flatten(2)[:, :, :T].transpose(1, 2) + torch.arange(T)[:, None]


def vectors() -> Tensor:
    """Return vectors (N, C) with another scale in each channel and another mean in each image."""
    return activations()[:, :, 0, 0]


def layer(norm: Norm, layout: Layout = "map") -> nn.Module:
    """Return the norm's layer for C channels with gains other than 1 and biases other than 0."""
    found = norm.layer(C, layout).double()
    with torch.no_grad():
        for position, parameter in enumerate(found.parameters()):
            parameter.copy_(torch.linspace(0.5, 2, parameter.numel()) * (-1) ** position)
    return found


def by_hand(images: Tensor, norm: nn.Module, groups: int, axes: Sequence[int]) -> Tensor:
    """Normalise over `axes` of (N, groups, C / groups, H, W), then apply the layer's gain and bias."""
    gain, bias = (values[:, None, None] for values in norm.parameters())
    parts = images.reshape(N, groups, C // groups, H, W)
    mean = parts.mean(dim=axes, keepdim=True)
    variance = ((parts - mean) ** 2).mean(dim=axes, keepdim=True)
    return ((parts - mean) / (variance + EPS).sqrt()).reshape(N, C, H, W) * gain + bias


def by_hand_last(values: Tensor, norm: nn.Module, groups: int, axes: Sequence[int]) -> Tensor:
    """Normalise over `axes` of (N, T, groups, C / groups) or (N, groups, C / groups), then apply gain and bias."""
    gain, bias = norm.parameters()
    parts = values.unflatten(-1, (groups, C // groups))
    mean = parts.mean(dim=axes, keepdim=True)
    variance = ((parts - mean) ** 2).mean(dim=axes, keepdim=True)
    return ((parts - mean) / (variance + EPS).sqrt()).flatten(-2) * gain + bias


def assert_equals_formula(norm: nn.Module, formula: Formula, values: Tensor, rtol: float = 1e-6) -> None:
    """Compare outputs, gradients and one training step of a layer with a formula of its input and its parameters."""
    inputs, expected_inputs = (values.clone().requires_grad_() for _ in range(2))
    parameters = {name: value.detach().clone().requires_grad_() for name, value in norm.named_parameters()}
    optimizer = torch.optim.SGD(norm.parameters(), lr=0.1)
    pull = torch.randn(values.shape, generator=torch.Generator().manual_seed(3), dtype=values.dtype)
    output, expected = norm(inputs), formula(expected_inputs, parameters)
    torch.testing.assert_close(output, expected, rtol=rtol, atol=1e-9)
    (output * pull).sum().backward()
    gradients = torch.autograd.grad((expected * pull).sum(), [expected_inputs, *parameters.values()])
    torch.testing.assert_close(inputs.grad, gradients[0], rtol=rtol, atol=1e-9)
    optimizer.step()
    stepped = {
        name: value - 0.1 * gradient for (name, value), gradient in zip(parameters.items(), gradients[1:], strict=True)
    }
    torch.testing.assert_close(dict(norm.named_parameters()), stepped, rtol=rtol, atol=1e-9)
    torch.testing.assert_close(norm(values), formula(values, stepped), rtol=rtol, atol=1e-9)
