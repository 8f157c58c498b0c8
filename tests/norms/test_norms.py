"""What holds for every norm; each norm's own formula is in `test_<name>.py`."""

import copy
import inspect
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from src.models import NormLayer
from src.models.cnn import CNN
from src.norms import NORMS, Norm
from tests.norms.reference import C, activations, build, tokens, vectors

PROJECT = Path(__file__).parents[2]
INPUTS = {"map": activations, "tokens": tokens, "vector": vectors}


def network(name: str) -> nn.Module:
    norm = build(name)
    settings = CNN(width=8)
    model = settings.build(1, 28, 10, NormLayer(norm, "map"), 0.0)
    settings.initialise(model, torch.Generator().manual_seed(0))
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += torch.linspace(-0.2, 0.5, len(parameter))
    return model


@pytest.mark.parametrize("name", NORMS)
def test_only_a_norm_that_uses_the_batch_depends_on_its_other_images(name):
    random = torch.Generator().manual_seed(2)
    image = torch.randn(1, 1, 28, 28, generator=random, dtype=torch.float64)
    others = torch.randn(5, 1, 28, 28, generator=random, dtype=torch.float64)
    training = copy.deepcopy(network(name)).train()
    first, second = (training(torch.cat([image, company]))[0] for company in (others, 3 * others + 1))
    assert ((first - second).abs().max() > 1e-3) == NORMS[name].uses_batch
    evaluating = network(name).eval()
    first, second = (evaluating(torch.cat([image, company]))[0] for company in (others, 3 * others + 1))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("name", NORMS)
def test_evaluation_equals_training_unless_the_norm_says_otherwise(name):
    same = NORMS[name].evaluation in (Norm.evaluation, "-")
    for layout in NORMS[name].axes:
        layer, values = build(name).layer(C, layout).double(), INPUTS[layout]()
        training = layer(values)
        assert torch.equal(layer.eval()(values), training) == same


@pytest.mark.parametrize("name", NORMS)
def test_in_each_layout_only_a_norm_that_uses_the_batch_depends_on_its_other_images(name):
    for layout in NORMS[name].axes:
        layer, values = build(name).layer(C, layout).double(), INPUTS[layout]()
        changed = torch.cat([values[:1], 3 * values[1:] + 1])
        assert torch.equal(layer(values)[0], layer(changed)[0]) != NORMS[name].uses_batch


@pytest.mark.parametrize(("name", "layout"), [(name, layout) for name in NORMS for layout in NORMS[name].axes])
def test_gains_start_at_1_and_biases_at_0_for_each_channel_as_the_formula_says(name, layout):
    found, formula = build(name).layer(C, layout).state_dict(), NORMS[name].formula
    assert ("weight" in found, "bias" in found) == ("gain" in formula, "bias" in formula)
    assert torch.equal(found.get("weight", torch.ones(C)), torch.ones(C))
    assert torch.equal(found.get("bias", torch.zeros(C)), torch.zeros(C))


@pytest.mark.parametrize(("name", "layout"), [(name, layout) for name in NORMS for layout in NORMS[name].axes])
@pytest.mark.parametrize("channels", [4, 12])
def test_a_layer_and_its_activation_have_as_many_parameters_as_the_norm_says(name, layout, channels):
    norm = build(name)
    parts = (norm.layer(channels, layout), norm.activation(channels))
    per_channel, constant = re.fullmatch(r"(?:(\d*) ?C)?(?: \+ )?(\d*)", norm.parameters).groups()
    expected = int(per_channel or 1) * channels if "C" in norm.parameters else 0
    assert sum(parameter.numel() for part in parts for parameter in part.parameters()) == expected + int(constant or 0)


@pytest.mark.parametrize(("name", "layout"), [(name, layout) for name in NORMS for layout in NORMS[name].axes])
def test_a_layer_normalises_bfloat16_nearly_as_it_does_float32(name, layout):
    layer, values = build(name).layer(C, layout), INPUTS[layout]().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(values).float(), layer(values.float()), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", NORMS)
def test_only_a_norm_that_says_so_replaces_relu(name):
    model, activation = network(name), build(name).activation(C)
    assert (type(activation) is nn.ReLU) != NORMS[name].replaces_relu
    assert [type(block[-1]) for block in model.blocks] == [type(activation)] * 3


@pytest.mark.parametrize("name", NORMS)
def test_recomputing_changes_the_statistics_of_evaluation_alone(name):
    model = network(name)
    before = copy.deepcopy(model.state_dict())
    random = torch.Generator().manual_seed(3)
    build(name).settle(model, [torch.randn(4, 1, 28, 28, generator=random, dtype=torch.float64)])
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert all(key.endswith(("running_mean", "running_var", "num_batches_tracked")) for key in changed)
    assert bool(changed) == (NORMS[name].evaluation not in (Norm.evaluation, "-"))


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_has_all_its_parts(name):
    """Names what a new norm still lacks."""
    norm, module = NORMS[name], Path(inspect.getfile(NORMS[name])).stem
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    lacking = [
        what
        for what, there in {
            "title": hasattr(norm, "title"),
            "axes": getattr(norm, "axes", None),
            "colour, as #rrggbb": re.fullmatch("#[0-9a-f]{6}", getattr(norm, "colour", "")),
            "marker": hasattr(norm, "marker"),
            "docstring with a source": re.search(r"\d{4}|No norm", norm.__doc__ or ""),
            f"conf/norm/{name}.yaml": (PROJECT / f"conf/norm/{name}.yaml").is_file(),
            f"tests/norms/test_{module}.py": (PROJECT / f"tests/norms/test_{module}.py").is_file(),
            f"`{name}` in README's table of groups": re.search(rf"^\| `norm` \|.*`{name}`", readme, re.M),
        }.items()
        if not there
    ]
    assert not lacking, f"norm={name} lacks {', '.join(lacking)}"
