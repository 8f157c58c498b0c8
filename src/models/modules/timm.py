"""Networks of timm with our norm layers."""

import difflib
import functools
from typing import Any, NamedTuple

import timm
import torch
from timm.layers import RmsNorm, RmsNorm2d, SimpleNorm, SimpleNorm2d
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from src.bad_input import BadInput
from src.models import NormLayer
from src.norms import Layout

CHANNELS_LAST = (nn.LayerNorm, RmsNorm, SimpleNorm)
NORM_TYPES = (_BatchNorm, _InstanceNorm, nn.GroupNorm, RmsNorm2d, SimpleNorm2d, *CHANNELS_LAST)
CLASSES = 10  # of the network that is built to find its norm layers


class TimmNorm(NamedTuple):
    """A norm layer of a network of timm, which normalises values of shape (2, *shape)."""

    name: str
    channels: int
    layout: Layout
    channels_last: bool  # whether its map has the shape (N, H, W, C)
    shape: tuple[int, ...]

    @property
    def effective_layout(self) -> Layout:
        """The layout that decides which norms work: a channel with one value per image is a vector."""
        values = 1
        for length in self.shape:
            values *= length
        return "vector" if values == self.channels else self.layout


class ChannelsLastNorm(nn.Module):
    """A norm of maps (N, C, H, W) that takes and returns maps (N, H, W, C)."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps (N, H, W, C)."""
        normalised: Tensor = self.norm(maps.permute(0, 3, 1, 2))
        return normalised.permute(0, 2, 3, 1)


class TimmNetwork(nn.Module):
    """A network of timm with our norm in place of its own; it returns logits (N, classes)."""

    def __init__(self, arch: str, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> None:
        super().__init__()
        self._create = functools.partial(_create_with_norm, arch, channels, size, classes, norm, dropout)
        self.network = self._create()

    def reset(self, generator: Generator) -> None:
        """Set new initial weights, which depend only on `generator`; timm draws them from torch's global stream."""
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.network.load_state_dict(self._create().state_dict())

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, size, size)."""
        logits: Tensor = self.network(images)
        return logits


def check_arch(arch: str) -> None:
    """Raise BadInput, with similar names, if timm has no network of this name or if the network has no norm layers.

    A name with a dot, such as `resnet18.a1_in1k`, names pretrained weights, which normlab does not use.
    """
    if not timm.is_model(arch) or "." in arch:
        similar = difflib.get_close_matches(arch.partition(".")[0], timm.list_models(), n=5)
        problem = f"model.arch={arch} is not the name of a network in timm {timm.__version__}"
        raise BadInput(problem, ", ".join(similar), f"model.arch={similar[0]}" if similar else "")
    if not find_norms(arch):
        raise BadInput(f"model.arch={arch} has no norm layers", "networks with norm layers", "model.arch=resnet18")


def check_convolutions(arch: str) -> None:
    """Raise BadInput if a network has a convolution whose weights cannot be standardised, or no convolution at all."""
    with torch.device("meta"):
        network = _create(arch, 3, timm.get_pretrained_cfg(arch).input_size[-1], CLASSES, 0.0)
    convolutions = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    problem = f"model.weight_standardization=true does not work with model.arch={arch}"
    if not convolutions:
        raise BadInput(f"{problem}, which has no convolutions", "networks with convolutions", "model.arch=resnet18")
    for name, layer in convolutions.items():
        if type(layer) is not nn.Conv2d:
            raise BadInput(f"{problem}: its layer {name} is a {type(layer).__name__}", "torch's Conv2d in all layers")
        if layer.weight[0].numel() == 1:
            raise BadInput(f"{problem}: the filters of its layer {name} have one weight", "2 weights or more")


@functools.lru_cache(maxsize=64)
def find_norms(arch: str, size: int | None = None) -> tuple[TimmNorm, ...]:
    """Return the norm layers that timm's network uses, in its order, for images of `size` x `size` pixels.

    The network runs on torch's `meta` device, which computes only shapes.  Without `size`, the images have the size
    that the network is made for.  Raises BadInput if the network does not accept such images, or if a norm layer's
    input has an unknown layout.
    """
    size = size or timm.get_pretrained_cfg(arch).input_size[-1]
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes[module] = tuple(inputs[0].shape)

    with torch.device("meta"):
        try:
            network = _create(arch, 3, size, CLASSES, 0.0)
            norms = {module: name for name, module in network.named_modules() if isinstance(module, NORM_TYPES)}
            for module in norms:
                module.register_forward_pre_hook(record)
            logits = network(torch.zeros(2, 3, size, size))
        except Exception as error:  # the layers of timm's networks raise errors of many kinds
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadInput(f"model.arch={arch} does not accept {size} x {size} pixels: {reason}") from error
    if not isinstance(logits, Tensor) or logits.shape != (2, CLASSES):
        raise BadInput(f"model.arch={arch} does not return one vector of logits per image in training")
    return tuple(_describe(arch, name, module, shapes[module]) for module, name in norms.items() if module in shapes)


def _describe(arch: str, name: str, module: nn.Module, shape: tuple[int, ...]) -> TimmNorm:
    """Return the description of a norm layer whose input has this shape."""
    last = isinstance(module, CHANNELS_LAST) and "2d" not in type(module).__name__  # timm's 2d norms take (N, C, H, W)
    layouts: dict[tuple[int, bool], Layout] = {(4, False): "map", (4, True): "map", (3, True): "tokens"}
    layout: Layout | None = "vector" if len(shape) == 2 else layouts.get((len(shape), last))
    heads = last and len(shape) == 4 and shape[1] != shape[2]  # (N, heads, T, C), not a square map (N, H, W, C)
    if layout is None or heads:
        raise BadInput(
            f"model.arch={arch}: layer {name} normalises values of the shape (N, {', '.join(map(str, shape[1:]))})",
            "networks with norms of (N, C, H, W), (N, H, W, C), (N, T, C) or (N, C)",
        )
    return TimmNorm(name, shape[-1 if last else 1], layout, last and layout == "map", shape[1:])


def _create(arch: str, channels: int, size: int, classes: int, dropout: float) -> nn.Module:
    """Return timm's network with its own norms and random weights; only networks with dropout get `drop_rate`."""
    options: dict[str, Any] = {"in_chans": channels, "num_classes": classes}
    if dropout:
        options["drop_rate"] = dropout
    if timm.get_pretrained_cfg(arch).fixed_input_size:
        options["img_size"] = size
    network: nn.Module = timm.create_model(arch, pretrained=False, **options)
    return network


def _create_with_norm(arch: str, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> nn.Module:
    network = _create(arch, channels, size, classes, dropout)
    for layer in find_norms(arch, size):
        replaced, ours = network.get_submodule(layer.name), norm(layer.channels, layer.layout)
        _copy_parameters(replaced, ours)
        new = ChannelsLastNorm(ours) if layer.channels_last else ours
        act = getattr(replaced, "act", None)  # timm joins some norms with the dropout and the activation after them
        if act is not None:
            new = nn.Sequential(new, getattr(replaced, "drop", nn.Identity()), act)
        network.set_submodule(layer.name, new)
    return network


def _copy_parameters(replaced: nn.Module, ours: nn.Module) -> None:
    """Copy gains and biases, because timm starts some gains at 0 to make residual blocks start as identities."""
    initial = dict(replaced.named_parameters())
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if name in initial and initial[name].shape == parameter.shape:
                parameter.copy_(initial[name])
