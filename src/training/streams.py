"""Separate streams of random numbers for first weights, batch order, dropout and augmentation.

One method's draws cannot shift another's: the same seed gives the same first weights and the same batches under every
norm and penalty.  Each epoch has streams of its own, so a resumed job draws the same numbers.
"""

import hashlib

import torch


def stream_seed(seed: int, *stream: str | int) -> int:
    """Return 63 bits for one stream of a seed, such as `("order", epoch)`."""
    digest = hashlib.sha256("/".join(map(str, (seed, *stream))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *stream: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator for one stream of a seed."""
    return torch.Generator(device).manual_seed(stream_seed(seed, *stream))
