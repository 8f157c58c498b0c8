"""Layers as plain numbers, known before torch is loaded."""

from typing import NamedTuple


class Convolution(NamedTuple):
    """Output channels; kernel side, stride and padding in pixels; whether a 2 x 2 max pooling follows."""

    name: str
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: bool = False
