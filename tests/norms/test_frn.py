import pytest
import torch
from torch import Tensor, nn

from src.bad_input import BadInput
from src.config import check_config
from src.models.airbench import Airbench
from src.models.timm import Timm
from src.models.vit import ViT
from src.norms.frn import FilterResponseNorm
from tests.norms.reference import EPS, C, activations, assert_equals_formula, build, layer
from tests.world import configuration


def with_unit(norm: FilterResponseNorm) -> nn.Module:
    """Return the layer and its activation, with gains other than 1, biases other than 0 and thresholds around 0."""
    unit = norm.activation(C).double()
    with torch.no_grad():
        unit.threshold.copy_(torch.linspace(-1, 1, C))
    return nn.Sequential(layer(norm), unit)


def formula(maps: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Compute the layer and its activation plainly, for each image and channel in turn."""
    outputs = []
    for image in maps:
        for channel in range(C):
            pixels = image[channel]
            scaled = pixels / ((pixels**2).sum() / pixels.numel() + EPS) ** 0.5
            value = scaled * p["0.weight"][channel] + p["0.bias"][channel]
            threshold = p["1.threshold"][channel]
            outputs.append((value - threshold).clamp(min=0) + threshold)
    return torch.stack(outputs).view_as(maps)


def test_layer_and_unit_equal_the_formula():
    assert_equals_formula(with_unit(FilterResponseNorm(eps=EPS)), formula, activations())


def test_layer_and_unit_equal_timms_layer():
    timm = pytest.importorskip("timm.layers", reason="pip install timm")
    ours, reference = with_unit(FilterResponseNorm(eps=EPS)), timm.FilterResponseNormTlu2d(C, eps=EPS).double()
    names = {"0.weight": "weight", "0.bias": "bias", "1.threshold": "tau"}
    reference.load_state_dict({names[name]: value for name, value in ours.state_dict().items()})
    torch.testing.assert_close(ours(activations()), reference(activations()), rtol=1e-6, atol=1e-6)


def test_each_channel_of_each_image_has_a_scale_of_its_own_and_keeps_its_mean():
    norm, maps = FilterResponseNorm(eps=1e-12).layer(C, "map").double(), activations()
    scales = torch.linspace(0.1, 9, len(maps) * C, dtype=torch.float64).view(-1, C, 1, 1)
    torch.testing.assert_close(norm(scales * maps), norm(maps))
    equal = torch.full_like(maps, -3)  # a norm that subtracts a mean would give 0
    torch.testing.assert_close(norm(equal), -torch.ones_like(equal))


def test_a_new_unit_is_relu():
    assert torch.equal(FilterResponseNorm(eps=EPS).activation(C)(activations()), activations().relu())


@pytest.mark.parametrize(
    "model", [ViT(width=96, depth=6, heads=3), Airbench(width=64), Timm(arch="test_resnet")], ids=lambda m: m.name
)
def test_a_network_without_relu_after_each_norm_is_refused(model):
    if model.name == "timm":
        pytest.importorskip("timm", reason="pip install 'normlab[timm]'")
    config = configuration()
    config.norm, config.model = build("frn"), model
    with pytest.raises(BadInput, match=rf"norm=frn does not work with model={model.name}: ") as refused:
        check_config(config)
    assert "frn" not in str(refused.value).partition("allowed")[2].partition("\n")[0]
