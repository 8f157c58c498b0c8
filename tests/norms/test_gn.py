import pytest
import torch

from src.bad_input import BadInput
from src.norms.gn import GroupNorm
from tests.norms.reference import EPS, activations, by_hand, by_hand_last, layer, tokens, vectors


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_it_uses_each_images_mean_and_variance_over_a_group_of_channels(groups):
    norm, images = layer(GroupNorm(eps=EPS, groups=groups)), activations()
    torch.testing.assert_close(norm(images), by_hand(images, norm, groups=groups, axes=(2, 3, 4)))


def test_groups_must_divide_the_channels_of_every_layer():
    norm = GroupNorm(eps=EPS, groups=4)
    norm.check_channels([("first", 4), ("second", 8)], "map")
    with pytest.raises(BadInput, match=r"norm.groups=4 does not divide the 6 channels of layer second\n.*1, 2, 3, 6\n"):
        norm.check_channels([("first", 4), ("second", 6)], "map")


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_it_uses_each_tokens_mean_and_variance_over_a_group_of_channels(groups):
    norm, values = layer(GroupNorm(eps=EPS, groups=groups), "tokens"), tokens()
    torch.testing.assert_close(norm(values), by_hand_last(values, norm, groups=groups, axes=(3,)))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_it_uses_each_vectors_mean_and_variance_over_a_group_of_channels(groups):
    norm, values = layer(GroupNorm(eps=EPS, groups=groups), "vector"), vectors()
    torch.testing.assert_close(norm(values), by_hand_last(values, norm, groups=groups, axes=(2,)))


@pytest.mark.parametrize("layout", ["tokens", "vector"])
def test_a_group_of_one_value_is_refused(layout):
    with pytest.raises(BadInput, match=r"leaves 1 value .* layer a \(4 channels\)\n  allowed: 1, 2\n.*groups=2"):
        GroupNorm(eps=EPS, groups=4).check_channels([("a", 4)], layout)
    with pytest.raises(BadInput, match=r"leaves 1 value .* layer a \(1 channels\)\n  allowed: 2 channels or more$"):
        GroupNorm(eps=EPS, groups=1).check_channels([("a", 1)], layout)
