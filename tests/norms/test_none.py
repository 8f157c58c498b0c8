import torch

from src.norms.none import NoNorm
from tests.norms.reference import activations, layer


def test_it_changes_nothing_and_has_no_parameters():
    norm, images = layer(NoNorm()), activations()
    assert torch.equal(norm(images), images)
    assert not list(norm.parameters())
