import pytest
import torch
from torch import Tensor

from src.norms.dyt import DynamicTanh
from tests.norms.reference import C, activations, assert_equals_formula, layer, tokens, vectors

INPUTS = [("map", activations), ("tokens", tokens), ("vector", vectors)]


def formula(values: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Compute the layer as the authors' code does, with tanh written in exponentials."""
    powers = torch.exp(-2 * (p["alpha"] * values).abs())
    bounded = torch.sign(p["alpha"] * values) * (1 - powers) / (1 + powers)
    if values.ndim == 4:
        return bounded * p["weight"][:, None, None] + p["bias"][:, None, None]
    return bounded * p["weight"] + p["bias"]


@pytest.mark.parametrize(("layout", "inputs"), INPUTS)
def test_it_equals_the_formula(layout, inputs):
    assert_equals_formula(layer(DynamicTanh(alpha=0.5), layout), formula, inputs())


@pytest.mark.parametrize(("layout", "inputs"), INPUTS)
def test_it_is_odd_and_bounded_and_changes_each_value_on_its_own(layout, inputs):
    norm, values = DynamicTanh(alpha=0.8).layer(C, layout).double(), inputs()
    torch.testing.assert_close(norm(-values), -norm(values))
    assert norm(1e6 * values).abs().max() == 1
    changed = values.clone()
    changed[0] *= 2
    assert torch.equal(norm(changed)[1:], norm(values)[1:])
    small = 1e-9 * values  # alpha is the slope at 0
    torch.testing.assert_close(norm(small), 0.8 * small, rtol=1e-6, atol=0)
