import copy

import pytest
import torch
from src.models.norms import norm_layer
from torch import Tensor, nn

from src.config import KEYS
from src.models.cnn import CNN
from src.norms.bn import BatchNorm
from src.norms.gn import GroupNorm
from src.norms.instance import InstanceNorm
from src.norms.ln import LayerNorm
from src.norms.none import NoNorm

N, C, H, W = 6, 8, 5, 7
EPS = 0.1  # large, so that it shows
NORMS = {
    "none": NoNorm(),
    "bn": BatchNorm(eps=EPS, momentum=0.3),
    "gn": GroupNorm(eps=EPS, groups=4),
    "ln": LayerNorm(eps=EPS),
    "in": InstanceNorm(eps=EPS),
}
WITH_STATISTICS = ["bn", "gn", "ln", "in"]


def test_every_norm_is_tested():
    assert list(NORMS) == list(KEYS["norm.name"].choices)
    assert [name for name in NORMS if name != "none"] == WITH_STATISTICS


@pytest.fixture
def images() -> Tensor:
    scales = torch.linspace(0.5, 4, C, dtype=torch.float64)[:, None, None]
    noise = torch.randn(N, C, H, W, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return scales * (noise + torch.arange(N)[:, None, None, None])


def layer(name: str) -> nn.Module:
    """A norm layer of C channels whose gains and biases are not the first ones."""
    made = norm_layer(NORMS[name])(C).double()
    with torch.no_grad():
        for position, parameter in enumerate(made.parameters()):
            parameter.copy_(torch.linspace(0.5, 2, C) * (-1) ** position)
    return made


def by_hand(images: Tensor, name: str, gain: Tensor, bias: Tensor) -> Tensor:
    groups = {"bn": C, "gn": 4, "ln": 1, "in": C}[name]
    axes = (0, 2, 3, 4) if name == "bn" else (2, 3, 4)
    parts = images.reshape(N, groups, C // groups, H, W)
    mean = parts.mean(dim=axes, keepdim=True)
    variance = ((parts - mean) ** 2).mean(dim=axes, keepdim=True)
    normalised = ((parts - mean) / (variance + EPS).sqrt()).reshape(N, C, H, W)
    return normalised * gain[:, None, None] + bias[:, None, None]


@pytest.mark.parametrize("name", WITH_STATISTICS)
def test_training_uses_mean_and_variance_over_the_norms_own_axes(name, images):
    norm = layer(name)
    gain, bias = norm.parameters()
    torch.testing.assert_close(norm(images), by_hand(images, name, gain, bias))


@pytest.mark.parametrize("name", ["gn", "ln", "in"])
def test_evaluation_is_the_same_as_training_where_no_batch_counts(name, images):
    norm = layer(name)
    training = norm(images)
    assert torch.equal(norm.eval()(images), training)


def test_none_changes_nothing(images):
    assert torch.equal(layer("none")(images), images)
    assert not list(layer("none").parameters())


def test_bn_evaluates_with_running_statistics(images):
    norm = layer("bn")
    batches = [images, images.flip(1) * 2 + 1]
    mean, variance = torch.zeros(C), torch.ones(C)
    for batch in batches:
        norm(batch)
        channels = batch.transpose(0, 1).reshape(C, -1)
        mean = 0.7 * mean + 0.3 * channels.mean(dim=1)
        variance = 0.7 * variance + 0.3 * channels.var(dim=1, correction=1)
    gain, bias = (values[:, None, None] for values in norm.parameters())
    expected = (images - mean[:, None, None]) / (variance[:, None, None] + EPS).sqrt() * gain + bias
    torch.testing.assert_close(norm.eval()(images), expected)


def network(name: str) -> CNN:
    made = CNN(1, 10, 8, norm_layer(NORMS[name]), 0.0, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:
                parameter += torch.linspace(-0.2, 0.5, len(parameter))
    return made


@pytest.mark.parametrize("name", NORMS)
def test_a_samples_output_depends_on_the_others_under_bn_alone(name):
    random = torch.Generator().manual_seed(2)
    mine = torch.randn(1, 1, 28, 28, generator=random, dtype=torch.float64)
    others = torch.randn(5, 1, 28, 28, generator=random, dtype=torch.float64)
    in_training = copy.deepcopy(network(name)).train()
    alone, among = (in_training(torch.cat([mine, company]))[0] for company in (others, 3 * others + 1))
    if name == "bn":
        assert (alone - among).abs().max() > 1e-3
    else:
        torch.testing.assert_close(alone, among)
    evaluating = network(name).eval()
    alone, among = (evaluating(torch.cat([mine, company]))[0] for company in (others, 3 * others + 1))
    torch.testing.assert_close(alone, among)


def test_every_norm_costs_a_gain_and_a_bias_a_channel():
    sizes = {name: [parameter.numel() for parameter in layer(name).parameters()] for name in WITH_STATISTICS}
    assert all(size == [C, C] for size in sizes.values())


def test_networks_are_equally_large_under_every_norm():
    sizes = {sum(parameter.numel() for parameter in network(name).parameters()) for name in WITH_STATISTICS}
    assert len(sizes) == 1


@pytest.mark.parametrize("name", WITH_STATISTICS)
def test_normalising_starts_with_gain_1_and_bias_0(name):
    gain, bias = norm_layer(NORMS[name])(C).parameters()
    assert (gain == 1).all()
    assert (bias == 0).all()
