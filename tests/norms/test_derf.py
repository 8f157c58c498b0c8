import math

import pytest
import torch
from torch import Tensor

from src.norms.derf import DynamicErf
from tests.norms.reference import C, activations, assert_equals_formula, layer, tokens, vectors

INPUTS = [("map", activations), ("tokens", tokens), ("vector", vectors)]


def formula(values: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Compute the layer as the authors' code does, with erf written as a normal distribution."""
    inside = p["alpha"] * values + p["shift"]
    bounded = 2 * torch.special.ndtr(inside * math.sqrt(2)) - 1
    if values.ndim == 4:
        return bounded * p["weight"][:, None, None] + p["bias"][:, None, None]
    return bounded * p["weight"] + p["bias"]


@pytest.mark.parametrize(("layout", "inputs"), INPUTS)
def test_it_equals_the_formula(layout, inputs):
    assert_equals_formula(layer(DynamicErf(alpha=0.5), layout), formula, inputs())


def test_a_new_layer_equals_the_integral_of_the_normal_density():
    norm = DynamicErf(alpha=0.5).layer(1, "vector").double()
    for value in (-3.0, -0.5, 0.0, 0.1, 2.0):
        expected = math.erf(0.5 * value)
        assert norm(torch.tensor([[value]], dtype=torch.float64)).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("layout", "inputs"), INPUTS)
def test_it_is_bounded_and_changes_each_value_on_its_own(layout, inputs):
    norm, values = DynamicErf(alpha=0.8).layer(C, layout).double(), inputs()
    torch.testing.assert_close(norm(-values), -norm(values))  # only before the shift is learned
    assert norm(1e6 * values).abs().max() == 1
    changed = values.clone()
    changed[0] *= 2
    assert torch.equal(norm(changed)[1:], norm(values)[1:])
    with torch.no_grad():
        norm.shift.fill_(0.3)
    torch.testing.assert_close(norm(values - 0.3 / 0.8), DynamicErf(alpha=0.8).layer(C, layout).double()(values))
