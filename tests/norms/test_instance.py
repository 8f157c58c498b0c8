import torch

from src.norms.instance import InstanceNorm
from tests.norms.reference import EPS, C, activations, by_hand, by_hand_last, layer, tokens


def test_it_uses_the_mean_and_variance_of_each_channel_of_each_image():
    norm, images = layer(InstanceNorm(eps=EPS)), activations()
    torch.testing.assert_close(norm(images), by_hand(images, norm, groups=C, axes=(2, 3, 4)))


def test_it_uses_the_mean_and_variance_of_each_channel_over_the_tokens_of_an_image():
    norm, values = layer(InstanceNorm(eps=EPS), "tokens"), tokens()
    torch.testing.assert_close(norm(values), by_hand_last(values, norm, groups=C, axes=(1, 3)))
