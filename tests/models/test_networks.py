"""What holds for every network; each network's own tests are in `test_<name>.py`."""

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from src.bad_input import BadInput
from src.config import check_config, norm_mismatch
from src.models import NETWORKS, Network, NormLayer
from src.models.cnn import CNN
from src.norms import NORMS, Layout
from src.options import OPTIMIZERS
from tests.norms.reference import build
from tests.world import configuration

PROJECT = Path(__file__).parents[2]


def default(name: str) -> Network:
    return NETWORKS[name](**OmegaConf.load(PROJECT / f"conf/model/{name}.yaml"))


def small(name: str) -> Network:
    """Return a network that is quick to build: at most 12 channels in its first layer, or a tiny network of timm."""
    if name == "timm":
        pytest.importorskip("timm", reason="pip install 'normlab[timm]'")
        return NETWORKS[name](arch="test_resnet")
    network = default(name)
    return replace(network, width=min(network.width, 12)) if hasattr(network, "width") else network


def sizes_to_try(network: Network) -> list[int]:
    """All sizes of a tuple; of a range the smallest and an odd one."""
    if not isinstance(network.sizes, range):
        return list(network.sizes)
    return [network.sizes[0], next(size for size in network.sizes if size >= 44)]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_takes_the_sizes_and_has_the_norms_that_it_says(name):
    network, channels, ln = small(name), [], build("ln")

    class Recorded(NormLayer):
        def __call__(self, count: int, layout: Layout | None = None) -> nn.Module:
            channels.append(count)
            return super().__call__(count, layout)

    for size in sizes_to_try(network):
        channels.clear()
        model = network.build(3, size, 10, Recorded(ln, network.layout), 0.1)
        assert channels == [count for _, count in network.norm_channels()]
        assert model(torch.zeros(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "norm"), [(n, m) for n in NETWORKS for m in NORMS if not norm_mismatch(NORMS[m], NETWORKS[n])]
)
def test_a_network_trains_with_every_norm_of_its_layout(name, norm):
    network, layers = small(name), build(norm)
    size = sizes_to_try(network)[-1]
    network.check_norm(layers, size)
    layers.check_channels(network.norm_channels(), network.layout)
    model = network.build(1, size, 10, NormLayer(layers, network.layout), 0.1)
    network.initialise(model, torch.Generator().manual_seed(0))
    model(torch.randn(4, 1, size, size)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_seed_gives_every_norm_the_same_first_weights(name):
    def first_weights(norm: str, seed: int) -> list[torch.Tensor]:
        network, layers, size = small(name), build(norm), NETWORKS[name].sizes[0]
        torch.manual_seed(seed + list(NORMS).index(norm))  # the global stream does not matter
        model = network.build(3, size, 10, NormLayer(layers, network.layout), 0.1)
        network.initialise(model, torch.Generator().manual_seed(seed))
        return [parameter for parameter in model.parameters() if parameter.ndim >= 2]

    expected = first_weights("bn", 3)
    for norm in [norm for norm in NORMS if not norm_mismatch(NORMS[norm], NETWORKS[name])]:
        assert all(map(torch.equal, expected, first_weights(norm, 3)))
    assert not all(map(torch.equal, expected, first_weights("bn", 4)))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_as_many_parameters_under_every_norm_with_a_gain_and_a_bias(name):
    network, counts = small(name), {}
    for norm in NORMS:
        if NORMS[norm].parameters == "2 C" and network.layout in NORMS[norm].axes:
            layers = build(norm)
            with torch.device("meta"):
                model = network.build(3, 64, 10, NormLayer(layers, network.layout), 0)
            counts[norm] = sum(parameter.numel() for parameter in model.parameters())
    assert len(set(counts.values())) == 1, counts


@pytest.mark.parametrize(
    "name", [name for name, network in NETWORKS.items() if network.layout == "map" and name != "timm"]
)
def test_instancenorm_sees_more_than_one_value_in_the_smallest_images(name):
    network, size = small(name), NETWORKS[name].sizes[0]
    model = network.build(3, size, 10, NormLayer(build("in"), network.layout), 0.0)
    model(torch.zeros(1, 3, size, size))  # torch raises ValueError for one value


@pytest.mark.parametrize("name", NETWORKS)
def test_images_of_another_size_are_refused(name):
    network = small(name)
    for size in sizes_to_try(network):
        network.check_images(size, "folder")
    with pytest.raises(BadInput, match=rf"folder: model={name} does not accept 1 x 1 pixels"):
        network.check_images(1, "folder")


def test_a_refusal_names_the_networks_that_accept_the_images():
    with pytest.raises(BadInput) as refusal:
        small("cnn").check_images(200, "folder")
    named = str(refusal.value).split("or model=")[1].split(", ")
    assert "course" in named
    for name in named:
        small(name).check_images(200, "folder")


@pytest.mark.parametrize(
    ("sizes", "text", "refused"),
    [
        ((28, 32), "28 x 28 or 32 x 32 pixels", 30),
        (range(16, 1025), "16 x 16 to 1024 x 1024 pixels", 15),
        (range(16, 257, 4), "16 x 16 to 256 x 256 pixels, in steps of 4", 30),
    ],
)
def test_the_refusal_of_a_size_lists_the_allowed_sizes(monkeypatch, sizes, text, refused):
    monkeypatch.setattr(CNN, "sizes", sizes)
    network = default("cnn")
    network.check_images(28, "folder")
    with pytest.raises(BadInput, match=f"allowed: {text}, or model="):
        network.check_images(refused, "folder")


def test_a_norm_that_does_not_fit_a_networks_layout_is_refused(monkeypatch):
    monkeypatch.setattr(CNN, "layout", "vector")
    check_config(configuration("bn"))
    allowed = ", ".join(name for name, norm in NORMS.items() if "vector" in norm.axes)
    with pytest.raises(BadInput, match=rf"norm=in does not .* model=cnn: .* one value.*\n  allowed: {allowed}\n"):
        check_config(configuration("in"))


def test_batchnorm_of_vectors_refuses_a_batch_of_one_image(monkeypatch):
    monkeypatch.setattr(CNN, "layout", "vector")
    config = configuration("bn")
    config.data.batch_size = 1
    with pytest.raises(BadInput, match="cannot normalise a batch of 1 image"):
        check_config(config)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_all_its_parts(name):
    """Names what a new network still lacks."""
    network, module = NETWORKS[name], Path(inspect.getfile(NETWORKS[name])).stem
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    lacking = [
        what
        for what, there in {
            "title": hasattr(network, "title"),
            "sizes": getattr(network, "sizes", ()),
            "epochs": hasattr(network, "epochs"),
            f"learning_rates for {', '.join(OPTIMIZERS)}": {*getattr(network, "learning_rates", ())} == {*OPTIMIZERS},
            "docstring": network.__doc__,
            f"conf/model/{name}.yaml": (PROJECT / f"conf/model/{name}.yaml").is_file(),
            f"tests/models/test_{module}.py": (PROJECT / f"tests/models/test_{module}.py").is_file(),
            f"`{name}` in README's table of groups": re.search(rf"^\| `model` \|.*`{name}`", readme, re.M),
        }.items()
        if not there
    ]
    assert not lacking, f"model={name} lacks {', '.join(lacking)}"
