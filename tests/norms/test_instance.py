import torch

from src.norms.instance import InstanceNorm
from tests.norms.reference import EPS, C, activations, by_hand, layer


def test_it_uses_the_mean_and_variance_of_each_channel_of_each_image():
    norm, images = layer(InstanceNorm(eps=EPS)), activations()
    torch.testing.assert_close(norm(images), by_hand(images, norm, groups=C, axes=(2, 3, 4)))
