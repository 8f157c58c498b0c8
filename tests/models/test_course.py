import pytest
import torch
from torch import nn

from src.models import NormLayer
from src.models.course import Course
from tests.norms.reference import build


def network(norm: str) -> nn.Module:
    return Course().build(3, 32, 10, NormLayer(build(norm), "map"), 0.0)


@pytest.mark.parametrize("norm", ["bn", "gn", "ln"])
def test_it_has_fewer_than_50_000_parameters_for_colour_images(norm):
    parameters = sum(parameter.numel() for parameter in network(norm).parameters())
    assert parameters < 50_000
    assert f"{parameters:,}" in " ".join((Course.__doc__ or "").split())


def test_four_and_eight_groups_divide_the_channels_of_every_layer():
    assert all(channels % 8 == 0 for _, channels in Course().norm_channels())


def test_it_averages_over_all_pixels():
    model, features = network("none"), torch.randn(2, 64, 4, 5)
    model.blocks = model.classifier = nn.Identity()
    torch.testing.assert_close(model(features), features.mean(dim=(2, 3)))
