import sys

import pytest
import torch
from torch import nn

from src.bad_input import BadInput
from src.models import NormLayer
from src.models.timm import Timm
from src.norms.bn import BatchNorm
from src.norms.gn import GroupNorm
from src.norms.instance import InstanceNorm
from src.norms.ln import LayerNorm
from src.norms.none import NoNorm

timm = pytest.importorskip("timm", reason="pip install 'normlab[timm]'")

NORMS = {
    "bn": BatchNorm(eps=1e-5, momentum=0.1),
    "gn": GroupNorm(eps=1e-5, groups=2),
    "in": InstanceNorm(eps=1e-5),
    "ln": LayerNorm(eps=1e-6),
    "none": NoNorm(),
}
# Networks whose norms take (N, C, H, W), (N, T, C), joined with an activation, and both (N, H, W, C) and (N, C, H, W).
MAPS, TOKENS, JOINED, CHANNELS_LAST = "test_resnet", "test_vit", "test_efficientnet", "test_convnext"
KINDS = {
    "bn": (nn.BatchNorm1d, nn.BatchNorm2d),
    "gn": nn.GroupNorm,
    "ln": (nn.GroupNorm, nn.LayerNorm),
    "none": nn.Identity,
}


def network(arch: str, norm: str, *, size: int = 64, seed: int = 0) -> nn.Module:
    settings = Timm(arch=arch)
    model = settings.build(3, size, 10, NormLayer(NORMS[norm], "map"), 0.0)
    settings.initialise(model, torch.Generator().manual_seed(seed))
    return model


def refusal(function, *arguments) -> str:
    with pytest.raises(BadInput) as error:
        function(*arguments)
    assert len(str(error.value).splitlines()) <= 3
    return str(error.value)


@pytest.mark.parametrize(("arch", "norm"), [(MAPS, "bn"), (JOINED, "bn"), (TOKENS, "ln")])
def test_with_the_networks_own_norm_it_is_timms_network(arch, norm):
    model = network(arch, norm)
    options = {"img_size": 64} if arch == TOKENS else {}
    reference = timm.create_model(arch, num_classes=10, **options)
    assert [value.shape for value in reference.parameters()] == [value.shape for value in model.parameters()]
    with torch.no_grad():
        for theirs, ours in zip(reference.parameters(), model.parameters(), strict=True):
            theirs.copy_(ours)
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    logits, expected = model(images), reference(images)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    for result in (logits, expected):
        result.square().sum().backward()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("arch", [MAPS, TOKENS, JOINED, CHANNELS_LAST])
@pytest.mark.parametrize("norm", KINDS)
def test_all_norm_layers_are_replaced(arch, norm):
    model, layers = network(arch, norm), Timm(arch=arch).norm_channels()
    originals = timm.create_model(arch)
    for name, channels in layers:
        replaced, original = model.network.get_submodule(name), originals.get_submodule(name)
        first = next(module for module in replaced.modules() if not list(module.children()))
        assert isinstance(first, KINDS[norm])
        assert original.weight.shape == (channels,)
        assert ("act" in dict(original.named_children())) == (arch == JOINED)
    left = [name for name, module in originals.named_modules() if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)]
    assert left == [name for name, _ in layers]
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_a_norm_of_maps_with_channels_last_is_the_norm_of_maps():
    model = network(CHANNELS_LAST, "gn")
    wrapper = model.network.get_submodule("stages.0.blocks.0.norm")
    maps = torch.randn(2, 5, 5, 24, generator=torch.Generator().manual_seed(1))
    expected = wrapper.norm(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert isinstance(wrapper.norm, nn.GroupNorm)
    torch.testing.assert_close(wrapper(maps), expected)


def test_gains_that_timm_starts_at_0_start_at_0():
    gains = {name: value for name, value in network(MAPS, "gn").named_parameters() if name.endswith("bn3.weight")}
    assert gains
    assert not any(gain.any() for gain in gains.values())


def test_the_weights_of_a_seed_leave_the_global_stream_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    model, settings = network(MAPS, "bn"), Timm(arch=MAPS)
    torch.manual_seed(5)
    settings.initialise(model, torch.Generator().manual_seed(0))
    assert torch.equal(torch.rand(1), expected)


def test_an_unknown_name_is_refused_with_similar_ones():
    assert refusal(Timm(arch="resnt18").check).endswith("write: model.arch=resnet18")
    assert "allowed: resnet18," in refusal(Timm(arch="resnet18.a1_in1k").check)  # a name of pretrained weights
    assert "is not the name of a network" in refusal(Timm(arch="hf-hub:timm/resnet18").check)


def test_a_network_without_norm_layers_is_refused():
    assert "model.arch=vgg11 has no norm layers" in refusal(Timm(arch="vgg11").check)


def test_norms_of_attention_heads_are_refused():
    assert "normalises values of the shape (N, 1, 3136, 96)" in refusal(Timm(arch="mvitv2_tiny").check)


def test_images_that_are_too_small_are_refused():
    text = refusal(Timm(arch="inception_v3").check_images, 32, "folder")
    assert text.startswith("normlab: folder: model.arch=inception_v3 does not accept 32 x 32 pixels: ")


def test_a_norm_of_one_pixel_is_refused():
    Timm(arch=MAPS).check_norm(NORMS["in"], 64)
    Timm(arch=MAPS).check_norm(NORMS["gn"], 32)
    text = refusal(Timm(arch=MAPS).check_norm, NORMS["in"], 32)
    assert "norm=in does not work with layer layer4.0.bn1 of model.arch=test_resnet on 32 x 32 pixels" in text
    assert "\n  allowed: bn, " in text


def test_groups_that_do_not_divide_the_channels_are_refused():
    settings = Timm(arch=TOKENS)
    settings.check_norm(NORMS["gn"], 160)
    assert "does not divide the 64 channels of layer blocks.0.norm1" in refusal(
        settings.check_norm, GroupNorm(eps=1e-5, groups=3), 160
    )


def test_without_timm_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert refusal(Timm(arch="resnet18").check).endswith("write: pip install 'normlab[timm]'")
