import torch

from src.norms.bn import BatchNorm
from tests.norms.reference import EPS, C, activations, by_hand, by_hand_last, layer, tokens, vectors


def test_training_uses_each_channels_mean_and_variance_over_the_batch():
    norm, images = layer(BatchNorm(eps=EPS, momentum=0.3)), activations()
    torch.testing.assert_close(norm(images), by_hand(images, norm, groups=C, axes=(0, 2, 3, 4)))


def test_tokens_share_each_channels_mean_and_variance_over_the_batch():
    norm, values = layer(BatchNorm(eps=EPS, momentum=0.3), "tokens"), tokens()
    torch.testing.assert_close(norm(values), by_hand_last(values, norm, groups=C, axes=(0, 1, 3)))
    torch.testing.assert_close(norm.running_mean, 0.3 * values.mean(dim=(0, 1)))
    torch.testing.assert_close(norm.eval()(values[:, :1]), norm(values)[:, :1])


def test_vectors_share_each_channels_mean_and_variance_over_the_batch():
    norm, values = layer(BatchNorm(eps=EPS, momentum=0.3), "vector"), vectors()
    torch.testing.assert_close(norm(values), by_hand_last(values, norm, groups=C, axes=(0, 2)))


def test_evaluation_uses_running_statistics():
    norm, images = layer(BatchNorm(eps=EPS, momentum=0.3)), activations()
    mean, variance = torch.zeros(C), torch.ones(C)
    for batch in (images, images.flip(1) * 2 + 1):
        norm(batch)
        channels = batch.transpose(0, 1).reshape(C, -1)
        mean = 0.7 * mean + 0.3 * channels.mean(dim=1)
        variance = 0.7 * variance + 0.3 * channels.var(dim=1, correction=1)
    gain, bias = (values[:, None, None] for values in norm.parameters())
    expected = (images - mean[:, None, None]) / (variance[:, None, None] + EPS).sqrt() * gain + bias
    torch.testing.assert_close(norm.eval()(images), expected)
