import pytest
import torch

from src.bad_input import BadInput
from src.norms.ln import LayerNorm
from tests.norms.reference import EPS, activations, by_hand, by_hand_last, layer, tokens, vectors


def test_it_uses_each_images_mean_and_variance_over_all_channels():
    norm, images = layer(LayerNorm(eps=EPS)), activations()
    torch.testing.assert_close(norm(images), by_hand(images, norm, groups=1, axes=(2, 3, 4)))


def test_it_uses_each_tokens_mean_and_variance_over_all_channels():
    norm, values = layer(LayerNorm(eps=EPS), "tokens"), tokens()
    torch.testing.assert_close(norm(values), by_hand_last(values, norm, groups=1, axes=(3,)))


def test_it_uses_each_vectors_mean_and_variance_over_all_channels():
    norm, values = layer(LayerNorm(eps=EPS), "vector"), vectors()
    torch.testing.assert_close(norm(values), by_hand_last(values, norm, groups=1, axes=(2,)))


@pytest.mark.parametrize("layout", ["tokens", "vector"])
def test_one_channel_is_refused(layout):
    LayerNorm(eps=EPS).check_channels([("a", 2)], layout)
    with pytest.raises(BadInput, match="layer b, which has 1 channel"):
        LayerNorm(eps=EPS).check_channels([("a", 2), ("b", 1)], layout)
