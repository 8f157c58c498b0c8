import pytest
import torch
from torch import Tensor

from src.bad_input import BadInput
from src.norms.rms import RMSNorm
from tests.norms.reference import EPS, C, activations, assert_equals_formula, layer, tokens, vectors


def formula(values: Tensor, p: dict[str, Tensor], axis: int) -> Tensor:
    gain = p["weight"].reshape((C, 1, 1) if values.ndim == 4 else (C,))
    return values / ((values**2).mean(axis, keepdim=True) + EPS) ** 0.5 * gain


@pytest.mark.parametrize(
    ("layout", "inputs", "axis"), [("map", activations, 1), ("tokens", tokens, 2), ("vector", vectors, 1)]
)
def test_it_equals_the_formula_over_the_channels_of_a_position(layout, inputs, axis):
    norm = layer(RMSNorm(eps=EPS), layout)
    assert_equals_formula(norm, lambda values, p: formula(values, p, axis), inputs())


def test_it_equals_timms_layer():
    timm = pytest.importorskip("timm.layers", reason="pip install timm")
    norm, reference = layer(RMSNorm(eps=EPS)), timm.RmsNorm2d(C, eps=EPS).double()
    reference.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(activations()), reference(activations()), rtol=1e-6, atol=1e-9)


def test_each_position_of_a_map_has_a_scale_of_its_own_and_keeps_its_mean():
    norm, maps = RMSNorm(eps=1e-12).layer(C, "map").double(), activations()
    scaled = maps.clone()
    scaled[2, :, 1, 3] *= 5
    torch.testing.assert_close(norm(scaled), norm(maps))
    torch.testing.assert_close(norm(maps).square().mean(1), torch.ones(maps[:, 0].shape, dtype=maps.dtype))
    equal = torch.full_like(maps, 3)  # a norm that subtracts a mean would give 0
    torch.testing.assert_close(norm(equal), torch.ones_like(equal))


@pytest.mark.parametrize("layout", ["map", "tokens", "vector"])
def test_one_channel_is_refused(layout):
    RMSNorm(eps=EPS).check_channels([("a", 2)], layout)
    with pytest.raises(BadInput, match="norm=rms cannot normalise layer b, which has 1 channel"):
        RMSNorm(eps=EPS).check_channels([("a", 2), ("b", 1)], layout)
