"""Separate random streams for initial weights, batch order, dropout and augmentation.

With one seed, all norms and penalties get the same initial weights and batches: no stream depends on another.
Each epoch has its own streams, so a resumed job draws the same numbers as an uninterrupted one.
"""

import hashlib

import torch

from src.config import Config


def init_seed(config: Config) -> int:
    """Return the seed of a job's initial weights: its `init_seed`, or its `seed` if that is null."""
    return config.seed if config.init_seed is None else config.init_seed


def order_seed(config: Config) -> int:
    """Return the seed of a job's batch order, dropout and augmentation: its `order_seed`, or `seed` if that is null."""
    return config.seed if config.order_seed is None else config.order_seed


def stream_seed(seed: int, *stream: str | int) -> int:
    """Return the seed of one random stream of a job, such as `("order", epoch)`: an integer below 2**63."""
    digest = hashlib.sha256("/".join(map(str, (seed, *stream))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *stream: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of random numbers for one stream of a job's seed."""
    return torch.Generator(device).manual_seed(stream_seed(seed, *stream))
