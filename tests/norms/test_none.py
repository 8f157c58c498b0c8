import pytest
import torch

from src.norms.none import NoNorm
from tests.norms.reference import activations, layer, tokens, vectors


@pytest.mark.parametrize(("layout", "inputs"), [("map", activations), ("tokens", tokens), ("vector", vectors)])
def test_it_changes_nothing_and_has_no_parameters(layout, inputs):
    norm, values = layer(NoNorm(), layout), inputs()
    assert torch.equal(norm(values), values)
    assert not list(norm.parameters())
