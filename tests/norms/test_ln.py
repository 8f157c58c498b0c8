import torch

from src.norms.ln import LayerNorm
from tests.norms.reference import EPS, activations, by_hand, layer


def test_it_uses_each_images_mean_and_variance_over_all_channels():
    norm, images = layer(LayerNorm(eps=EPS)), activations()
    torch.testing.assert_close(norm(images), by_hand(images, norm, groups=1, axes=(2, 3, 4)))
