import pytest
import torch
from torch import nn

from src.bad_input import BadInput
from src.models import NormLayer
from src.models.vit import ViT
from src.norms.bn import BatchNorm
from src.norms.ln import LayerNorm

NORMS = {"bn": BatchNorm(eps=1e-6, momentum=0.1), "ln": LayerNorm(eps=1e-6)}
WIDTH, DEPTH, HEADS = 96, 6, 3  # conf/model/vit.yaml


def network(
    name: str = "ln",
    *,
    width: int = WIDTH,
    depth: int = DEPTH,
    heads: int = HEADS,
    size: int = 32,
    dropout: float = 0.0,
) -> nn.Module:
    settings = ViT(width=width, depth=depth, heads=heads)
    model = settings.build(3, size, 10, NormLayer(NORMS[name], "tokens"), dropout)
    settings.initialise(model, torch.Generator().manual_seed(0))
    return model


def timm_name(name: str) -> str:
    """Return timm's name of one of our parameters."""
    pairs = {
        **{"class_token": "cls_token", "positions": "pos_embed", "patches": "patch_embed.proj", "classifier": "head"},
        **{"attention.projection": "attn.proj", "attention": "attn"},
        **{"perceptron.0": "mlp.fc1", "perceptron.3": "mlp.fc2"},
    }
    for ours, theirs in pairs.items():
        name = name.replace(ours, theirs)
    return name


@pytest.mark.parametrize("name", NORMS)
def test_outputs_and_gradients_equal_timms_with_the_same_weights(name):
    timm = pytest.importorskip("timm.models.vision_transformer", reason="pip install timm")
    model = network(name, width=24, depth=2, size=16).double()
    reference = timm.VisionTransformer(
        **{"img_size": 16, "patch_size": 4, "num_classes": 10, "embed_dim": 24, "depth": 2, "num_heads": 3},
        norm_layer=lambda channels, **_: NORMS[name].layer(channels, "tokens"),
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    reference.load_state_dict({timm_name(key): value for key, value in model.state_dict().items()})
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    logits, expected = model(images), reference(images)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-12)
    for result in (logits, expected):
        result.square().sum().backward()
    gradients = {key: parameter.grad for key, parameter in reference.named_parameters()}
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[timm_name(key)], rtol=1e-6, atol=1e-9)


def test_the_docstring_tells_the_size():
    count = sum(parameter.numel() for parameter in network().parameters())
    assert count < 1_000_000
    assert f"{count:,} parameters" in " ".join((ViT.__doc__ or "").split())


def test_first_weights_have_the_deviations_of_the_papers():
    model = network(width=192, depth=1)
    weights = {key: value for key, value in model.named_parameters() if value.ndim > 1}
    for key, value in weights.items():
        deviation = 48**-0.5 if key == "patches.weight" else 0.02  # 48 values in a patch
        assert value.std().item() == pytest.approx(deviation, rel=0.15)
    assert {"class_token", "positions", "classifier.weight"} <= weights.keys()


def test_dropout_acts_after_the_positions_and_each_linear_layer_but_queries_keys_and_values():
    model = network(depth=1, dropout=0.5)
    dropouts = [name for name, module in model.named_modules() if isinstance(module, nn.Dropout) and module.p == 0.5]
    inner = ["blocks.0.attention.dropout", "blocks.0.perceptron.2", "blocks.0.perceptron.4"]
    assert dropouts == ["dropout", *inner]


def test_the_order_of_the_patches_matters_only_through_the_positions():
    model = network(depth=1).eval()
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    shifted = image.roll(4, dims=3)  # the same patches in another order
    assert not torch.allclose(model(image), model(shifted), rtol=1e-3)
    with torch.no_grad():
        model.positions.zero_()
    torch.testing.assert_close(model(image), model(shifted))


def test_heads_must_divide_the_width():
    with pytest.raises(BadInput, match=r"heads=5 does not divide model.width=6\n  allowed: 1, 2, 3, 6\n.*heads=3"):
        ViT(width=6, depth=1, heads=5).check()
