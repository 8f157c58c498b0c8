"""The convolutions of the network as plain numbers, for all that must know them before torch is there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """A convolution: output channels; kernel side, stride and padding in pixels; whether a 2 x 2 maximum follows."""

    name: str
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: bool = False


def layers(width: int) -> tuple[Layer, ...]:
    """The convolutions of the network, in order; `width` is the number of channels of the first.

    Images of 28 pixels a side become 12, pooled 6, then 4 pixels; those of 32 become 14, pooled 7, then 5.
    """
    return (
        Layer("conv1", width, kernel=6, stride=2, pool=True),
        Layer("conv2", 2 * width, kernel=3),
        Layer("conv3", 2 * width, kernel=3, padding=1),
    )


def parameters(norm: str, width: int, channels: int, classes: int) -> int:
    """How many parameters the network has, for images of so many channels and with such a norm between its layers."""
    number, incoming = 0, channels
    for layer in layers(width):
        number += layer.channels * incoming * layer.kernel**2
        number += layer.channels * (1 if norm == "none" else 2)  # the convolution's bias, or the norm's gain and bias
        incoming = layer.channels
    return number + (incoming + 1) * classes
