import pytest
import torch
from torch import Tensor

from src.bad_input import BadInput
from src.norms.ln2d import LayerNorm2d
from tests.norms.reference import EPS, C, activations, assert_equals_formula, layer, tokens, vectors


def formula(values: Tensor, p: dict[str, Tensor], axis: int) -> Tensor:
    mean = values.mean(axis, keepdim=True)
    variance = ((values - mean) ** 2).mean(axis, keepdim=True)
    shape = (C, 1, 1) if values.ndim == 4 else (C,)
    return (values - mean) / (variance + EPS) ** 0.5 * p["weight"].reshape(shape) + p["bias"].reshape(shape)


@pytest.mark.parametrize(("layout", "inputs", "axis"), [("map", activations, 1), ("tokens", tokens, 2)])
def test_it_equals_the_formula_over_the_channels_of_a_position(layout, inputs, axis):
    norm = layer(LayerNorm2d(eps=EPS), layout)
    assert_equals_formula(norm, lambda values, p: formula(values, p, axis), inputs())


def test_it_equals_timms_layer():
    timm = pytest.importorskip("timm.layers", reason="pip install timm")
    norm, reference = layer(LayerNorm2d(eps=EPS)), timm.LayerNorm2d(C, eps=EPS).double()
    reference.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(activations()), reference(activations()), rtol=1e-6, atol=1e-9)


def test_each_position_of_a_map_has_a_mean_and_a_scale_of_its_own():
    norm, maps = LayerNorm2d(eps=1e-12).layer(C, "map").double(), activations()
    changed = maps.clone()
    changed[2, :, 1, 3] = 5 * changed[2, :, 1, 3] - 7
    torch.testing.assert_close(norm(changed), norm(maps))


@pytest.mark.parametrize(("layout", "inputs"), [("tokens", tokens), ("vector", vectors)])
def test_for_tokens_and_vectors_it_is_layernorm(layout, inputs):
    norm = layer(LayerNorm2d(eps=EPS), layout)
    expected = torch.nn.functional.layer_norm(inputs(), (C,), norm.weight, norm.bias, EPS)
    assert torch.equal(norm(inputs()), expected)


@pytest.mark.parametrize("layout", ["map", "tokens", "vector"])
def test_one_channel_is_refused(layout):
    LayerNorm2d(eps=EPS).check_channels([("a", 2)], layout)
    with pytest.raises(BadInput, match="norm=ln2d cannot normalise layer b, which has 1 channel"):
        LayerNorm2d(eps=EPS).check_channels([("a", 2), ("b", 1)], layout)
