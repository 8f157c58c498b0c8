"""Separate streams of random numbers for the first weights, the batch order and dropout.

What one method draws cannot shift what another one gets: the same seed means the same first weights and the same
batches under every norm and penalty.  The streams of an epoch depend on nothing that came before it.
"""

import hashlib

import torch


def stream_seed(seed: int, *stream: str | int) -> int:
    """63 bits for one stream of a seed, such as `("order", epoch)`."""
    digest = hashlib.sha256("/".join(map(str, (seed, *stream))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *stream: str | int) -> torch.Generator:
    """A generator on the CPU for one stream of a seed."""
    return torch.Generator().manual_seed(stream_seed(seed, *stream))
