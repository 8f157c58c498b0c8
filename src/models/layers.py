"""Describe layers without torch, so the command can check a network before it loads torch."""

from typing import NamedTuple


class Convolution(NamedTuple):
    """A convolution; kernel size, stride and padding are in pixels, and `pool` adds a 2 x 2 max pooling after it."""

    name: str
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: bool = False
