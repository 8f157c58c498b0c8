"""The table of norms: what each averages over, written as layers that take the number of channels first.

An activation is (N, C, H, W).  Every norm but `none` subtracts a mean, divides by the root of a variance plus `eps`,
then multiplies by a gain and adds a bias of its channel: 2 C parameters each, so that a comparison is one of statistics
and not of size.  `bn` averages over (N, H, W), `gn` over (C/groups, H, W), `ln` over (C, H, W), `in` over (H, W).

`ln` is GroupNorm with one group.  The popular `nn.LayerNorm([C, H, W])` has a gain and a bias for every pixel instead:
a different model under the same name.
"""

from collections.abc import Callable

from torch import nn

from src.config import Norm

NormLayer = Callable[[int], nn.Module]
"""Makes the norm layer of as many channels as it is given."""


def _none(norm: Norm) -> NormLayer:
    return lambda channels: nn.Identity()


def _bn(norm: Norm) -> NormLayer:
    return lambda channels: nn.BatchNorm2d(channels, eps=_given(norm.eps), momentum=norm.momentum)


def _gn(norm: Norm) -> NormLayer:
    return lambda channels: nn.GroupNorm(int(_given(norm.groups)), channels, eps=_given(norm.eps))


def _ln(norm: Norm) -> NormLayer:
    return lambda channels: nn.GroupNorm(1, channels, eps=_given(norm.eps))


def _in(norm: Norm) -> NormLayer:
    return lambda channels: nn.InstanceNorm2d(channels, eps=_given(norm.eps), affine=True)


def _given(value: float | None) -> float:
    """A value that the configuration's check has seen to be there."""
    assert value is not None
    return value


NORMS: dict[str, Callable[[Norm], NormLayer]] = {"none": _none, "bn": _bn, "gn": _gn, "ln": _ln, "in": _in}


def norm_layer(norm: Norm) -> NormLayer:
    """The chosen norm, ready to be called with a number of channels."""
    return NORMS[norm.name](norm)
